"""The worst case over several attacks: which examples none of them changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_robust.metrics.rates import ratio, records_keep_prediction, wilson_interval
from hf_robust.metrics.records import AttackRecord


@dataclass(frozen=True)
class UnionSummary:
    """Accuracy under the union of attacks: F / N, where an example counts in F if every attack failed on it.

    So it was classified correctly and no attack changed it; for one attack this would be its robust accuracy, and it
    is never above the least of theirs on the same examples.
    """

    attacks: tuple[str, ...]
    num_examples: int
    num_robust: int

    @property
    def robust_accuracy(self) -> float:
        """F / N; nan where the attacks have no example in common."""
        return ratio(self.num_robust, self.num_examples)

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % Wilson interval."""
        return wilson_interval(self.num_robust, self.num_examples)

    def metrics(self) -> dict[str, float]:
        """``{"union_robust_accuracy": ...}`` with its interval and N, the keys that reach the Trainer's log."""
        return {f"union_{key}": value for key, value in self._numbers().items()}

    def history(self) -> dict[str, Any]:
        """What a line of ``robustness_history.jsonl`` holds under ``union``: the numbers, and ``attacks`` by name."""
        return {"attacks": list(self.attacks), **self._numbers()}

    def _numbers(self) -> dict[str, float]:
        low, high = self.interval
        return {
            "robust_accuracy": self.robust_accuracy,
            "robust_accuracy_low": low,
            "robust_accuracy_high": high,
            "num_examples": self.num_examples,
        }


def union_of_attacks(records: Mapping[str, Sequence[AttackRecord]]) -> UnionSummary | None:
    """Join the records of several attacks, by attack name.

    Only attacks that want another prediction take part: where the prediction should stay (antonym, negation,
    input_reduction) there is no robust accuracy. Only examples that every one of these attacks was given
    count, told apart by ``idx``, texts and label; none where no attack could change any text. None where fewer than
    two attacks take part.
    """
    fickle = {name: found for name, found in records.items() if not records_keep_prediction(found)}
    if len(fickle) < 2:
        return None
    given = [{_example(record) for record in found} for found in fickle.values()]
    if all(_changed_nothing(found) for found in fickle.values()):
        return UnionSummary(tuple(fickle), 0, 0)
    robust = [{_example(record) for record in found if record.status == "failed"} for found in fickle.values()]
    common = set.intersection(*given)
    return UnionSummary(tuple(fickle), len(common), len(common.intersection(*robust)))


def _changed_nothing(records: Sequence[AttackRecord]) -> bool:
    attacked = [record for record in records if record.status != "skipped"]
    return bool(attacked) and all(record.stop == "no_candidates" for record in attacked)


def _example(record: AttackRecord) -> tuple[int, tuple[str, ...], int]:
    return record.idx, tuple(record.original), record.label
