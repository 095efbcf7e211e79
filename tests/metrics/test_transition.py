"""Error transitions: hand-made vectors, the paper's own percentages, scipy and scikit-learn."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import precision_recall_fscore_support

from hf_robust.metrics import AttackRecord, Transition, error_transition, slices
from hf_robust.metrics.class_scores import class_scores


def record(idx: int, label: int, prediction: int, *columns: str, **other: Any) -> AttackRecord:
    text = list(columns or ("a film",))
    ended = {"status": "failed", "perturbed": text, "changed": [], "queries": 1, "perturbed_prediction": prediction}
    scores = {"original_score": 0.5, "perturbed_score": 0.5, "stop": "exhausted", "num_candidates": 0}
    return AttackRecord(
        **{"idx": idx, "label": label, "original": text, "original_prediction": prediction, **ended, **scores, **other}
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30))
def test_fixed_introduced_and_remaining_are_the_union_of_errors(rows: list[tuple[bool, bool]]) -> None:
    counted = Transition.of([old for old, _ in rows], [new for _, new in rows])
    assert counted.union == sum(not (old and new) for old, new in rows)
    assert counted.num_examples == len(rows)
    assert counted.fixed + counted.remaining == sum(not old for old, _ in rows)
    assert counted.introduced + counted.remaining == sum(not new for _, new in rows)
    if counted.union:
        assert sum(counted.shares().values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fixed", "introduced", "remaining", "fix_rate", "error_ratio"),
    [(633, 34, 333, 0.655, 0.38), (755, 163, 82, 0.902, 0.29), (571, 265, 164, 0.777, 0.58)],
)
def test_shares_of_the_union_are_not_fix_rates(
    fixed: int, introduced: int, remaining: int, fix_rate: float, error_ratio: float
) -> None:
    counted = Transition(fixed, introduced, remaining, kept=9000)
    assert counted.shares()["fixed"] == pytest.approx(fixed / 1000)
    assert counted.fix_rate == pytest.approx(fix_rate, abs=6e-4)
    assert counted.error_ratio == pytest.approx(error_ratio, abs=6e-3)
    assert counted.introduction_rate == introduced / (introduced + 9000)


@pytest.mark.parametrize(("fixed", "introduced"), [(0, 0), (1, 0), (5, 5), (12, 3), (3, 12), (60, 30)])
def test_mcnemar_is_the_two_sided_binomial(fixed: int, introduced: int) -> None:
    expected = min(1.0, 2 * binom.cdf(min(fixed, introduced), fixed + introduced, 0.5))
    assert Transition(fixed, introduced, 7, 9).mcnemar_p == pytest.approx(expected)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=20))
def test_class_scores_equal_scikit_learn(rows: list[tuple[int, int]]) -> None:
    predictions, labels = zip(*rows, strict=True)
    expected = precision_recall_fscore_support(labels, predictions, labels=[0, 1, 2], zero_division=math.nan)
    for index, scores in class_scores(predictions, labels, [0, 1, 2]).items():
        found = [scores.precision, scores.recall, scores.f1]
        assert found == pytest.approx([column[index] for column in expected[:3]], nan_ok=True)


def test_every_slice_counts_its_own_rows() -> None:
    texts = ["not good", "not bad", "maybe", "a film", "a plot"]
    labels, old, new = [0, 1, 1, 0, 1], [1, 1, 0, 0, 1], [0, 0, 0, 0, 1]
    baseline = [record(10 + i, labels[i], old[i], text) for i, text in enumerate(texts)]
    fresh = [record(10 + i, labels[i], new[i], text) for i, text in enumerate(texts)]
    reports = error_transition(baseline, fresh[::-1], slices())
    assert {name: report.transition for name, report in reports.items()} == {
        "all": Transition(fixed=1, introduced=1, remaining=1, kept=2),
        "negation": Transition(fixed=1, introduced=1, remaining=0, kept=0),
        "ambiguity": Transition(fixed=0, introduced=0, remaining=1, kept=0),
        "long": Transition(fixed=0, introduced=0, remaining=0, kept=0),
    }
    assert reports["all"].baseline[1].recall == pytest.approx(2 / 3)
    assert reports["all"].new[0].precision == pytest.approx(2 / 4)
    assert math.isnan(reports["long"].transition.fix_rate) and reports["long"].transition.mcnemar_p == 1.0


def test_a_slice_on_which_the_baseline_is_poor_is_doubtful() -> None:
    rows = [record(i, 0, int(i >= 3), "not") for i in range(5)]
    worse = [record(i, 0, int(i >= 2), "not") for i in range(5)]
    assert not error_transition(rows, rows, slices())["negation"].doubtful
    reports = error_transition(worse, rows, slices())
    assert [name for name, report in reports.items() if report.doubtful] == ["all", "negation"]


def test_the_status_of_the_attack_does_not_count() -> None:
    statuses = itertools.cycle(["succeeded", "failed", "skipped"])
    rows = [record(i, 0, i % 2, status=next(statuses)) for i in range(6)]
    assert error_transition(rows, rows, {})["all"].transition == Transition(0, 0, 3, 3)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ([], "no rows to compare"),
        ([record(0, 0, 0)], "different rows \\(1 only in the first, 0 only in the second\\)"),
        ([record(0, 0, 0), record(0, 0, 0)], "occurs twice"),
        ([record(0, 0, 0), record(1, 0, 1, "a plot")], "row 1 has another text"),
        ([record(0, 0, 0), record(1, 2, 1)], "row 1 has the label 1 in one file and 2 in the other"),
    ],
)
def test_files_that_do_not_fit_are_refused(new: list[AttackRecord], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        error_transition([record(0, 0, 0), record(1, 1, 1)], new, {})
