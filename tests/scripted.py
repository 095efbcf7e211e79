"""An attack with a fixed outcome for every example, which counts the models that it attacks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hf_robust.attacks import Example
from hf_robust.metrics import AttackRecord


def record(idx: int, status: str = "succeeded", texts: tuple[str, ...] = ("good film",), **known: Any) -> AttackRecord:
    """The record of an example; what a test does not name is of no importance to it."""
    fields: dict[str, Any] = {
        "label": 0,
        "original": list(texts),
        "perturbed": [f"{text} very" for text in texts],
        "changed": [],
        "queries": 2,
        "original_prediction": 0,
        "perturbed_prediction": int(status == "succeeded"),
        "original_score": 0.9,
        "perturbed_score": 0.1,
        "stop": "success" if status == "succeeded" else "exhausted",
        "num_candidates": 1,
    }
    return AttackRecord(idx=idx, status=status, **{**fields, **known})


class Scripted:
    """Asks the victim once for each example; ``statuses`` by ``idx``, else success.

    It raises before example number ``stops_after`` of a call, as a machine that goes down would.
    """

    skip_labels: frozenset[int] = frozenset()
    needs_candidates = False
    own_examples = None

    def __init__(
        self, statuses: Mapping[int, str] | None = None, *, name: str = "scripted", stops_after: int | None = None
    ) -> None:
        self.statuses, self.name, self.seed, self.stops_after = dict(statuses or {}), name, 0, stops_after
        self.attacked: list[int] = []

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "statuses": {str(key): value for key, value in self.statuses.items()}}

    def fingerprint(self) -> str:
        return hashlib.blake2b(json.dumps(self.describe()).encode(), digest_size=8).hexdigest()

    def run(self, victim: Any, waiting: Iterable[Example], seed: int) -> Iterator[AttackRecord]:
        for place, example in enumerate(waiting):
            if place == self.stops_after:
                raise RuntimeError("power cut")
            self.attacked.append(example.idx)
            victim.probabilities([example.texts])
            yield record(example.idx, self.statuses.get(example.idx, "succeeded"), example.texts, label=example.label)
