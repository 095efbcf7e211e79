"""Constraints: which words may be swapped, and which substitutes are allowed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import ne
from typing import Any, ClassVar

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.words import STOP_WORDS, Protection, Tagger, Text, WordRule, context_tags


class Constraint:
    """Admits everything; subclasses override one or more of three methods.

    ``opens`` may depend on the words changed so far. ``admits`` may not, since its results are computed once and
    stored. ``keeps`` sees whole texts at every step and may use a model. A constraint whose description does not
    contain everything that its results depend on also has a ``fingerprint``.

    Attributes:
        binds_replays: whether ``keeps`` depends on a text alone and not on the steps that led to it, so that it also
            applies to a text from elsewhere (``Trial.replay``).
    """

    binds_replays: ClassVar[bool] = False

    def opens(self, draft: Draft) -> set[int] | None:
        """Numbers of the words that may be swapped; None if this constraint closes no word.

        Sets are built as in TextAttack, since their order of iteration decides ties between words.
        """
        return None

    def admits(self, original: Text, text: Text, index: int, substitutes: Sequence[str]) -> Sequence[str]:
        """Those of ``substitutes`` that may replace word ``index`` of ``text``, in their order."""
        return substitutes

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        """Those of ``drafts`` that may follow ``current``, in their order."""
        return drafts
        yield  # makes this method a generator, as in all constraints

    def describe(self) -> dict[str, Any]:
        raise NotImplementedError


@dataclass(frozen=True)
class NoRepeat(Constraint):
    """No word is changed twice."""

    def opens(self, draft: Draft) -> set[int]:
        return set(range(len(draft.text.words))) - draft.modified

    def describe(self) -> dict[str, Any]:
        return {"name": "no_repeat"}


@dataclass(frozen=True)
class NoStopWords(Constraint):
    """Stop words do not change.

    By TextAttack's word rule the comparison is case-sensitive: "The" may change, "the" may not. ``source`` names the
    list.
    """

    words: frozenset[str] = field(default=STOP_WORDS, repr=False)
    source: str = "textfooler"

    def opens(self, draft: Draft) -> set[int]:
        text = draft.text
        return {index for index in range(len(text.words)) if not text.is_listed(index, self.words)}

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the words, since the description holds only their number."""
        return hashlib.blake2b("\n".join(sorted(self.words)).encode(), digest_size=8).hexdigest()

    def describe(self) -> dict[str, Any]:
        return {"name": "stop_words", "list": self.source, "count": len(self.words)}


@dataclass(frozen=True)
class MinWordLength(Constraint):
    """Words of fewer than ``minimum`` characters do not change."""

    minimum: int

    def opens(self, draft: Draft) -> set[int]:
        return {index for index, word in enumerate(draft.text.tokens) if len(word) >= self.minimum}

    def describe(self) -> dict[str, Any]:
        return {"name": "min_word_length", "minimum": self.minimum}


@dataclass(frozen=True)
class OpenColumns(Constraint):
    """Frozen text columns, given by number, do not change; a column's name has no effect."""

    frozen: frozenset[int] = frozenset()

    def opens(self, draft: Draft) -> set[int]:
        if not self.frozen:
            return set(range(len(draft.text.words)))
        open_words: set[int] = set()
        for number in range(len(draft.text.columns)):
            inside = [index for index, word in enumerate(draft.text.words) if word.column == number]
            if number not in self.frozen and inside:
                open_words |= set(range(inside[0], inside[-1] + 1))
        return open_words

    def describe(self) -> dict[str, Any]:
        return {"name": "open_columns", "frozen": sorted(self.frozen)}


@dataclass(frozen=True)
class LastColumn(Constraint):
    """Only the last text column that is not frozen may change: the hypothesis of a pair, or a single text."""

    frozen: frozenset[int] = frozenset()

    def opens(self, draft: Draft) -> set[int]:
        last = max(set(range(len(draft.text.columns))) - self.frozen, default=None)
        return {index for index, word in enumerate(draft.text.words) if word.column == last}

    def describe(self) -> dict[str, Any]:
        return {"name": "last_column"}


@dataclass(frozen=True)
class MaxModificationRate(Constraint):
    """Words may change until ``max(ceil(words * rate), minimum)`` of them are changed (A2T)."""

    rate: float
    minimum: int = 1

    def opens(self, draft: Draft) -> set[int]:
        limit = max(math.ceil(draft.length * self.rate), self.minimum)
        return set() if len(draft.modified) >= limit else set(range(len(draft.text.words)))

    def describe(self) -> dict[str, Any]:
        return {"name": "max_modification_rate", "rate": self.rate, "minimum": self.minimum}


