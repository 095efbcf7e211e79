"""BibTeX of the papers behind methods and attacks, from ``citations.bib`` beside this file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

# Papers of the attacks: the search of the synonym attack is TextFooler's, its goals and recipes are BAT's.
ATTACK_CITATIONS = {
    "synonym": ("chen2022balanced", "jin2020textfooler"),
    "antonym": ("chen2022balanced",),
    "negation": ("chen2022balanced",),
}


def citation(key: str) -> str:
    """The BibTeX entry of a key, as ``python -c "from hf_robust.hub import citation; ..."`` would print it.

    Raises:
        ValueError: the key is not in ``citations.bib``.
    """
    if key not in _entries():
        raise ValueError(f"No citation {key!r}; citations.bib has {', '.join(_entries())}: add the entry there.")
    return _entries()[key]


def title(key: str) -> str:
    """The title of a key's paper, without BibTeX braces."""
    found = re.search(r"^\s*title = \{(.*)\},$", citation(key), flags=re.MULTILINE)
    return re.sub(r"[{}]", "", found.group(1)) if found else key


def citations_of(method_key: str, attacks: Sequence[str]) -> list[str]:
    """Keys of a method's paper (``""`` for none) and of its attacks' papers, each once."""
    keys = [method_key] if method_key else []
    return list(dict.fromkeys([*keys, *(key for attack in attacks for key in ATTACK_CITATIONS.get(attack, ()))]))


@cache
def _entries() -> dict[str, str]:
    text = resources.files("hf_robust.hub").joinpath("citations.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^@\w+\{.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    return dict(zip(entries, blocks, strict=True))
