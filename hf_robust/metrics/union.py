"""The union of several attacks: the worst case over them, for each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_robust.metrics.rates import ratio, records_keep_prediction, wilson_interval
from hf_robust.metrics.records import AttackRecord

if TYPE_CHECKING:
    from hf_robust.metrics.confidence_sequence import ConfidenceSequence


@dataclass(frozen=True)
class UnionSummary:
    """Accuracy under the union of attacks: F / N, where F counts the examples on which every attack failed.

    These are classified correctly and no attack changes the prediction. The accuracy is at most the lowest robust
    accuracy of the attacks on the same examples.

    With ``--attack_until_interval`` each attack stops by its own interval. All of them take the rows in one order, so
    the examples are those of the attack that stopped first. That number depends on the results, so the interval is
    that of the sequence; it may be wider than the one at which an attack stopped.
    """

    attacks: tuple[str, ...]
    num_examples: int
    num_robust: int
    until: ConfidenceSequence | None = None

    @property
    def robust_accuracy(self) -> float:
        """F / N; nan if the attacks share no example."""
        return ratio(self.num_robust, self.num_examples)

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval: Wilson's, or that of the sequence by which the attacks stopped."""
        interval_of = wilson_interval if self.until is None else self.until.interval
        return interval_of(self.num_robust, self.num_examples)

    def metrics(self) -> dict[str, float]:
        """The numbers by their keys in the Trainer's log: ``{"union_robust_accuracy": ...}``, interval and N."""
        return {f"union_{key}": value for key, value in self._numbers().items()}

    def history(self) -> dict[str, Any]:
        """The entry ``union`` in a line of ``robustness_history.jsonl``: the numbers, and the names of the attacks."""
        return {"attacks": list(self.attacks), **self._numbers()}

    def _numbers(self) -> dict[str, float]:
        low, high = self.interval
        return {
            "robust_accuracy": self.robust_accuracy,
            "robust_accuracy_low": low,
            "robust_accuracy_high": high,
            "num_examples": self.num_examples,
        }


def union_of_attacks(
    records: Mapping[str, Sequence[AttackRecord]], until: ConfidenceSequence | None = None
) -> UnionSummary | None:
    """Union of several attacks by their records; None with fewer than two attacks.

    Attacks that keep the prediction (antonym, negation, input_reduction) have no robust accuracy and are left out.
    Only examples of all attacks count, identified by ``idx``, texts and label; none if no attack could change a text.
    ``until`` is the sequence by which the attacks stopped, if they did.
    """
    fickle = {name: of_attack for name, of_attack in records.items() if not records_keep_prediction(of_attack)}
    if len(fickle) < 2:
        return None
    if all(_changed_nothing(of_attack) for of_attack in fickle.values()):
        return UnionSummary(tuple(fickle), 0, 0, until)
    examples = [{_example(record) for record in of_attack} for of_attack in fickle.values()]
    robust = [{_example(record) for record in of_attack if record.status == "failed"} for of_attack in fickle.values()]
    common = set.intersection(*examples)
    return UnionSummary(tuple(fickle), len(common), len(common.intersection(*robust)), until)


def _changed_nothing(records: Sequence[AttackRecord]) -> bool:
    return {record.stop for record in records if record.status != "skipped"} == {"no_candidates"}


def _example(record: AttackRecord) -> int:
    """A hash in place of the texts, which may be in a file."""
    return hash((record.idx, tuple(record.original), record.label))
