"""The attributions of one text: a number for each word and each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attribution:
    """What each word adds to each class, K classes and n words.

    Attributes:
        words: the words of all columns, as ``Text.words`` has them.
        values: [K, n]; the pieces of a word are summed. 0 where ``covered`` is False.
        covered: [n]; False where truncation cut the word off, so that the model never saw it.
        outputs: [K], what is explained, at the text itself: logits (integrated gradients) or probabilities (LIME).
        difference: [K], ``f(e) - f(e0)``; integrated gradients only.
        gap: [K], the sum over all tokens' attributions minus ``difference``; integrated gradients only.
    """

    words: tuple[str, ...]
    values: Floats
    covered: NDArray[np.bool_]
    outputs: Floats
    difference: Floats | None = None
    gap: Floats | None = None

    @property
    def completeness_error(self) -> float:
        """The largest ``|gap| / |difference|`` over the classes; nan where the method has no such check."""
        if self.gap is None or self.difference is None:
            return float("nan")
        tiny = np.finfo(np.float64).tiny
        return float((np.abs(self.gap) / np.maximum(np.abs(self.difference), tiny)).max())
