"""Constraints by a language model: a substitute must be likely in its context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.attacks.parts.similarity import REFERENCES, window
from hf_robust.words import Text

_LETTER = re.compile("[A-Za-z]")
Continuation = tuple[str, str]
"""A context, possibly empty, and the words that follow it."""


class LanguageModel(Protocol):
    """Returns log probabilities; ``name`` is for result files, ``fingerprint`` for keys."""

    @property
    def name(self) -> str: ...

    def log_probabilities(self, inputs: Sequence[Continuation]) -> Sequence[float]:
        """The natural logarithm of each text's probability after its context."""
        ...

    def first_pieces(self, inputs: Sequence[Continuation]) -> Sequence[float]:
        """The natural logarithm of the probability of each text's first piece right after its context."""
        ...

    def fingerprint(self) -> str: ...


@dataclass(frozen=True)
class _ByLanguageModel(Constraint):
    model: LanguageModel

    def to(self, device: Any) -> None:
        """Move the model."""
        if hasattr(self.model, "to"):
            self.model.to(device)

    def fingerprint(self) -> str:
        """The model's fingerprint."""
        return self.model.fingerprint()


@dataclass(frozen=True)
class LikeliestSwaps(_ByLanguageModel):
    """Keeps, among texts that swap the same word, the ``top`` texts whose new word is likeliest after its context.

    Alzantot et al. 2018 (arXiv:1804.07998) use Google's billion-word model and a context of one word
    (``context_words``; None for all previous words). The swapped word is the first that differs from the text before
    the swap; texts without a difference fail. Ties keep the given order.

    Differs from TextAttack 0.3.11, which indexes the wrong list and so keeps the first texts whatever the model
    answers, and which uses the text's last word as the context of the first word.
    """

    top: int = 4
    context_words: int | None = 1

    def __post_init__(self) -> None:
        if self.top < 1 or (self.context_words is not None and self.context_words < 1):
            raise ValueError(
                "LikeliestSwaps needs a top of at least 1, and context_words of at least 1 or None, "
                f"got {self.top} and {self.context_words}."
            )

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        words = current.text.tokens
        by_word: dict[int, list[int]] = {}
        for place, draft in enumerate(drafts):
            index = _first_difference(words, draft.words)
            if index is not None:
                by_word.setdefault(index, []).append(place)
        # Words with at most ``top`` texts need no query of the model.
        queries = [(index, place) for index, places in by_word.items() if len(places) > self.top for place in places]
        admitted = [place for places in by_word.values() if len(places) <= self.top for place in places]
        if queries:
            inputs = [(self._context(words, index), drafts[place].words[index]) for index, place in queries]
            answer = yield Consult(self.model.log_probabilities, inputs)
            likelihood = {place: float(value) for (_, place), value in zip(queries, answer, strict=True)}
            for places in by_word.values():
                if len(places) > self.top:
                    admitted += sorted(places, key=lambda place: -likelihood[place])[: self.top]
        return [drafts[place] for place in sorted(admitted)]

    def _context(self, words: list[str], index: int) -> str:
        start = 0 if self.context_words is None else max(index - self.context_words, 0)
        return " ".join(words[start:index])

    def describe(self) -> dict[str, Any]:
        settings = {"top": self.top, "context_words": self.context_words}
        return {"name": "likeliest_swaps", "language_model": self.model.name, **settings}


