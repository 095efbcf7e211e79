"""Adversarial texts beside their originals, for people to read: what changed is coloured on a terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from hf_robust.metrics import AttackRecord
from hf_robust.reports.marked import Pieces, differing

OLD, NEW, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, and neither NO_COLOR (https://no-color.org) nor a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def choose_pairs(records: Mapping[str, Sequence[AttackRecord]], count: int) -> list[tuple[str, AttackRecord]]:
    """Up to ``count`` successes that changed a text, spread over the attacks: the first of each, then the second."""
    found = {
        name: [record for record in one if record.status == "succeeded" and record.original != record.perturbed]
        for name, one in records.items()
    }
    ranked = [(rank, name, record) for name, one in found.items() for rank, record in enumerate(one[:count])]
    return [(name, record) for _, name, record in sorted(ranked, key=lambda one: one[0])[:count]]


def before_and_after(name: str, record: AttackRecord, label_names: Sequence[str], colour: bool = False) -> str:
    """One success in a few lines: predictions, what was changed, both texts.

    Args:
        name: the attack.
        label_names: the names behind the predictions' ids.
        colour: mark the words that differ by terminal codes, red before and green after.
    """
    before, after = (label_names[index] for index in (record.original_prediction, record.perturbed_prediction))
    outcome = f"{before} -> {after}" if before != after else f"{before} stays"
    swaps = ", ".join(f"{old or '(nothing)'} -> {new or '(nothing)'}" for _, old, new in record.changed)
    texts = [" | ".join(columns) for columns in (record.original, record.perturbed)]
    if colour:
        texts = list(coloured(*texts))
    return (
        f"{name}, example {record.idx}: {outcome} ({record.queries} queries{'; ' + swaps if swaps else ''})\n"
        f"  before: {texts[0]}\n"
        f"  after:  {texts[1]}\n"
    )


def coloured(before: str, after: str) -> tuple[str, str]:
    """Both texts with the words that differ coloured; every other character is as it was.

    >>> coloured("a good film", "a fine film")
    ('a \\x1b[31mgood\\x1b[0m film', 'a \\x1b[32mfine\\x1b[0m film')
    """
    before_pieces, after_pieces = differing(before, after)
    return _with_codes(before_pieces, OLD), _with_codes(after_pieces, NEW)


def _with_codes(pieces: Pieces, code: str) -> str:
    return "".join(f"{code}{piece}{PLAIN}" if marked else piece for piece, marked in pieces)
