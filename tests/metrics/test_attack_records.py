"""Attack records as JSON, rates of hand-made lists of statuses, and means with their intervals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from hf_robust.metrics import (
    AttackRecord,
    AttackSummary,
    Coverage,
    coverage_of_card,
    mean_interval,
    partial_coverage,
    sampled_rows,
    texts_covered,
    wilson_interval,
)
from hf_robust.runs import read_records, write_records


def test_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    ends = norm.interval(0.95, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(200))
    assert mean_interval(values.tolist()) == pytest.approx((values.mean(), *ends))


def test_of_differences_it_is_the_paired_one() -> None:
    """Of paired proportions: variance (b + c - (b - c)^2 / n) / n^2, b and c the discordant counts."""
    b, c, n = 7, 19, 100
    differences = [1.0] * b + [-1.0] * c + [0.0] * (n - b - c)
    found = mean_interval(differences)
    error = math.sqrt((b + c - (b - c) ** 2 / n) / n / (n - 1))
    assert found == pytest.approx((-0.12, -0.12 - 1.959964 * error, -0.12 + 1.959964 * error), rel=1e-5)


def test_too_few_values_have_no_interval() -> None:
    assert all(map(math.isnan, mean_interval([])))
    value, low, high = mean_interval([3.0])
    assert value == 3.0 and math.isnan(low) and math.isnan(high)


def record(idx=0, status="succeeded", **changes):
    values = {
        "idx": idx,
        "label": 1,
        "status": status,
        "original": ["a good film"],
        "perturbed": ["a fine film"],
        "changed": [[1, "good", "fine"]],
        "queries": 7,
        "original_prediction": 0 if status == "skipped" else 1,
        "perturbed_prediction": 0,
        "original_score": 0.9,
        "perturbed_score": 0.25,
        "stop": "success",
        "num_candidates": 3,
    }
    return AttackRecord(**{**values, **changes})


def test_records_survive_the_disk(tmp_path):
    records = [record(0), record(1, "failed", original=["é 🎬", "b"], remains=False, near_ties=2)]
    path = tmp_path / "deep" / "synonym.jsonl"
    write_records(path, records)
    assert read_records(path) == records
    assert [p.name for p in path.parent.iterdir()] == ["synonym.jsonl"]


def test_unknown_keys_are_ignored_and_missing_ones_named():
    data = record().to_json()
    assert AttackRecord.from_json({**data, "later": 1}) == record()
    del data["queries"]
    with pytest.raises(ValueError, match="needs the keys queries"):
        AttackRecord.from_json(data)
    with pytest.raises(ValueError, match="status must be one of"):
        AttackRecord.from_json({**record().to_json(), "status": "lost"})


def test_a_torn_last_line_is_left_out_but_a_broken_middle_is_an_error(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    line = json.dumps(record().to_json())
    path.write_text(f'{line}\n{{"seconds": 1.5}}\n{line[:40]}')
    assert read_records(path) == [record()]
    assert "is incomplete" in caplog.text
    path.write_text(f"{line[:40]}\n{line}\n")
    with pytest.raises(ValueError, match="line 1 is not JSON"):
        read_records(path)
    path.write_text("3\n")
    with pytest.raises(ValueError, match="must be a JSON object, got int"):
        read_records(path)


def test_rates_of_a_hand_made_list():
    statuses = ["succeeded"] * 3 + ["failed"] * 2 + ["skipped"] * 5
    summary = AttackSummary.from_records([record(i, s) for i, s in enumerate(statuses)], seconds=4.0)
    assert (summary.num_examples, summary.num_attacked) == (10, 5)
    assert (summary.num_succeeded, summary.num_failed, summary.num_skipped) == (3, 2, 5)
    assert summary.asr == pytest.approx(3 / 5)
    assert summary.robust_accuracy == pytest.approx(2 / 10)
    assert summary.queries == pytest.approx(7)
    accuracy = summary.extra["accuracy"]
    assert accuracy == pytest.approx(0.5)
    assert summary.robust_accuracy == pytest.approx(accuracy * (1 - summary.asr))
    assert (summary.asr_low, summary.asr_high) == wilson_interval(3, 5)
    assert (summary.robust_accuracy_low, summary.robust_accuracy_high) == wilson_interval(2, 10)
    assert summary.metrics("synonym") == {
        "synonym_asr": summary.asr,
        "synonym_robust_accuracy": summary.robust_accuracy,
        "synonym_queries": summary.queries,
        "synonym_seconds": 4.0,
        "synonym_accuracy": accuracy,
        "synonym_changed_words": 1.0,
        "synonym_changed_share": pytest.approx(1 / 3),
        "synonym_covered": 1.0,
        "synonym_covered_asr": summary.asr,
    }


def test_changed_words_are_means_over_the_successes_that_changed_one():
    pair = record(
        1, original=["It's a well-made film .", "Fine !"], changed=[[0, "It's", "Its"], [4, "Fine", "Fi ne"]]
    )
    others = [
        record(2, "failed", changed=[[0, "a", "b"]] * 3),
        record(3, "skipped", changed=[]),
        record(4, changed=[]),  # a labelled adversarial text: nothing is known of what was changed
    ]
    found = AttackSummary.from_records([record(0), pair, *others]).extra
    assert found["changed_words"] == pytest.approx((1 + 2) / 2)
    assert found["changed_share"] == pytest.approx((1 / 3 + 2 / 5) / 2)
    assert not {"changed_words", "changed_share"} & set(AttackSummary.from_records(others).extra)


def test_no_attacked_example_gives_nan():
    summary = AttackSummary.from_records([record(0, "skipped")])
    assert math.isnan(summary.asr) and math.isnan(summary.asr_low) and math.isnan(summary.queries)
    assert summary.robust_accuracy == 0
    assert math.isnan(AttackSummary.from_records([]).robust_accuracy)


def test_coverage_and_the_rate_among_the_covered():
    records = [
        record(0, "succeeded", remains=True),
        record(1, "failed", remains=True),
        record(2, "failed", remains=False),
        record(3, "failed", remains=False, num_candidates=0, stop="no_candidates"),
        record(4, "skipped", remains=False),
    ]
    metrics = AttackSummary.from_records(records).metrics("antonym")
    assert metrics["antonym_asr"] == pytest.approx(1 / 4)
    assert metrics["antonym_remains_asr"] == pytest.approx(2 / 4)
    assert metrics["antonym_covered"] == pytest.approx(3 / 4)
    assert metrics["antonym_covered_asr"] == pytest.approx(1 / 3)


def test_an_attack_without_any_candidate_has_no_rate():
    nothing = {"num_candidates": 0, "stop": "no_candidates"}
    records = [record(0, "failed", **nothing), record(1, "failed", **nothing), record(2, "skipped", num_candidates=0)]
    summary = AttackSummary.from_records(records)
    for key in ("asr", "asr_low", "asr_high", "robust_accuracy", "robust_accuracy_low", "robust_accuracy_high"):
        assert math.isnan(getattr(summary, key))
    assert (summary.num_attacked, summary.num_failed, summary.extra["covered"]) == (2, 2, 0)
    assert texts_covered(summary.history()) == (0, 2) and partial_coverage(summary.history()) == "0 of 2"
    some = AttackSummary.from_records([*records, record(3, "failed"), record(4, "succeeded")])
    assert some.asr == pytest.approx(1 / 4) and texts_covered(some.history()) == (2, 4)
    assert partial_coverage(AttackSummary.from_records([record(0, "failed")]).history()) == ""


def test_candidates_that_nobody_counts_are_not_taken_for_none():
    given = AttackSummary.from_records([record(0, "failed", num_candidates=0), record(1, "skipped", num_candidates=0)])
    assert "covered" not in given.extra and given.asr == 0 and texts_covered(given.history()) is None


def test_coverage_survives_the_run_card():
    coverage = Coverage.of([(2, 10), (0, 5), (1, 1)])
    assert (coverage.covered_words, coverage.open_words, coverage.covered_texts, coverage.texts) == (3, 16, 2, 3)
    assert coverage_of_card({"coverage": coverage.describe()}) == coverage and coverage_of_card({}) is None
    assert Coverage.of([]).describe()["words"] == 0.0


@pytest.mark.parametrize(
    ("counts", "little"),
    [([(1, 9)] * 10, False), ([(1, 11)] * 10, True), ([(5, 10)] * 4 + [(0, 10)] * 7, True), ([(9, 9), (0, 1)], False)],
)
def test_little_is_below_a_tenth_of_the_words_or_two_fifths_of_the_texts(counts, little):
    assert Coverage.of(counts).is_little is little


@given(st.integers(0, 5000), st.integers(1, 300))
def test_a_sample_of_rows_is_spread_over_all_of_them(count, most):
    rows = sampled_rows(count, most)
    assert len(rows) == min(count, most) == len(set(rows)) and rows == sorted(rows)
    assert not rows or (rows[0] == 0 and count - rows[-1] <= max(2, 2 * count // len(rows)))


def test_wilson_interval_against_the_quadratic_it_solves():
    for successes, total in [(1, 148), (5, 10), (9, 9), (0, 4), (70, 200)]:
        for bound in wilson_interval(successes, total):
            gap = abs(bound - successes / total)
            assert gap == pytest.approx(1.959963984540054 * math.sqrt(bound * (1 - bound) / total), abs=1e-9)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_interval_holds_the_rate_and_stays_in_range(counts, confidence):
    low, high = wilson_interval(*counts, confidence=confidence)
    assert 0 <= low <= counts[0] / counts[1] <= high <= 1


def test_wilson_interval_says_what_is_wrong():
    with pytest.raises(ValueError, match="got 3 of 2"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match="confidence"):
        wilson_interval(1, 2, confidence=1)


def test_the_share_of_changed_words_is_of_the_words_that_the_record_numbers(tmp_path):
    text = ["don’t miss the film"]
    records = [record(idx, original=text, word_rule=rule) for idx, rule in enumerate(["textattack", "unicode"])]
    shares = [AttackSummary.from_records([one]).extra["changed_share"] for one in records]
    assert shares == [pytest.approx(1 / 5), pytest.approx(1 / 4)]
    assert [len(one.text(text).words) for one in records] == [5, 4]
    write_records(tmp_path / "r.jsonl", records)
    assert read_records(tmp_path / "r.jsonl") == records
    # Records of earlier versions name no rule: there was but TextAttack's.
    del (old := records[1].to_json())["word_rule"]
    assert AttackRecord.from_json(old).word_rule == "textattack"


def obstinate_record(idx, status, before, after, remains=True, stop="exhausted"):
    """A record of an attack that keeps the prediction."""
    scores = {
        "original_score": before,
        "perturbed_score": after,
        "num_candidates": int(stop != "no_candidates"),
        "stop": stop,
    }
    return record(idx, status, perturbed_prediction=1, remains=remains, **scores)


def test_an_attack_that_keeps_the_prediction_has_several_rates_and_no_robust_accuracy():
    records = [
        obstinate_record(0, "succeeded", 0.5, 0.75),
        obstinate_record(1, "succeeded", 0.5, 0.625),
        obstinate_record(2, "succeeded", 0.5, 0.51),
        obstinate_record(3, "failed", 0.5, 0.5),  # some antonym kept the prediction, none raised it
        obstinate_record(4, "failed", 0.5, 0.5, remains=False, stop="no_candidates"),
        obstinate_record(5, "skipped", 0.5, 0.5, remains=False),
    ]
    summary = AttackSummary.from_records(records)
    assert summary.keeps_prediction and summary.num_attacked == 5
    assert summary.asr == summary.extra["raises_asr"] == 3 / 5 and summary.extra["remains_asr"] == 4 / 5
    assert summary.extra["median_rise"] == 0.125  # of 0.25, 0.125 and 0.01: over the successes
    assert summary.extra["covered"] == 4 / 5 and summary.extra["covered_asr"] == 3 / 4
    for rate in (summary.robust_accuracy, summary.robust_accuracy_low, summary.robust_accuracy_high):
        assert math.isnan(rate)
    assert not any("robust_accuracy" in key for key in (*summary.metrics("antonym"), *summary.history()))
    assert {"antonym_raises_asr", "antonym_remains_asr", "antonym_median_rise"} <= set(summary.metrics("antonym"))


def test_a_success_that_only_remains_need_not_raise():
    found = AttackSummary.from_records(
        [obstinate_record(0, "succeeded", 0.9, 0.6), obstinate_record(1, "succeeded", 0.6, 0.7)]
    ).extra
    assert found["raises_asr"] == 0.5 and found["median_rise"] == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "records", [[], [obstinate_record(0, "failed", 0.5, 0.5)], [obstinate_record(0, "succeeded", math.nan, 0.5)]]
)
def test_without_a_success_there_is_no_median_rise(records):
    found = AttackSummary.from_records(records).extra
    assert math.isnan(found.get("median_rise", math.nan))


@given(st.lists(st.tuples(st.sampled_from(["succeeded", "failed"]), st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_raises_and_remains_lie_around_the_rate(pairs):
    records = [
        obstinate_record(i, status, a, b, remains=status == "succeeded" or a < b)
        for i, (status, a, b) in enumerate(pairs)
    ]
    summary = AttackSummary.from_records(records)
    assert 0 <= summary.extra["raises_asr"] <= summary.asr <= summary.extra["remains_asr"] <= 1
