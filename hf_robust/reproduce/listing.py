"""What can be reproduced, and what it takes: the list of items, and the runs of one item before they start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_robust.reports import markdown_table
from hf_robust.reproduce import item as item_files
from hf_robust.reproduce.item import Item, items, papers, read_item
from hf_robust.reproduce.layouts import MISSING
from hf_robust.reproduce.needs import needs, require_needs
from hf_robust.reproduce.plan import Plan
from hf_robust.reproduce.scale import scale_of
from hf_robust.runs import Flags, read_json
from hf_robust.sweep.output import fetched
from hf_robust.sweep.runs import folder_of, is_finished

RECORDED = "results"
"""Folder of a paper with the numbers of items that were run: ``<item>-<scale>.json``."""


def recorded_scales(item: Item) -> list[str]:
    """Scales at which an item was run for this package, with the number of runs if it has more."""
    found = []
    for path in sorted((item_files.PAPERS / item.paper / RECORDED).glob(f"{item.name}-*.json")):
        numbers, scale = read_json(path), path.stem.rpartition("-")[2]
        done, whole = len(numbers["runs"]), len(Plan(item, scale_of(item, scale)).points)
        found.append(f"{scale} ({done} of {whole} runs)" if done < whole else scale)
    return found


def table_of_items(paper: str | None = None, name: str | None = None) -> str:
    """A Markdown table: each item, what it shows, what it waits for, and the scales at which it was run here.

    Args:
        paper: the only paper to list.
        name: the only item of that paper to list.

    Raises:
        ValueError: there is no such paper or item.
    """
    rows = []
    for one in [paper] if paper else papers():
        for item in (read_item(one, known) for known in ([name] if name else items(one))):
            state = f"waits for: {MISSING[item.layout]}" if item.layout in MISSING else ""
            rows.append([one, item.name, item.title, ", ".join(recorded_scales(item)) or state or "not run here"])
    return markdown_table(["paper", "item", "shows", "run here at"], rows)


def dry_run(plan: Plan, address: str) -> str:
    """The runs of an item with what they change, what they read, what of it is missing, and how long they take.

    Raises:
        ValueError: the item or a run is wrong.
    """
    plan.check()
    with fetched(address) as folder:
        folders = [folder_of(folder, point) for point in plan.points.values()]
        rows = [f"{'finished' if is_finished(run) else 'to run  '}  {run.name}" for run in folders]
    every = [point.flags for point in plan.points.values()]
    return "\n".join(
        [
            f"{plan.item.source}: {plan.item.title}",
            *plan.changes(),
            *rows,
            f"Reads: {', '.join(needs(every))}.",
            *_missing(every, plan),
            f"{len(rows)} runs in {address}, about {plan.hours():.1f} hours on two CPU cores.",
        ]
    )


def _missing(every: Sequence[Flags], plan: Plan) -> Iterator[str]:
    try:
        require_needs(every, plan.files)
    except ValueError as error:
        yield f"Cannot run yet: {error}"
