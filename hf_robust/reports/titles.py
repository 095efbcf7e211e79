"""What tables, pictures and cards call the data of a run: its name, and the split or file that was measured."""

from __future__ import annotations

import re

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
