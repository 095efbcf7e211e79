"""Items that a command of `hf-robust` makes from the runs: its tables and pictures become sections of the page.

In the words of the command, ``{runs}`` stands for the folders of all settings, ``{run:SETTING}`` for one of them,
``{records:SETTING:ATTACK}`` for its attack results, ``{validation}`` for the evaluated file or data set, and
``{FLAG}`` for the runs' value of another flag. A command with ``{run}`` is called for each setting, whose results are
``{records:ATTACK}``. The models of each seed are measured apart, and their tables averaged over seeds. What a command
printed is kept beside its pictures, so that it measures a model once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hf_robust import __version__
from hf_robust.reports.document import Cell, Picture, Section, Table, inline_svg, text_cell
from hf_robust.reproduce.over_seeds import Lead, over_seeds
from hf_robust.reproduce.results import Results
from hf_robust.reproduce.tables import printed_sections, table_sections
from hf_robust.runs import METRICS_FILE, Flags, Run, read_json, write_json
from hf_robust.sweep.checks import fill

OVER_SEEDS, MEASURED = "Over seeds", "Measured"
PRINTED = "_printed.json"
EACH, RUNS, RUN, RECORDS, VALIDATION = "{run}", "{runs}", "{run:", "{records:", "{validation}"


def command_sections(results: Results, pictures: Path) -> list[Section]:
    """The measured columns, if the item has some, and what the command makes of the models, over seeds and of each."""
    item = results.plan.item
    sections = table_sections(results, pictures) if item.columns else printed_sections(item.printed)
    made: dict[Lead, list[Section]] = {}
    for group, runs in whole_groups(results):
        calls = list(runs) if EACH in item.command else [""]
        for setting in calls:
            title = f"{group.data} {group.model} seed {group.seed} {setting}".strip()
            words, folder = command_words(results, runs, setting), pictures / f"{item.name} {title}".replace(" ", "-")
            tables = [_with_settings(table, runs) for table in _tables(printed(words, folder, runs.values()))]
            drawn = _pictures(sorted(folder.glob("*.svg")), item.title, pictures)
            section = Section(title, tables=tables, pictures=drawn)
            made.setdefault((group.data, group.model, setting), []).append(section)
    of_seeds = {place: [section.tables for section in parts] for place, parts in made.items()}
    if any(len(tables) > 1 for tables in of_seeds.values()):
        sections.append(Section(OVER_SEEDS, tables=over_seeds(of_seeds, ("data", "model", "setting"))))
    return [*sections, *(section for parts in made.values() for section in parts)]


def picture_sections(results: Results, pictures: Path) -> list[Section]:
    """The pictures that the runs drew themselves, whose stems the item's command names."""
    item, sections = results.plan.item, table_sections(results, pictures)
    for group, runs in whole_groups(results):
        section = Section(f"{group.data} {group.model} seed {group.seed}")
        for setting, run in runs.items():
            for stem in item.command:
                section.pictures += _pictures([run.path / f"{stem}.svg"], f"{setting}: {item.title}", pictures)
        sections.append(section)
    return sections


class Group(NamedTuple):
    """The runs of one data set, model and seed."""

    data: str
    model: str
    seed: int


def whole_groups(results: Results) -> Iterator[tuple[Group, dict[str, Run]]]:
    """The models of one seed on one data set, setting -> run, where all settings are finished."""
    plan = results.plan
    for data in plan.data:
        for model in plan.models:
            for seed in plan.item.seeds:
                runs = {
                    cell.setting: run
                    for cell, run in results.runs.items()
                    if cell[:2] == (data, model) and cell.seed == seed
                }
                if len(runs) == len(plan.item.settings):
                    yield Group(data, model, seed), runs


def command_words(results: Results, runs: Mapping[str, Run], setting: str) -> list[str]:
    """The words of the command for these runs; ``setting`` is the one of a command that is called for each."""
    first = next(iter(runs.values()))
    point = next(point for cell, point in results.plan.points.items() if results.runs.get(cell) is first)
    flags = fill(point.flags, results.plan.files)
    return [part for word in results.plan.item.command for part in _meant(word, runs, setting, flags)]


def _meant(word: str, runs: Mapping[str, Run], setting: str, flags: Flags) -> list[str]:
    if word == RUNS:
        return [str(run.path) for run in runs.values()]
    if word == EACH:
        return [str(runs[setting].path)]
    if word.startswith(RUN):
        return [str(runs[word[len(RUN) : -1]].path)]
    if word.startswith(RECORDS):
        name, _, attack = word[len(RECORDS) : -1].rpartition(":")
        run = runs[name or setting]
        return [str(run.records_file(run.published, attack))]
    if word == VALIDATION:
        return [str(flags.get("validation_file") or flags.get("task_name") or flags["dataset_name"])]
    if word.startswith("{"):
        value = flags[word[1:-1]]
        return list(map(str, value)) if isinstance(value, list) else [str(value)]
    return [word]


def printed(words: Sequence[str], folder: Path, runs: Iterable[Run]) -> str:
    """What a command prints; it is called once, and again if a word, this package or one of its ``runs`` changes."""
    kept, key = read_json(file := folder / PRINTED), {"words": [*words], "version": __version__}
    if key.items() <= kept.items() and file.stat().st_mtime > max(_end_of(run) for run in runs):
        return str(kept["printed"])
    command = [sys.executable, "-m", "hf_robust.cli", *words, "--output_dir", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it printed nothing"])[-1]
        raise ValueError(f"the command of {folder.name} failed: {reason}")
    write_json(file, {**key, "printed": done.stdout})
    return done.stdout


def _end_of(run: Run) -> float:
    return (run.path / METRICS_FILE).stat().st_mtime


def _with_settings(table: Table, runs: Mapping[str, Run]) -> Table:
    """The table with the item's settings in place of the folders of their runs, which differ between seeds."""
    names = {run.path.name: setting for setting, run in runs.items()}
    rows = [
        [Cell(next((setting for name, setting in names.items() if name in cell.text), cell.text)) for cell in row]
        for row in table.rows
    ]
    return replace(table, rows=rows)


def _pictures(files: Sequence[Path], title: str, beside: Path) -> list[Picture]:
    """Pictures for the page, whose stems are their paths beside it."""
    found = []
    for file in files:
        stem = file.relative_to(beside).with_suffix("").as_posix()
        found.append(Picture(stem, title, inline_svg(file, stem.replace("/", "-"), title)))
    return found


def _tables(text: str) -> Iterator[Table]:
    """The Markdown tables that the command printed."""
    lines: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip().strip("|").split("|")])
        elif lines:
            header, _, *rows = lines
            yield Table(MEASURED, header, [[text_cell(cell) for cell in row] for row in rows])
            lines = []
