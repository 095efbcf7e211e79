"""Table of the methods on shards of a model, from `experiments/sharded.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.study.paired import read
from hf_robust.reports import markdown_table

HEADER = ["method", "weights", "auxiliary module", "saved model", "attacked texts"]
FILE = "sharded.json"


def compact(results: Path) -> str:
    """One row for each run: how far its weights are from those of DDP, or why it is refused."""
    result = read(results / FILE)
    rows = [[f"`{name}`", *_cells(run)] for name, run in result["runs"].items()]
    versions = result["versions"]
    setting = (
        f"Maximum differences from DDP after {result['steps']} steps on {result['processes']} processes "
        f"({result['model']}, gloo on a CPU; torch {versions['torch']}, transformers {versions['transformers']}, "
        f"accelerate {versions['accelerate']}):"
    )
    return f"{setting}\n\n{markdown_table(HEADER, rows).strip()}\n"


def _cells(run: dict[str, Any]) -> list[str]:
    if "refused" in run:
        return [f"refused: {run['refused']}", "", "", ""]
    differences = [run[key] for key in ("weights", "auxiliary", "saved_model")]
    numbers = ["–" if value is None else f"{value:.0e}" if value else "0" for value in differences]
    return [*numbers, "equal" if run["attacked_texts"] else "differ"]
