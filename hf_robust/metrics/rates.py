"""Attack success rate, robust accuracy and their intervals from the records of an attack, and the aim of an attack."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.metrics.records import AttackRecord

if TYPE_CHECKING:
    from hf_robust.metrics.confidence_sequence import ConfidenceSequence

_OLDER = {"remain": (True, False), "shorten": (True, True)}
_OLDER_NAMES = {"antonym": (True, False), "negation": (True, False), "input_reduction": (True, True)}
_OLDER_RECIPE = "InputReduction"


class Aim(NamedTuple):
    """Aim of an attack.

    ``keeps_prediction``: the attack succeeds if the prediction stays, so its robust accuracy says nothing.
    ``maximises``: it succeeds on every correctly classified example, so its success rate says nothing either.
    """

    keeps_prediction: bool = False
    maximises: bool = False


def aim_of(described: Mapping[str, Any], name: str = "", result: Mapping[str, Any] | None = None) -> Aim:
    """Aim of an attack by its description (``Attack.describe()``, or ``attacks`` of a run card).

    Args:
        described: description; it may be empty, or of an older run that has only the name of the goal.
        name: name of the attack, used if the description has no goal.
        result: numbers of the attack in the history, used if the description has no goal.
    """
    goal = described.get("goal") or {}
    if goal:
        keeps, maximises = _OLDER.get(str(goal.get("name")), (False, False))
        return Aim(bool(goal.get("keeps_prediction", keeps)), bool(goal.get("maximises", maximises)))
    if _OLDER_RECIPE in str(described.get("recipe", "")):
        return Aim(True, True)
    return Aim(*_OLDER_NAMES.get(name, ("remains_asr" in (result or {}),)))


def records_keep_prediction(records: Iterable[AttackRecord]) -> bool:
    """Whether these records are of an attack that keeps the prediction."""
    return any(record.remains is not None for record in records)


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Wilson's score interval of a rate.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Unlike the normal interval it stays in [0, 1] and has a positive width at 0 and 1. For ``total`` 0 it is
    ``(nan, nan)``.

    >>> low, high = wilson_interval(5, 10)
    >>> round(low, 4), round(high, 4)
    (0.2366, 0.7634)

    Raises:
        ValueError: ``successes`` is not within ``0..total``, or ``confidence`` not inside (0, 1).
    """
    if not 0 <= successes <= total:
        raise ValueError(f"an interval needs 0 <= successes <= total, got {successes} of {total}.")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
    if total == 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    rate = successes / total
    centre = rate + z * z / (2 * total)
    spread = z * math.sqrt(rate * (1 - rate) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    # At the ends the exact bound is 0 or 1, without rounding errors.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == total else (centre + spread) / scale
    return low, high


def judged_by(records: Sequence[AttackRecord]) -> tuple[int, int]:
    """Successes and draws of the rate that an attack is judged by: its robust accuracy, as ``(failed, examples)``.

    An attack that keeps the prediction has none, and is judged by its success rate: ``(succeeded, attacked)``.
    """
    number = Counter(record.status for record in records)
    if records_keep_prediction(records):
        return number["succeeded"], number["succeeded"] + number["failed"]
    return number["failed"], len(records)


def ratio(part: float, whole: float) -> float:
    """``part / whole``; nan if ``whole`` is 0."""
    return part / whole if whole else math.nan


@dataclass
class AttackSummary:
    """Rates of one attack over N examples: S succeeded, F failed, the others were skipped.

    ``asr = S / (S + F)`` over the attacked examples; ``robust_accuracy = F / N``. Both are nan if the attack could
    change none of its texts, since it then measured nothing. If only misclassified texts are skipped,
    ``robust_accuracy = accuracy * (1 - asr)``. The intervals are Wilson's at 95 %, or, with
    ``--attack_until_interval``, those of the ``ConfidenceSequence`` that stops the attack. ``queries`` is the mean
    over attacked examples.

    Attacks that keep the prediction (antonym, negation, input_reduction) have no robust accuracy, since a failed
    attack is desirable and texts are also skipped by label. It is nan here and not a key of ``metrics`` and
    ``history``.

    Keys of ``extra``:

    - ``accuracy``: share of the N examples classified correctly, comparable with ``robust_accuracy``.
    - ``covered``, ``covered_asr``: share of the attacked examples with at least one candidate, and ``asr`` on these.
      The others count as failures and lower ``asr``. Only if candidates were counted.
    - the keys of `obstinacy`, for attacks that keep the prediction.
    - the keys of `changed_words`, if a success changed a word.
    - ``saturated_share``: share of the queries of attacked examples with saturated probabilities (see
      `AttackRecord`), for searches that climb probabilities.
    - ``texts_cut``: share of the N texts with words that the model does not read.
    """

    num_examples: int
    num_attacked: int
    num_succeeded: int
    num_failed: int
    num_skipped: int
    asr: float
    asr_low: float
    asr_high: float
    robust_accuracy: float
    robust_accuracy_low: float
    robust_accuracy_high: float
    queries: float
    seconds: float
    extra: dict[str, float] = field(default_factory=dict)
    stopping: dict[str, float] = field(default_factory=dict)
    """With ``--attack_until_interval``: ``until_interval``, its width, and ``num_rows``, the rows that there were."""

    @property
    def keeps_prediction(self) -> bool:
        """Whether the attack keeps the prediction and so has no robust accuracy."""
        return "remains_asr" in self.extra

    @classmethod
    def from_records(
        cls,
        records: Sequence[AttackRecord],
        seconds: float = 0.0,
        until: ConfidenceSequence | None = None,
        num_rows: int | None = None,
    ) -> AttackSummary:
        """Summarise the records of one attack.

        Args:
            seconds: the time that it took.
            until: the sequence whose interval stopped the attack; None for an attack of all its rows.
            num_rows: with ``until``, the number of rows that there were.
        """
        counts = Counter[str]()
        for record in records:
            counts.update(_counted(record))
        succeeded, failed, attacked = counts["succeeded"], counts["failed"], counts["attacked"]
        extra = _extra(records, counts)
        # An attack without any candidate has no rates: every model withstands it.
        num_attacked, total = (0, 0) if extra.get("covered") == 0 else (attacked, len(records))
        interval_of = wilson_interval if until is None else until.interval
        asr_low, asr_high = interval_of(succeeded, num_attacked)
        robust, interval = ratio(failed, total), interval_of(failed if total else 0, total)
        if counts["keeps"]:
            robust, interval = math.nan, (math.nan, math.nan)
        return cls(
            num_examples=len(records),
            num_attacked=attacked,
            num_succeeded=succeeded,
            num_failed=failed,
            num_skipped=counts["skipped"],
            asr=ratio(succeeded, num_attacked),
            asr_low=asr_low,
            asr_high=asr_high,
            robust_accuracy=robust,
            robust_accuracy_low=interval[0],
            robust_accuracy_high=interval[1],
            queries=ratio(counts["queries"], attacked),
            seconds=seconds,
            extra=extra,
            stopping={} if until is None else until.stopping(num_rows or len(records)),
        )

    def metrics(self, attack_name: str) -> dict[str, float]:
        """``{"<attack>_asr": ...}`` and so on, the keys that reach the Trainer's log (which adds ``eval_``)."""
        values = self._meaningful("asr", "robust_accuracy", "queries", "seconds")
        return {f"{attack_name}_{key}": value for key, value in values.items()}

    def history(self) -> dict[str, float]:
        """The entry of this attack in a line of ``robustness_history.jsonl``."""
        keys = ["asr", "robust_accuracy", "num_examples", "num_attacked", "asr_low", "asr_high", "queries", "seconds"]
        if self.stopping and not self.keeps_prediction:
            keys += ["robust_accuracy_low", "robust_accuracy_high"]
        return {**self._meaningful(*keys), **self.stopping}

    def _meaningful(self, *keys: str) -> dict[str, float]:
        """These numbers and ``extra``, without the robust accuracy of attacks that have none."""
        meaningful = [key for key in keys if key != "robust_accuracy" or not self.keeps_prediction]
        return {**{key: getattr(self, key) for key in meaningful}, **self.extra}


SATURATED = 0.05
"""Share of saturated queries above which a rate says little about the model, since the searches were blind."""


def saturation_warning(name: str, summary: AttackSummary) -> str:
    """Warning if more queries of an attack were saturated than SATURATED; else empty."""
    share = summary.extra.get("saturated_share", math.nan)
    if not share > SATURATED:
        return ""
    return (
        f"{name}: at {100 * share:.1f} % of the queries the model's probability was within sixteen steps of float32 "
        "from 1, where the search cannot see whether a text helps, so the model may only look robust; also measure "
        "with --attack_scores margin."
    )


def _counted(record: AttackRecord) -> dict[str, int]:
    """What one record adds to the counts of an attack; records may be in a file, and are read once for all counts."""
    counts = {
        record.status: 1,
        "correct": record.original_prediction == record.label,
        "keeps": record.remains is not None,
        "cut": bool(record.read),
        "cut_unknown": record.read is None,
        "candidates": record.num_candidates,
    }
    if record.status != "skipped":
        covered, unknown = record.stop != "no_candidates", record.saturated is None
        counts |= {"attacked": 1, "queries": record.queries, "covered": covered}
        counts |= {"saturated": record.saturated or 0, "saturated_unknown": unknown}
        counts["covered_succeeded"] = covered and record.status == "succeeded"
    return counts


def _extra(records: Sequence[AttackRecord], counts: Counter[str]) -> dict[str, float]:
    attacked, covered = counts["attacked"], counts["covered"]
    extra = {"accuracy": ratio(counts["correct"], len(records)), **changed_words(records)}
    if len(records) and not counts["cut_unknown"]:
        extra["texts_cut"] = ratio(counts["cut"], len(records))
    if attacked and not counts["saturated_unknown"]:
        extra["saturated_share"] = ratio(counts["saturated"], counts["queries"])
    if counts["keeps"]:
        extra |= obstinacy(records)
    # Static attacks and the recipes of TextAttack do not count candidates.
    if covered < attacked or counts["candidates"]:
        extra |= {"covered": ratio(covered, attacked), "covered_asr": ratio(counts["covered_succeeded"], covered)}
    return extra


def obstinacy(records: Sequence[AttackRecord]) -> dict[str, float]:
    """Success rates over the attacked examples by two success rules, which differ widely, and the median rise.

    ``raises_asr``: the perturbed text keeps the prediction with a higher confidence (``AttackRecord.raised``).
    ``remains_asr``: some admissible candidate keeps the prediction. ``median_rise``: median increase of the label's
    probability over the successes, in [-1, 1]; nan without a success.
    """
    attacked, remained, raised, rises = 0, 0, 0, list[float]()
    for record in records:
        attacked += record.status != "skipped"
        remained += record.status != "skipped" and bool(record.remains)
        if record.status == "succeeded":
            raised += record.raises
            rises.append(record.perturbed_score - record.original_score)
    known = [rise for rise in rises if math.isfinite(rise)]
    return {
        "raises_asr": ratio(raised, attacked),
        "remains_asr": ratio(remained, attacked),
        "median_rise": median(known) if known else math.nan,
    }


def changed_words(records: Iterable[AttackRecord]) -> dict[str, float]:
    """Mean numbers of changed words over the successes that changed a word; empty if there is none.

    ``changed_words`` is the mean number of changed words. ``changed_share`` is the mean of that number divided by the
    number of words of the original text, all columns together. Words behind the truncation do not count. The share is
    TextAttack's "average perturbed word %" over 100, with one difference: a word that becomes two ("go od") is one
    changed word here, while TextAttack compares word by word from the left and so counts all words that follow.

    >>> record = AttackRecord(0, 0, "succeeded", ["a good film"], ["a fine film"], [[1, "good", "fine"]], 7, 0, 1,
    ...                       0.9, 0.2, "success", 3)
    >>> {key: round(value, 3) for key, value in changed_words([record]).items()}
    {'changed_words': 1.0, 'changed_share': 0.333}
    """
    counts, shares = list[int](), list[float]()
    for record in records:
        if record.status == "succeeded" and record.changed:
            counts.append(sum(record.reads(index) for index, *_ in record.changed))
            shares.append(ratio(counts[-1], record.words_read))
    if not counts:
        return {}
    return {"changed_words": sum(counts) / len(counts), "changed_share": sum(shares) / len(shares)}
