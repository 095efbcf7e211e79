"""How items are laid out: the one list of kinds of tables and figures, and of those that no tool makes yet.

A layout is a function of the results and of the folder for pictures and returns sections of the page. Who builds a
missing one moves its name from MISSING to LAYOUTS; its items then run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hf_robust.reports.document import Section
from hf_robust.reproduce.commands import command_sections, picture_sections
from hf_robust.reproduce.item import Item
from hf_robust.reproduce.results import Results
from hf_robust.reproduce.tables import curve_sections, figure_sections, table_sections

LAYOUTS: dict[str, Callable[[Results, Path], list[Section]]] = {
    "table": table_sections,
    "figure over flags": figure_sections,
    "curves over seeds": curve_sections,
    "command": command_sections,
    "pictures of runs": picture_sections,
}
READ_MODELS = {"command", "pictures of runs"}
"""Kinds that read whole run folders, and not only the numbers in them."""
MISSING: dict[str, str] = {
    "unknown": "its content, of which the project's notes of the paper say nothing",
}
"""Kind -> what is missing for it."""


def missing_tool(item: Item) -> str | None:
    """A sentence that says what an item waits for; None if it can run."""
    if item.layout not in MISSING:
        return None
    return f"{item.paper} {item.name} cannot be made yet; what is missing: {MISSING[item.layout]}."


def lay_out(results: Results, pictures: Path) -> list[Section]:
    """Sections of the item's page.

    Raises:
        ValueError: its kind has no tool yet.
    """
    item = results.plan.item
    sentence = missing_tool(item)
    if sentence is not None:
        raise ValueError(sentence)
    return LAYOUTS[item.layout](results, pictures)
