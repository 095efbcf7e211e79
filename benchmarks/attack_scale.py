"""Whether seconds grow with the number of examples, and memory does not."""

from __future__ import annotations

import gc
from collections.abc import Sequence

from benchmarks.attack_sides import Case, native
from benchmarks.stopwatch import Row
from hf_robust.attacks import Example

RECIPE = "synonym"
"""The cheapest: it ranks only words that have a substitute."""
_KEPT = ("seconds", "cpu_seconds", "model_share", "queries", "queries_per_second", "rss_mb_before", "rss_mb_peak")


def grow(case: Case, rows: Sequence[Example], sizes: Sequence[int]) -> list[Row]:
    """The attack on as many examples as each size says, from the smallest on, each with an empty plan."""
    found = []
    for size in sorted(sizes):
        examples = _examples(case, rows, size)
        # What the size before left behind would count as this one's memory.
        gc.collect()
        row, records = native(case, case.recipe(RECIPE), examples=examples)
        found.append(
            {
                "recipe": RECIPE,
                "examples": size,
                "distinct_texts": len({example.texts for example in examples}),
                **{name: row[name] for name in _KEPT},
                "seconds_per_example": row["seconds"] / size,
                "cpu_seconds_per_example": row["cpu_seconds"] / size,
                "rss_mb_growth": row["rss_mb_peak"] - row["rss_mb_before"],
                "succeeded": sum(record.status == "succeeded" for record in records),
            }
        )
    return found


def _examples(case: Case, rows: Sequence[Example], size: int) -> list[Example]:
    """The first ``size`` rows, and from the second time round their words rotated, so that no score is known yet.

    The label is what the model predicts, so that every example is attacked.
    """
    texts = [
        tuple(_rotated(column, number // len(rows)) for column in rows[number % len(rows)].texts)
        for number in range(size)
    ]
    labels = case.new_victim().probabilities(texts).argmax(-1)
    return [Example(number, one, int(label)) for number, (one, label) in enumerate(zip(texts, labels, strict=True))]


def _rotated(column: str, turns: int) -> str:
    words = column.split(" ")
    turn = turns % len(words)
    return " ".join(words[turn:] + words[:turn])
