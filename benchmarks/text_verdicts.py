"""How a claim about text views becomes a row: what was measured, its interval, the verdict and its reason."""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks.checks import Row, judged
from benchmarks.paired import verdict
from benchmarks.text_measures import ATTACK
from benchmarks.text_runs import Compared, TextExperiment

NORMAL = "normal"
CLEAN_LOSS = 1.5


def claim(
    one: TextExperiment, number: str, text: str, found: Compared | None, models: tuple[str, ...], **more: Any
) -> list[Row]:
    """One row, or none where there is nothing to compare. ``above``, ``below``: the side on which the claim holds.

    ``models``, ``control`` and ``void`` are those of `benchmarks.checks.judged`, the control first.
    """
    if found is None:
        return []
    limits = {key: more.pop(key) for key in ("above", "below") if key in more}
    told = {key: more.pop(key) for key in ("control", "void") if key in more}
    row = {"claim": number, "text": text, **found.found._asdict(), "verdict": verdict(found.found, **limits)}
    row |= {"unit": found.unit, "examples": found.examples, "seeds": list(found.seeds), "paper": None, **more}
    row["why"] = reason(found, row["verdict"], limits)
    return [judged(one, row, models, **told)]


def reason(found: Compared, decided: str, limits: dict[str, float]) -> str:
    """Where the interval lies, how wide it is, and how far the seeds are apart."""
    wanted = " and ".join(f"{key} {limit:g}" for key, limit in limits.items())
    said = {
        "holds": f"the whole interval is {wanted}",
        "does not hold": f"no part of the interval is {wanted}",
        "undecided": f"the interval (half width {found.width:.2g}) is not wholly {wanted}",
    }[decided]
    values = found.found.by_seed
    seeds = f"{len(values)} seeds, sd {statistics.stdev(values):.2g}" if len(values) > 1 else "one seed"
    return f"{said}; {seeds}"


def trained_on(attack: str) -> str:
    return " (trained on)" if attack == ATTACK else ""
