"""What the texts of successful attacks are like: similar, likely, and still of the same meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from hf_robust.attacks.parts.fluency import LanguageModel
from hf_robust.attacks.parts.similarity import Encoder
from hf_robust.lexicons import Lexicon
from hf_robust.metrics import AttackRecord

SAME_MEANING = 0.840845057
"""Least similarity of a text that still means the same: TextFooler's threshold (Jin et al. 2020), angular."""
PART = 1000
"""Number of records whose successes are measured together."""


@dataclass(frozen=True)
class Quality:
    r"""Measures the successes x' of an attack on x; what has no model or table is left out.

    - ``similarity``: :math:`1 - \arccos(\cos(e(x), e(x'))) / \pi` of the whole texts, by the sentence encoder e.
    - ``surprise``: :math:`(\log p(x) - \log p(x')) / n` by the language model, in nats for each of the n words of x;
      above 0 if the new text is less likely.
    - ``antonym``: 1 if a changed word is an antonym of the word that it replaces, or that word is one of its own.
    - ``same_meaning``: 1 if no antonym was swapped in and the similarity is at least ``SAME_MEANING``, as far as
      these are measured.
    """

    encoder: Encoder | None = None
    language_model: LanguageModel | None = None
    antonyms: Lexicon | None = None

    def measured(self, records: Iterable[AttackRecord]) -> Iterator[AttackRecord]:
        """Yield the records, in which successes have their ``quality``; memory holds ``PART`` of them."""
        left = iter(records)
        while part := list(islice(left, PART)):
            yield from self._measured(part)

    def _measured(self, records: Sequence[AttackRecord]) -> list[AttackRecord]:
        successes = [record for record in records if record.status == "succeeded"]
        columns: dict[str, Sequence[float]] = {}
        if self.encoder is not None and successes:
            columns["similarity"] = _similarities(self.encoder, successes)
        if self.language_model is not None and successes:
            columns["surprise"] = _surprises(self.language_model, successes)
        if self.antonyms is not None and successes:
            columns["antonym"] = [float(swaps_antonym(record, self.antonyms)) for record in successes]
        if "antonym" in columns or "similarity" in columns:
            swapped = columns.get("antonym", [0.0] * len(successes))
            similar = columns.get("similarity", [1.0] * len(successes))
            columns["same_meaning"] = [
                float(not antonym and value >= SAME_MEANING) for antonym, value in zip(swapped, similar, strict=True)
            ]
        found = {
            record.idx: {name: float(values[row]) for name, values in columns.items()}
            for row, record in enumerate(successes)
        }
        return [replace(record, quality=found.get(record.idx) or None) for record in records]

    def describe(self) -> dict[str, Any]:
        """Names of what measures, for the run card."""
        parts = {"encoder": self.encoder, "language_model": self.language_model, "antonyms": self.antonyms}
        return {role: part.name for role, part in parts.items() if part is not None}


def swaps_antonym(record: AttackRecord, antonyms: Lexicon) -> bool:
    """Whether a changed word of the record is an antonym of the word that it replaces, in either direction."""
    pairs = [(str(old).lower(), str(new).lower()) for _, old, new in record.changed]
    return any(new in antonyms(old) or old in antonyms(new) for old, new in pairs if old and new)


def _similarities(encoder: Encoder, records: Sequence[AttackRecord]) -> list[float]:
    texts = [" ".join(columns) for record in records for columns in (record.original, record.perturbed)]
    vectors = np.asarray(encoder.encode(texts), dtype=np.float64)
    cosine = np.clip((vectors[0::2] * vectors[1::2]).sum(-1), -1.0, 1.0)
    return [float(value) for value in 1 - np.arccos(cosine) / np.pi]


def _surprises(model: LanguageModel, records: Sequence[AttackRecord]) -> list[float]:
    texts = [("", " ".join(columns)) for record in records for columns in (record.original, record.perturbed)]
    logs = np.asarray(model.log_probabilities(texts), dtype=np.float64)
    words = [max(len(record.text(record.original).words), 1) for record in records]
    return [float(value) for value in (logs[0::2] - logs[1::2]) / np.asarray(words)]
