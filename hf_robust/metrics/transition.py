"""Which errors of a baseline a new model mends, which it makes, and which both make (GradMask, Section 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from hf_robust.metrics.paired import mcnemar_exact
from hf_robust.metrics.rates import ratio
from hf_robust.metrics.slices import Slice

WHOLE = "all"
"""The name of the slice that holds every row."""

MIN_BASELINE_ACCURACY = 0.6
"""Where a baseline is right more rarely on a slice, labels or text pairs are likely mixed up."""


class Row(Protocol):
    """A text, its label and what a model predicts for it: a `Predicted`, or the record of an attack."""

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
class ClassScores:
    """Precision, recall and F1 of one class; nan where they have no denominator."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Transition:
    """Counts of rows by whether baseline and new model are right.

    ``fixed`` wrong then right, ``introduced`` right then wrong, ``remaining`` wrong twice, ``kept`` right twice.
    """

    fixed: int
    introduced: int
    remaining: int
    kept: int

    @classmethod
    def of(cls, baseline: Sequence[bool], new: Sequence[bool]) -> Transition:
        """Count two vectors that say of each row whether a model is right.

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
        """Rows that either model gets wrong: what GradMask's percentages are shares of."""
        return self.fixed + self.introduced + self.remaining

    @property
    def baseline_accuracy(self) -> float:
        return ratio(self.introduced + self.kept, self.num_examples)

    @property
    def new_accuracy(self) -> float:
        return ratio(self.fixed + self.kept, self.num_examples)

    @property
    def fix_rate(self) -> float:
        """``fixed / (fixed + remaining)``: the share of the baseline's errors that are gone."""
        return ratio(self.fixed, self.fixed + self.remaining)

    @property
    def introduction_rate(self) -> float:
        """``introduced / (introduced + kept)``: the share of what the baseline got right that is now wrong."""
        return ratio(self.introduced, self.introduced + self.kept)

    @property
    def error_ratio(self) -> float:
        """The new model's errors over the baseline's."""
        return ratio(self.introduced + self.remaining, self.fixed + self.remaining)

    @property
    def mcnemar_p(self) -> float:
        """McNemar's exact two-sided p: that ``fixed`` and ``introduced`` are equally likely; 1 where both are 0."""
        return mcnemar_exact(self.fixed, self.introduced)

    def shares(self) -> dict[str, float]:
        """``fixed``, ``introduced`` and ``remaining`` as shares of their union, as the paper's pies show them."""
        return {name: ratio(getattr(self, name), self.union) for name in ("fixed", "introduced", "remaining")}

    def to_json(self) -> dict[str, Any]:
        """Every count and rate by name."""
        counts = ("num_examples", "fixed", "introduced", "remaining", "kept")
        rates = ("baseline_accuracy", "new_accuracy", "fix_rate", "introduction_rate", "error_ratio", "mcnemar_p")
        shares = {f"{name}_of_union": share for name, share in self.shares().items()}
        return {**{name: getattr(self, name) for name in (*counts, *rates)}, **shares}


@dataclass(frozen=True)
class SliceReport:
    """One slice: the transition, and both models' scores of each class by label id."""

    transition: Transition
    baseline: dict[int, ClassScores] = field(default_factory=dict)
    new: dict[int, ClassScores] = field(default_factory=dict)

    @property
    def doubtful(self) -> bool:
        """Whether the baseline is right on fewer than 60 % of the rows, of which there are some."""
        return self.transition.baseline_accuracy < MIN_BASELINE_ACCURACY

    def to_json(self) -> dict[str, Any]:
        """Every count, rate and score by name."""
        scores = {
            model: {str(label): dataclasses.asdict(one) for label, one in by_class.items()}
            for model, by_class in (("baseline", self.baseline), ("new", self.new))
        }
        return {**self.transition.to_json(), "doubtful": self.doubtful, "classes": scores}


def class_scores(predictions: Sequence[int], labels: Sequence[int], classes: Sequence[int]) -> dict[int, ClassScores]:
    """Precision, recall and F1 of each class.

    >>> class_scores([0, 0, 1], [0, 1, 1], [0])
    {0: ClassScores(precision=0.5, recall=1.0, f1=0.6666666666666666)}
    """
    found = {}
    for one in classes:
        hits = sum(p == y == one for p, y in zip(predictions, labels, strict=True))
        guessed, present = list(predictions).count(one), list(labels).count(one)
        found[one] = ClassScores(ratio(hits, guessed), ratio(hits, present), ratio(2 * hits, guessed + present))
    return found


def error_transition(
    baseline: Sequence[Row], new: Sequence[Row], slices: Mapping[str, Slice]
) -> dict[str, SliceReport]:
    """The reports of the whole data and of each slice, from two models' predictions on the clean texts.

    Rows are matched by ``idx``. Of the records of an attack nothing else is read, whatever it was and how it ended.

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
        right = [[p == y for p, y in zip(guesses, labels, strict=True)] for guesses in (before, after)]
        scores = (class_scores(guesses, labels, classes) for guesses in (before, after))
        reports[name] = SliceReport(Transition.of(*right), *scores)
    return reports


def _matched(baseline: Sequence[Row], new: Sequence[Row]) -> list[tuple[Row, Row]]:
    if not baseline or not new:
        raise ValueError("there is no row to compare; give two files of results on the same texts.")
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
                f"row {idx} has the label {record.label} in one file and {fresh[idx].label} in the other; the models "
                "number their labels differently, so give results of models of one label set."
            )
    return [(old[idx], fresh[idx]) for idx in old]
