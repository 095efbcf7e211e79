"""Claims C1, C4 and C6 of the BAT paper on the committed results: what was measured, its interval, and a verdict.

    python benchmarks/claims.py          writes benchmarks/results/claims.json

Intervals of differences are those of `benchmarks.paired`. A claim *holds* where the whole interval lies on its side,
does *not* hold where it lies on the other side, and is *undecided* otherwise; it is *void* where a model has not left
chance.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.paired import VOID, accuracy_difference, accuracy_of, asr_difference, entry, read, runs_of
from hf_robust.metrics import Difference, wilson_interval
from hf_robust.metrics.paired import POINTS

RESULTS = Path(__file__).parent / "results"
EXPERIMENTS = Path(__file__).parent / "experiments"
METHODS = ("normal", "safer", "bat_pairwise", "bat_triplet")


def check(experiment: Path, chance: float) -> list[dict[str, Any]]:
    """Every claim about the methods that were run in one experiment; ``chance`` is the accuracy of guessing.

    A success rate or a distance of a model that has not left chance by ten points decides nothing.
    """
    run = [name for name in METHODS if runs_of(experiment, name)]
    guessing = [name for name in run if mean_accuracy(experiment, name) < chance + 0.1]
    found = [row for name in run for row in claims_about(experiment, name, run)]
    for row in found:
        if row["method"] in guessing and "accuracy" not in row["text"]:
            row["verdict"] = VOID
    return sorted(found, key=lambda row: row["claim"])


def mean_accuracy(experiment: Path, method: str) -> float:
    return statistics.mean(map(accuracy_of, runs_of(experiment, method)))


def claims_about(experiment: Path, method: str, run: list[str]) -> list[dict[str, Any]]:
    """What the paper claims of one method."""
    found: list[dict[str, Any]] = []
    if method == "safer":
        falls, rises = (asr_difference(experiment, "normal", "safer", attack) for attack in ("synonym", "antonym"))
        found.append(entry("C1", "safer lowers synonym ASR", falls, below=0.0))
        found.append(entry("C1", "safer raises antonym ASR", rises, above=0.0))
    elif method != "normal":
        for attack in ("synonym", "antonym"):
            difference = asr_difference(experiment, "normal", method, attack)
            found.append(entry("C4", f"{method} lowers {attack} ASR", difference, below=0.0))
        if "safer" in run:
            difference = asr_difference(experiment, "safer", method, "synonym")
            found.append(entry("C4", f"{method}'s synonym ASR stays above safer's", difference, above=0.0))
    if method != "normal":
        # For BAT this is in the paper's tables, not in its claim: both rates mean little where the task is unlearnt.
        difference = accuracy_difference(experiment, "normal", method)
        claim = "C1" if method == "safer" else "C4"
        found.append(entry(claim, f"{method} keeps accuracy within 1.6", difference, above=-1.6))
    return [{**row, "method": method} for row in [*found, distance_entry(experiment, method)]]


def distance_entry(experiment: Path, method: str) -> dict[str, Any]:
    """C6: the obstinate view lies further away than the fickle one in most texts after BAT, and only there."""
    measured = [read(run / "distances.json") for run in runs_of(experiment, method)]
    shares = [row["obstinate_further"] for row in measured]
    texts = measured[0]["texts"]
    low, high = wilson_interval(round(statistics.mean(shares) * texts), texts)
    bat = method.startswith("bat")
    side: dict[str, float] = {"above": 50.0} if bat else {"below": 50.0}
    share = Difference(POINTS * statistics.mean(shares), POINTS * low, POINTS * high, [POINTS * s for s in shares])
    mean: Callable[[str], float] = lambda key: statistics.mean(row[key] for row in measured)  # noqa: E731
    text = f"{method}: antonym view further than synonym view in {'most' if bat else 'less than half of the'} texts"
    return {**entry("C6", text, share, **side), "fickle": mean("fickle"), "obstinate": mean("obstinate")}


def check_all() -> dict[str, list[dict[str, Any]]]:
    """The experiments that compare methods; ablations have no claims of their own."""
    found = {}
    for path in sorted(EXPERIMENTS.glob("*.json")):
        experiment = read(path)
        if set(experiment.get("methods", ())) == set(METHODS) and runs_of(RESULTS / path.stem, "normal"):
            found[path.stem] = check(RESULTS / path.stem, chance=1 / len(experiment["args"]["class_names"]))
    return found


if __name__ == "__main__":
    (RESULTS / "claims.json").write_text(json.dumps(check_all(), indent=2) + "\n", encoding="utf-8")
