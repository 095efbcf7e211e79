"""How an attack reads the model's answers: by the probability of the label, or by its margin over the other labels."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats, Scores

BATCH_NOISE = 2e-6
"""Probabilities of the same tokens in batches of other shapes differ by about this much, and logits by this share."""
RESOLVED = 2.0**-20
"""A probability nearer than this to 1, sixteen steps of float32, is saturated: a search hardly sees it move."""


class Reading(Protocol):
    """What an attack keeps of the model's answers, as rows [n, W] in float32, and what it makes of them.

    The confidence in a label is what goals raise or lower; ``clean`` is the row of the clean text.
    """

    name: str

    def rows(self, answer: Scores) -> Floats: ...

    def probabilities(self, rows: Floats) -> Floats:
        """[n, K], for records."""
        ...

    def predictions(self, rows: Floats) -> NDArray[np.intp]: ...

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats: ...

    def share(self, confidence: Floats) -> Floats:
        """The confidence of texts that are predicted as the label, in [0, 1] and in the same order."""
        ...

    def noise(self, label: int, clean: Floats) -> float:
        """How far the noise of batching moves a confidence."""
        ...

    def saturated(self, rows: Floats) -> int | None:
        """Of how many texts the confidence is flat for lack of precision; None where that cannot happen."""
        ...


class ByProbability:
    """The probability of the label, a softmax in float32, as TextAttack reads it.

    Near certainty float32 has no room: a model whose logits are large has the same probability, 1, whatever a search
    does to the text, and looks robust without being so (Raina et al. 2024, arXiv:2402.17509).
    """

    name = "probability"

    def rows(self, answer: Scores) -> Floats:
        return answer.probabilities.astype(np.float32, copy=False)

    def probabilities(self, rows: Floats) -> Floats:
        return rows

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return np.asarray(rows.argmax(-1))

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats:
        return rows[:, label]

    def share(self, confidence: Floats) -> Floats:
        return confidence

    def noise(self, label: int, clean: Floats) -> float:
        return BATCH_NOISE

    def saturated(self, rows: Floats) -> int | None:
        return saturated(rows)


class ByMargin:
    r"""The margin of the label's logit over the highest other one, in units of the clean text's margin.

    .. math:: c(x') = m(x') / m(x), \quad m(x) = z_y(x) - \max_{j\neq y} z_j(x)

    in float64: 1 at the clean text, 0 where the prediction flips, negative beyond. Multiplying all logits by a number
    changes nothing. With two classes raising the margin is raising the probability; with more, a text may lower the
    highest other logit and raise the next, which raises the margin and lowers the probability.

    Where the clean text's margin is 0 (a tie), its unit is the spread of its logits, and 1 where they are all equal.
    Of a vote, which has no logits, the margin is that of the shares.
    """

    name = "margin"

    def rows(self, answer: Scores) -> Floats:
        logits = answer.probabilities if answer.logits is None else answer.logits
        return np.hstack([answer.probabilities, logits]).astype(np.float32, copy=False)

    def probabilities(self, rows: Floats) -> Floats:
        return rows[..., : rows.shape[-1] // 2]

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return np.asarray(_logits(rows).argmax(-1))

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats:
        unit, start = _unit(clean, label), _margins(clean[None], label)[0]
        return np.asarray(1 + (_margins(rows, label) - start) / unit)

    def share(self, confidence: Floats) -> Floats:
        kept = np.maximum(confidence, 0)
        return np.asarray(kept / (1 + kept))

    def noise(self, label: int, clean: Floats) -> float:
        return BATCH_NOISE * float(np.abs(_logits(clean)).max()) / abs(_unit(clean, label))

    def saturated(self, rows: Floats) -> int | None:
        return None


READINGS: dict[str, Reading] = {"probability": ByProbability(), "margin": ByMargin()}


def saturated(probabilities: Floats) -> int:
    """Of how many texts, by probabilities [n, K], the most likely class is within RESOLVED of certain."""
    return int((1 - probabilities.max(-1, initial=0) < RESOLVED).sum())


def _logits(rows: Floats) -> Floats:
    return rows[..., rows.shape[-1] // 2 :]


def _margins(rows: Floats, label: int) -> Floats:
    """[n] in float64."""
    logits = _logits(rows).astype(np.float64)
    return np.asarray(logits[:, label] - np.delete(logits, label, axis=1).max(-1))


def _unit(clean: Floats, label: int) -> float:
    logits = _logits(clean).astype(np.float64)
    return float(_margins(clean[None], label)[0] or np.ptp(logits) or 1.0)
