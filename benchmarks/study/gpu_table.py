"""Tables of what one GPU measured, from `performance/gpu.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.study.paired import read
from hf_robust.reports import markdown_table

FILE = "gpu.json"
NONE = (
    "No card has measured this yet. Whoever has one runs `python -m benchmarks.performance.gpu`, which takes less "
    "than ten minutes and writes `benchmarks/results/gpu.json`."
)


def compact(results: Path) -> str:
    """A table for each measured part, or a sentence if nothing was measured."""
    if not (results / FILE).is_file():
        return f"{NONE}\n"
    return tables(read(results / FILE))


def tables(result: Mapping[str, Any]) -> str:
    """All tables of a result, after a line on the machine."""
    where, versions = result["machine"], result["versions"]
    head = (
        f"{where.get('gpu', where['device'])}, {result['model']}, {result['date']}, torch {versions['torch']}, "
        f"transformers {versions['transformers']}."
    )
    parts = [head]
    for name, part in result["parts"].items():
        title, table = PARTS[name]
        parts += [f"**{title}**", table(part).strip()]
    parts += [f"Not measured: {name}, {reason}." for name, reason in result["left_out"].items()]
    return "\n\n".join(parts) + "\n"


def _training(rows: list[dict[str, Any]]) -> str:
    cells = [
        [row["type"], f"`{row['method']}`", str(row["batch"]), f"{row['texts_per_second']:,.0f}", _share(row)]
        for row in rows
    ]
    return markdown_table(["type", "method", "batch", "texts a second", "GPU utilisation"], cells)


def _attack(rows: list[dict[str, Any]]) -> str:
    cells = []
    for row in rows:
        engine, single = row["engine"], row["one_at_a_time"]
        cells.append(
            [row["type"], f"`{row['recipe']}`", f"{engine['queries_per_second']:,.0f}"]
            + [f"{single['queries_per_second']:,.0f}", f"{row['speed_up']:.1f}", _share(engine), _share(single)]
        )
    header = [
        "type",
        "attack",
        "queries a second",
        "one example at a time",
        "ratio",
        "GPU utilisation",
        "one at a time",
    ]
    return markdown_table(header, cells)


def _budget(part: Mapping[str, Any]) -> str:
    kinds = list(part["types"])
    cells = []
    for rows in zip(*part["types"].values(), strict=True):
        budget = rows[0]["budget"]
        mark = " (the default)" if budget == part["default"] else ""
        seconds = ["out of memory" if "out_of_memory" in row else f"{row['seconds']:.2f}" for row in rows]
        cells.append([f"{budget:,}{mark}", *seconds])
    return markdown_table(["tokens in a batch", *(f"seconds, {kind}" for kind in kinds)], cells)


def _memory(part: Mapping[str, Any]) -> str:
    return (
        f"Batches of {part['asked']:,} tokens did not fit, and the engine went down to {part['lowered_to']:,}. The "
        f"logits of {part['texts']} texts differ from those of small batches by at most "
        f"{part['largest_difference']:.0e} (limit of memory: {part['limit']})."
    )


def _sharded(runs: Mapping[str, Any]) -> str:
    cells = []
    for name, run in runs.items():
        if "refused" in run:
            cells.append([f"`{name}`", f"refused: {run['refused']}", ""])
        else:
            differences = [run[key] or 0.0 for key in ("weights", "auxiliary", "saved_model")]
            cells.append([f"`{name}`", f"{max(differences):.0e}", "equal" if run["attacked_texts"] else "differ"])
    return markdown_table(["method", "largest difference of weights", "attacked texts"], cells)


def _cost(by_type: Mapping[str, Any]) -> str:
    names = list(dict.fromkeys(name for result in by_type.values() for name in result["methods"]))
    cells = []
    for name in names:
        rows = [result["methods"][name] for result in by_type.values()]
        cells.append(
            [f"`{name}`", *(f"{row['relative']['median']:.2f}" for row in rows)]
            + [f"{row['memory']['relative']:.2f}" for row in rows]
        )
    header = ["method", *(f"step, {kind}" for kind in by_type), *(f"memory, {kind}" for kind in by_type)]
    return markdown_table(header, cells)


def _share(row: Mapping[str, Any]) -> str:
    return "–" if row["utilization"] is None else f"{row['utilization']:.0f} %"


PARTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "training": ("Training", _training),
    "attack": ("Attacks: the engine, and one example at a time as TextAttack attacks", _attack),
    "budget": ("Seconds of an attack's texts in the model alone, by token budget", _budget),
    "memory": ("When a batch does not fit", _memory),
    "sharded": ("FSDP2 on one card against the whole model", _sharded),
    "cost": ("A step and its memory, relative to `normal`", _cost),
}
"""Title and table of each part of the result."""
