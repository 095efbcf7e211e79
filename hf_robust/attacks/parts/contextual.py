"""Substitutes in context: a masked language model fills a blank in the present text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.words import Tagger, Text, coarse_tag

if TYPE_CHECKING:
    from hf_robust.attacks.models.masked_lm import Filling, MaskedLM

_LETTER = re.compile("[a-zA-Z]")
_MERGES = {
    "NOUN": ("NOUN",),
    "ADJ": ("NOUN", "NUM", "ADJ", "ADV"),
    "ADV": ("ADJ", "VERB"),
    "VERB": ("ADV", "VERB", "NOUN", "ADJ"),
    "DET": ("NOUN", "ADJ"),
    "PRON": ("NOUN", "ADJ"),
    "NUM": ("NUM", "NOUN"),
}
"""Universal tag of a word -> tags of a following word with which it may merge."""


@dataclass(frozen=True)
class Contextual(Candidates):
    """Proposes a masked language model's words for a blank: the ``k`` likeliest of ``min_confidence`` or more.

    Subclasses define the positions of blanks, the text that the model sees, and the new words. All blanks of a text
    are one request. Words without an ASCII letter, and the word that the blank replaced, are dropped after the first k
    are selected, as in TextAttack 0.3.11.
    """

    planned = False
    masked_lm: MaskedLM
    k: int = 50
    min_confidence: float = 0.0

    def blanks(self, text: Text, open_words: Iterable[int]) -> Iterable[int]:
        """Numbers of the words that get a blank."""
        return open_words

    def question(self, text: Text, index: int) -> str:
        """The text with its blank at word ``index``."""
        raise NotImplementedError

    def filled(self, text: Text, index: int, word: str) -> str:
        """The replacement of word ``index`` if ``word`` fills the blank."""
        return word

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        return (yield from self._answers(draft.text, open_words))

    def _answers(self, text: Text, open_words: Iterable[int]) -> Steps[list[Swap]]:
        """The swaps of all blanks."""
        # A blank behind that many words is truncated and has no answer.
        places = [index for index in self.blanks(text, open_words) if index < self.masked_lm.max_length]
        if not places:
            return []
        fillings: list[Filling] = yield Consult(self.masked_lm.fill, [self.question(text, index) for index in places])
        return [
            (index, self.filled(text, index, word))
            for index, filling in zip(places, fillings, strict=True)
            for word in filling.above(self.k, self.min_confidence)
            if word != text.tokens[index] and _LETTER.search(word)
        ]

    def to(self, device: Any) -> None:
        """Move the masked language model."""
        self.masked_lm.to(device)

    def describe(self) -> dict[str, Any]:
        return {
            "name": f"masked_lm_{type(self).__name__.lower()}",
            "masked_lm": self.masked_lm.name,
            "whole_words": self.masked_lm.whole_words,
            "k": self.k,
            "min_confidence": self.min_confidence,
        }

    def fingerprint(self) -> str:
        settings = {key: value for key, value in self.describe().items() if key != "masked_lm"}
        return f"{self.masked_lm.fingerprint()} {settings}"


@dataclass(frozen=True)
class Replace(Contextual):
    """Replaces a word by a blank (BAE-R, Garg and Ramakrishnan 2020; CLARE's replacement), except ``stop_words``."""

    stop_words: frozenset[str] = field(default=frozenset(), repr=False)

    def blanks(self, text: Text, open_words: Iterable[int]) -> list[int]:
        return [index for index in open_words if not text.is_listed(index, self.stop_words)]

    def question(self, text: Text, index: int) -> str:
        return text.replace({index: self.masked_lm.mask}).joined

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "stop_words": len(self.stop_words)}

    def fingerprint(self) -> str:
        return f"{super().fingerprint()} {sorted(self.stop_words)}"


@dataclass(frozen=True)
class Insert(Contextual):
    """Inserts a blank before a word, which then counts as changed too (CLARE).

    As in TextAttack, the model sees the text from its first word to its last. This cuts into a mask at the start of
    the text, so nothing is inserted before the first word. With ``whole_text`` the model sees the whole text, and
    words are inserted there too.
    """

    whole_text: bool = False

    def question(self, text: Text, index: int) -> str:
        masked = text.replace({index: self.filled(text, index, self.masked_lm.mask)})
        return masked.joined if self.whole_text else _first_word_to_last(masked)

    def filled(self, text: Text, index: int, word: str) -> str:
        return f"{word} {text.tokens[index]}"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "whole_text": self.whole_text}


@dataclass(frozen=True)
class Merge(Contextual):
    """Replaces two words by one blank, if their parts of speech allow it (CLARE).

    As in TextAttack, any two neighbouring words outside ``frozen`` columns may merge: also stop words, changed words,
    and the last word of a column with the first of the next. ``open_only`` requires that both words are open and in
    one column. ``whole_text`` is the same as in ``Insert``: without it the first two and last two words do not merge.

    Differs from TextAttack: the parts of speech are universal tags from ``tagger`` instead of flair's.
    """

    tagger: Tagger | None = None
    frozen: frozenset[int] = frozenset()
    open_only: bool = False
    whole_text: bool = False

    def __post_init__(self) -> None:
        if self.tagger is None:
            raise ValueError("merging words needs a part-of-speech tagger, got none; pass --pos_tagger nltk.")

    def blanks(self, text: Text, open_words: Iterable[int]) -> Iterator[int]:
        assert self.tagger is not None
        allowed = set(open_words)
        tagger = text.rule.tagger(self.tagger)
        tags = [coarse_tag(tag) for tag in tagger(text.tokens)] if len(text.words) > 1 else []
        for index, (tag, following) in enumerate(zip(tags, tags[1:], strict=False)):
            pair, columns = {index, index + 1}, {text.words[index].column, text.words[index + 1].column}
            if following not in _MERGES.get(tag, ()) or columns & self.frozen:
                continue
            if not self.open_only or (pair <= allowed and len(columns) == 1):
                yield index

    def question(self, text: Text, index: int) -> str:
        masked = text.delete(index + 1).replace({index: self.masked_lm.mask})
        return masked.joined if self.whole_text else _first_word_to_last(masked)

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        return []
        yield

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        swaps = yield from self._answers(draft.text, open_words)
        return [draft.swap(index + 1, "").swap(index, word) for index, word in swaps]

    def describe(self) -> dict[str, Any]:
        assert self.tagger is not None
        settings = {"frozen": sorted(self.frozen), "open_only": self.open_only, "whole_text": self.whole_text}
        return {**super().describe(), "tagger": self.tagger.name, **settings}


def _first_word_to_last(text: Text) -> str:
    """The columns joined by a line break, without the characters before the first word and after the last word."""
    first, last = text.words[0], text.words[-1]
    before = sum(len(column) + 1 for column in text.columns[: first.column])
    behind = sum(len(column) + 1 for column in text.columns[: last.column])
    return text.joined[before + first.start : behind + last.end]
