"""What an attack did to one example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_robust.words import Text, word_rule

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
    belongs to attacks that want the prediction to stay (antonym, negation, input_reduction): whether some admissible
    candidate kept it; None for the others, so that a file of records says what its attack wanted. ``raised``, of the
    same attacks: whether the text found is held more surely than the clean one by what the search climbed (the margin,
    which still tells where both probabilities are 1); None in older files. ``near_ties`` counts
    decisions taken between scores closer than the noise of batching. ``saturated`` counts the queries at which the
    probability was within sixteen steps of float32 from 1, so that the search could hardly see whether a text helped;
    None where searches climb margins, which are never flat so, in older files, and of a vote. ``read`` holds
    ``[first, end)`` of the word numbers that the model reads of each text column where truncation cut the original,
    nothing where it reads all of it, and is None in older files. ``word_rule`` names the rule by which words were
    numbered; older records, and TextAttack's, are by TextAttack's.
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

    def text(self, columns: Sequence[str]) -> Text:
        """A text of this record, cut into the words that it numbers."""
        return Text(tuple(columns), word_rule(self.word_rule))

    def reads(self, index: int) -> bool:
        """Whether the model reads word ``index`` of the original."""
        return not self.read or any(first <= index < end for first, end in self.read)

    @property
    def raises(self) -> bool:
        """Whether the text found is held more surely than the clean one; by the probabilities in older files."""
        return self.perturbed_score > self.original_score if self.raised is None else self.raised

    @property
    def words_read(self) -> int:
        """How many words of the original the model reads."""
        return sum(end - first for first, end in self.read) if self.read else len(self.text(self.original).words)

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
