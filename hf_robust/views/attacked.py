"""Views from an attack: the texts that changed a victim's prediction, and the text of a row whose attack failed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.attacks import Example
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.metrics import AttackRecord, AttackSummary, saturation_warning
from hf_robust.runs import Ranks
from hf_robust.views.generated import ViewRound
from hf_robust.views.generation_context import GenerationContext
from hf_robust.views.view import View
from hf_robust.words import Text, WordRule, word_rule

if TYPE_CHECKING:
    from hf_robust.attacks import Victim

logger = logging.getLogger(__name__)

DROP, CLEAN, LAST = FAILED_VIEWS = ("drop", "clean", "last")
"""View of a row whose attack failed: none, the clean text, or the last text of the search (clean without a search)."""
MIN_CHUNK = 64
"""Minimum number of examples attacked together if the number of successes is limited: fewer would batch badly."""


@dataclass(frozen=True)
class AttackedViews:
    """View maker that attacks the examples; each success is a view with the label of its example.

    Failed and skipped examples give views only as ``failed`` says. The victim's class probabilities on a view are its
    soft label.

    Args:
        attack: the attack.
        wanted: number of successes after which to stop, in an order drawn by ``seed`` and the victim's weights; None
            attacks all examples.
        attempts: maximum number of attacked examples in that order; None for no limit.
        failed: view of an example whose attack failed, one of :data:`FAILED_VIEWS`.
    """

    attack: AttackOrForeign
    wanted: int | None = None
    attempts: int | None = None
    seed: int = 0
    failed: str = DROP

    def describe(self) -> dict[str, Any]:
        """The attack's parts, the limits, and the treatment of failed attacks."""
        limits = {"wanted": self.wanted, "attempts": self.attempts, "failed_views": self.failed}
        return {**self.attack.describe(), **limits}

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Hash of the victim's weights and inference, the attack, the texts and the order of the attacks."""
        from hf_robust.attacks import attack_key, weights_hash
        from hf_robust.attacks.engine.journal import prediction_of

        weights, prediction = weights_hash(victim.model), prediction_of(victim)
        whole = attack_key(self.attack, weights, examples, victim.max_length, prediction)
        parts = [whole, self.wanted, self.attempts, None if self._all else self.seed]
        content = json.dumps(parts if self.failed == DROP else [*parts, self.failed])
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()

    @property
    def _all(self) -> bool:
        return self.wanted is None and self.attempts is None

    def __call__(self, victim: Victim, examples: Sequence[Example], context: GenerationContext) -> ViewRound:
        """Attack the examples; returns the views of the successes, then those of the failures, on each rank.

        Raises:
            ValueError: the attack has no candidates in all examples.
        """
        from hf_robust.attacks import require_candidates, weights_hash

        order, weights = list(examples), weights_hash(victim.model)
        if not self._all:
            # The order depends on the weights too, so that each round attacks in another one.
            random.Random(f"attacked:{self.seed}:{weights}").shuffle(order)
            order = order[: self.attempts]
        records: list[AttackRecord] = []
        failures: list[AttackRecord] = []
        attempts, wanted = 0, len(order) if self.wanted is None else self.wanted
        if wanted:
            # Check all examples, because a small chunk may have no candidate.
            require_candidates(self.attack, context.plans, examples, victim)
        while attempts < len(order) and len(records) < wanted:
            size = len(order) if self.wanted is None else max(wanted - len(records), MIN_CHUNK)
            chunk = order[attempts : attempts + size]
            attempts += len(chunk)
            by_idx = {record.idx: record for record in self._attack(victim, weights, chunk, context)}
            attacked = [by_idx[example.idx] for example in chunk]
            records += [record for record in attacked if record.status == "succeeded"]
            failures += [record for record in attacked if record.status != "succeeded"]
        used = records[:wanted] + ([] if self.failed == DROP else [self._failed_record(record) for record in failures])
        views = ViewRound(zip([record.idx for record in used], _views(used, victim), strict=True))
        views.attempts = attempts
        return views

    def _failed_record(self, record: AttackRecord) -> AttackRecord:
        """The record of a failed attack with the text that becomes its view."""
        if self.failed == LAST and record.status == "failed":
            return record
        return dataclasses.replace(record, perturbed=record.original, changed=[])

    def _attack(
        self, victim: Victim, weights: str, examples: Sequence[Example], context: GenerationContext
    ) -> Sequence[AttackRecord]:
        from hf_robust.attacks import attack_key, attack_on_ranks
        from hf_robust.attacks.engine.journal import prediction_of

        records = attack_on_ranks(
            self.attack,
            victim,
            examples,
            attack_key(self.attack, weights, examples, victim.max_length, prediction_of(victim)),
            journals=context.journals,
            ranks=Ranks(context.rank, context.ranks),
            plans=context.plans,
            progress=context.progress,
            check_candidates=False,
        ).records
        warning = saturation_warning(self.attack.name, AttackSummary.from_records(records))
        if warning and context.rank == 0:
            logger.warning(warning)
        return records


