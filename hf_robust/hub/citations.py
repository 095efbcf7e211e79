"""BibTeX of the papers behind methods and attacks, from ``citations.bib`` beside this file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import resources

_TEXTATTACK = "morris2020textattack"
# Papers of the attacks: the search of the synonym attack is TextFooler's, its goals and recipes are BAT's; those from
# other papers behave as TextAttack has them.
ATTACK_CITATIONS = {
    "synonym": ("chen2022balanced", "jin2020textfooler"),
    "antonym": ("chen2022balanced",),
    "negation": ("chen2022balanced",),
    "textfooler": ("jin2020textfooler", _TEXTATTACK),
    "pwws": ("ren2019pwws", _TEXTATTACK),
    "deepwordbug": ("gao2018deepwordbug", _TEXTATTACK),
    "textbugger": ("li2019textbugger", _TEXTATTACK),
    "a2t": ("yoo2021a2t", _TEXTATTACK),
    "genetic": ("alzantot2018genetic", _TEXTATTACK),
    "faster_genetic": ("jia2019certified", _TEXTATTACK),
    "iga": ("wang2019iga", _TEXTATTACK),
    "pso": ("zang2020pso", _TEXTATTACK),
    "input_reduction": ("feng2018pathologies", _TEXTATTACK),
    "checklist": ("ribeiro2020checklist", _TEXTATTACK),
    "bae": ("garg2020bae", _TEXTATTACK),
    "clare": ("li2021clare", _TEXTATTACK),
    "hotflip": ("ebrahimi2018hotflip", _TEXTATTACK),
    "gradient_mask": ("khan2025gradmask",),
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
