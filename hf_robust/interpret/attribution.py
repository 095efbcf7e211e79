"""The attributions of one text: a number for each word and each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Attribution:
    """Contribution of each of n words to each of K classes.

    Attributes:
        words: words of all columns, as in ``Text.words``.
        values: [K, n]; summed over the pieces of a word; 0 if ``covered`` is False.
        covered: [n]; False for words cut off by truncation.
        outputs: [K], the explained outputs for the text: logits (integrated gradients) or probabilities (LIME).
        difference: [K], ``f(e) - f(e0)``; integrated gradients only.
        gap: [K], the sum of the attributions of all tokens minus ``difference``; integrated gradients only.
    """

    words: tuple[str, ...]
    values: Floats
    covered: NDArray[np.bool_]
    outputs: Floats
    difference: Floats | None = None
    gap: Floats | None = None

    @property
    def completeness_error(self) -> float:
        """The largest ``|gap| / |difference|`` over the classes; nan for methods without completeness."""
        if self.gap is None or self.difference is None:
            return float("nan")
        tiny = np.finfo(np.float64).tiny
        return float((np.abs(self.gap) / np.maximum(np.abs(self.difference), tiny)).max())
