"""How much of some texts a lexicon covers."""

from __future__ import annotations

from collections.abc import Iterable

from hf_robust.lexicons.base import Lexicon
from hf_robust.metrics import Coverage
from hf_robust.words import Protection, Text


def lexicon_coverage(lexicon: Lexicon, texts: Iterable[Text], protection: Protection | None = None) -> Coverage:
    """The words with substitutes among all words of these texts, those that are protected left out."""
    return Coverage.of(_count(lexicon, text, protection) for text in texts)


def _count(lexicon: Lexicon, text: Text, protection: Protection | None) -> tuple[int, int]:
    closed = protection.closed(text) if protection else frozenset()
    words = [word for index, word in enumerate(text.tokens) if index not in closed]
    return sum(bool(lexicon(word)) for word in words), len(words)
