"""The page of runs: for each run behind a check its committed line, its numbers, and how to print its run card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.study.paired import read
from benchmarks.study.stored import lines_of
from benchmarks.study.titles import title
from hf_robust.reports import load_evaluated, markdown_table, percent

PAGE = "../docs/generated/results/runs.md"
STUDY = "study.json"
CARD = "python -m benchmarks.study.stored"


def page(results: Path) -> str:
    """The whole page."""
    claims = read(results / STUDY)
    experiments = dict.fromkeys(row["experiment"] for claim in claims.values() for row in claim["checks"])
    parts = [
        "# Runs behind the claims",
        "Each check of [the claims](../docs/generated/results/study.md) links to its experiment here. A run is "
        f"one line of the experiment's file in `benchmarks/results`; `{CARD} EXPERIMENT/RUN` prints its run card: "
        "data with fingerprint, arguments, versions, hardware, seconds. *Saturated* is the largest share of the "
        "queries of an attack at which float32 cannot tell a probability from 1, so that the search was blind; where "
        "it is above 5 %, the check is void.",
        *(table(results / name) for name in experiments if lines_of(name)),
    ]
    return "\n\n".join(parts) + "\n"


def table(folder: Path) -> str:
    """The section of one experiment."""
    name, lines = folder.name, lines_of(folder.name)
    runs = [(run, line) for run, line in lines.items() if (folder / run / "run_card.json").is_file()]
    rows = [run_row(folder / run, line) for run, line in runs]
    file = f"[`benchmarks/results/{name}.jsonl`](results/{name}.jsonl)"
    head = f"{title(name)}: {file}. For example `{CARD} {name}/{runs[0][0]}`."
    header = ["run", "line", "clean accuracy", "robust accuracy and success rate, by attack", "saturated", "data"]
    return f"## {name}\n\n{head}\n\n{markdown_table(header, rows)}"


def run_row(folder: Path, line: int) -> list[str]:
    """The row of one run."""
    run = load_evaluated(folder)
    kept = run.published
    rates = ", ".join(f"{name} {rate(found)}" for name, found in kept.get("attacks", {}).items())
    shown = (rates or "–", saturated(kept.get("attacks", {})), str(run.data.get("fingerprint", "–")))
    return [folder.name, str(line), percent(kept["accuracy"]), *shown]


def saturated(attacks: dict[str, dict[str, Any]]) -> str:
    """The largest share of an attack's queries at which a probability cannot be told from 1; older runs have none."""
    shares = [found["saturated_share"] for found in attacks.values() if "saturated_share" in found]
    return percent(max(shares)) if shares else "–"


def rate(found: dict[str, Any]) -> str:
    """Robust accuracy under an attack, where it has one, and its success rate."""
    success = f"success {percent(found['asr'])}"
    return f"{percent(found['robust_accuracy'])} ({success})" if "robust_accuracy" in found else success


def linked(row: dict[str, Any]) -> str:
    """The settings that a check compares, linked to their experiment on the page."""
    names = ", ".join(dict.fromkeys(row["runs"]))
    return f"[{names}]({PAGE}#{row['experiment']})" if lines_of(row["experiment"]) else names
