"""Colours and markers: an attack has the same colour and marker in every picture, whatever other attacks were run.

Colours are those of Okabe and Ito (2008), which colour-blind readers can distinguish (grey replaces their yellow,
which is faint on white); markers distinguish them in print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
CERTIFIED: tuple[str, str] = ("#44337A", "h")
"""Colour and marker of the certified accuracy, which no attack has."""
ACCURACY: tuple[str, str] = ("#000000", "o")
"""Colour and marker of the clean accuracy."""
_KNOWN = (
    "synonym", "antonym", "negation", "textfooler", "pwws", "deepwordbug", "textbugger", "bae", "a2t", "genetic",
    "faster_genetic", "iga", "pso", "clare", "hotflip", "input_reduction", "checklist", "gradient_mask",
    "bert_attack", "kuleshov", "pruthi", "leap", "hlbb", "paraphrase", "homoglyphs", "invisible_characters",
    "deletion_characters", "reordering_characters", "french", "spanish", "chinese",
    "viper", "gcg",
)  # fmt: skip
"""The attacks of hf_robust, in an order that gives attacks often run together different colours."""

PointStyle = tuple[str, str]


def point_style(index: int) -> PointStyle:
    """Colour and marker number ``index``; 70 of them differ."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def attack_styles(attacks: Iterable[str]) -> dict[str, PointStyle]:
    """Colour and marker of each attack by name: fixed for the attacks of hf_robust, derived from the name for others.

    If two other attacks of one picture collide, the alphabetically later one takes the next style.

    >>> attack_styles(["antonym"])["antonym"] == attack_styles(["synonym", "mine", "antonym"])["antonym"]
    True
    """
    names = list(dict.fromkeys(attacks))
    places = {name: _KNOWN.index(name) for name in names if name in _KNOWN}
    free = range(len(_KNOWN), len(COLOURS) * len(MARKERS))
    for name in sorted(set(names) - set(places)):
        start = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "big")
        order = (free[(start + step) % len(free)] for step in range(len(free)))
        places[name] = next((place for place in order if place not in places.values()), free[start % len(free)])
    return {name: point_style(places[name]) for name in names}
