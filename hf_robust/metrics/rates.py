"""Attack success rate, robust accuracy and their intervals, from the records of one attack.

What an attack wants of the prediction: said once by its goal, and read here from what a run left of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist, median
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.metrics.records import AttackRecord

if TYPE_CHECKING:
    from hf_robust.metrics.records import AttackRecord

_OLDER = {"remain": (True, False), "shorten": (True, True)}
_OLDER_NAMES = {"antonym": (True, False), "negation": (True, False), "input_reduction": (True, True)}
_OLDER_RECIPE = "InputReduction"


class Aim(NamedTuple):
    """Whether an attack wants the prediction to stay, so that its robust accuracy says nothing; and whether every
    example that was right ends as its success, so that its success rate says nothing either."""

    keeps_prediction: bool = False
    maximises: bool = False


def aim_of(described: Mapping[str, Any], name: str = "", result: Mapping[str, Any] | None = None) -> Aim:
    """The aim of an attack by its description (``Attack.describe()``, a run card's ``attacks``).

    Args:
        described: may be of an older run, which names the goal alone, or empty.
        name, result: the attack's, and its numbers in the history; asked where the description names no goal.
    """
    goal = described.get("goal") or {}
    if goal:
        keeps, maximises = _OLDER.get(str(goal.get("name")), (False, False))
        return Aim(bool(goal.get("keeps_prediction", keeps)), bool(goal.get("maximises", maximises)))
    if _OLDER_RECIPE in str(described.get("recipe", "")):
        return Aim(True, True)
    return Aim(*_OLDER_NAMES.get(name, ("remains_asr" in (result or {}),)))


def records_keep_prediction(records: Iterable[AttackRecord]) -> bool:
    """Whether these records are of an attack that wants the prediction to stay."""
    return any(record.remains is not None for record in records)


def wilson_interval(successes: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    r"""Wilson's score interval of a rate.

    .. math:: \frac{\hat p + z^2/2n \pm z\sqrt{\hat p(1-\hat p)/n + z^2/4n^2}}{1 + z^2/n}

    It stays inside [0, 1] and is not empty at 0 or 1, unlike the normal interval. ``total`` 0 gives ``(nan, nan)``.

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
    # At the ends the exact bound is 0 or 1; rounding must not leave it a hair inside.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == total else (centre + spread) / scale
    return low, high


def ratio(part: float, whole: float) -> float:
    """``part / whole``; nan where there is no whole."""
    return part / whole if whole else math.nan


@dataclass
class AttackSummary:
    """The rates of one attack over N examples: S succeeded, F failed, s skipped.

    ``asr = S / (S + F)`` over the examples attacked, nan where none was; ``robust_accuracy = F / N``. Both are nan
    where the attack could change no text that it attacked: it has measured nothing then. Where the only skips are
    misclassified texts, ``robust_accuracy = accuracy * (1 - asr)``. Attacks that want the prediction kept (antonym,
    negation, input_reduction) have no robust accuracy: there a failure is what one wants, and texts
    are skipped by label too. Theirs is nan here, and no key of ``metrics`` and ``history``. ``queries`` is the mean
    over attacked examples.

    ``extra`` holds ``accuracy``, the share of the N examples classified correctly (clean accuracy on another sample is
    not comparable with ``robust_accuracy``), where candidates were counted ``covered`` (share of the
    attacked with at least one; the others count as failures and lower ``asr``) and ``covered_asr`` (``asr`` among the
    covered), and for attacks that want the prediction kept what `obstinacy` gives. Where a success changed a word, it
    holds ``changed_words`` and ``changed_share`` too (see `changed_words`); where searches climbed float32
    probabilities, ``saturated_share``, the share of the attacked examples' queries at which these were flat (see
    `AttackRecord`). ``texts_cut`` is the share of the N texts with words that the model does not read.
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

    @property
    def keeps_prediction(self) -> bool:
        """Whether the attack wants the prediction to stay, so that it leaves no robust accuracy."""
        return "remains_asr" in self.extra

    @classmethod
    def from_records(cls, records: Sequence[AttackRecord], seconds: float = 0.0) -> AttackSummary:
        """Summarise one attack's records; ``seconds`` is what measuring them took."""
        attacked = [record for record in records if record.status != "skipped"]
        succeeded = sum(record.status == "succeeded" for record in attacked)
        failed = len(attacked) - succeeded
        extra = _extra(records, attacked)
        # An attack without any candidate has no rate: every model withstands it.
        asked, given = (0, 0) if extra.get("covered") == 0 else (len(attacked), len(records))
        asr_low, asr_high = wilson_interval(succeeded, asked)
        robust, interval = ratio(failed, given), wilson_interval(failed if given else 0, given)
        if records_keep_prediction(records):
            robust, interval = math.nan, (math.nan, math.nan)
        return cls(
            num_examples=len(records),
            num_attacked=len(attacked),
            num_succeeded=succeeded,
            num_failed=failed,
            num_skipped=len(records) - len(attacked),
            asr=ratio(succeeded, asked),
            asr_low=asr_low,
            asr_high=asr_high,
            robust_accuracy=robust,
            robust_accuracy_low=interval[0],
            robust_accuracy_high=interval[1],
            queries=ratio(sum(record.queries for record in attacked), len(attacked)),
            seconds=seconds,
            extra=extra,
        )

    def metrics(self, attack_name: str) -> dict[str, float]:
        """``{"<attack>_asr": ...}`` and so on, the keys that reach the Trainer's log (which adds ``eval_``)."""
        values = self._with_meaning("asr", "robust_accuracy", "queries", "seconds")
        return {f"{attack_name}_{key}": value for key, value in values.items()}

    def history(self) -> dict[str, float]:
        """What a line of ``robustness_history.jsonl`` holds of this attack."""
        return self._with_meaning(
            "asr", "robust_accuracy", "num_examples", "num_attacked", "asr_low", "asr_high", "queries", "seconds"
        )

    def _with_meaning(self, *keys: str) -> dict[str, float]:
        """These numbers and the extra ones, without a robust accuracy where the attack has none."""
        kept = [key for key in keys if key != "robust_accuracy" or not self.keeps_prediction]
        return {**{key: getattr(self, key) for key in kept}, **self.extra}


SATURATED = 0.05
"""Above this share of saturated queries a rate says little about the model: its searches were blind there."""


def saturation_warning(name: str, summary: AttackSummary) -> str:
    """One sentence where so many queries of an attack were saturated that its rates mislead; else nothing."""
    share = summary.extra.get("saturated_share", math.nan)
    if not share > SATURATED:
        return ""
    return (
        f"{name}: at {100 * share:.1f} % of the queries the model's probability was within sixteen steps of float32 "
        "from 1, where the search cannot see whether a text helps: the model may look robust without being so; "
        "measure with --attack_scores margin too."
    )


def _extra(records: Sequence[AttackRecord], attacked: Sequence[AttackRecord]) -> dict[str, float]:
    correct = sum(record.original_prediction == record.label for record in records)
    extra = {"accuracy": ratio(correct, len(records)), **changed_words(records)}
    if records and all(record.read is not None for record in records):
        extra["texts_cut"] = ratio(sum(bool(record.read) for record in records), len(records))
    counted = [record.saturated for record in attacked if record.saturated is not None]
    if attacked and len(counted) == len(attacked):
        extra["saturated_share"] = ratio(sum(counted), sum(record.queries for record in attacked))
    if records_keep_prediction(records):
        extra |= obstinacy(attacked)
    covered = [record for record in attacked if record.stop != "no_candidates"]
    # Texts that are shown as they are, and the recipes of another library, have no candidates to count.
    if len(covered) < len(attacked) or any(record.num_candidates for record in records):
        extra["covered"] = ratio(len(covered), len(attacked))
        extra["covered_asr"] = ratio(sum(record.status == "succeeded" for record in covered), len(covered))
    return extra


def obstinacy(attacked: Sequence[AttackRecord]) -> dict[str, float]:
    """Rates of the attacked examples by several definitions of success, which differ widely.

    ``raises_asr``: the text found keeps the prediction and is held more surely (``AttackRecord.raised``).
    ``remains_asr``: some admissible candidate kept the prediction. ``median_rise``: over the successes, by how much
    the text found raises the label's probability, in [-1, 1]; nan where nothing succeeded.
    """
    succeeded = [record for record in attacked if record.status == "succeeded"]
    rises = [record.perturbed_score - record.original_score for record in succeeded]
    known = [rise for rise in rises if math.isfinite(rise)]
    return {
        "raises_asr": ratio(sum(record.raises for record in succeeded), len(attacked)),
        "remains_asr": ratio(sum(bool(record.remains) for record in attacked), len(attacked)),
        "median_rise": median(known) if known else math.nan,
    }


def changed_words(records: Sequence[AttackRecord]) -> dict[str, float]:
    """How much a success had to change: means over the successes that changed a word; empty where none did.

    ``changed_words`` is the mean number of changed words, ``changed_share`` the mean of that number over the words of
    the original text, all columns together; words that the model does not read, behind the cut, count in neither. The
    share is TextAttack's "average perturbed word %" over 100, but that a
    word which becomes two ("go od") is one changed word here: TextAttack compares word by word from the left, so all
    that follow count there.

    >>> record = AttackRecord(0, 0, "succeeded", ["a good film"], ["a fine film"], [[1, "good", "fine"]], 7, 0, 1,
    ...                       0.9, 0.2, "success", 3)
    >>> {key: round(value, 3) for key, value in changed_words([record]).items()}
    {'changed_words': 1.0, 'changed_share': 0.333}
    """
    changed = [record for record in records if record.status == "succeeded" and record.changed]
    if not changed:
        return {}
    counts = [sum(record.reads(index) for index, *_ in record.changed) for record in changed]
    shares = [ratio(count, record.words_read) for record, count in zip(changed, counts, strict=True)]
    return {"changed_words": sum(counts) / len(changed), "changed_share": sum(shares) / len(changed)}
