"""What a search may ask for, and what it gets back.

A search is a generator: it yields one of these requests and receives the answer. It never sees the model, so that the
scheduler can gather the requests of many examples into large batches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_robust.words import Text

Columns = tuple[str, ...]
Floats = NDArray[np.floating[Any]]


class Scores(NamedTuple):
    """Answer to ``Score``: probabilities [n, K] in float32; for each text a key that equals another's exactly where
    the model is given the same tokens (equal keys have bitwise equal probabilities); this request's share of the
    seconds that the round took; and the logits [n, K] behind the probabilities, None of a vote, which has none."""

    probabilities: Floats
    sequences: Sequence[bytes]
    seconds: float = 0.0
    logits: Floats | None = None


@dataclass(frozen=True)
class Score:
    """Probabilities of these texts; the answer is ``Scores``."""

    texts: Sequence[Columns]


@dataclass(frozen=True)
class Saliency:
    """Gradient importance of every word of a text; the answer is an array [number of words]."""

    text: Text


class Flip(NamedTuple):
    """The number of a word, what would stand in its place, and the rise of the loss that the gradient promises."""

    place: int
    word: str
    estimate: float


@dataclass(frozen=True)
class Flips:
    """The ``k`` best flips of each of these ``words`` of a text; the answer is a list of ``Flip``, word by word."""

    text: Text
    words: tuple[int, ...]
    k: int


@dataclass(frozen=True)
class MaskToken:
    """The text of the victim's mask token; the answer is a string."""


@dataclass(frozen=True)
class Consult:
    """Inputs for a model other than the victim (encoder, masked or causal language model); the answer has a row each.

    ``model`` takes the inputs of many examples at once; its answer to one input must not depend on the others.
    """

    model: Callable[[Sequence[Any]], Any]
    inputs: Sequence[Any]


Request = Score | Saliency | Flips | MaskToken | Consult
Answer = TypeVar("Answer")
Steps = Generator[Request, Any, Answer]
"""A generator that yields requests and returns an ``Answer`` in the end."""
