"""A report of several runs, from their files alone: an HTML page that needs nothing else, and the same in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.reports.compare import differences, require_comparable
from hf_robust.reports.comparison import COMPARISON_STEM, comparison_figure
from hf_robust.reports.curves import save_figure
from hf_robust.reports.document import Document, Picture, Section, inline_svg, page
from hf_robust.reports.examples import examples_of
from hf_robust.reports.fronts import FRONTS_STEM, front_attacks, robustness_fronts
from hf_robust.reports.groups import data_name, group_by_seed, run_names
from hf_robust.reports.guessing import DAGGER
from hf_robust.reports.markdown import markdown
from hf_robust.reports.outcomes import ReportedRun, outcomes_of
from hf_robust.reports.overlays import OVERLAYS_STEM, has_curves, overlaid_curves
from hf_robust.reports.paired_tests import paired_tests
from hf_robust.reports.provenance import limits_of, provenance_table, run_warnings
from hf_robust.reports.report_tables import (
    attack_table,
    certified_table,
    cost_table,
    runs_table,
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
    """Read run folders that belong beside each other.

    Raises:
        ValueError: there is none, one was given twice or cannot be read, or they do not compare and ``force`` is not
            given.
    """
    if not run_dirs:
        raise ValueError("No run given; name at least one folder with a robustness_history.jsonl.")
    places = [Path(folder).resolve() for folder in run_dirs]
    twice = [str(given) for index, given in enumerate(run_dirs) if places[index] in places[:index]]
    if twice:
        raise ValueError(f"{twice[0]} was given twice; name each run once, since a run does not confirm itself.")
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
        raise ValueError(f"--output {folder} is a file; name a folder, which is made where there is none.")
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
    """All sections; their pictures are drawn into the folder."""
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
        *filter(None, [masks_section(every)]),
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
        section.paragraphs = ["No attack here has a robust accuracy, so there is no front."]
        return section
    section.paragraphs = [
        "Upper right is better. Ringed and joined by the dashed line: methods that no other beats in both rates. Bars "
        "are 95 % Wilson intervals of single runs, one standard deviation over seeds; differences smaller than the "
        f"bars may be chance. Hollow and {DAGGER}: models that guess, which are on no front. Clean accuracy is "
        "that on the examples of the attack."
    ]
    title = "Clean accuracy against robust accuracy under each attack"
    section.pictures = [_picture(robustness_fronts(runs), folder, FRONTS_STEM, title)]
    return section


def _epochs(runs: Sequence[Run], folder: Path) -> Section:
    section = Section("Epochs")
    if not has_curves(runs):
        section.paragraphs = ["Every run was measured once, so there are no curves."]
        return section
    section.paragraphs = ["Seeds of one method share colour and marker."]
    title = "Clean accuracy and attack success rates per epoch"
    section.pictures = [_picture(overlaid_curves(runs), folder, OVERLAYS_STEM, title)]
    return section


def _attacks(attacks: Sequence[str], groups: Sequence[Sequence[Run]], runs: Sequence[Run], folder: Path) -> Section:
    section = Section("Attacks", tables=[attack_table(attack, groups) for attack in attacks])
    title = "Clean accuracy and attack success rates of the kept weights"
    section.pictures = [_picture(comparison_figure(runs), folder, COMPARISON_STEM, title)]
    section.tables += union_tables(groups)
    if (certified := certified_table(groups)) is not None:
        section.tables.append(certified)
    return section


def _tests(groups: Sequence[Sequence[ReportedRun]]) -> Section:
    section = Section("Paired tests")
    if len(groups) < 2:
        section.paragraphs = ["One method alone has nothing to be tested against."]
        return section
    tests, notes = paired_tests(groups)
    section.items = notes
    if not tests:
        section.paragraphs = ["No two runs could be paired."]
        return section
    found = sum(test.corrected < LEVEL for test in tests)
    section.paragraphs = [
        "Is an example robustly right (right before the attack and after it) in one run and not in the other? Of "
        "attacks that want the prediction kept: did it withstand in one run and not in the other, among the examples "
        "attacked in both? McNemar's exact test on the examples that both were given, corrected by Holm over all "
        f"{len(tests):,} tests of this report: {found:,} of them below {LEVEL}. Differences in points with 95 % "
        "paired bootstrap intervals over examples. Neither covers the spread between training seeds."
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
            "Drawn by a fixed seed, those first that some models fell for and others withstood; of each method its "
            "first run. Marked: words that differ between the original and a perturbed text."
        ]
    else:
        section.paragraphs = ["No texts were kept (attack_results), so there are no examples to show."]
    return section


def _cost(groups: Sequence[Sequence[Run]]) -> Section:
    text = (
        "Wall-clock seconds on the machine of each run, means over seeds; training without evaluation and attacks. "
        "Views that an earlier run had cached cost their reading alone. Attacks: all epochs together. Forward passes "
        "of training for each batch of texts: a batch and its views in one pass are two, a twin's are its own, and a "
        "plain training before the method's counts; those of attacks that make views are in the seconds alone."
    )
    return Section("Cost", [text], tables=[cost_table(groups)])
