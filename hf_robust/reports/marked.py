"""Texts split into pieces, with marks on the words that differ between a text and its perturbed form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from hf_robust.words import UNICODE_WORDS

# Text between words: a run of spaces, or one other character.
_BETWEEN = re.compile(r"\s+|\S")

Pieces = list[tuple[str, bool]]
"""Words, spaces and other characters of a text in order, each with True if it differs from the other text."""


def marked_differences(before: str, after: str) -> tuple[Pieces, Pieces]:
    """Split both texts into pieces and mark the differences; spaces are never marked.

    >>> marked_differences("a good film", "a fine film")[1]
    [('a', False), (' ', False), ('fine', True), (' ', False), ('film', False)]
    """
    old, new = _pieces(before), _pieces(after)
    marked: tuple[Pieces, Pieces] = ([], [])
    for kind, start, end, from_, to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for side, pieces in zip(marked, (old[start:end], new[from_:to]), strict=True):
            side += [(piece, kind != "equal" and not piece.isspace()) for piece in pieces]
    return marked


def _pieces(text: str) -> list[str]:
    pieces: list[str] = []
    done = 0
    for word, start, end in UNICODE_WORDS.split(text):
        pieces += [*_BETWEEN.findall(text[done:start]), word]
        done = end
    return [*pieces, *_BETWEEN.findall(text[done:])]


def marked_in_any_version(several: Sequence[Pieces]) -> Pieces:
    """Pieces of one text, marked if any of its comparisons marked them."""
    return [(pieces[0][0], any(marked for _, marked in pieces)) for pieces in zip(*several, strict=True)]


def merged_pieces(pieces: Iterable[tuple[str, bool]], longest: int) -> Pieces:
    """Merge neighbouring pieces with equal marks, and cut the text after about ``longest`` characters."""
    merged: Pieces = []
    left = longest
    for text, marked in pieces:
        if left <= 0:
            return [*merged, (" …", False)]
        if merged and merged[-1][1] == marked:
            merged[-1] = (merged[-1][0] + text, marked)
        else:
            merged.append((text, marked))
        left -= len(text)
    return merged
