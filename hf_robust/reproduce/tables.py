"""Tables in the paper's layout with its numbers beside ours, and figures over the values of a flag."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_robust.reports import metric_label, save_figure, sweep_figure, sweep_note
from hf_robust.reports.document import Cell, Picture, Section, Table, inline_svg, number_cell, text_cell
from hf_robust.reports.guessing import DAGGER
from hf_robust.reports.overlays import OVERLAYS_NOTE, has_curves, overlaid_curves
from hf_robust.reports.sweeps import CELLS, is_rate, setting_cell, value_text
from hf_robust.reproduce.plan import catalog
from hf_robust.reproduce.results import Place, Results

NOTE = f"In brackets: the paper's number. {CELLS}"


def table_sections(results: Results, pictures: Path) -> list[Section]:
    """A table for each data set; a row for each model and setting."""
    settings = [setting for place in results.places if (setting := results.setting(place)).runs]
    section = Section("Ours beside the paper's", [sweep_note(settings, NOTE)])
    section.tables = [_table(results, data) for data in results.plan.data]
    if any(setting.guesses for setting in settings):
        section.items.append(
            f"{DAGGER}: a run hardly or not better than guessing; its rates under attack mean nothing."
        )
    return [section, *printed_sections(results.plan.item.printed)]


def figure_sections(results: Results, pictures: Path) -> list[Section]:
    """The figure over the item's flags, a panel for each setting, and its numbers as a table."""
    item = results.plan.item
    sections = table_sections(results, pictures)
    for data in results.plan.data:
        settings = [results.setting(place) for place in results.places if place.data == data]
        drawn = [setting for setting in settings if setting.runs]
        if not drawn:
            continue
        metrics = [results.plan.metric(column, data) for column in item.columns]
        panels = [flag for flag in ("robust_method", "model") if len({one.flags.get(flag) for one in drawn}) > 1]
        figure = sweep_figure(drawn, list(item.over[0]), metrics, panels)
        stem = f"{item.name}-{data}"
        _, svg = save_figure(figure, pictures, stem)
        title = f"{item.title} ({catalog()[data]['title']})"
        sections[0].pictures.append(Picture(stem, title, inline_svg(svg, stem, title)))
    return sections


def curve_sections(results: Results, pictures: Path) -> list[Section]:
    """Curves per epoch, mean and deviation over seeds, a picture for each data set, and the last epoch as a table."""
    item = results.plan.item
    sections = table_sections(results, pictures)
    for data in results.plan.data:
        runs = [run for cell, run in results.runs.items() if cell.data == data]
        if has_curves(runs):
            stem, title = f"{item.name}-{data}", f"{item.title} ({catalog()[data]['title']})"
            _, svg = save_figure(overlaid_curves(runs), pictures, stem)
            sections[0].pictures.append(Picture(stem, title, inline_svg(svg, stem, title)))
            sections[0].paragraphs.append(OVERLAYS_NOTE)
    return sections


def printed_sections(printed: Mapping[str, Any]) -> list[Section]:
    """The paper's own table, where its cells are not ours one by one."""
    if not printed:
        return []
    rows = [[_printed_cell(value) for value in row] for row in printed["rows"]]
    return [Section("The paper's numbers", tables=[Table("As printed", printed["header"], rows)])]


def _printed_cell(value: float | str | None) -> Cell:
    return number_cell(value, "g") if isinstance(value, (int, float)) else text_cell(value)


def _table(results: Results, data: str) -> Table:
    item = results.plan.item
    places = [place for place in results.places if place.data == data]
    several = len(item.models) > 1
    flags = list(item.over[0])
    metrics = {column: results.plan.metric(column, data) for column in item.columns}
    header = [*(["model"] if several else []), "setting", *flags, *(_head(*pair) for pair in metrics.items())]
    rows = []
    for place in places:
        lead = [*([place.model] if several else []), _marked(results, place)]
        values = [value_text(item.over[place.over][flag]) for flag in flags]
        rows.append([*map(text_cell, [*lead, *values]), *(_cell(results, place, *pair) for pair in metrics.items())])
    return Table(catalog()[data]["title"], header, rows)


def _marked(results: Results, place: Place) -> str:
    return f"{place.setting} {DAGGER}" if results.setting(place).guesses else place.setting


def _head(column: str, metric: str) -> str:
    arrow = metric_label(metric)[-1]
    return f"{column} {arrow}{', %' if is_rate(metric) else ''}"


def _cell(results: Results, place: Place, column: str, metric: str) -> Cell:
    """Ours, and the paper's in brackets; sorted by ours."""
    setting, printed = results.setting(place), results.printed(place, column)
    ours = setting_cell(setting, metric) if setting.runs else "–"
    text = f"{ours} ({printed:g})" if printed is not None else ours
    return Cell(text, setting.estimate(metric).value if setting.runs and setting.estimate(metric).known else None)