@dataclass(frozen=True)
class MaxLikelihoodDrop(_ByLanguageModel):
    r"""The words around a swapped word stay nearly as likely: :math:`\log p(w') > \log p(w) - \delta`.

    Jia et al. 2019 (arXiv:1909.00986), appendix A.3: w are the ``window_size`` words around the swapped word, without
    punctuation and without earlier context, and w' are these words after the swap; ``max_drop`` is :math:`\delta`. The
    reference is the ``original`` or the text before the swap (``previous``). A text with a new word beyond the last
    word of the reference fails.

    Differs from TextAttack 0.3.11: its model rejects unknown substitutes and skips other unknown words, whereas a
    model of word pieces has no unknown words.
    """

    window_size: int = 6
    max_drop: float = 5.0
    reference: str = "original"

    def __post_init__(self) -> None:
        if self.window_size < 1 or self.max_drop < 0:
            raise ValueError(
                "MaxLikelihoodDrop needs a window_size of at least 1 and a max_drop of at least 0, "
                f"got {self.window_size} and {self.max_drop}."
            )
        if self.reference not in REFERENCES:
            raise ValueError(f"reference must be one of {', '.join(REFERENCES)}, got {self.reference!r}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        against = (original if self.reference == "original" else current).text.tokens
        inputs: list[Continuation] = []
        pairs: list[tuple[int, int]] = []
        failed: set[int] = set()
        for place, draft in enumerate(drafts):
            if any(index >= min(len(against), len(draft.words)) for index in draft.last_modified):
                failed.add(place)
                continue
            for index in sorted(draft.last_modified):
                pairs.append((place, len(inputs)))
                inputs += [("", self._window(against, index)), ("", self._window(draft.words, index))]
        if inputs:
            log_probabilities = yield Consult(self.model.log_probabilities, inputs)
            failed.update(
                place for place, at in pairs if not log_probabilities[at + 1] > log_probabilities[at] - self.max_drop
            )
        return [draft for place, draft in enumerate(drafts) if place not in failed]

    def _window(self, words: list[str], index: int) -> str:
        first, last = window(len(words), index, self.window_size)
        return " ".join(words[first : last + 1])

    def describe(self) -> dict[str, Any]:
        settings = {"window_size": self.window_size, "max_drop": self.max_drop, "reference": self.reference}
        return {"name": "max_likelihood_drop", "language_model": self.model.name, **settings}


@dataclass(frozen=True)
class MaxNextWordDrop(_ByLanguageModel):
    r"""A swapped word stays nearly as likely after the text before it: :math:`\log p(w') > \log p(w) - \lambda_2`.

    Kuleshov et al. 2018, section 3, as TextAttack 0.3.11 has it; ``max_drop`` is :math:`\lambda_2` in nats, and the
    context is the original text up to the word. The paper bounds the change of the whole text's probability. As in
    TextAttack, p is the probability of the word's first piece, written without a space, after a context that ends in
    the space; with ``mended`` it is that of the whole word after the context. A word behind a context without a letter
    from a to z passes. The model reads the last tokens of a long context. A text with a new word beyond the last word
    of the original fails.
    """

    max_drop: float = 2.0
    mended: bool = False

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        words = original.text.tokens
        inputs: list[Continuation] = []
        pairs: list[tuple[int, int]] = []
        failed: set[int] = set()
        for place, draft in enumerate(drafts):
            for index in sorted(draft.last_modified):
                if index >= min(len(words), len(draft.words)):
                    failed.add(place)
                elif _LETTER.search(before := self._before(original.text, index)):
                    pairs.append((place, len(inputs)))
                    inputs += [(before, words[index]), (before, draft.words[index])]
        if inputs:
            ask = self.model.log_probabilities if self.mended else self.model.first_pieces
            answer = yield Consult(ask, inputs)
            failed.update(place for place, at in pairs if answer[at + 1] <= answer[at] - self.max_drop)
        return [draft for place, draft in enumerate(drafts) if place not in failed]

    def _before(self, text: Text, index: int) -> str:
        word = text.words[index]
        before = "\n".join([*text.columns[: word.column], text.columns[word.column][: word.start]])
        return before.rstrip() if self.mended else before

    def describe(self) -> dict[str, Any]:
        settings = {"max_drop": self.max_drop, "mended": self.mended}
        return {"name": "max_next_word_drop", "language_model": self.model.name, **settings}


def _first_difference(words: list[str], others: list[str]) -> int | None:
    pairs = zip(words, others, strict=False)
    return next((index for index, (word, other) in enumerate(pairs) if word != other), None)
