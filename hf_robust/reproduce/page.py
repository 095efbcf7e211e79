"""The page of an item, its Markdown and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hf_robust import __version__
from hf_robust.reports import value_text
from hf_robust.reports.document import Cell, Document, Section, Table, page, text_cell
from hf_robust.reports.markdown import markdown
from hf_robust.reproduce.commands import MEASURED, OVER_SEEDS
from hf_robust.reproduce.layouts import lay_out
from hf_robust.reproduce.over_seeds import CAPTION
from hf_robust.reproduce.plan import Plan
from hf_robust.reproduce.results import Results
from hf_robust.runs import RUN_CARD_FILE, redact, write_json, write_text
from hf_robust.sweep.summary import estimate_of


def write_item(results: Results) -> str:
    """Write ``<item>.html``, ``.md`` and ``.json`` beside the runs; return the results as Markdown.

    Raises:
        ValueError: the item waits for a tool, or a command that it needs fails.
    """
    item, folder = results.plan.item, results.folder
    shown = _document(results)
    document = replace(shown, sections=[*shown.sections, *_provenance(results)])
    write_text(folder / f"{item.name}.html", page(document))
    write_text(folder / f"{item.name}.md", markdown(document))
    write_json(folder / f"{item.name}.json", {**numbers(results), "measured": list(measured(shown))})
    return markdown(shown)


def _document(results: Results) -> Document:
    plan = results.plan
    item, scale = plan.item, plan.scale
    size = "The paper's own size." if scale.whole else "What differs from the paper's:"
    about = Section("Scale", [f"Scale {scale.name}. {size}"], items=plan.changes())
    missing = list(results.missing())
    warnings = (
        [f"{len(missing)} of {len(plan.points)} runs are not finished: {', '.join(missing)}."] if missing else []
    )
    introduction = f"{item.source}, at scale {scale.name}; {runs_in_words(len(results.runs), item.seeds)}."
    return Document(item.title, introduction, warnings, [*lay_out(results, results.folder), about])


def runs_in_words(count: int, seeds: Sequence[int]) -> str:
    """Number of runs and their seeds, as a clause."""
    named = ", ".join(map(str, seeds))
    return f"{count} run{'s' * (count != 1)}, seed{'s' * (len(seeds) != 1)} {named}"


def _provenance(results: Results) -> Iterator[Section]:
    """Sources of the settings, what is not known of the paper, and the runs with their run cards."""
    plan = results.plan
    yield Section("Where the settings are from", items=list(_sources(plan)))
    if plan.item.open:
        yield Section("Not known of the paper", items=list(plan.item.open))
    flags = list(plan.item.over[0])
    rows = []
    for cell, run in results.runs.items():
        folder = run.path.relative_to(results.folder).as_posix()
        values = [value_text(plan.item.over[cell.over][flag]) for flag in flags]
        link = Cell("run card", link=f"{folder}/{RUN_CARD_FILE}")
        rows.append([*map(text_cell, (cell.data, cell.model, cell.setting, *values, cell.seed)), link])
    header = ["data", "model", "setting", *flags, "seed", "run card"]
    yield Section("Runs", tables=[Table("Each with its run card", header, rows)])


def _sources(plan: Plan) -> Iterator[str]:
    """The source of each flag that the item's runs have."""
    used = {flag for point in plan.points.values() for flag in point.flags} | {"seeds"}
    for name, text in plan.item.sources.items():
        setting, _, flag = name.rpartition(".")
        if flag in used and (not setting or setting in plan.item.settings):
            yield f"{name}: {text}"


def numbers(results: Results) -> dict[str, Any]:
    """Every cell with its runs and the paper's number, JSON-ready; rates are in [0, 1], the paper's as printed."""
    plan = results.plan
    return {
        "paper": plan.item.paper,
        "item": plan.item.name,
        "source": plan.item.source,
        "scale": plan.scale.name,
        "changes": plan.changes(),
        "version": __version__,
        "cells": list(_cells(results)),
        "runs": {run.path.name: _card(run.card) for run in results.runs.values()},
        "missing": list(results.missing()),
    }


def measured(document: Document) -> Iterator[dict[str, Any]]:
    """The tables that the item's command made, over seeds if it has several, as texts."""
    sections = {section.title: section for section in document.sections}
    chosen = [sections[OVER_SEEDS]] if OVER_SEEDS in sections else document.sections
    for section in chosen:
        for table in section.tables:
            if table.caption in (MEASURED, CAPTION):
                rows = [[cell.text for cell in row] for row in table.rows]
                yield {"title": section.title, "header": list(table.header), "rows": rows}


def _cells(results: Results) -> Iterator[dict[str, Any]]:
    plan = results.plan
    for place in results.places:
        setting = results.setting(place)
        for column in plan.item.columns:
            metric = plan.metric(column, place.data)
            yield {
                "data": place.data,
                "model": place.model,
                "setting": place.setting,
                **plan.item.over[place.over],
                "column": column,
                "metric": metric,
                **(estimate_of(setting, metric) if setting.count(metric) else {"n": 0}),
                "guesses": setting.guesses,
                "paper": results.printed(place, column),
                "runs": [run.path.name for run in setting.runs],
            }


def _card(card: Mapping[str, Any]) -> Any:
    """The parts of a run card that say what was run."""
    return redact({key: card[key] for key in ("method", "model", "config", "seed", "data", "seconds") if key in card})
