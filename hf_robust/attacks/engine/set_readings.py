"""Readings of models that give a text several labels: the text's label is its whole set (`label_sets`).

A set is predicted if each of its labels is predicted, and no other. The confidence in a set is that of the label which
is closest to flipping, so that an attack succeeds as soon as one label flips.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.reading import RESOLVED, ByMargin, ByProbability, Reading, logits_in
from hf_robust.attacks.engine.requests import Floats
from hf_robust.metrics.label_sets import labels_of, set_numbers


class SetByProbability(ByProbability):
    r"""The probability of the least certain label: :math:`\min_k p_k` if k is in the set, else :math:`1-p_k`."""

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return set_numbers(rows > 0.5)

    def label_probability(self, rows: Floats, label: int) -> Floats:
        return np.asarray(np.where(labels_of(label, rows.shape[-1]), rows, 1 - rows).min(-1))

    def confidence(self, rows: Floats, label: int, clean: Floats) -> Floats:
        return self.label_probability(rows, label)

    def num_saturated(self, rows: Floats) -> int | None:
        """Texts of which all labels are saturated, so that none is seen to move."""
        certain = np.maximum(rows, 1 - rows).min(-1, initial=1)
        return int((1 - certain < RESOLVED).sum())


class SetByMargin(ByMargin):
    r"""The smallest margin of a label, :math:`\min_k \pm z_k` (plus if k is in the set), by the clean text's."""

    def predictions(self, rows: Floats) -> NDArray[np.intp]:
        return set_numbers(logits_in(rows) > 0)

    def label_probability(self, rows: Floats, label: int) -> Floats:
        return SET_READINGS["probability"].label_probability(self.probabilities(rows), label)

    def margins(self, rows: Floats, label: int) -> Floats:
        logits = logits_in(rows).astype(np.float64)
        return np.asarray(np.where(labels_of(label, logits.shape[-1]), logits, -logits).min(-1))


SET_READINGS: dict[str, Reading] = {"probability": SetByProbability(), "margin": SetByMargin()}
