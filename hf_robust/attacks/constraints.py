"""Which words may be swapped, and for what. These constraints do not depend on the model: they are planned once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_robust.words import STOP_WORDS, Tagger, Text, context_tag


class Constraint:
    """Admits everything; subclasses narrow one of the two questions."""

    def opens(self, text: Text, index: int) -> bool:
        """Whether word ``index`` may be swapped at all."""
        return True

    def admits(self, text: Text, index: int, substitutes: Sequence[str]) -> Sequence[str]:
        """Those of ``substitutes`` that may stand for word ``index``, in their order."""
        return substitutes

    def describe(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class NoStopWords(Constraint):
    """Stop words stay; compared with their case, as TextAttack does ("The" may change, "the" may not)."""

    words: frozenset[str] = field(default=STOP_WORDS, repr=False)

    def opens(self, text: Text, index: int) -> bool:
        return text.tokens[index] not in self.words

    def describe(self) -> dict[str, Any]:
        return {"name": "stop_words", "count": len(self.words)}


@dataclass(frozen=True)
class SamePartOfSpeech(Constraint):
    """A substitute has its word's universal tag, both tagged in the word's place among the original's words.

    With ``verb_noun_swap`` a verb may stand for a noun and the other way round.
    """

    tagger: Tagger
    verb_noun_swap: bool = True

    def admits(self, text: Text, index: int, substitutes: Sequence[str]) -> Sequence[str]:
        words = text.tokens
        own = context_tag(self.tagger, words, index, words[index])
        allowed = {"NOUN", "VERB"} if self.verb_noun_swap and own in ("NOUN", "VERB") else {own}
        return [new for new in substitutes if context_tag(self.tagger, words, index, new) in allowed]

    def describe(self) -> dict[str, Any]:
        return {"name": "part_of_speech", "tagger": self.tagger.name, "verb_noun_swap": self.verb_noun_swap}