def with_failed_rows(
    views: ViewRound, header: Mapping[str, Any], wanted: str, examples: Sequence[Example], path: str | Path
) -> ViewRound:
    """The views of a file, with views of failed attacks as ``wanted``, one of :data:`FAILED_VIEWS`.

    Args:
        views: the views in the file.
        header: the header of the file; it contains the ``failed_views`` with which the file was made.
        wanted: treatment of failed attacks in this run.
        examples: all rows of the data set of the file.
        path: the file, for the error message.

    Raises:
        ValueError: the file lacks the texts or the rows of the failed attacks.
    """
    stored = str((header.get("how") or {}).get("failed_views", DROP))
    if wanted == stored:
        return views
    pairs = [(row, view) for row, view in views if not view.failed]
    failed = {row for row, view in views if view.failed}
    if wanted == CLEAN and stored == DROP and views.attempts == len(examples):
        failed = {example.idx for example in examples} - {row for row, _ in views}
    elif wanted == LAST or (wanted == CLEAN and stored == DROP):
        lacks = "where their searches ended" if wanted == LAST else "which rows were attacked"
        raise ValueError(
            f"--failed_views {wanted} needs a text for each row whose attack failed, but {path} was made with "
            f"--failed_views {stored} and does not say {lacks}; give --failed_views {stored}, or leave --view_file "
            "out to generate new views."
        )
    if wanted == CLEAN:
        texts = {example.idx: example.texts for example in examples}
        pairs += [(row, View(Text(texts[row]), True, (), failed=True)) for row in sorted(failed)]
    changed = ViewRound(pairs)
    changed.attempts, changed.notes = views.attempts, views.notes
    return changed


def _views(records: Sequence[AttackRecord], victim: Victim) -> list[View]:
    if not records:
        return []
    with victim.measuring():
        probabilities = victim.probabilities([tuple(record.perturbed) for record in records])
    return [
        View(
            record.text(record.perturbed),
            ok=True,
            changed=tuple(index for index, _, _ in record.changed),
            pairs=word_pairs(record.changed, word_rule(record.word_rule)),
            soft=tuple(round(float(value), 6) for value in row),
            failed=record.status != "succeeded",
        )
        for record, row in zip(records, probabilities, strict=True)
    ]


def word_pairs(changed: Sequence[Sequence[Any]], rule: WordRule) -> tuple[tuple[int, int], ...]:
    """``(index in the original, index in the view)`` of the words that one other word replaced.

    ``changed`` is that of an attack record, whose words ``rule`` numbered. A deleted word, or a word that several
    words replaced, shifts the later indices, and so does one that was added ("" before).

    >>> from hf_robust.words import UNICODE_WORDS
    >>> changed = [[1, "good", "fine"], [2, "old", ""], [4, "film", "moving picture"], [6, "plot", "story"]]
    >>> word_pairs(changed, UNICODE_WORDS)
    ((1, 1), (6, 6))
    """
    pairs, shift = [], 0
    for index, old, new in sorted(changed, key=lambda change: change[0]):
        words = len(rule.split(new))
        if words == 1 and old:
            pairs.append((index, index + shift))
        shift += words - bool(old)
    return tuple(pairs)
