"""From the seconds of each round to relative costs, what counted passes explain of them, and pairs of methods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.passes import KINDS
from hf_robust.trainers import METHODS

Row = dict[str, Any]
Round = Mapping[str, Mapping[str, float]]
"""Seconds of one step of each method, by each clock."""

PAPER_RATIOS = {"adaptive_pgd": (1.011, 0.02), "adaptive_freelb": (1.178, 0.10), "adaptive_tavat": (1.188, 0.10)}
"""Adaptive method -> ratio of its seconds to the wrapped method's in AdaptAT's Table 10 (k = 5, SST-2), and our goal
for what it costs beyond the wrapped method once both are divided by what their counted passes cost."""

OVERHEAD_GOAL = 0.05


def spread(values: Iterable[float]) -> Row:
    """Median, smallest and largest of the rounds."""
    found = sorted(values)
    return {"median": median(found), "low": found[0], "high": found[-1]}


def expected_seconds(counts: Mapping[str, float], passes: Round, normal: float, clock: str) -> float:
    """Seconds that a step would take if nothing cost beyond its passes and what `normal` spends beside its own.

    The optimizer, the data loader and the Trainer's own work are in ``normal``, the seconds of one step of it.
    """
    own = passes["forward"][clock] + passes["backward"][clock]
    return sum(counts.get(kind, 0.0) * passes[kind][clock] for kind in KINDS) + normal - own


def summary(
    rounds: Sequence[Round], passes: Sequence[Round], counts: Mapping[str, Mapping[str, float]], clock: str
) -> dict[str, Row]:
    """Each method's seconds, cost relative to `normal`, and overhead: measured over expected seconds, less one.

    Ratios are taken within a round and then summed up, so that what slows a whole round down cancels.
    """
    found: dict[str, Row] = {}
    for name in rounds[0]:
        expected = [
            expected_seconds(counts[name], units, one["normal"][clock], clock)
            for one, units in zip(rounds, passes, strict=True)
        ]
        measured = [one[name][clock] for one in rounds]
        found[name] = {
            "counts": {kind: counts[name].get(kind, 0.0) for kind in KINDS},
            "seconds": spread(one[name]["seconds"] for one in rounds),
            "cpu_seconds": spread(one[name]["cpu_seconds"] for one in rounds),
            "between_steps": spread(one[name][f"between_{clock}"] for one in rounds),
            "relative": spread(one[name][clock] / one["normal"][clock] for one in rounds),
            "expected": spread(wanted / one["normal"][clock] for wanted, one in zip(expected, rounds, strict=True)),
            "overhead": spread(got / wanted - 1 for got, wanted in zip(measured, expected, strict=True)),
        }
    return found


def pairs(
    rounds: Sequence[Round], passes: Sequence[Round], counts: Mapping[str, Mapping[str, float]], clock: str
) -> dict[str, Row]:
    """Adaptive methods beside what they wrap: the plain ratio, and the ratio per counted pass less one."""
    found = {}
    for name, (paper, goal) in PAPER_RATIOS.items():
        wrapped: str = METHODS[name].wraps  # type: ignore[attr-defined]
        if name not in rounds[0] or wrapped not in rounds[0]:
            continue
        ratios, beyond = [], []
        for one, units in zip(rounds, passes, strict=True):
            normal = one["normal"][clock]
            above, below = (expected_seconds(counts[each], units, normal, clock) for each in (name, wrapped))
            ratios.append(one[name][clock] / one[wrapped][clock])
            beyond.append(ratios[-1] / (above / below) - 1)
        row: Row = {"ratio": spread(ratios), "paper": paper, "beyond_passes": spread(beyond), "goal": goal}
        found[f"{name}/{wrapped}"] = row | {"within_goal": row["beyond_passes"]["median"] <= goal}
    return found
