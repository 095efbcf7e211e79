"""What each attack of a cascade added, at what cost, and the quality of the successes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_robust.metrics.rates import AttackSummary, changed_words
from hf_robust.metrics.records import AttackRecord

if TYPE_CHECKING:
    from hf_robust.metrics.confidence_sequence import ConfidenceSequence

_MEANS = ("changed_share", "similarity", "surprise")
_COUNTS = {"antonym": "antonyms", "same_meaning": "same_meaning"}


@dataclass(frozen=True)
class MemberSummary:
    """One attack of a cascade: ``met`` correct examples that withstood all before it, of which it ``added`` some.

    ``queries`` and ``seconds`` are sums. ``quality`` is that of its successes.
    """

    name: str
    met: int
    added: int
    queries: int
    seconds: float
    quality: dict[str, float]


def members_of(
    names: Sequence[str], records: Sequence[AttackRecord], seconds: Mapping[str, float]
) -> list[MemberSummary]:
    """The attacks of a cascade in their order, by the records of the cascade."""
    summaries = []
    for name in names:
        attacked = sum(name in (record.members or {}) for record in records if record.status != "skipped")
        queries = sum((record.members or {}).get(name, 0) for record in records)
        quality = quality_of(record for record in records if _ended_by(record) == name)
        took = seconds.get(name, 0.0)
        summaries.append(MemberSummary(name, attacked, int(quality["successes"]), queries, took, quality))
    return summaries


def quality_of(records: Iterable[AttackRecord]) -> dict[str, float]:
    """Quality of the successes among the records: their number, means of shares and scores, and counts.

    ``changed_share``, ``similarity`` and ``surprise`` are means over successes; ``antonyms`` and ``same_meaning``
    count successes. What was not measured is left out.
    """
    successes, values = 0, defaultdict[str, list[float]](list)
    for record in records:
        if record.status == "succeeded":
            successes += 1
            changed = changed_words([record])
            for key, value in {**changed, **(record.quality or {})}.items():
                values[key].append(value)
    numbers = {key: sum(values[key]) / len(values[key]) for key in _MEANS if values[key]}
    numbers |= {name: int(sum(values[key])) for key, name in _COUNTS.items() if values[key]}
    return {"successes": successes, **numbers}


def cascade_history(
    described: Mapping[str, Any],
    records: Sequence[AttackRecord],
    seconds: Mapping[str, float],
    until: ConfidenceSequence | None = None,
) -> dict[str, Any]:
    """The entry ``standard`` in a line of ``robustness_history.jsonl``.

    Args:
        described: the cascade's description, with its title and resources.
        seconds: by attack that met an example.
        until: the sequence by which the cascade stopped, if it did.
    """
    summary = AttackSummary.from_records(records, sum(seconds.values()), until)
    return {
        "name": described["standard"],
        "version": str(described["standard"]).split("/")[0],
        "resources": described["resources"],
        "accuracy": summary.extra["accuracy"],
        "robust_accuracy": summary.robust_accuracy,
        "robust_accuracy_low": summary.robust_accuracy_low,
        "robust_accuracy_high": summary.robust_accuracy_high,
        "num_examples": summary.num_examples,
        "queries": sum(record.queries for record in records),
        "seconds": summary.seconds,
        "members": [vars(member) for member in members_of(list(described["members"]), records, seconds)],
        "quality": quality_of(records),
    }


def _ended_by(record: AttackRecord) -> str:
    return next(reversed(record.members or {}), "")
