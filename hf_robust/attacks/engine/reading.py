"""Readings: how an attack turns the model's outputs into a confidence in the label (probability or margin)."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats, Scores

BATCH_NOISE = 2e-6
"""Difference between probabilities of the same tokens in batches of other shapes; relative difference of logits."""
RESOLVED = 2.0**-20
"""A probability closer to 1 than this (16 float32 steps) counts as saturated: a search hardly sees it change."""


class Reading(Protocol):
    """Converts the model's outputs into rows [n, W] in float32 that an attack stores, and computes values from rows.

    Goals raise or lower the confidence in a label. ``clean`` is the row of the clean text.
    """

    name: str

    def rows(self, answer: Scores) -> Floats: ...

    def label_probability(self, rows: Floats, label: int) -> Floats:
        """Probability of the label [n], for records."""
        ...

    def predictions(self, rows: Floats) -> NDArray[np.intp]: ...

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats: ...

    def share(self, confidence: Floats) -> Floats:
        """The confidence of texts that are predicted as the label, mapped monotonically into [0, 1]."""
        ...

    def noise(self, label: int, clean: Floats) -> float:
        """Size of the batching noise of a confidence."""
        ...

    def num_saturated(self, rows: Floats) -> int | None:
        """Number of texts whose confidence is flat for lack of precision; None if that cannot happen."""
        ...


class ByProbability:
    """The probability of the label, a softmax in float32, as in TextAttack.

    Near 1 float32 has too little precision: a model with large logits predicts probability 1 whatever a search changes
    in the text, and appears robust without being robust (Raina et al. 2024, arXiv:2402.17509).
    """

    name = "probability"

    def rows(self, answer: Scores) -> Floats:
        return answer.probabilities.astype(np.float32, copy=False)

    def label_probability(self, rows: Floats, label: int) -> Floats:
        return rows[:, label]

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return np.asarray(rows.argmax(-1))

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats:
        return rows[:, label]

    def share(self, confidence: Floats) -> Floats:
        return confidence

    def noise(self, label: int, clean: Floats) -> float:
        return BATCH_NOISE

    def num_saturated(self, rows: Floats) -> int | None:
        return num_saturated(rows)


class ByMargin:
    r"""The margin of the label's logit over the highest other logit, in units of the clean text's margin.

    .. math:: c(x') = m(x') / m(x), \quad m(x) = z_y(x) - \max_{j\neq y} z_j(x)

    in float64: 1 at the clean text, 0 where the prediction flips, negative beyond. Scaling all logits changes nothing.
    For a label y that the clean text is not predicted as, the target of an attack, the unit is ``|m(x)|``, so that c
    still rises with the margin: 1 at the clean text and 2 where the prediction flips to y.

    With two classes a higher margin means a higher probability. With more classes a text may lower the highest other
    logit and raise the next one, which raises the margin and lowers the probability.

    If the clean text's margin is 0 (a tie), the unit is the range of its logits, or 1 if all logits are equal. A vote
    has no logits; its margin is that of the vote shares.
    """

    name = "margin"

    def rows(self, answer: Scores) -> Floats:
        logits = answer.probabilities if answer.logits is None else answer.logits
        return np.hstack([answer.probabilities, logits]).astype(np.float32, copy=False)

    def probabilities(self, rows: Floats) -> Floats:
        """Class probabilities [n, K]."""
        return rows[..., : rows.shape[-1] // 2]

    def label_probability(self, rows: Floats, label: int) -> Floats:
        return self.probabilities(rows)[:, label]

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return np.asarray(logits_in(rows).argmax(-1))

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats:
        unit, start = self._unit(clean, label), self.margins(clean[None], label)[0]
        return np.asarray(1 + (self.margins(rows, label) - start) / unit)

    def share(self, confidence: Floats) -> Floats:
        positive = np.maximum(confidence, 0)
        return np.asarray(positive / (1 + positive))

    def noise(self, label: int, clean: Floats) -> float:
        return BATCH_NOISE * float(np.abs(logits_in(clean)).max()) / self._unit(clean, label)

    def num_saturated(self, rows: Floats) -> int | None:
        return None

    def margins(self, rows: Floats, label: int) -> Floats:
        """Margins [n] of the label's logit in float64."""
        logits = logits_in(rows).astype(np.float64)
        return np.asarray(logits[:, label] - np.delete(logits, label, axis=1).max(-1))

    def _unit(self, clean: Floats, label: int) -> float:
        logits = logits_in(clean).astype(np.float64)
        return float(abs(self.margins(clean[None], label)[0]) or np.ptp(logits) or 1.0)


READINGS: dict[str, Reading] = {"probability": ByProbability(), "margin": ByMargin()}


def num_saturated(probabilities: Floats) -> int:
    """Number of texts, given probabilities [n, K], whose highest probability is within RESOLVED of 1."""
    return int((1 - probabilities.max(-1, initial=0) < RESOLVED).sum())


def logits_in(rows: Floats) -> Floats:
    """The logits [n, K] in rows of ``ByMargin``."""
    return rows[..., rows.shape[-1] // 2 :]
