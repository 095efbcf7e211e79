"""Goals: the score that an attack raises, and the condition of its success."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats
from hf_robust.words import Text

ANTONYM_SUCCESSES = ("raises", "remains")


class LabelPredictions(NamedTuple):
    """A ``Reading`` of n texts with respect to the true label, or to the goal's target if it has one.

    Attributes:
        confidence: confidence in the label [n].
        share: the confidence mapped into [0, 1] where the label is predicted [n].
        is_predicted: whether the label is predicted [n].
        probability: probability of the label [n].
    """

    confidence: Floats
    share: Floats
    is_predicted: NDArray[np.bool_]
    probability: Floats


class Goal(Protocol):
    """A goal of an attack; searches raise its score. Scores and conditions are arrays [n]."""

    keeps_prediction: bool
    """Whether the goal is to keep the prediction (obstinacy) and not to change it (fickleness)."""
    maximises: bool
    """Whether the search always runs to its end, and its result is always a success."""
    skips_reached: bool
    """Whether an example is skipped whose clean text is predicted correctly and reaches the goal already."""

    @property
    def target(self) -> int | None:
        """The label id to be predicted, whose confidence is read in place of the true label's; None for no target."""
        ...

    def size(self, text: Text) -> int:
        """What the score of a text depends on beside the predictions; 0 for nothing."""
        ...

    def scores(self, predictions: LabelPredictions, sizes: Sequence[int], clean_size: int) -> Floats: ...

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]: ...

    def start(self, score: float) -> float:
        """The score that the first accepted text must exceed, given the clean text's score."""
        ...

    def describe(self) -> dict[str, Any]: ...


def described(goal: Any, name: str, **settings: Any) -> dict[str, Any]:
    """The description of a goal of this package or of TextAttack; ``hf_robust.metrics.aim_of`` reads it."""
    return {"name": name, **settings, "keeps_prediction": goal.keeps_prediction, "maximises": goal.maximises}


class _Change:
    """What goals to change the prediction share: their score depends on the predictions alone."""

    keeps_prediction = False
    maximises = False
    skips_reached = False

    def size(self, text: Text) -> int:
        return 0

    def start(self, score: float) -> float:
        return score


@dataclass(frozen=True)
class Misclassify(_Change):
    """Untargeted misclassification: the score is 1 minus the confidence in the label.

    It is reached if another label is predicted. With probabilities the score is ``1 - p[label]``; with margins it is 0
    at the clean text and 1 where the prediction flips.
    """

    target = None

    def scores(self, predictions: LabelPredictions, sizes: Sequence[int], clean_size: int) -> Floats:
        return 1 - predictions.confidence

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]:
        return ~predictions.is_predicted

    def describe(self) -> dict[str, Any]:
        return described(self, "misclassify")


@dataclass(frozen=True)
class LowerProbability(Misclassify):
    r"""Kuleshov et al. 2018, Algorithm 1, as TextAttack 0.3.11 has it: :math:`p_y(x') < \tau` for ``threshold`` tau.

    The score is that of ``Misclassify``. The prediction may still be the label, and an example whose clean text
    reaches the goal is skipped. With ``mended`` it is reached as in the paper, by a sure error: another label is
    predicted, and :math:`1 - p_y(x') \ge \tau`. With two classes this is a probability of tau for the other class.
    """

    threshold: float = 0.7
    mended: bool = False
    skips_reached = True

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]:
        if self.mended:
            return ~predictions.is_predicted & (1 - predictions.probability >= self.threshold)
        return predictions.probability < self.threshold

    def describe(self) -> dict[str, Any]:
        return described(self, "lower_probability", threshold=self.threshold, mended=self.mended)


