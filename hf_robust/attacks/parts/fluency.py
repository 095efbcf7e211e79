"""Constraints by a language model: a substitute must be likely where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.constraints import Constraint
from hf_robust.attacks.parts.similarity import REFERENCES, window
from hf_robust.words import Text

Continuation = tuple[str, str]
"""A context, which may be empty, and the words that follow it."""


class LanguageModel(Protocol):
    """Log probabilities; ``name`` goes into result files, ``fingerprint`` into keys."""

    @property
    def name(self) -> str: ...

    def log_probabilities(self, inputs: Sequence[Continuation]) -> Sequence[float]:
        """The natural logarithm of how likely each text is after its context."""
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
        """The model's."""
        return self.model.fingerprint()


@dataclass(frozen=True)
class LikeliestSwaps(_ByLanguageModel):
    """Of the texts that swap the same word, the ``top`` whose new word is likeliest after the word before it.

    Alzantot et al. 2018 (arXiv:1804.07998) by Google's model of a billion words: the context is one word
    (``context_words``; None: all that stand before). The word is the first that differs from the text before the swap;
    texts without one fail. Equal likelihoods go by the order given.

    Differs from TextAttack 0.3.11, which looks the likeliest up in the wrong list and so keeps the first texts,
    whatever the model says, and takes the text's last word for the one before the first.
    """

    top: int = 4
    context_words: int | None = 1

    def __post_init__(self) -> None:
        if self.top < 1 or (self.context_words is not None and self.context_words < 1):
            raise ValueError(
                "the likeliest swaps need a top of at least 1 and context_words of at least 1 or None, "
                f"got {self.top} and {self.context_words}."
            )

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        words = current.text.tokens
        by_word: dict[int, list[int]] = {}
        for place, draft in enumerate(drafts):
            index = _first_difference(words, draft.text.tokens)
            if index is not None:
                by_word.setdefault(index, []).append(place)
        # Where there are no more than ``top``, the model need not be asked.
        asked = [(index, place) for index, places in by_word.items() if len(places) > self.top for place in places]
        kept = [place for places in by_word.values() if len(places) <= self.top for place in places]
        if asked:
            inputs = [(self._context(words, index), drafts[place].text.tokens[index]) for index, place in asked]
            answer = yield Consult(self.model.log_probabilities, inputs)
            likelihood = {place: float(value) for (_, place), value in zip(asked, answer, strict=True)}
            for places in by_word.values():
                if len(places) > self.top:
                    kept += sorted(places, key=lambda place: -likelihood[place])[: self.top]
        return [drafts[place] for place in sorted(kept)]

    def _context(self, words: list[str], index: int) -> str:
        start = 0 if self.context_words is None else max(index - self.context_words, 0)
        return " ".join(words[start:index])

    def describe(self) -> dict[str, Any]:
        settings = {"top": self.top, "context_words": self.context_words}
        return {"name": "likeliest_swaps", "language_model": self.model.name, **settings}


@dataclass(frozen=True)
class MaxLikelihoodDrop(_ByLanguageModel):
    r"""The words around a swapped one stay nearly as likely: :math:`\log p(w') > \log p(w) - \delta`.

    Jia et al. 2019 (arXiv:1909.00986), appendix A.3: w are the ``window_size`` words around the swapped one without
    punctuation, read from the start, w' the same after the swap; ``max_drop`` is :math:`\delta`. The reference is the
    ``original`` or the text before the swap (``previous``). A text whose words reach beyond the reference's fails.

    Differs from TextAttack 0.3.11: no word is unknown to a model of word pieces, where its model gives an unknown
    substitute no chance and leaves other unknown words out.
    """

    window_size: int = 6
    max_drop: float = 5.0
    reference: str = "original"

    def __post_init__(self) -> None:
        if self.window_size < 1 or self.max_drop < 0:
            raise ValueError(
                "a likelihood's drop needs a window_size of at least 1 and a max_drop of at least 0, "
                f"got {self.window_size} and {self.max_drop}."
            )
        if self.reference not in REFERENCES:
            raise ValueError(f"a likelihood's reference is one of {', '.join(REFERENCES)}, got {self.reference!r}.")

    def keeps(self, original: Draft, current: Draft, drafts: list[Draft]) -> Steps[list[Draft]]:
        against = (original if self.reference == "original" else current).text
        inputs: list[Continuation] = []
        asked: list[tuple[int, int]] = []
        failed: set[int] = set()
        for place, draft in enumerate(drafts):
            if any(index >= min(len(against.words), len(draft.text.words)) for index in draft.fresh):
                failed.add(place)
                continue
            for index in sorted(draft.fresh):
                asked.append((place, len(inputs)))
                inputs += [("", self._window(against, index)), ("", self._window(draft.text, index))]
        if inputs:
            found = yield Consult(self.model.log_probabilities, inputs)
            failed.update(place for place, at in asked if not found[at + 1] > found[at] - self.max_drop)
        return [draft for place, draft in enumerate(drafts) if place not in failed]

    def _window(self, text: Text, index: int) -> str:
        first, last = window(text, index, self.window_size)
        return " ".join(text.tokens[first : last + 1])

    def describe(self) -> dict[str, Any]:
        settings = {"window_size": self.window_size, "max_drop": self.max_drop, "reference": self.reference}
        return {"name": "max_likelihood_drop", "language_model": self.model.name, **settings}


def _first_difference(words: list[str], others: list[str]) -> int | None:
    pairs = zip(words, others, strict=False)
    return next((index for index, (word, other) in enumerate(pairs) if word != other), None)
