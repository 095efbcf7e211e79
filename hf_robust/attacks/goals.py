"""When an attack has reached its aim, and how near a text comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.requests import Floats
from hf_robust.words import Text

ANTONYM_SUCCESSES = ("raises", "remains")


class Goal(Protocol):
    """``probabilities`` are [n, K] in float32; the answers are arrays [n]. A search tries to raise the score."""

    keeps_prediction: bool
    """Whether the aim is that the prediction stays (obstinacy), not that it changes (fickleness)."""
    maximises: bool
    """Whether the search goes on to its end, and whatever it ends with is a success."""

    def scores(self, probabilities: Floats, label: int, texts: Sequence[Text], clean: Text) -> Floats: ...

    def reached(self, probabilities: Floats, label: int, texts: Sequence[Text]) -> NDArray[np.bool_]: ...

    def start(self, score: float) -> float:
        """What the first accepted text must exceed, given the clean text's score."""
        ...

    def describe(self) -> dict[str, Any]: ...


def described(goal: Any, name: str, **settings: Any) -> dict[str, Any]:
    """What a description says of a goal, TextAttack's included; ``hf_robust.metrics.aim_of`` reads it."""
    return {"name": name, **settings, "keeps_prediction": goal.keeps_prediction, "maximises": goal.maximises}


@dataclass(frozen=True)
class Misclassify:
    """Untargeted: score ``1 - p[label]``, reached where the argmax is another label."""

    keeps_prediction = False
    maximises = False

    def scores(self, probabilities: Floats, label: int, texts: Sequence[Text], clean: Text) -> Floats:
        return 1 - probabilities[:, label]

    def reached(self, probabilities: Floats, label: int, texts: Sequence[Text]) -> NDArray[np.bool_]:
        return np.asarray(probabilities.argmax(-1) != label)

    def start(self, score: float) -> float:
        return score

    def describe(self) -> dict[str, Any]:
        return described(self, "misclassify")


@dataclass(frozen=True)
class Remain:
    """Obstinacy (BAT 2.2): the prediction remains although the label should not.

    Score ``p[label]`` where the argmax is still the label, else 0; reached where it is.

    Differs from the definition as the official code does (ATK-ANT-1): with ``success="raises"`` a text counts only
    where it raises the confidence of the clean text, since a search accepts nothing else. ``success="remains"`` starts
    the search from a score of 0, so that any text that keeps the prediction counts; that rate is much higher.
    """

    success: str = "raises"
    keeps_prediction = True
    maximises = False

    def __post_init__(self) -> None:
        if self.success not in ANTONYM_SUCCESSES:
            raise ValueError(f"--antonym_success must be one of {', '.join(ANTONYM_SUCCESSES)}, got {self.success!r}.")

    def scores(self, probabilities: Floats, label: int, texts: Sequence[Text], clean: Text) -> Floats:
        stays = self.reached(probabilities, label, texts)
        return np.where(stays, probabilities[:, label], probabilities.dtype.type(0))

    def reached(self, probabilities: Floats, label: int, texts: Sequence[Text]) -> NDArray[np.bool_]:
        return np.asarray(probabilities.argmax(-1) == label)

    def start(self, score: float) -> float:
        return score if self.success == "raises" else 0.0

    def describe(self) -> dict[str, Any]:
        return described(self, "remain", success=self.success)


@dataclass(frozen=True)
class Shorten:
    r"""Input reduction (Feng et al. 2018): as few words as the prediction survives.

    With n words left of N, the score is ``min((N - n) / N + p[label] / N, 1)`` where the argmax is still the label,
    else 0: fewer words first, then confidence. Never reached: the search goes through all words, and every example
    that was right ends as a success, so its ASR says nothing; the number of words left does.
    """

    keeps_prediction = True
    maximises = True

    def scores(self, probabilities: Floats, label: int, texts: Sequence[Text], clean: Text) -> Floats:
        count = len(clean.words)
        found: list[Any] = []
        for row, text in zip(probabilities, texts, strict=True):
            if row.argmax() != label or not count:
                found.append(0)
                continue
            # Single precision for the model's part, as in TextAttack: ties must be the same ties.
            found.append(min(np.float32(max((count - len(text.words)) / count, 0)) + row[label] / count, 1))
        return np.array(found, dtype=None if found else np.float64)

    def reached(self, probabilities: Floats, label: int, texts: Sequence[Text]) -> NDArray[np.bool_]:
        return np.zeros(len(probabilities), dtype=np.bool_)

    def start(self, score: float) -> float:
        return score

    def describe(self) -> dict[str, Any]:
        return described(self, "shorten")
