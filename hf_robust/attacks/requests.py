"""What a search may ask for, and what it gets back.

A search is a generator: it yields one of these requests and receives the answer. It never sees the model, so that the
scheduler can gather the requests of many examples into large batches.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_robust.words import Text

Columns = tuple[str, ...]
Floats = NDArray[np.floating[Any]]


class Scores(NamedTuple):
    """Answer to ``Score``: probabilities [n, K] in float32, and for each text a key that equals another's exactly
    where the model is given the same tokens (equal keys have bitwise equal probabilities)."""

    probabilities: Floats
    sequences: Sequence[bytes]


@dataclass(frozen=True)
class Score:
    """Probabilities of these texts; the answer is ``Scores``."""

    texts: Sequence[Columns]


@dataclass(frozen=True)
class Saliency:
    """Gradient importance of every word of a text; the answer is an array [number of words]."""

    text: Text


@dataclass(frozen=True)
class Embed:
    """Unit-length sentence embeddings; the answer is an array [n, d]."""

    sentences: Sequence[str]


Request = Score | Saliency | Embed
Answer = TypeVar("Answer")
Steps = Generator[Request, Any, Answer]
"""A generator that yields requests and returns an ``Answer`` in the end."""
