"""Texts in pieces, with the words marked that differ between a text and its perturbed form."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from hf_robust.words import UNICODE_WORDS

# What stands between words: a run of spaces, or any other character.
_BETWEEN = re.compile(r"\s+|\S")

Pieces = list[tuple[str, bool]]
"""Words, spaces and signs in order, which joined give the text; True where a piece has no like in the other text."""


def marked_differences(before: str, after: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces; spaces are never marked.

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
    """One text's pieces, marked where any of its comparisons marked them."""
    return [(pieces[0][0], any(marked for _, marked in pieces)) for pieces in zip(*several, strict=True)]


def merged_pieces(pieces: Iterable[tuple[str, bool]], longest: int) -> Pieces:
    """Neighbours of one kind together, the text cut after about so many characters."""
    found: Pieces = []
    left = longest
    for text, marked in pieces:
        if left <= 0:
            return [*found, (" …", False)]
        if found and found[-1][1] == marked:
            found[-1] = (found[-1][0] + text, marked)
        else:
            found.append((text, marked))
        left -= len(text)
    return found
