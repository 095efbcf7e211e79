"""The record of one attack on one example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_robust.words import Text, word_rule

STATUSES = ("succeeded", "failed", "skipped")
_OF_A_CASCADE = ("members", "quality")


@dataclass
class AttackRecord:
    """The result of one attack on one example.

    Attributes:
        status: ``skipped`` if the attack was not tried (the clean text is misclassified, or the attack skips its
            label), ``succeeded`` if the goal was reached, else ``failed``.
        perturbed: text columns after the attack; for a failed attack, the last text that improved the goal's score.
        changed: ``[word index in the original, old, new]`` of each changed word; ``new`` is empty for a deleted word
            and may be two words for an inserted one; ``old`` is empty for a string added beside the word (gcg).
        queries: number of texts scored by the model, the clean text included.
        original_score, perturbed_score: probability of the true label.
        stop: why the search ended: ``success``, ``exhausted``, ``budget``, ``time``, ``no_candidates`` (there was no
            text to query), ``warm_start``, ``misclassified`` or ``skip_label``.
        num_candidates: number of admissible substitutes over all positions.
        remains: for attacks that keep the prediction (antonym, negation, input_reduction), whether some admissible
            candidate kept it; None for other attacks.
        near_ties: number of decisions between scores that differ by less than the noise of batching.
        saturated: number of queries with a probability within sixteen steps of float32 from 1, where the search hardly
            sees whether a text helps; None for searches that climb margins, for votes, and in older files.
        word_rule: name of the rule that numbers the words; TextAttack's in older records and in those of TextAttack.
        read: ``[first, end)`` of the word numbers that the model reads of each text column, if truncation cut the
            original; empty if the model reads all of it; None in older files.
        raised: for attacks that keep the prediction, whether the perturbed text has a higher score than the clean one
            by what the search climbed (the margin also differs if both probabilities are 1); None in older files.
        members: of a cascade, the queries of each attack that met the example, in its order; the last one ended it.
        quality: of a success of a cascade, what its text is like (``hf_robust.attacks.quality``).
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
    saturated: int | None = None
    word_rule: str = "textattack"
    read: list[list[int]] | None = None
    raised: bool | None = None
    members: dict[str, int] | None = None
    quality: dict[str, float] | None = None

    def text(self, columns: Sequence[str]) -> Text:
        """A text of this record, split by its word rule."""
        return Text(tuple(columns), word_rule(self.word_rule))

    def reads(self, index: int) -> bool:
        """Whether the model reads word ``index`` of the original."""
        return not self.read or any(first <= index < end for first, end in self.read)

    @property
    def raises(self) -> bool:
        """Whether the perturbed text has a higher score than the clean one; older files have only probabilities."""
        return self.perturbed_score > self.original_score if self.raised is None else self.raised

    @property
    def words_read(self) -> int:
        """Number of words of the original that the model reads."""
        return sum(end - first for first, end in self.read) if self.read else len(self.text(self.original).words)

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON-ready dict; what only a cascade has is left out of the records of one attack."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {key: value for key, value in values.items() if value is not None or key not in _OF_A_CASCADE}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AttackRecord:
        """The inverse of ``to_json``; unknown keys are ignored, so that newer files can be read.

        Raises:
            ValueError: a required key is missing or the status is not one of STATUSES.
        """
        fields = dataclasses.fields(cls)
        missing = [f.name for f in fields if f.default is dataclasses.MISSING and f.name not in data]
        if missing:
            raise ValueError(
                f"an attack record needs the keys {', '.join(missing)}; they are missing in {dict(data)!r:.200}."
            )
        if data["status"] not in STATUSES:
            raise ValueError(f"a record's status must be one of {', '.join(STATUSES)}, got {data['status']!r}.")
        return cls(**{f.name: data[f.name] for f in fields if f.name in data})
