"""When an attack has reached its aim, and how near a text comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats
from hf_robust.words import Text

ANTONYM_SUCCESSES = ("raises", "remains")


class Seen(NamedTuple):
    """What an attack reads of n texts (``Reading``): the confidence in the label, the same as a ``share`` in [0, 1]
    where the label is predicted, and whether it is."""

    confidence: Floats
    share: Floats
    stays: NDArray[np.bool_]


class Goal(Protocol):
    """Answers are arrays [n]. A search tries to raise the score."""

    keeps_prediction: bool
    """Whether the aim is that the prediction stays (obstinacy), not that it changes (fickleness)."""
    maximises: bool
    """Whether the search goes on to its end, and whatever it ends with is a success."""

    def scores(self, seen: Seen, texts: Sequence[Text], clean: Text) -> Floats: ...

    def reached(self, seen: Seen) -> NDArray[np.bool_]: ...

    def start(self, score: float) -> float:
        """What the first accepted text must exceed, given the clean text's score."""
        ...

    def describe(self) -> dict[str, Any]: ...


def described(goal: Any, name: str, **settings: Any) -> dict[str, Any]:
    """What a description says of a goal, TextAttack's included; ``hf_robust.metrics.aim_of`` reads it."""
    return {"name": name, **settings, "keeps_prediction": goal.keeps_prediction, "maximises": goal.maximises}


@dataclass(frozen=True)
class Misclassify:
    """Untargeted: score 1 minus the confidence in the label, reached where another is predicted.

    Of probabilities that is ``1 - p[label]``; of margins 0 at the clean text and 1 where the prediction flips.
    """

    keeps_prediction = False
    maximises = False

    def scores(self, seen: Seen, texts: Sequence[Text], clean: Text) -> Floats:
        return 1 - seen.confidence

    def reached(self, seen: Seen) -> NDArray[np.bool_]:
        return ~seen.stays

    def start(self, score: float) -> float:
        return score

    def describe(self) -> dict[str, Any]:
        return described(self, "misclassify")


@dataclass(frozen=True)
class Remain:
    """Obstinacy (BAT 2.2): the prediction remains although the label should not.

    Score: the confidence in the label where it is still predicted, else 0; reached where it is.

    Differs from the definition as the official code does: with ``success="raises"`` a text counts only
    where it raises the confidence of the clean text, since a search accepts nothing else. ``success="remains"`` starts
    the search from a score of 0, so that any text that keeps the prediction counts; that rate is much higher. Of
    margins the confidence is that of ``ByMargin``: with two classes it rises exactly where the probability does.
    """

    success: str = "raises"
    keeps_prediction = True
    maximises = False

    def __post_init__(self) -> None:
        if self.success not in ANTONYM_SUCCESSES:
            raise ValueError(f"--antonym_success must be one of {', '.join(ANTONYM_SUCCESSES)}, got {self.success!r}.")

    def scores(self, seen: Seen, texts: Sequence[Text], clean: Text) -> Floats:
        kind = seen.confidence.dtype
        # A margin of 0, a tie that the label wins, is more than none.
        return np.where(seen.stays, np.maximum(seen.confidence, np.finfo(kind).tiny), kind.type(0))

    def reached(self, seen: Seen) -> NDArray[np.bool_]:
        return seen.stays

    def start(self, score: float) -> float:
        return score if self.success == "raises" else 0.0

    def describe(self) -> dict[str, Any]:
        return described(self, "remain", success=self.success)


@dataclass(frozen=True)
class Shorten:
    r"""Input reduction (Feng et al. 2018): as few words as the prediction survives.

    With n words left of N, the score is ``min((N - n) / N + c / N, 1)`` where the label is still predicted, else 0:
    fewer words first, then confidence. c is the label's probability, of margins ``m / (m + m(x))``. Never reached: the
    search goes through all words, and every example that was right ends as a success, so its ASR says nothing; the
    number of words left does.
    """

    keeps_prediction = True
    maximises = True

    def scores(self, seen: Seen, texts: Sequence[Text], clean: Text) -> Floats:
        count = len(clean.words)
        found: list[Any] = []
        for share, stays, text in zip(seen.share, seen.stays, texts, strict=True):
            if not stays or not count:
                found.append(0)
                continue
            # In the precision of the model's part, single as in TextAttack: ties must be the same ties.
            found.append(min(share.dtype.type(max((count - len(text.words)) / count, 0)) + share / count, 1))
        return np.array(found, dtype=None if found else np.float64)

    def reached(self, seen: Seen) -> NDArray[np.bool_]:
        return np.zeros(len(seen.stays), dtype=np.bool_)

    def start(self, score: float) -> float:
        return score

    def describe(self) -> dict[str, Any]:
        return described(self, "shorten")
