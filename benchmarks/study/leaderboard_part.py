"""The leaderboards of the submitted runs, ``benchmarks/leaderboard/NAME``: one for each standard and data set."""

from __future__ import annotations

from pathlib import Path

from benchmarks.study.stored import ROOT
from hf_robust.reports import load_leaderboard, table_of_entries
from hf_robust.runs import load_run

SUBMITTED = ROOT / "benchmarks" / "leaderboard"
NONE = "No run with a standard evaluation has been submitted yet."


def boards(submitted: Path = SUBMITTED) -> dict[tuple[str, str], list[Path]]:
    """Folders of the runs by name of the standard and fingerprint of the data."""
    found: dict[tuple[str, str], list[Path]] = {}
    for folder in sorted(path for path in submitted.glob("*") if path.is_dir()):
        run = load_run(folder)
        standard = run.published.get("standard") or {}
        found.setdefault((str(standard.get("name")), str(run.data.get("fingerprint"))), []).append(folder)
    return found


def compact(results: Path) -> str:
    """A table for each leaderboard, or a sentence if nothing was submitted."""
    parts = []
    for (standard, _), folders in boards().items():
        entries = load_leaderboard(folders)
        parts += [f"**{standard}**, {entries[0].data_name}:", table_of_entries(entries).strip()]
    return "\n\n".join(parts or [NONE]) + "\n"
