"""Report section on classes: macro-F1, the F1 of MRPC and QQP, and precision, recall and F1 of each class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hf_robust.data.tasks import GLUE_TASKS
from hf_robust.metrics import ClassCounts, ClassScores
from hf_robust.reports.aims import described_in, has_clean_texts
from hf_robust.reports.cells import over_seeds
from hf_robust.reports.class_bars import SCORES, methods_class_figure
from hf_robust.reports.curves import save_figure
from hf_robust.reports.document import Cell, Picture, Section, Table, inline_svg, number_cell, text_cell
from hf_robust.reports.groups import group_names
from hf_robust.reports.outcomes import ReportedRun
from hf_robust.reports.points import Rate, over_runs
from hf_robust.runs import Run, has_label_sets, label_names

CLASSES_STEM = "classes"
POSITIVE = {task: GLUE_TASKS[task].label_names[1] for task in ("mrpc", "qqp")}
"""The class whose F1 is a metric of the GLUE task."""


def class_counts(named: ReportedRun) -> ClassCounts | None:
    """Counts of each class on clean texts by the published weights; None if they are unknown.

    They are over the evaluation rows if the history has them, else over the texts of an attack. A targeted attack
    leaves out the texts of one class, and texts with several labels have no classes.
    """
    run = named.run
    if has_label_sets(run):
        return None
    if "classes" in run.published:
        return ClassCounts.from_json(run.published["classes"])
    for attack, outcomes in named.outcomes.items():
        described = described_in(run, attack)
        if outcomes.records and has_clean_texts(described) and "rows_left_out" not in described:
            records = outcomes.records.values()
            labels = [record.label for record in records]
            return ClassCounts.of(labels, [one.original_prediction for one in records], len(label_names(run)))
    return None


def classes_section(groups: Sequence[Sequence[ReportedRun]], folder: Path) -> Section | None:
    """The section, with its picture in ``folder``; None if no run has counts of its classes."""
    counted = [[(one.run, counts) for one in group if (counts := class_counts(one)) is not None] for group in groups]
    names = group_names([[one.run for one in group] for group in groups])
    known = {name: group for name, group in zip(names, counted, strict=True) if group}
    if not known:
        return None
    text = (
        "Predictions of the published weights on clean texts: on all evaluation texts, or on those of an attack if "
        "the history has no counts of classes. Macro-F1 is the mean F1 of the classes that occur, as in scikit-learn. "
        "±: sample standard deviation over seeds. A dash: the class was never predicted, or has no text."
    )
    section = Section("Classes", [text], tables=[_f1_table(known), _class_table(known)])
    title = "Precision, recall and F1 of each class"
    figure = methods_class_figure({name: _rates(group) for name, group in known.items()})
    _, svg = save_figure(figure, folder, CLASSES_STEM)
    section.pictures = [Picture(CLASSES_STEM, title, inline_svg(svg, CLASSES_STEM, title))]
    return section


Counted = Sequence[tuple[Run, ClassCounts]]


def _f1_table(known: Mapping[str, Counted]) -> Table:
    tasks = dict.fromkeys(filter(None, (_task_of(run) for group in known.values() for run, _ in group)))
    rows = []
    for name, group in known.items():
        row = [text_cell(name), number_cell(len(group), "d"), _texts(group), _cell(group, lambda _, one: one.macro_f1)]
        rows.append([*row, *(_cell(group, _score_of(POSITIVE[task], "f1")) for task in tasks)])
    header = ["method", "seeds", "texts", "macro-F1, %", *(f"F1 of {POSITIVE[task]} ({task}), %" for task in tasks)]
    return Table("F1 on clean texts", header, rows)


def _task_of(run: Run) -> str | None:
    """The GLUE task with an F1 that has the label names of this run."""
    names = set(label_names(run).values())
    return next((task for task in POSITIVE if names == set(GLUE_TASKS[task].label_names)), None)


def _by_name(run: Run, counts: ClassCounts) -> dict[str, ClassScores]:
    """Scores by the name of the class, since two models may number the same classes differently."""
    names = label_names(run)
    return {str(names.get(label, label)): score for label, score in counts.scores.items()}


def _names(group: Counted) -> list[str]:
    return list(dict.fromkeys(name for run, counts in group for name in _by_name(run, counts)))


def _class_table(known: Mapping[str, Counted]) -> Table:
    rows = []
    for method, group in known.items():
        for name in _names(group):
            scores = [_cell(group, _score_of(name, score)) for score in SCORES]
            rows.append([text_cell(method), text_cell(name), *scores])
    header = ["method", "class", *(f"{title}, %" for title in SCORES.values())]
    return Table("Precision, recall and F1 of each class", header, rows, filtered=len(rows) > 30)


def _score_of(name: str, score: str) -> Callable[[Run, ClassCounts], float]:
    return lambda run, counts: float(getattr(_by_name(run, counts).get(name), score, math.nan))


def _rates(group: Counted) -> dict[str, dict[str, Rate]]:
    """Mean and standard deviation of each score of each class over the seeds."""
    return {
        name: {score: _rate(_score_of(name, score)(run, counts) for run, counts in group) for score in SCORES}
        for name in _names(group)
    }


def _rate(values: Iterable[float]) -> Rate:
    return over_runs(Rate(value, value, value) for value in values)


def _cell(group: Counted, value: Callable[[Run, ClassCounts], float]) -> Cell:
    values = {id(run): value(run, counts) for run, counts in group}
    text = over_seeds([run for run, _ in group], lambda run: values[id(run)], lambda run: None)
    return number_cell(100 * _rate(values.values()).value, text=text)


def _texts(group: Counted) -> Cell:
    counts = dict.fromkeys(f"{counts.num_examples:,}" for _, counts in group)
    return text_cell(", ".join(counts))
