"""The section on classes: F1 over seeds, per task, from the history or from the records of an attack."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
from report_folders import record, run_with_records
from run_folders import make_run

from hf_robust.metrics import ClassCounts
from hf_robust.reports.classes import class_counts, classes_section
from hf_robust.reports.document import Table
from hf_robust.reports.outcomes import ReportedRun, outcomes_of
from hf_robust.runs import load_run, read_history, write_history_line

MRPC = ["not_equivalent", "equivalent"]


def reported(folder: Path) -> ReportedRun:
    run = load_run(folder)
    return ReportedRun(folder.name, run, outcomes_of(run))


def with_counts(folder: Path, correct: tuple[int, int], **card: Any) -> ReportedRun:
    """A run on 10 rows of either class, of which so many are correct."""
    make_run(folder, [(5, 5)], **{"label_names": MRPC, **card})
    wrong = [10 - number for number in correct]
    counts = ClassCounts((10, 10), (correct[0] + wrong[1], correct[1] + wrong[0]), correct)
    write_history_line(folder, {**read_history(folder)[-1], "classes": counts.to_json()})
    return reported(folder)


def rows(table: Table) -> list[dict[str, str]]:
    return [dict(zip(table.header, [cell.text for cell in row], strict=True)) for row in table.rows]


def f1(correct: tuple[int, int], label: int) -> float:
    hits, other = correct[label], correct[1 - label]
    return 2 * hits / (10 + hits + 10 - other)


def test_seeds_are_a_mean_with_its_deviation(tmp_path: Path) -> None:
    seeds, alone = [(8, 6), (9, 4), (7, 7)], (10, 2)
    normal = [with_counts(tmp_path / f"n{seed}", correct, seed=seed) for seed, correct in enumerate(seeds)]
    safer = with_counts(tmp_path / "s", alone, method="safer")
    section = classes_section([normal, [safer]], tmp_path)
    assert section is not None
    summary, classes = map(rows, section.tables)
    of_class_1 = [100 * f1(correct, 1) for correct in seeds]
    macro = [50 * (f1(correct, 0) + f1(correct, 1)) for correct in seeds]
    expected = [f"{statistics.mean(one):.1f} ± {statistics.stdev(one):.1f}" for one in (macro, of_class_1)]
    assert summary[0] == {
        "method": "normal", "seeds": "3", "texts": "20", "macro-F1, %": expected[0],
        "F1 of equivalent (mrpc), %": expected[1],
    }  # fmt: skip
    assert summary[1]["F1 of equivalent (mrpc), %"] == f"{100 * f1(alone, 1):.1f}"
    assert [(row["method"], row["class"]) for row in classes] == [
        ("normal", "not_equivalent"), ("normal", "equivalent"), ("safer", "not_equivalent"), ("safer", "equivalent"),
    ]  # fmt: skip
    assert classes[3] == {
        "method": "safer", "class": "equivalent", "precision, %": "100.0", "recall, %": "20.0",
        "F1, %": f"{100 * f1(alone, 1):.1f}",
    }  # fmt: skip
    assert (tmp_path / "classes.png").is_file() and section.pictures[0].svg.startswith("<svg")


def test_other_tasks_have_no_f1_of_a_class(tmp_path: Path) -> None:
    section = classes_section([[with_counts(tmp_path / "a", (8, 6), label_names=["bad", "good"])]], tmp_path)
    assert section is not None and "F1 of" not in " ".join(section.tables[0].header)


def test_classes_of_another_order_are_compared_by_name(tmp_path: Path) -> None:
    first = with_counts(tmp_path / "a", (8, 6))
    second = with_counts(tmp_path / "b", (6, 8), seed=1, label_names=MRPC[::-1])
    section = classes_section([[first, second]], tmp_path)
    assert section is not None
    assert rows(section.tables[1])[0]["recall, %"] == "80.0 ± 0.0"


def test_records_stand_in_for_a_history_without_counts(tmp_path: Path) -> None:
    records = [record(0, "s", label=1), record(1, "f", label=0), record(2, "-", label=0)]
    one = reported(run_with_records(tmp_path / "a", "sf-", records=records))
    assert class_counts(one) == ClassCounts((2, 1), (1, 2), (1, 1))


@pytest.mark.parametrize(
    "card",
    [
        {"attacks": {"synonym": {"candidates": {"name": "file"}}}},  # texts without clean originals
        {"attacks": {"synonym": {"rows_left_out": 3}}},  # the rows of the target's class are left out
        {"problem_type": "multi_label_classification", "label_names": ["a", "b"]},
    ],
)
def test_texts_that_say_nothing_about_the_classes_are_not_counted(card: dict[str, Any], tmp_path: Path) -> None:
    one = reported(run_with_records(tmp_path / "a", "sf-", **card))
    assert class_counts(one) is None and classes_section([[one]], tmp_path) is None
