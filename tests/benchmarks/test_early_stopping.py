"""What the committed measurements of ``--attack_until_interval`` say."""

from __future__ import annotations

import json

from benchmarks.study.early_stopping_table import FILE, compact
from benchmarks.study.stored import COMMITTED


def test_the_intervals_hold_the_rate_of_all_rows_and_rows_are_saved() -> None:
    data = json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))["data"]
    lines = [(full, line) for attacks in data.values() for full in attacks.values() for line in full["until"]]
    assert lines and all(line["holds"] >= 0.95 for _, line in lines)
    measured = [(full, line) for full, line in lines if "num_examples" in line]
    for full, line in measured:
        assert line["robust_accuracy_low"] <= full["robust_accuracy"] <= line["robust_accuracy_high"]
    assert any(line["queries"] < full["queries"] / 2 for full, line in measured)


def test_the_table_has_what_was_measured_and_what_a_width_takes() -> None:
    measured, _, needed = compact(COMMITTED).partition("Rows after which")
    assert "all rows" in measured and " of 100 |" in measured
    assert [line.split(" | ")[0] for line in needed.strip().splitlines()[4:]] == [
        "| 0 %", "| 5 %", "| 10 %", "| 30 %", "| 50 %",
    ]  # fmt: skip
