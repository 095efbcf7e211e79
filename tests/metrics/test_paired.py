"""Paired differences, McNemar's test, Holm's correction and the file of statuses."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.metrics import AttackRecord, holm, mcnemar_exact, paired_difference
from hf_robust.metrics.paired import DRAWS, rates, robust
from hf_robust.runs import read_statuses, status_letters

NAN = np.nan


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_sum_of_both_tails(first: int, second: int) -> None:
    n = first + second
    tail = sum(comb(n, k) for k in range(min(first, second) + 1)) / 2**n
    assert mcnemar_exact(first, second) == pytest.approx(min(1.0, 2 * tail) if n else 1.0)
    assert mcnemar_exact(first, second) == mcnemar_exact(second, first)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    corrected = holm(p_values)
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
            if (len(p_values) - rank) * p_values[index] > level:
                break
            rejected.add(index)
        assert {index for index, p in enumerate(corrected) if p <= level} == rejected
    assert all(one >= p for one, p in zip(corrected, p_values, strict=True))


def test_holm_of_one_test_and_of_none_changes_nothing() -> None:
    assert holm([0.2]) == [0.2] and holm([]) == []


def test_difference_is_exact_and_its_interval_is_that_of_the_discordant_counts() -> None:
    """Only the second model is correct on 10 of 100 examples: the interval is near the normal interval of a share."""
    base = np.array([[1.0] * 10 + [0.0] * 90])
    other = np.zeros((1, 100))
    found = paired_difference(base, other, robust)
    assert found.value == pytest.approx(10.0) and found.by_seed == pytest.approx([10.0])
    half = 100 * 1.96 * (0.1 * 0.9 / 100) ** 0.5
    assert found.low == pytest.approx(10 - half, abs=1.5) and found.high == pytest.approx(10 + half, abs=1.5)


@given(
    st.integers(1, 3).flatmap(
        lambda seeds: st.tuples(
            *[
                st.lists(
                    st.lists(st.sampled_from([0.0, 1.0, NAN]), min_size=7, max_size=7), min_size=seeds, max_size=seeds
                )
                for _ in range(2)
            ]
        )
    ),
    st.sampled_from([rates, robust]),
)
def test_the_interval_is_that_of_examples_drawn_one_by_one(
    outcomes: tuple[list[list[float]], list[list[float]]], measure: Callable[[Any], Any]
) -> None:
    base, other = map(np.array, outcomes)
    drawn = np.random.default_rng(0).integers(0, 7, size=(DRAWS, 7))
    means = (measure(other[:, drawn]) - measure(base[:, drawn])).mean(axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # draws without any attacked example
        found = paired_difference(base, other, measure)
        expected = 100 * np.nanpercentile(means, [2.5, 97.5])
    np.testing.assert_array_equal([found.low, found.high], expected)


def test_skipped_examples_are_no_success_and_not_robust() -> None:
    seen = np.array([[1.0, 0.0, NAN, 0.0]])
    assert robust(seen) == pytest.approx([0.5]) and rates(seen) == pytest.approx([1 / 3])
    assert np.isnan(rates(np.array([[NAN]]))[0])


def record(idx: int, status: str) -> AttackRecord:
    return AttackRecord(idx, 0, status, ["a"], ["b"], [], 1, 0, 1, 0.9, 0.1, "success", 1)


def test_statuses_are_written_and_read(tmp_path: Path) -> None:
    kept = status_letters([record(10, "failed"), record(2, "succeeded"), record(3, "skipped")])
    assert kept == {"10": "f", "2": "s", "3": "-"}
    (tmp_path / "statuses.json").write_text(json.dumps({"pwws": kept}))
    read = read_statuses(tmp_path)
    assert read == {"pwws": {2: "succeeded", 3: "skipped", 10: "failed"}} and list(read["pwws"]) == [2, 3, 10]


@pytest.mark.parametrize("text", ['{"pwws": {"1": "x"}}', '{"pwws": {"one": "s"}}', '{"pwws": 3}', "[1]", "{"])
def test_statuses_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "statuses.json").write_text(text)
    with pytest.raises(ValueError, match="must map each attack to one of s, f, - for each example's idx"):
        read_statuses(tmp_path)


def test_a_folder_without_statuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"statuses\.json does not exist"):
        read_statuses(tmp_path)