@dataclass(frozen=True)
class Target(_Change):
    """Targeted misclassification: the score is the confidence in one label, and it is reached if it is predicted.

    TextAttack's ``TargetedClassification``. With margins the confidence is 1 at the clean text and 2 where the target
    begins to be predicted.

    Differs from TextAttack in that misclassified texts are skipped, as in every attack here, so that success rate and
    robust accuracy count the same texts as without a target; TextAttack attacks them unless the target is predicted.
    Candidates by gradient (hotflip, gcg) are those that raise the confidence in the target. Rankings by gradient are
    those of the recipe, as in TextAttack: of the words that matter most to the predicted label.

    Attributes:
        target: the label id.
        label: its name, for reports.
        threshold: least probability of the target in a success; 0 for what a prediction takes.
    """

    target: int
    label: str
    threshold: float = 0.0

    def scores(self, predictions: LabelPredictions, sizes: Sequence[int], clean_size: int) -> Floats:
        return predictions.confidence

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]:
        return predictions.is_predicted & (predictions.probability >= self.threshold)

    def describe(self) -> dict[str, Any]:
        least = {"threshold": self.threshold} if self.threshold else {}
        return described(self, "target", target=self.target, label=self.label, **least)


@dataclass(frozen=True)
class Remain:
    """Obstinacy (BAT 2.2): the prediction remains although the true label changes.

    The score is the confidence in the label if the label is still predicted, else 0. The goal is reached if the label
    is predicted.

    Differs from the definition, as the official code does: with ``success="raises"`` a text counts only if its
    confidence is above the clean text's, since a search accepts no other text. ``success="remains"`` starts the search
    from a score of 0, so every text that keeps the prediction counts; this rate is much higher. With margins the
    confidence is that of ``ByMargin``, which for two classes rises exactly when the probability rises.
    """

    success: str = "raises"
    keeps_prediction = True
    maximises = False
    skips_reached = False
    target = None

    def __post_init__(self) -> None:
        if self.success not in ANTONYM_SUCCESSES:
            raise ValueError(f"--antonym_success must be one of {', '.join(ANTONYM_SUCCESSES)}, got {self.success!r}.")

    def size(self, text: Text) -> int:
        return 0

    def scores(self, predictions: LabelPredictions, sizes: Sequence[int], clean_size: int) -> Floats:
        kind = predictions.confidence.dtype
        # A margin of 0 is a tie that the label wins, so its score must be above 0.
        return np.where(
            predictions.is_predicted, np.maximum(predictions.confidence, np.finfo(kind).tiny), kind.type(0)
        )

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]:
        return predictions.is_predicted

    def start(self, score: float) -> float:
        return score if self.success == "raises" else 0.0

    def describe(self) -> dict[str, Any]:
        return described(self, "remain", success=self.success)


@dataclass(frozen=True)
class Shorten:
    r"""Input reduction (Feng et al. 2018): the fewest words that keep the prediction.

    With n of N words left, the score is ``min((N - n) / N + c / N, 1)`` if the label is still predicted, else 0: fewer
    words count first, then the confidence c. This is the label's probability or, with margins, ``m / (m + m(x))``. The
    goal is never reached: the search tries all words, and every correctly classified example ends as a success. So ASR
    has no meaning; the number of remaining words is the result.
    """

    keeps_prediction = True
    maximises = True
    skips_reached = False
    target = None

    def size(self, text: Text) -> int:
        """The number of words."""
        return len(text.words)

    def scores(self, predictions: LabelPredictions, sizes: Sequence[int], clean_size: int) -> Floats:
        count = clean_size
        scores: list[Any] = []
        for share, is_predicted, size in zip(predictions.share, predictions.is_predicted, sizes, strict=True):
            if not is_predicted or not count:
                scores.append(0)
                continue
            # In the precision of ``share`` (float32 for probabilities, as in TextAttack), so that ties are the same.
            scores.append(min(share.dtype.type(max((count - size) / count, 0)) + share / count, 1))
        return np.array(scores, dtype=None if scores else np.float64)

    def reached(self, predictions: LabelPredictions) -> NDArray[np.bool_]:
        return np.zeros(len(predictions.is_predicted), dtype=np.bool_)

    def start(self, score: float) -> float:
        return score

    def describe(self) -> dict[str, Any]:
        return described(self, "shorten")
