"""Table of the memory of an attack by the number of texts, from `performance/attack_memory.py`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.paired import read
from hf_robust.reports import markdown_table

FILE = "attack_memory.json"
COLUMNS = ("MB of the rows", "MB of the attack", "MB with files", "MB with kernels")
HEADER = ["attack", "texts", "rows read", "attacked", "files written", "with torch's kernels", "records in files"]


def compact(results: Path) -> str:
    """Peak memory at each stage above that of an attack on 10 texts; what the code before took, in brackets."""
    cells = {(cell["code"], cell["attack"], cell["texts"]): cell for cell in read(results / FILE)["cells"]}
    rows = []
    for (code, attack, texts), cell in cells.items():
        if code == "after":
            before = cells.get(("before", attack, texts), {})
            numbers = [_beside(cell[column], before.get(column)) for column in COLUMNS]
            rows.append([f"`{attack}`", f"{texts:,}", *numbers, f"{cell['MB of the journal']:.1f}"])
    return f"{markdown_table(HEADER, rows).strip()}\n"


def _beside(number: float, before: float | None) -> str:
    return f"{number:.1f}" + ("" if before is None else f" ({before:.1f})")
