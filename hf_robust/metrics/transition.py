"""Error transitions: which errors of a baseline a new model fixes, keeps or introduces (GradMask, Section 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from hf_robust.metrics.class_scores import ClassScores, class_scores
from hf_robust.metrics.paired import mcnemar_exact
from hf_robust.metrics.rates import ratio
from hf_robust.metrics.slices import Slice

WHOLE = "all"
"""Name of the slice of all rows."""

MIN_BASELINE_ACCURACY = 0.6
"""Accuracy of a baseline on a slice below which labels or text pairs are probably mixed up."""


class Row(Protocol):
    """A text with its label and a prediction: a `Predicted`, or the record of an attack."""

    @property
    def idx(self) -> int: ...
    @property
    def label(self) -> int: ...
    @property
    def original(self) -> Sequence[str]: ...
    @property
    def original_prediction(self) -> int: ...


class Predicted(NamedTuple):
    """Row number, label id, text columns, and the predicted label id."""

    idx: int
    label: int
    original: tuple[str, ...]
    original_prediction: int


@dataclass(frozen=True)
class Transition:
    """Counts of rows by the correctness of the baseline and of the new model.

    ``fixed``: only the new model is correct; ``introduced``: only the baseline is correct; ``remaining``: both are
    wrong; ``kept``: both are correct.
    """

    fixed: int
    introduced: int
    remaining: int
    kept: int

    @classmethod
    def of(cls, baseline: Sequence[bool], new: Sequence[bool]) -> Transition:
        """Count from two vectors that say for each row whether a model is correct.

        >>> Transition.of([False, False, True, True], [True, False, False, True])
        Transition(fixed=1, introduced=1, remaining=1, kept=1)

        Raises:
            ValueError: the vectors differ in length.
        """
        if len(baseline) != len(new):
            raise ValueError(f"both models need the same rows, got {len(baseline)} and {len(new)}.")
        rows = list(zip(map(bool, baseline), map(bool, new), strict=True))
        return cls(*(rows.count(pair) for pair in ((False, True), (True, False), (False, False), (True, True))))

    @property
    def num_examples(self) -> int:
        return self.fixed + self.introduced + self.remaining + self.kept

    @property
    def union(self) -> int:
        """Number of rows that at least one model gets wrong, the denominator of GradMask's percentages."""
        return self.fixed + self.introduced + self.remaining

    @property
    def baseline_accuracy(self) -> float:
        return ratio(self.introduced + self.kept, self.num_examples)

    @property
    def new_accuracy(self) -> float:
        return ratio(self.fixed + self.kept, self.num_examples)

    @property
    def fix_rate(self) -> float:
        """``fixed / (fixed + remaining)``: share of the baseline's errors that the new model fixes."""
        return ratio(self.fixed, self.fixed + self.remaining)

    @property
    def introduction_rate(self) -> float:
        """``introduced / (introduced + kept)``: share of the baseline's correct rows that the new model gets wrong."""
        return ratio(self.introduced, self.introduced + self.kept)

    @property
    def error_ratio(self) -> float:
        """Number of errors of the new model divided by that of the baseline."""
        return ratio(self.introduced + self.remaining, self.fixed + self.remaining)

    @property
    def mcnemar_p(self) -> float:
        """McNemar's exact two-sided p for equally likely ``fixed`` and ``introduced``; 1 if both are 0."""
        return mcnemar_exact(self.fixed, self.introduced)

    def shares(self) -> dict[str, float]:
        """``fixed``, ``introduced`` and ``remaining`` as shares of their union, as in the paper's pie charts."""
        return {name: ratio(getattr(self, name), self.union) for name in ("fixed", "introduced", "remaining")}

    def to_json(self) -> dict[str, Any]:
        """Every count and rate by name."""
        counts = ("num_examples", "fixed", "introduced", "remaining", "kept")
        rates = ("baseline_accuracy", "new_accuracy", "fix_rate", "introduction_rate", "error_ratio", "mcnemar_p")
        shares = {f"{name}_of_union": share for name, share in self.shares().items()}
        return {**{name: getattr(self, name) for name in (*counts, *rates)}, **shares}


@dataclass(frozen=True)
class SliceReport:
    """Results of one slice: the transition, and the scores of each class by label id for both models."""

    transition: Transition
    baseline: dict[int, ClassScores] = field(default_factory=dict)
    new: dict[int, ClassScores] = field(default_factory=dict)

    @property
    def doubtful(self) -> bool:
        """Whether the baseline is correct on fewer than 60 % of the rows; False for an empty slice."""
        return self.transition.baseline_accuracy < MIN_BASELINE_ACCURACY

    def to_json(self) -> dict[str, Any]:
        """Every count, rate and score by name."""
        scores = {
            model: {str(label): dataclasses.asdict(one) for label, one in by_class.items()}
            for model, by_class in (("baseline", self.baseline), ("new", self.new))
        }
        return {**self.transition.to_json(), "doubtful": self.doubtful, "classes": scores}


def error_transition(
    baseline: Sequence[Row], new: Sequence[Row], slices: Mapping[str, Slice]
) -> dict[str, SliceReport]:
    """Reports of the whole data and of each slice, from the predictions of two models on the clean texts.

    Rows are matched by ``idx``. Of attack records only the clean text, its label and its prediction are read.

    Raises:
        ValueError: the records are not of the same rows and labels, or there are none.
    """
    pairs = _matched(baseline, new)
    classes = sorted({value for pair in pairs for r in pair for value in (r.label, r.original_prediction)})
    reports = {}
    for name, holds in {WHOLE: lambda columns: True, **slices}.items():
        rows = [(old, fresh) for old, fresh in pairs if holds(old.original)]
        labels = [old.label for old, _ in rows]
        before, after = [old.original_prediction for old, _ in rows], [fresh.original_prediction for _, fresh in rows]
        correct = [[p == y for p, y in zip(predictions, labels, strict=True)] for predictions in (before, after)]
        scores = (class_scores(predictions, labels, classes) for predictions in (before, after))
        reports[name] = SliceReport(Transition.of(*correct), *scores)
    return reports


def _matched(baseline: Sequence[Row], new: Sequence[Row]) -> list[tuple[Row, Row]]:
    if not baseline or not new:
        raise ValueError("there are no rows to compare; give two files of results on the same texts.")
    old, fresh = ({record.idx: record for record in records} for records in (baseline, new))
    if len(old) < len(baseline) or len(fresh) < len(new):
        raise ValueError("a row occurs twice in one file; give the results of one attack on one data set for each.")
    if old.keys() != fresh.keys():
        raise ValueError(
            f"the files hold different rows ({len(old.keys() - fresh.keys())} only in the first, "
            f"{len(fresh.keys() - old.keys())} only in the second); give results with the same examples and seed."
        )
    for idx, record in old.items():
        if record.original != fresh[idx].original:
            raise ValueError(f"row {idx} has another text in each file; give results on the same data set.")
        if record.label != fresh[idx].label:
            raise ValueError(
                f"row {idx} has the label {record.label} in one file and {fresh[idx].label} in the other: the label "
                "ids of the models differ; give results of models with the same label ids."
            )
    return [(old[idx], fresh[idx]) for idx in old]
