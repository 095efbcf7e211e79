"""A report of several runs from their files: a self-contained HTML page, and the same report in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.reports.classes import classes_section
from hf_robust.reports.compare import differences, require_comparable
from hf_robust.reports.comparison import COMPARISON_STEM, comparison_figure
from hf_robust.reports.consistency import consistency_section
from hf_robust.reports.curves import save_figure
from hf_robust.reports.document import Document, Picture, Section, inline_svg, page
from hf_robust.reports.examples import examples_of
from hf_robust.reports.fronts import FRONTS_STEM, front_attacks, robustness_fronts
from hf_robust.reports.groups import data_name, group_by_seed, run_names
from hf_robust.reports.guessing import DAGGER
from hf_robust.reports.markdown import markdown
from hf_robust.reports.outcomes import ReportedRun, outcomes_of
from hf_robust.reports.overlays import OVERLAYS_NOTE, OVERLAYS_STEM, has_curves, overlaid_curves
from hf_robust.reports.paired_tests import paired_tests
from hf_robust.reports.provenance import limits_of, provenance_table, run_warnings
from hf_robust.reports.report_tables import (
    attack_table,
    certified_table,
    cost_table,
    runs_table,
    standard_tables,
    tests_table,
    union_tables,
)
from hf_robust.reports.tables import table_note
from hf_robust.reports.word_mask import masks_section
from hf_robust.runs import Run, attack_names, load_run, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_FILE, MARKDOWN_FILE = "report.html", "report.md"
LEVEL = 0.05


def load_runs(run_dirs: Sequence[str | Path], force: bool = False) -> list[Run]:
    """Read the run folders of one report.

    Raises:
        ValueError: there is none, one is named twice or cannot be read, or they are not comparable and ``force`` is
            False.
    """
    if not run_dirs:
        raise ValueError("No run given; name at least one folder with a robustness_history.jsonl.")
    paths = [Path(folder).resolve() for folder in run_dirs]
    twice = [str(folder) for index, folder in enumerate(run_dirs) if paths[index] in paths[:index]]
    if twice:
        raise ValueError(f"{twice[0]} was given twice; name each run once.")
    runs = [load_run(folder) for folder in run_dirs]
    if not force:
        require_comparable(runs)
    return runs


def write_report(runs: Sequence[Run], folder: str | Path) -> list[Path]:
    """Write ``report.html``, ``report.md`` and its pictures into a folder, which is made, and return their paths.

    Raises:
        ValueError: the folder's name is that of a file, or a run's records cannot be read.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output {folder} is a file; name a folder.")
    grouped = group_by_seed(runs)
    groups = [
        [ReportedRun(name, run, outcomes_of(run)) for name, run in zip(names, group, strict=True)]
        for names, group in zip(run_names(grouped), grouped, strict=True)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    document = build_report(groups, folder)
    paths = [folder / PAGE_FILE, folder / MARKDOWN_FILE]
    for path, text in zip(paths, (page(document), markdown(document)), strict=True):
        write_text(path, text)
    return paths


def build_report(groups: Sequence[Sequence[ReportedRun]], folder: Path) -> Document:
    """Build all sections and draw their pictures into the folder."""
    every = [named for group in groups for named in group]
    runs, grouped = [named.run for named in every], [[named.run for named in group] for group in groups]
    attacks = list(dict.fromkeys(name for run in runs for name in attack_names(run.history)))
    named = [(one.name, one.run) for one in every]
    data = ", ".join(dict.fromkeys(map(data_name, runs)))
    sections = [
        Section("Runs", [table_note(grouped).strip()], tables=[runs_table(grouped)]),
        _fronts(runs, folder),
        _epochs(runs, folder),
        _attacks(attacks, grouped, runs, folder),
        _tests(groups),
        *filter(None, [classes_section(groups, folder), consistency_section(grouped), masks_section(every)]),
        _examples(attacks, groups),
        _cost(grouped),
        Section("What these numbers do not show", items=limits_of(named)),
        Section("Provenance", tables=[provenance_table(named)]),
    ]
    count = f"{len(runs)} run{'s' * (len(runs) > 1)}, {len(groups)} method{'s' * (len(groups) > 1)}"
    warnings = [f"Not comparable: {reason}." for reason in differences(runs)] + run_warnings(named)
    return Document("Robustness report", f"{count}; data: {data}.", warnings, sections)


def _picture(figure: Figure, folder: Path, stem: str, title: str) -> Picture:
    _, svg = save_figure(figure, folder, stem)
    return Picture(stem, title, inline_svg(svg, stem, title))


def _fronts(runs: Sequence[Run], folder: Path) -> Section:
    section = Section("Accuracy against robustness")
    if not front_attacks(runs):
        section.paragraphs = ["None of the attacks has a robust accuracy, so there is no front."]
        return section
    section.paragraphs = [
        "Upper right is better. The dashed line joins the ringed methods on the Pareto front: no other method is "
        "better in both rates. Bars: 95 % Wilson intervals of single runs, one standard deviation over seeds. "
        f"Differences smaller than the bars may be chance. Hollow points and {DAGGER}: models that guess; they are "
        "not part of a front. Clean accuracy is measured on the examples of the attack."
    ]
    title = "Clean accuracy against robust accuracy under each attack"
    section.pictures = [_picture(robustness_fronts(runs), folder, FRONTS_STEM, title)]
    return section


def _epochs(runs: Sequence[Run], folder: Path) -> Section:
    section = Section("Epochs")
    if not has_curves(runs):
        section.paragraphs = ["Every run was measured only once, so there are no curves."]
        return section
    section.paragraphs = [OVERLAYS_NOTE]
    title = "Clean accuracy and attack success rates per epoch"
    section.pictures = [_picture(overlaid_curves(runs), folder, OVERLAYS_STEM, title)]
    return section


def _attacks(attacks: Sequence[str], groups: Sequence[Sequence[Run]], runs: Sequence[Run], folder: Path) -> Section:
    section = Section("Attacks", tables=[attack_table(attack, groups) for attack in attacks])
    title = "Clean accuracy and attack success rates of the published weights"
    section.pictures = [_picture(comparison_figure(runs), folder, COMPARISON_STEM, title)]
    section.tables += union_tables(groups) + standard_tables(groups)
    if (certified := certified_table(groups)) is not None:
        section.tables.append(certified)
    return section


def _tests(groups: Sequence[Sequence[ReportedRun]]) -> Section:
    section = Section("Paired tests")
    if len(groups) < 2:
        section.paragraphs = ["There is only one method, so there is nothing to compare."]
        return section
    tests, notes = paired_tests(groups)
    section.items = notes
    if not tests:
        section.paragraphs = ["No two runs could be paired."]
        return section
    significant = sum(test.corrected < LEVEL for test in tests)
    section.paragraphs = [
        "McNemar's exact test compares two runs on the examples that both have: is an example robustly correct "
        "(correct before and after the attack) in one run and not in the other? For attacks that keep the prediction: "
        "did the attack fail in one run and not in the other, among the examples attacked in both? p values are "
        f"corrected by Holm over all {len(tests):,} tests of this report; {significant:,} of them are below {LEVEL}. "
        "Differences are in points, with 95 % paired bootstrap intervals over examples. Neither covers the variation "
        "between training seeds."
    ]
    for attack in dict.fromkeys(test.attack for test in tests):
        section.tables.append(tests_table(attack, [test for test in tests if test.attack == attack]))
    return section


def _examples(attacks: Sequence[str], groups: Sequence[Sequence[ReportedRun]]) -> Section:
    section = Section("Examples")
    firsts = [group[0] for group in groups]
    section.examples = [example for attack in attacks for example in examples_of(attack, firsts)]
    if section.examples:
        section.paragraphs = [
            "Examples are drawn by a fixed seed; those that fooled some models but not others come first. Each method "
            "is shown by its first run. Marked words differ between the original and a perturbed text."
        ]
    else:
        section.paragraphs = ["The runs have no attacked texts (attack_results), so there are no examples to show."]
    return section


def _cost(groups: Sequence[Sequence[Run]]) -> Section:
    text = (
        "Seconds are wall-clock time on the machine of each run, means over seeds. Training time excludes evaluation "
        "and attacks. Views from the cache of an earlier run cost only the time to read them. Attack time is the sum "
        "over all epochs. Forward passes are counted in training for each batch of texts: a batch and its views in "
        "one pass count as two, the passes of a twin model are counted separately, and plain training before the "
        "method's own is included. Forward passes of attacks that make views are only part of the seconds."
    )
    return Section("Cost", [text], tables=[cost_table(groups)])
