"""Views that an attack found: the texts that changed a victim's prediction.

Rows whose attack failed: which text, if any, stands for the adversarial one that was not found.
"""

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
from hf_robust.views.generated import Made
from hf_robust.views.view import View
from hf_robust.views.workplace import Workplace
from hf_robust.words import Text, WordRule, word_rule

if TYPE_CHECKING:
    from hf_robust.attacks import Victim

DROP, CLEAN, LAST = FAILED_VIEWS = ("drop", "clean", "last")
"""The row has no view, its own text, or the text where the search ended (its own where none began)."""


def of_file(made: Made, header: Mapping[str, Any], wanted: str, examples: Sequence[Example], path: str | Path) -> Made:
    """The views of a file with the rows whose attack failed as ``wanted``, one of :data:`FAILED_VIEWS`.

    Args:
        header: of the file; it says which of these the file holds.
        examples: all rows that the file is of.
        path: for the error.

    Raises:
        ValueError: the file does not say which rows those are, or where their searches ended.
    """
    held = str((header.get("how") or {}).get("failed_views", DROP))
    if wanted == held:
        return made
    found = [(row, view) for row, view in made if not view.failed]
    failed = {row for row, view in made if view.failed}
    if wanted == CLEAN and held == DROP and made.attempts == len(examples):
        failed = {one.idx for one in examples} - {row for row, _ in made}
    elif wanted == LAST or (wanted == CLEAN and held == DROP):
        lacks = "where their searches ended" if wanted == LAST else "which rows were attacked"
        raise ValueError(
            f"--failed_views {wanted} wants a text for each row whose attack failed, and {path} was made with "
            f"--failed_views {held} and does not say {lacks}; give --failed_views {held}, or let the attacks make the "
            "views."
        )
    if wanted == CLEAN:
        texts = {one.idx: one.texts for one in examples}
        found += [(row, View(Text(texts[row]), True, (), failed=True)) for row in sorted(failed)]
    chosen = Made(found)
    chosen.attempts, chosen.notes = made.attempts, made.notes
    return chosen


logger = logging.getLogger(__name__)

LEAST_CHUNK = 64
"""Examples attacked together where an attack stops at a number of successes: fewer would be slow to batch."""


@dataclass(frozen=True)
class AttackedViews:
    """Attack the examples; each success is a view with the example's own label (A2T-5).

    Failures and skipped examples are no adversarial examples: what they have is ``failed``. The victim's
    class probabilities at the view are kept as its soft label.

    Args:
        attack: what searches.
        wanted: stop after so many successes, in an order drawn by ``seed`` and the victim's weights; None attacks all
            examples.
        attempts: attack at most so many examples in that order (A2T-1); None for no limit.
        failed: which text an attacked example has that was not fooled, one of :data:`FAILED_VIEWS`.
    """

    attack: AttackOrForeign
    wanted: int | None = None
    attempts: int | None = None
    seed: int = 0
    failed: str = DROP

    def describe(self) -> dict[str, Any]:
        """The attack's parts, how many examples are attacked, and what becomes of those that were not fooled."""
        limits = {"wanted": self.wanted, "attempts": self.attempts, "failed_views": self.failed}
        return {**self.attack.describe(), **limits}

    def key(self, victim: Victim, examples: Sequence[Example]) -> str:
        """Of the victim's weights and way of predicting, the attack, the texts and the order they are attacked in."""
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

    def __call__(self, victim: Victim, examples: Sequence[Example], place: Workplace) -> Made:
        """The successes, and behind them what stands for the failures, on every rank.

        Raises:
            ValueError: the attack has no candidates for any example.
        """
        from hf_robust.attacks import require_candidates, weights_hash

        order, weights = list(examples), weights_hash(victim.model)
        if not self._all:
            # By the weights too: another round attacks in another order.
            random.Random(f"attacked:{self.seed}:{weights}").shuffle(order)
            order = order[: self.attempts]
        records: list[AttackRecord] = []
        failures: list[AttackRecord] = []
        attempts, wanted = 0, len(order) if self.wanted is None else self.wanted
        if wanted:
            # Of all examples: a chunk of a few may have none.
            require_candidates(self.attack, place.plans, examples, victim.words_read)
        while attempts < len(order) and len(records) < wanted:
            size = len(order) if self.wanted is None else max(wanted - len(records), LEAST_CHUNK)
            chunk = order[attempts : attempts + size]
            attempts += len(chunk)
            by_idx = {one.idx: one for one in self._attacked(victim, weights, chunk, place)}
            attacked = [by_idx[example.idx] for example in chunk]
            records += [record for record in attacked if record.status == "succeeded"]
            failures += [record for record in attacked if record.status != "succeeded"]
        kept = records[:wanted] + ([] if self.failed == DROP else [self._ended(record) for record in failures])
        made = Made(zip([record.idx for record in kept], _views(kept, victim), strict=True))
        made.attempts = attempts
        return made

    def _ended(self, record: AttackRecord) -> AttackRecord:
        """What stands for a failure as the text that was found."""
        if self.failed == LAST and record.status == "failed":
            return record
        return dataclasses.replace(record, perturbed=record.original, changed=[])

    def _attacked(
        self, victim: Victim, weights: str, examples: Sequence[Example], place: Workplace
    ) -> list[AttackRecord]:
        from hf_robust.attacks import attack_on_ranks

        records, _ = attack_on_ranks(
            self.attack,
            victim,
            examples,
            weights,
            journals=place.journals,
            rank=place.rank,
            ranks=place.ranks,
            plans=place.plans,
            progress=place.progress,
            check_candidates=False,
        )
        said = saturation_warning(self.attack.name, AttackSummary.from_records(records))
        if said and place.rank == 0:
            logger.warning(said)
        return records


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
    """``(index in the original, index in the view)`` of the words that became one other word.

    ``changed`` is an attack record's, by the rule that numbered its words; a deleted word and one that became several
    move the later indices.

    >>> from hf_robust.words import UNICODE_WORDS
    >>> changed = [[1, "good", "fine"], [2, "old", ""], [4, "film", "moving picture"], [6, "plot", "story"]]
    >>> word_pairs(changed, UNICODE_WORDS)
    ((1, 1), (6, 6))
    """
    pairs, moved = [], 0
    for index, _, new in sorted(changed, key=lambda one: one[0]):
        words = len(rule.split(new))
        if words == 1:
            pairs.append((index, index + moved))
        moved += words - 1
    return tuple(pairs)