@dataclass(frozen=True)
class SamePartOfSpeech(Constraint):
    """A substitute has the universal tag of its word; both are tagged at the word's position in the original.

    ``verb_noun_swap`` allows a verb for a noun and a noun for a verb. ``only`` are the tags of words that may change;
    None for all.
    """

    tagger: Tagger
    verb_noun_swap: bool = True
    only: tuple[str, ...] | None = None

    def admits(self, original: Text, text: Text, index: int, substitutes: Sequence[str]) -> Sequence[str]:
        words = original.tokens
        if index >= len(words):
            return []
        shown = [words[index], *(_as_word(new, original.rule) for new in substitutes)]
        tag, *others = context_tags(original.rule.tagger(self.tagger), words, index, shown)
        if self.only is not None and tag not in self.only:
            return []
        allowed = {"NOUN", "VERB"} if self.verb_noun_swap and tag in ("NOUN", "VERB") else {tag}
        return [new for new, other in zip(substitutes, others, strict=True) if other in allowed]

    def to(self, device: Any) -> None:
        """Move a tagger that is a model."""
        if hasattr(self.tagger, "to"):
            self.tagger.to(device)

    def describe(self) -> dict[str, Any]:
        only = {} if self.only is None else {"only": list(self.only)}
        return {"name": "part_of_speech", "tagger": self.tagger.name, "verb_noun_swap": self.verb_noun_swap, **only}


def _as_word(substitute: str, rule: WordRule) -> str:
    """The word of a text that contains ``substitute``: "UNK" for "[UNK]"."""
    words = rule.split(substitute)
    return words[0][0] if len(words) == 1 else substitute


@dataclass(frozen=True)
class SameWords(Constraint):
    """A swap of one word by one word leaves all other words as they are; for languages without spaces, where a
    substitute can join its neighbours or fall apart."""

    def admits(self, original: Text, text: Text, index: int, substitutes: Sequence[str]) -> Sequence[str]:
        before, after = text.tokens[:index], text.tokens[index + 1 :]
        return [new for new in substitutes if text.replace({index: new}).tokens == [*before, new, *after]]

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        return [draft for draft in drafts if draft.words == draft.text.tokens]
        yield

    def describe(self) -> dict[str, Any]:
        return {"name": "same_words"}


@dataclass(frozen=True)
class MaxEditDistance(Constraint):
    """The Levenshtein distance to the original text is at most ``maximum`` characters."""

    maximum: int

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        from rapidfuzz.distance import Levenshtein

        clean = original.text.joined
        return [
            draft
            for draft in drafts
            if Levenshtein.distance(clean, draft.text.joined, score_cutoff=self.maximum) <= self.maximum
        ]
        yield

    def describe(self) -> dict[str, Any]:
        return {"name": "max_edit_distance", "maximum": self.maximum}


@dataclass(frozen=True)
class MaxChangedWords(Constraint):
    """At most ``count`` or ``ceil(words * share)`` words differ from the original's, compared position by position."""

    share: float | None = None
    count: int | None = None

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        return [draft for draft in drafts if self._allows(original, draft)]
        yield

    def _allows(self, original: Draft, draft: Draft) -> bool:
        changed = sum(map(ne, original.words, draft.words))
        if self.count is not None and changed > self.count:
            return False
        return self.share is None or changed <= math.ceil(min(original.length, len(draft.words)) * self.share)

    def describe(self) -> dict[str, Any]:
        return {"name": "max_changed_words", "share": self.share, "count": self.count}


@dataclass(frozen=True)
class MaxChangedShare(Constraint):
    """At most ``ceil(words * share)`` of the clean text's words change, counted over all columns.

    For a truncated text only the words that the model reads count, except in recipes identical with TextAttack's.

    This is TextDefender's limit (Li et al. 2021, arXiv:2108.12777; TextAttack's ``MaxWordsPerturbed``). Differs from
    it in what counts as changed after a split, a deletion or an insertion: here each swap counts once, as in a record;
    there each position with another word counts, and so do all later words.
    """

    binds_replays = True
    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"--attack_max_changed is a share above 0 and at most 1, got {self.share:g}.")

    def limit(self, original: Draft) -> int:
        """Maximum number of changed words."""
        # In floating point 0.07 * 100 is slightly above 7.
        return math.ceil(round(original.length * self.share, 9))

    def opens(self, draft: Draft) -> set[int]:
        full = len(draft.changes(draft.origin.text)) >= self.limit(draft.origin)
        return set(draft.modified) if full else set(range(len(draft.text.words)))

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        limit = self.limit(original)
        return [draft for draft in drafts if len(draft.changes(original.text)) <= limit]
        yield

    def describe(self) -> dict[str, Any]:
        return {"name": "max_changed_share", "share": self.share}


@dataclass(frozen=True)
class Protected(Constraint):
    """Protected spans do not change, and no swap creates or removes one (``--protect``)."""

    binds_replays = True
    protection: Protection

    def opens(self, draft: Draft) -> set[int]:
        return set(range(len(draft.text.words))) - self.protection.closed(draft.text)

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        strings, closed = self.protection.strings(original.text), {current: self.protection.closed(current.text)}
        return [
            draft
            for draft in drafts
            if not self._touches(draft, current, closed) and self.protection.strings(draft.text) == strings
        ]
        yield

    def _touches(self, draft: Draft, current: Draft, closed: dict[Draft, frozenset[int]]) -> bool:
        """Whether a step from ``current`` changed a protected word, even if a neighbouring swap restored it."""
        while draft is not current and draft.parent is not None:
            if draft.parent not in closed:
                closed[draft.parent] = self.protection.closed(draft.parent.text)
            if not closed[draft.parent].isdisjoint(draft.swaps):
                return True
            draft = draft.parent
        return False

    def fingerprint(self) -> str:
        return self.protection.fingerprint()

    def describe(self) -> dict[str, Any]:
        return {"name": "protected", **self.protection.describe()}
