"""BibTeX of the papers behind methods and attacks, from ``citations.bib`` beside this file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

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
# The vote over random substitutions, and the certificates of randomised smoothing that it takes after.
VOTE_CITATIONS = ("ye2020safer",)
CERTIFICATE_CITATIONS = (*VOTE_CITATIONS, "cohen2019certified")


def citation(key: str) -> str:
    """The BibTeX entry of a key, as ``python -c "from hf_robust.hub.citations import citation; ..."`` would print it.

    Raises:
        ValueError: the key is not in ``citations.bib``.
    """
    if key.startswith("@"):  # a method of the user's own brings its entry
        return key
    if key not in _entries():
        raise ValueError(f"No citation {key!r}; citations.bib has {', '.join(_entries())}: add the entry there.")
    return _entries()[key]


def title(key: str) -> str:
    """The title of a key's paper, without BibTeX braces."""
    found = re.search(r"^\s*title = \{(.*)\},$", citation(key), flags=re.MULTILINE)
    return re.sub(r"[{}]", "", found.group(1)) if found else key


def citations_of(card: Mapping[str, Any], attacks: Sequence[str], certified: bool = False) -> list[str]:
    """Keys of the papers behind a run, each once: its method's, its attacks', the vote's and the certificates'.

    Args:
        card: the run card; one that says nothing gives the attacks' papers by their names alone.
        attacks: the attacks that measured the run.
        certified: whether the run has certificates.
    """
    described, method = card.get("attacks") or {}, card.get("citation")
    keys = [method] if method else []
    for attack in attacks:
        keys += ATTACK_CITATIONS.get(attack, ())
        # Any recipe of TextAttack can be named, ours or not.
        keys += [_TEXTATTACK] if (described.get(attack) or {}).get("backend") == "textattack" else []
    keys += VOTE_CITATIONS if card.get("vote") else ()
    keys += CERTIFICATE_CITATIONS if certified else ()
    for view in card.get("views") or ():  # attacks that made texts to train on
        keys += ATTACK_CITATIONS.get(str(view.get("view")), ())
    return list(dict.fromkeys(keys))


@cache
def _entries() -> dict[str, str]:
    text = resources.files("hf_robust.hub").joinpath("citations.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^@\w+\{.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    return dict(zip(entries, blocks, strict=True))
