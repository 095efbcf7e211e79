"""Kendall's tau, top-k intersection, the pairs that count, and the means over them."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interpret.interpret_parts import record, review_records

from hf_robust.interpret import (
    Attribution,
    consistency,
    kendall_tau,
    mean_with_interval,
    substitution_pairs,
    top_k_intersection,
)

NUMBERS = st.lists(st.integers(-4, 4), min_size=2, max_size=9)


def explained(*rows: list[float], words: str | None = None, gap: float | None = None) -> Attribution:
    values = np.array(rows, dtype=np.float64)
    names = tuple(words.split()) if words else tuple(map(str, range(values.shape[1])))
    ones = np.ones(len(values))
    extra = {} if gap is None else {"difference": ones, "gap": ones * gap}
    return Attribution(names, values, np.ones(values.shape[1], dtype=np.bool_), ones, **extra)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_tau_b_is_that_of_its_definition(first: list[int], luck: object) -> None:
    second = sorted(first, key=lambda value: (value * 7) % 5)
    ordered = tied_first = tied_second = 0
    for i, j in combinations(range(len(first)), 2):
        a, b = first[i] - first[j], second[i] - second[j]
        ordered += int(np.sign(a * b))
        tied_first += a == 0
        tied_second += b == 0
    pairs = math.comb(len(first), 2)
    found = kendall_tau(first, second)
    if pairs in (tied_first, tied_second):
        assert math.isnan(found)
    else:
        assert found == pytest.approx(ordered / math.sqrt((pairs - tied_first) * (pairs - tied_second)))


@given(NUMBERS)
def test_the_same_text_gives_1_and_a_reversed_order_minus_1(values: list[int]) -> None:
    if len(set(values)) > 1:
        assert kendall_tau(values, values) == pytest.approx(1.0)
        assert kendall_tau(values, [-value for value in values]) == pytest.approx(-1.0)
    for k in (1, 3, 20):
        assert top_k_intersection(values, values, k) == 1.0


def test_signed_is_the_default() -> None:
    first, second = [3.0, -5.0, 1.0], [-3.0, 5.0, 1.0]
    assert kendall_tau(first, second, absolute=True) == pytest.approx(1.0)
    assert kendall_tau(first, second) == pytest.approx(-1.0)
    assert top_k_intersection(first, second, 1) == 0.0
    assert top_k_intersection(first, second, 1, absolute=True) == 1.0


def test_top_k() -> None:
    first, second = [4, 3, 2, 1], [1, 2, 3, 4]
    assert [top_k_intersection(first, second, k) for k in (1, 2, 3, 4, 9)] == [0, 0, 2 / 3, 1, 1]
    assert top_k_intersection([1, 1, 1, 0], [1, 1, 1, 0], 2) == 1.0  # ties rank by position on both sides
    assert top_k_intersection([1, 1, 1], [0, 0, 1], 1) == 0.0


def test_one_word_has_no_tau() -> None:
    assert math.isnan(kendall_tau([1.0], [2.0])) and math.isnan(kendall_tau([], []))
    assert math.isnan(kendall_tau([1.0, 1.0], [1.0, 2.0]))
    assert top_k_intersection([1.0], [2.0], 5) == 1.0


@pytest.mark.parametrize(("k", "first"), [(0, [1.0]), (1, [])])
def test_top_k_needs_a_word(k: int, first: list[float]) -> None:
    with pytest.raises(ValueError, match="needs k of at least 1 and at least one word"):
        top_k_intersection(first, first, k)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="must be of the same words"):
        kendall_tau([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="the same words and classes, got"):
        consistency([(explained([1.0, 2.0]), explained([1.0]))])


def test_means_are_over_classes_then_pairs() -> None:
    same = explained([3, 2, 1], [1, 2, 3])
    half = explained([3, 2, 1], [3, 2, 1])  # class 0 agrees, class 1 is reversed
    found = consistency([(same, same), (same, half)])
    assert found.num_pairs == 2 and found.tau.mean == pytest.approx(0.5)  # (1 + (1 - 1) / 2) / 2
    assert [round(one.mean, 3) for one in found.top_k[:3]] == [0.75, round((1 + 0.75) / 2, 3), 1.0]
    assert (found.tau.low, found.tau.high) == (0.0, 1.0)
    assert len(found.top_k) == 10


def test_one_word_is_dropped_and_counted() -> None:
    one, flat, good = explained([1.0]), explained([1.0, 1.0]), explained([1.0, 2.0])
    found = consistency([(one, one), (flat, good), (good, good)])
    assert (found.num_pairs, found.num_undefined) == (1, 2)
    assert found.tau.mean == 1.0 and math.isnan(found.tau.low)
    nothing = consistency([])
    assert nothing.num_pairs == 0 and math.isnan(nothing.tau.mean) and math.isnan(nothing.worst_completeness)


def test_the_share_of_changed_words() -> None:
    before, after = (
        explained([1, 2, 3, 4], words="a good film indeed"),
        explained([1, 2, 3, 4], words="a fine film indeed"),
    )
    found = consistency([(before, after), (before, before)])
    assert found.changed_share == pytest.approx(0.125) and found.words == 4


def test_words_that_were_cut_off_do_not_count() -> None:
    whole = explained([4, 3, 2, 1])
    cut = Attribution(
        whole.words, whole.values[:, ::-1] * 0 + [[9, 8, 0, 0]], np.array([True, True, False, False]), whole.outputs
    )
    found = consistency([(whole, cut)])
    assert found.tau.mean == 1.0 and found.words == 2


def test_a_pair_whose_changes_were_cut_off_is_left_out() -> None:
    seen = np.array([True, True, False])
    before = Attribution(("a", "good", "film"), np.array([[1.0, 2.0, 0.0]]), seen, np.ones(1))
    after = Attribution(("a", "good", "movie"), np.array([[1.0, 2.0, 0.0]]), seen, np.ones(1))
    found = consistency([(before, after), (before, before)])
    assert (found.num_pairs, found.num_undefined) == (1, 1)


def test_completeness_is_a_share_of_pairs() -> None:
    good, bad = explained([1, 2], gap=0.001), explained([1, 2], gap=-0.2)
    found = consistency([(good, good), (good, bad), (bad, good), (good, good)])
    assert found.complete_share == 0.5 and found.worst_completeness == pytest.approx(0.2)
    assert math.isnan(consistency([(explained([1, 2]), explained([1, 2]))]).complete_share)


def test_the_interval_covers_95_percent_and_stays_in_range() -> None:
    luck = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = mean_with_interval(luck.beta(6, 2, 60).tolist())
        hits += found.low <= 0.75 <= found.high
        assert 0 <= found.low <= found.mean <= found.high <= 1
    assert 180 <= hits <= 198
    assert mean_with_interval([0.1, 0.9, 0.4]) == mean_with_interval([0.1, 0.9, 0.4])


def test_interval_of_one_and_none() -> None:
    assert mean_with_interval([0.5]).mean == 0.5 and math.isnan(mean_with_interval([0.5]).high)
    assert math.isnan(mean_with_interval([]).mean)


def test_pairs_are_those_of_succeeded_and_failed_attacks() -> None:
    pairs, counts = substitution_pairs(review_records())
    assert [pair.idx for pair in pairs] == [0, 1, 2]
    assert [pair.changed for pair in pairs] == [(1,), (1, 3), (0,)]
    assert counts == {"records": 6, "other_status": 1, "unchanged": 1, "not_one_to_one": 1, "pairs": 3}
    assert [pair.idx for pair in substitution_pairs(review_records(), ("succeeded",))[0]] == [0, 1]


def test_an_insertion_that_a_deletion_makes_up_for_is_no_substitution() -> None:
    shifted = record("a good film was bad", "a very good film bad", [[0, "a", "a very"], [3, "was", ""]])
    moved = record(["a good", "film"], ["a", "good film"], [[0, "a", "a"]])
    recased = record("a good film", "A good film", [])
    pairs, counts = substitution_pairs([shifted, moved, recased])
    assert not pairs and counts["not_one_to_one"] == 3


def test_words_of_two_columns_share_their_positions() -> None:
    (pair,), _ = substitution_pairs([record(["a good", "film"], ["a good", "movie"], [[2, "film", "movie"]])])
    assert pair.changed == (2,) and pair.perturbed == ("a good", "movie")


def test_a_record_is_read_by_the_rule_that_numbered_its_words() -> None:
    texts = ["don’t miss a good film"], ["don’t miss a fine film"]
    by_textattack, own = record(*texts, [[4, "good", "fine"]]), record(*texts, [[3, "good", "fine"]])
    own.word_rule = "unicode"
    pairs, _ = substitution_pairs([by_textattack, own])
    assert [pair.changed for pair in pairs] == [(3,), (3,)]
    by_textattack.word_rule, own.word_rule = own.word_rule, by_textattack.word_rule
    assert substitution_pairs([by_textattack, own])[0] == []
    # One word for one to TextAttack, but a contraction is then two words.
    (apart,) = [record(["don’t go"], ["don’two go"], [[1, "t", "two"]])]
    assert [pair.changed for pair in substitution_pairs([apart])[0]] == [(0,)]
