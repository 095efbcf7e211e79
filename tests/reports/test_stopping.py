"""What tables and captions say of attacks that stopped at an interval, and of rows that a target leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hf_robust.metrics import ConfidenceSequence
from hf_robust.reports import results_table
from hf_robust.reports.stopping import interval_name, stopping_sentence
from hf_robust.reports.tables import table_note
from hf_robust.runs import Run

SEQUENCE = ConfidenceSequence(0.1)


def result(robust: int, examples: int, rows: int = 2_000) -> dict[str, float]:
    low, high = SEQUENCE.interval(robust, examples)
    rates = {"robust_accuracy": robust / examples, "robust_accuracy_low": low, "robust_accuracy_high": high}
    return {"asr": 0.5, "num_examples": examples, "num_attacked": examples, **rates, **SEQUENCE.stopping(rows)}


def run(*results: tuple[str, dict[str, float]], **card: Any) -> Run:
    line = {"epoch": 0.0, "step": 0, "accuracy": 0.8, "attacks": dict(results)}
    return Run(Path("run"), [line], card, None)  # type: ignore[arg-type]


def test_it_says_where_the_attack_stopped() -> None:
    sentence = stopping_sentence("pwws", result(40, 400))
    low, high = SEQUENCE.interval(40, 400)
    assert sentence.startswith("pwws stopped after 400 of 2,000 rows, at an interval of ")
    assert f"{100 * (high - low):.1f} points (95 % confidence sequence)." in sentence


def test_it_says_how_many_rows_would_be_enough() -> None:
    sentence = stopping_sentence("pwws", result(100, 200, rows=200))
    assert "stopped by no interval: after 200 of 200 rows" in sentence
    assert f"At this rate 10 points take about {SEQUENCE.rows(0.5):,} rows." in sentence


def test_an_obstinate_attack_stops_by_its_success_rate() -> None:
    low, high = SEQUENCE.interval(20, 400)
    line = {"asr": 0.05, "asr_low": low, "asr_high": high, "num_examples": 450, **SEQUENCE.stopping(900)}
    assert f"antonym stopped after 450 of 900 rows, at an interval of {100 * (high - low):.1f}" in stopping_sentence(
        "antonym", line
    )


def test_an_attack_of_all_rows_says_nothing() -> None:
    plain = {"asr": 0.5, "num_examples": 10}
    assert stopping_sentence("pwws", plain) == ""
    assert interval_name([{"attacks": {"pwws": plain}}]) == "Wilson intervals"
    assert "confidence sequences" in interval_name([{"attacks": {"pwws": result(5, 50)}}])


@pytest.mark.parametrize("stopped", [True, False])
def test_tables_name_their_intervals(stopped: bool) -> None:
    plain = {"asr": 0.5, "asr_low": 0.4, "asr_high": 0.6, "num_examples": 400, "num_attacked": 400}
    one = run(("pwws", {**plain, **result(40, 400)} if stopped else plain))
    assert ("stopped after 400 of 2,000 rows" in results_table(one)) == stopped
    assert ("confidence sequences" in table_note([[one]])) == stopped and "95 % Wilson interval" in table_note([[one]])


def test_a_target_says_what_it_leaves_out() -> None:
    described = {"goal": {"name": "target", "target": 1, "label": "good"}, "rows_left_out": 1_200}
    one = run(("pwws_to_good", result(40, 400)), attacks={"pwws_to_good": described})
    assert "pwws_to_good: 1,200 rows left out, whose label is good already." in results_table(one)
