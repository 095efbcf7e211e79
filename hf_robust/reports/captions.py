"""What stands below pictures: over how many examples their rates are.

What tables, pictures and cards call the data of a run: its name, and the split or file that was measured.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_robust.runs import Run

_FILE = re.compile(r"\.(csv|tsv|jsonl?|parquet)(\.gz)?$", flags=re.IGNORECASE)
_MEASURED = re.compile(r"(?:^|; )validation: (.+?) \(\d+ rows\)")


def dataset_name(run: Run) -> str:
    """The name of the data; where that is a file's, of the file that was measured, not of the one trained on."""
    name = str(run.data.get("name") or run.data.get("variant") or "")
    return (measured_file(run) or name) if _FILE.search(name) else name


def data_title(run: Run) -> str:
    """``reviews (validation.jsonl.gz)``, ``glue/sst2 (validation)``: the data and what of it was measured.

    Empty where the run card does not name the data.
    """
    name, part = dataset_name(run), measured_file(run) or str(run.data.get("attack_split") or "")
    return f"{name} ({part})" if name and part and part != name else name


def run_title(run: Run) -> str:
    """What was trained, or measured by a command, and the data that its numbers are of."""
    name = data_title(run)
    return f"{run.method} on {name}" if name else run.method


def measured_file(run: Run) -> str:
    """The file of the rows that were measured; empty where they are no file's."""
    found = _MEASURED.search(str(run.data.get("variant") or ""))
    return found[1] if found and _FILE.search(found[1]) else ""


def wrapped(lines: Iterable[str], letters: int) -> str:
    """Lines that are not empty, each broken where it is longer than a picture is wide, without any mathematics."""
    return "\n".join(part for line in lines if line for part in textwrap.wrap(line.replace("$", r"\$"), letters))


def attacked_in_words(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """How many examples each attack attacked of those it was given, over several epochs or runs.

    >>> attacked_in_words({"synonym": [{"num_examples": 120, "num_attacked": 79}, {"num_attacked": 81}]})
    'attacked of N = 120: synonym 79 to 81'
    """
    given = {name: _counts(found, "num_examples") for name, found in results.items()}
    attacked = {name: counts for name, found in results.items() if (counts := _counts(found, "num_attacked"))}
    of = {count for counts in given.values() for count in counts}
    if not attacked:
        return f"examples given to attacks: N = {_span(of)}" if of else ""
    if len(of) == 1:
        if len(set(map(tuple, attacked.values()))) == 1 and len(attacked) > 1:
            return f"attacked of N = {_span(of)}: {_span(next(iter(attacked.values())))} by each attack"
        return f"attacked of N = {_span(of)}: {', '.join(f'{name} {_span(n)}' for name, n in attacked.items())}"
    said = (f"{name} {_span(n)}{f' of {_span(given[name])}' if given[name] else ''}" for name, n in attacked.items())
    return f"attacked: {', '.join(said)}"


def _counts(results: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    return sorted({int(value) for one in results if math.isfinite(value := one.get(key, math.nan))})


def _span(counts: Iterable[int]) -> str:
    """The least and the greatest of some counts, or the one that they are."""
    known = sorted(set(counts))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
