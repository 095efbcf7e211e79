"""What an attack did to one example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATUSES = ("succeeded", "failed", "skipped")


@dataclass
class AttackRecord:
    """The result of one attack on one example.

    ``status`` is ``skipped`` where the attack was not tried (the clean text is misclassified, or its label is one the
    attack leaves out), ``succeeded`` where the goal was reached, else ``failed``; then ``perturbed`` is the last text
    that improved the goal's score. ``stop`` says why the search ended: ``success``, ``exhausted``, ``budget``,
    ``time``, ``no_candidates`` (no text to ask was found), ``warm_start``, ``misclassified`` or ``skip_label``.

    ``changed`` holds ``[word index in the original, old, new]``; ``new`` is empty for a deleted word and may be two
    words for an inserted one. ``queries`` counts every text shown to the goal, the clean one included; scores are the
    probability of the true label. ``num_candidates`` counts the admissible substitutes over all positions. ``remains``
    belongs to attacks whose goal is that the prediction stays (antonym, negation): some admissible candidate kept it;
    None for the others. ``near_ties`` counts decisions taken between scores closer than the noise of batching.
    """

    idx: int
    label: int
    status: str
    original: list[str]
    perturbed: list[str]
    changed: list[list[Any]]
    queries: int
    original_prediction: int
    perturbed_prediction: int
    original_score: float
    perturbed_score: float
    stop: str
    num_candidates: int
    remains: bool | None = None
    near_ties: int = 0

    def to_json(self) -> dict[str, Any]:
        """The record as a dict that ``json.dumps`` takes."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttackRecord:
        """The inverse of ``to_json``; unknown keys are ignored, so that newer files can be read.

        Raises:
            ValueError: a required key is missing or the status is not one of STATUSES.
        """
        fields = dataclasses.fields(cls)
        missing = [f.name for f in fields if f.default is dataclasses.MISSING and f.name not in data]
        if missing:
            raise ValueError(f"an attack record needs the keys {', '.join(missing)}, which {dict(data)!r:.200} lacks.")
        if data["status"] not in STATUSES:
            raise ValueError(f"a record's status must be one of {', '.join(STATUSES)}, got {data['status']!r}.")
        return cls(**{f.name: data[f.name] for f in fields if f.name in data})
