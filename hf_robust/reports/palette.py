"""Colours and markers: an attack has one look in every picture, whatever other attacks were run.

Colours are those of Okabe and Ito (2008), which stay apart for colour-blind readers (grey for their yellow, which is
faint on white); the markers keep them apart in print.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "*", "h")
CERTIFIED: tuple[str, str] = ("#44337A", "h")
"""Colour and marker of the certified accuracy, which no attack has."""
ACCURACY: tuple[str, str] = ("#000000", "o")
"""Of the clean accuracy."""
_KNOWN = (
    "synonym", "antonym", "negation", "textfooler", "pwws", "deepwordbug", "textbugger", "bae", "a2t", "genetic",
    "faster_genetic", "iga", "pso", "clare", "hotflip", "input_reduction", "checklist", "gradient_mask",
)  # fmt: skip
"""The attacks that hf_robust has, in an order that gives those run together most often different colours."""

PointStyle = tuple[str, str]


def point_style(index: int) -> PointStyle:
    """Colour and marker of the index-th of several things that are no attacks: 70 of them differ."""
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def attack_styles(attacks: Iterable[str]) -> dict[str, PointStyle]:
    """Colour and marker of each attack by name: hf_robust's have theirs, another one's follow from its name.

    Only where two others meet in one picture does the one that comes later in the alphabet move on.

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
