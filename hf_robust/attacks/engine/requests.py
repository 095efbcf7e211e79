"""The requests that a search can yield, and their answers.

A search is a generator: it yields a request and receives the answer. It has no access to the model, so that the
scheduler can gather the requests of many examples into large batches.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_robust.words import Text

Columns = tuple[str, ...]
Floats = NDArray[np.floating[Any]]


def columns_key(columns: Columns) -> bytes:
    """Hash (16 bytes) of a text's columns, for victims to which texts with equal tokens can be different texts."""
    return hashlib.blake2b(json.dumps(columns).encode(), digest_size=16).digest()


class Scores(NamedTuple):
    """Answer to ``Score``.

    Attributes:
        probabilities: class probabilities [n, K] in float32.
        sequences: a key of each text's tokens. Keys are equal exactly if the model receives the same tokens, and texts
            with equal keys have bitwise equal probabilities.
        seconds: this request's share of the seconds of the round.
        logits: logits [n, K]; None for a vote, which has none.
    """

    probabilities: Floats
    sequences: Sequence[bytes]
    seconds: float = 0.0
    logits: Floats | None = None


@dataclass(frozen=True)
class Score:
    """Request for the probabilities of these texts; the answer is ``Scores``."""

    texts: Sequence[Columns]


@dataclass(frozen=True)
class Saliency:
    """Request for the gradient importance of every word of a text; the answer is an array [number of words]."""

    text: Text


class Flip(NamedTuple):
    """A word's number, its replacement, and the rise of the loss that the gradient estimates."""

    place: int
    word: str
    estimate: float


@dataclass(frozen=True)
class Flips:
    """Request for the ``k`` best flips of each of these ``words``; the answer is a list of ``Flip``, word by word.

    With ``rng`` the flips are drawn from the vocabulary, without a gradient.
    """

    text: Text
    words: tuple[int, ...]
    k: int
    rng: np.random.RandomState | None = None


class Insertion(NamedTuple):
    """The columns of a text to which characters ``start`` to ``end`` of column ``column`` were added."""

    columns: Columns
    column: int
    start: int
    end: int


@dataclass(frozen=True)
class NewSuffix:
    """Request for a suffix of ``length`` tokens in a column; the answer is an ``Insertion``, or None without room."""

    columns: Columns
    column: int
    length: int


@dataclass(frozen=True)
class SuffixSwaps:
    """Request for up to ``count`` suffixes of one other token than ``suffix``; the answer is a list of them.

    Attributes:
        top: number of tokens with the highest estimated loss at each place from which the new one is drawn; None to
            draw from all, without a gradient.
        rng: the random state of the draws.
    """

    suffix: Insertion
    count: int
    top: int | None
    rng: np.random.RandomState


@dataclass(frozen=True)
class MaskToken:
    """Request for the victim's mask token; the answer is a string."""


@dataclass(frozen=True)
class Consult:
    """Request to a model other than the victim (encoder, masked or causal language model); one answer per input.

    ``model`` receives the inputs of many examples at once; its answer to an input must not depend on the other inputs.
    """

    model: Callable[[Sequence[Any]], Any]
    inputs: Sequence[Any]


Request = Score | Saliency | Flips | NewSuffix | SuffixSwaps | MaskToken | Consult
Answer = TypeVar("Answer")
Steps = Generator[Request, Any, Answer]
"""A generator that yields requests and finally returns an ``Answer``."""
