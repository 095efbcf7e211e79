"""Table of the starts of a large training set, from `performance/large_data.py`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.paired import read
from hf_robust.reports import markdown_table

FILE = "large_data.json"
STARTS = {
    "no cache": "in memory, tokens not stored",
    "first start": "in memory, tokens are stored",
    "second start": "in memory, stored tokens are read",
    "streamed": "`--streaming`",
}
HEADER = ["training rows", "processor time, s", "memory, MB"]


def compact(results: Path) -> str:
    """One row for each start: seconds of the processor to the first batch, and memory above the libraries' own."""
    result = read(results / FILE)
    rows = []
    for name, start in result["starts"].items():
        numbers = (start["processor"], start["MB peak"] - start["MB before"])
        rows.append([STARTS[name], *(f"{number:,.0f}" if number >= 10 else f"{number:.1f}" for number in numbers)])
    setting = (
        f"{result['rows']:,} short texts, {result['MB of csv']:,.0f} MB of csv, up to the first batch (streamed: 100 "
        "more); memory without that of the imported libraries and of mapped files:"
    )
    return f"{setting}\n\n{markdown_table(HEADER, rows).strip()}\n"
