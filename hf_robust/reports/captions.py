"""Texts for titles and captions: name of the data, measured split or file, and numbers of examples."""

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
    """Name of the data set; for local files, the name of the evaluated file and not of the training file."""
    name = str(run.data.get("name") or run.data.get("variant") or "")
    return (measured_file(run) or name) if _FILE.search(name) else name


def data_title(run: Run) -> str:
    """Data set with its measured part, as ``reviews (validation.jsonl.gz)`` or ``glue/sst2 (validation)``.

    Empty if the run card does not name the data.
    """
    name, part = dataset_name(run), measured_file(run) or str(run.data.get("attack_split") or "")
    return f"{name} ({part})" if name and part and part != name else name


def run_title(run: Run) -> str:
    """Method and data of a run, for titles."""
    name = data_title(run)
    return f"{run.method} on {name}" if name else run.method


def measured_file(run: Run) -> str:
    """Name of the evaluated file; empty if the data are not from a file."""
    match = _MEASURED.search(str(run.data.get("variant") or ""))
    return match[1] if match and _FILE.search(match[1]) else ""


def wrapped(lines: Iterable[str], letters: int) -> str:
    """Join the non-empty lines, wrapped at ``letters`` characters, with dollar signs escaped for matplotlib."""
    return "\n".join(part for line in lines if line for part in textwrap.wrap(line.replace("$", r"\$"), letters))


def attacked_in_words(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Sentence with the numbers of examples and of attacked examples of each attack, over several epochs or runs.

    >>> attacked_in_words({"synonym": [{"num_examples": 120, "num_attacked": 79}, {"num_attacked": 81}]})
    'attacked of N = 120: synonym 79 to 81'
    """
    examples = {name: _counts(lines, "num_examples") for name, lines in results.items()}
    attacked = {name: counts for name, lines in results.items() if (counts := _counts(lines, "num_attacked"))}
    sizes = {count for counts in examples.values() for count in counts}
    if not attacked:
        return f"examples given to attacks: N = {_span(sizes)}" if sizes else ""
    if len(sizes) == 1:
        if len(set(map(tuple, attacked.values()))) == 1 and len(attacked) > 1:
            return f"attacked of N = {_span(sizes)}: {_span(next(iter(attacked.values())))} by each attack"
        return f"attacked of N = {_span(sizes)}: {', '.join(f'{name} {_span(n)}' for name, n in attacked.items())}"
    parts = (
        f"{name} {_span(n)}{f' of {_span(examples[name])}' if examples[name] else ''}" for name, n in attacked.items()
    )
    return f"attacked: {', '.join(parts)}"


def _counts(results: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    return sorted({int(value) for one in results if math.isfinite(value := one.get(key, math.nan))})


def _span(counts: Iterable[int]) -> str:
    """Range of the counts, as ``79 to 81``; a single number if all are equal."""
    values = sorted(set(counts))
    return f"{values[0]:,}" if len(values) == 1 else f"{values[0]:,} to {values[-1]:,}"
