"""Table of what `--attack_until_interval` saves, from `performance/early_stopping.py`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.paired import read
from hf_robust.metrics import ConfidenceSequence
from hf_robust.reports import markdown_table, percent

FILE = "early_stopping.json"
HEADER = [
    "data, model", "attack", "width asked, points", "rows attacked", "queries", "processor, s", "robust accuracy, %",
    "rows in other orders", "intervals with the rate of all rows",
]  # fmt: skip
WIDTHS, RATES = (3.0, 5.0, 10.0), (0.0, 0.05, 0.1, 0.3, 0.5)


def compact(results: Path) -> str:
    """What was measured, and the rows that a width takes by the rate."""
    rows = []
    for title, attacks in read(results / FILE)["data"].items():
        for name, full in attacks.items():
            counts = [f"{full['num_examples']:,}", f"{full['queries']:,}", f"{full['seconds']:.0f}"]
            rows.append([title, name, "all rows", *counts, percent(full["robust_accuracy"]), "", ""])
            rows += [["", "", *_stopped(line)] for line in full["until"]]
    needed = [
        [f"{100 * rate:g} %", *(f"{ConfidenceSequence(width / 100).rows(rate):,}" for width in WIDTHS)]
        for rate in RATES
    ]
    header = ["robust accuracy", *(f"{width:g} points" for width in WIDTHS)]
    return (
        f"{markdown_table(HEADER, rows)}\nRows after which the interval is narrower than a width:\n\n"
        f"{markdown_table(header, needed).strip()}\n"
    )


def _stopped(line: dict[str, float]) -> list[str]:
    others = [f"{line['mean_rows']:,.0f}", f"{100 * line['holds']:.0f} of 100"]
    if "num_examples" not in line:
        return [f"{line['width']:g}", "refused", "", "", "", "", ""]
    interval = (line["robust_accuracy_low"], line["robust_accuracy_high"])
    counts = [f"{line['num_examples']:,}", f"{line['queries']:,}", f"{line['seconds']:.0f}"]
    return [f"{line['width']:g}", *counts, percent(line["robust_accuracy"], interval), *others]
