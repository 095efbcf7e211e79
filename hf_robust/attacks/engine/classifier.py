"""``Classifier``: what the engine needs of a victim, whether its weights are known (``Victim``) or not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from hf_robust.attacks.engine.answers import SharedAnswers
from hf_robust.attacks.engine.requests import Columns, Flip, Flips, Floats, Insertion, NewSuffix, Scores, SuffixSwaps
from hf_robust.words import Text

if TYPE_CHECKING:
    import torch


class Classifier(Protocol):
    """A classifier under attack: ``Victim`` (a model and its tokenizer) or ``BlackBox`` (a function of texts).

    Attributes:
        queries: number of texts scored so far.
        answers: scores that one attack asked for, shared with the attacks after it.
    """

    queries: int
    answers: SharedAnswers

    @property
    def device(self) -> torch.device:
        """The device on which the models of an attack's parts run too."""
        ...

    @property
    def num_classes(self) -> int | None:
        """The number of classes; None if it is not known yet."""
        ...

    @property
    def multi_label(self) -> bool:
        """Whether a text has several labels, each with a probability of its own."""
        ...

    @property
    def labels_only(self) -> bool:
        """Whether the classifier gives labels without scores."""
        ...

    @property
    def mask_token(self) -> str: ...

    def words_read(self, text: Text) -> frozenset[int] | None:
        """Numbers of the words that the classifier reads; None for all words."""
        ...

    def readable(self, columns: Columns) -> Columns:
        """The start of each column that holds everything the classifier reads, however the words behind it change."""
        ...

    def measuring(self, seed: int = 0) -> AbstractContextManager[None]:
        """Context in which the classifier predicts as in an evaluation, with seeded random states."""
        ...

    def score(self, texts: Sequence[Columns]) -> Scores: ...

    def sequences(self, texts: Sequence[Columns]) -> list[bytes]:
        """The ``Scores.sequences`` of these texts, without scoring them."""
        ...

    def check_saliency(self, purpose: str = ...) -> None:
        """Raise a ValueError if the classifier has no gradients by word."""
        ...

    def saliency(self, texts: Sequence[Text], loss: str = ...) -> list[Floats]: ...

    def flips(self, requests: Sequence[Flips], loss: str = ..., target: int | None = ...) -> list[list[Flip]]: ...

    def new_suffixes(self, requests: Sequence[NewSuffix]) -> list[Insertion | None]: ...

    def suffix_swaps(
        self, requests: Sequence[SuffixSwaps], loss: str = ..., target: int | None = ...
    ) -> list[list[Insertion]]: ...
