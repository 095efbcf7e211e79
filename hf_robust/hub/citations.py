"""BibTeX of the papers behind methods and attacks, from ``citations.bib`` beside this file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

_TEXTATTACK = "morris2020textattack"
# Papers of the attacks. The synonym attack has the search of TextFooler and the goal of BAT. Recipes of other papers
# follow TextAttack's implementation.
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
    "leap": ("xiao2023leap", _TEXTATTACK),
    "kuleshov": ("kuleshov2018adversarial", _TEXTATTACK),
    "pruthi": ("pruthi2019misspellings", _TEXTATTACK),
    "input_reduction": ("feng2018pathologies", _TEXTATTACK),
    "checklist": ("ribeiro2020checklist", _TEXTATTACK),
    "bae": ("garg2020bae", _TEXTATTACK),
    "bert_attack": ("li2020bertattack", _TEXTATTACK),
    "clare": ("li2021clare", _TEXTATTACK),
    "hotflip": ("ebrahimi2018hotflip", _TEXTATTACK),
    "french": (_TEXTATTACK,),
    "spanish": (_TEXTATTACK,),
    "chinese": (_TEXTATTACK,),
    "homoglyphs": ("boucher2022bad", _TEXTATTACK),
    "invisible_characters": ("boucher2022bad", _TEXTATTACK),
    "deletion_characters": ("boucher2022bad", _TEXTATTACK),
    "reordering_characters": ("boucher2022bad", _TEXTATTACK),
    "gradient_mask": ("khan2025gradmask",),
    "hlbb": ("maheshwary2021hardlabel",),
    "paraphrase": ("iyyer2018scpn",),
    "viper": ("eger2019viper",),
    "gcg": ("zou2023universal",),
}
# Papers of the votes over random substitutions and over masks, and of the certificates by randomised smoothing.
VOTE_CITATIONS = ("ye2020safer",)
MASK_CITATIONS = ("zeng2023ranmask",)
CERTIFICATE_CITATIONS = ("cohen2019certified",)
INTERVAL_CITATIONS = ("jia2019certified",)


def citation(key: str) -> str:
    """The BibTeX entry of a key; a key that is itself an entry is returned unchanged.

    Raises:
        ValueError: the key is not in ``citations.bib``.
    """
    if key.startswith("@"):  # a custom method has its entry in place of a key
        return key
    if key not in _entries():
        raise ValueError(f"No citation {key!r}; citations.bib has {', '.join(_entries())}: add the entry there.")
    return _entries()[key]


def title(key: str) -> str:
    """Title of the paper of a key, without BibTeX braces."""
    match = re.search(r"^\s*title = \{(.*)\},$", citation(key), flags=re.MULTILINE)
    return re.sub(r"[{}]", "", match.group(1)) if match else key


def citations_of(card: Mapping[str, Any], attacks: Sequence[str], certified: bool = False) -> list[str]:
    """Keys of the papers behind a run, each once: those of its method, attacks, vote and certificates.

    Args:
        card: the run card; if it is empty, the names of the attacks decide.
        attacks: names of the attacks that measured the run.
        certified: whether the run has certificates.
    """
    described, method = card.get("attacks") or {}, card.get("citation")
    keys = [method] if method else []
    for attack in attacks:
        entry = described.get(attack) or {}
        for name in entry.get("members") or [entry.get("name", attack)]:  # the standard is a list of attacks
            keys += ATTACK_CITATIONS.get(str(name), ())
        # The backend runs any recipe of TextAttack, also those that ATTACK_CITATIONS lacks.
        keys += [_TEXTATTACK] if (described.get(attack) or {}).get("backend") == "textattack" else []
    keys += _of_draws(card["vote"]) if card.get("vote") else ()
    keys += _of_certificates(card.get("certify") or {}) if certified else ()
    for view in card.get("views") or ():  # attacks that made training texts
        keys += ATTACK_CITATIONS.get(str(view.get("view")), ())
    return list(dict.fromkeys(keys))


def _of_certificates(settings: Mapping[str, Any]) -> tuple[str, ...]:
    if settings.get("rule") == "intervals":
        return INTERVAL_CITATIONS
    return (*_of_draws(settings), *CERTIFICATE_CITATIONS)


def _of_draws(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return MASK_CITATIONS if "mask_rate" in settings else VOTE_CITATIONS


@cache
def _entries() -> dict[str, str]:
    text = resources.files("hf_robust.hub").joinpath("citations.bib").read_text(encoding="utf-8")
    entries = re.findall(r"^@\w+\{([^,\s]+),.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^@\w+\{.*?^\}$", text, flags=re.MULTILINE | re.DOTALL)
    return dict(zip(entries, blocks, strict=True))
