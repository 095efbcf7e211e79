"""What the committed starts of a large training set say."""

from __future__ import annotations

import json

from benchmarks.performance.large_data import STARTS
from benchmarks.study.large_data_table import FILE, compact
from benchmarks.study.stored import COMMITTED


def test_a_stream_of_a_million_rows_needs_a_tenth_of_the_memory() -> None:
    result = json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))
    assert result["rows"] == 1_000_000 and tuple(result["starts"]) == STARTS
    memory = {name: start["MB peak"] - start["MB before"] for name, start in result["starts"].items()}
    assert memory["streamed"] < min(memory[name] for name in STARTS if name != "streamed") / 10


def test_the_table_has_processor_seconds_and_memory() -> None:
    setting, _, table = compact(COMMITTED).partition("\n\n")
    assert setting.startswith("1,000,000 short texts")
    start = json.loads((COMMITTED / FILE).read_text(encoding="utf-8"))["starts"]["streamed"]
    last = [cell.strip() for cell in table.strip().splitlines()[-1].strip("|").split("|")]
    assert last == ["`--streaming`", f"{start['processor']:.1f}", f"{start['MB peak'] - start['MB before']:.0f}"]
