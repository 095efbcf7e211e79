"""Names of the metrics of an evaluation, known before it runs (without the Trainer's prefix ``eval_``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hf_robust.metrics.rates import Aim

EVALUATION_KEYS = ("loss", "runtime", "samples_per_second", "steps_per_second")
RATE_KEYS = ("asr", "robust_accuracy")
ATTACK_KEYS = (*RATE_KEYS, "queries", "seconds", "accuracy")
OBSTINATE_KEYS = ("raises_asr", "remains_asr")
"""Metrics of attacks that keep the prediction."""
RISE_KEYS = ("median_rise",)
"""Metrics of attacks that keep the prediction; nan if no attack succeeded."""
CANDIDATE_KEYS = ("covered", "covered_asr")
"""Metrics of attacks that count their substitutes, if a text was attacked."""
SUCCESS_KEYS = ("changed_words", "changed_share")
"""Metrics that exist only if an attack succeeded by changing a word."""
SATURATION_KEYS = ("saturated_share",)
"""Metrics of attacks that climb probabilities, if a text was attacked."""
ANY_ATTACK_KEYS = (*ATTACK_KEYS, *OBSTINATE_KEYS, *RISE_KEYS, *CANDIDATE_KEYS, *SUCCESS_KEYS, *SATURATION_KEYS)
UNION_KEYS = (
    "union_robust_accuracy",
    "union_robust_accuracy_low",
    "union_robust_accuracy_high",
    "union_num_examples",
)
VOTE_KEYS = ("vote_accuracy", "vote_seconds")
CERTIFICATE_KEYS = (
    "certified_accuracy",
    "certified_accuracy_low",
    "certified_accuracy_high",
    "smoothed_accuracy",
    "abstained",
    "certify_seconds",
)
_TO_LOWER = (
    *("asr", "attack_success_rate", "abstained", "loss", "mse", "mae", "seconds", "runtime"),
    *("brier_score", "mape", "mase", "smape"),  # of the package evaluate
)


def lower_is_better(metric: str) -> bool:
    """Whether a lower value of the metric is better."""
    return any(metric.removeprefix("eval_") == end or metric.endswith(f"_{end}") for end in _TO_LOWER)


@dataclass(frozen=True)
class AttackKeys:
    """The metrics that attacks add to an evaluation.

    Attributes:
        aims: aim of each attack by its name in the metrics.
        static: names of the static attacks, which are in no union.
        vote: whether a vote is attacked.
    """

    aims: Mapping[str, Aim] = field(default_factory=dict)
    static: Collection[str] = ()
    vote: bool = False

    @property
    def _union(self) -> int:
        """Number of attacks in the union."""
        return sum(not aim.keeps_prediction for name, aim in self.aims.items() if name not in self.static)

    def always_there(self) -> list[str]:
        """Metrics that every evaluation has and by which checkpoints can be compared."""
        keys = [f"{name}_{key}" for name, aim in self.aims.items() for key in _meaningful_keys(aim)]
        return [*keys, *(UNION_KEYS if self._union > 1 else ()), *(VOTE_KEYS if self.vote else ())]

    def reason_not_measured(self, metric: str, known: Collection[str] = ()) -> str:
        """Why a metric cannot choose the best checkpoint with these attacks, and what to do.

        Empty if the metric does not belong to an attack. ``known`` are the attacks that could be added.
        """
        if metric in UNION_KEYS:
            return f"needs at least two attacks that change the prediction, got {self._union}: add one to --attacks"
        if metric in VOTE_KEYS:
            return "needs a vote: add --attack_votes"
        name, key = _parts(metric, (*self.aims, *known))
        if name not in self.aims:
            return f"needs its attack: add --attacks {name}" if name else ""
        if key in RATE_KEYS and self.aims[name].maximises:
            return (
                f"says nothing, since the {name} attack succeeds on every correctly classified text: "
                "choose another metric"
            )
        if key == "robust_accuracy":
            return f"says nothing, since the {name} attack keeps the prediction: choose {name}_asr"
        if key in SUCCESS_KEYS:
            return (
                f"exists only in epochs in which the {name} attack succeeds by changing a word: choose another metric"
            )
        if key in RISE_KEYS and self.aims[name].keeps_prediction:
            return f"is nan in epochs in which the {name} attack never succeeds: choose {name}_raises_asr"
        if key in CANDIDATE_KEYS:
            return f"exists only if the {name} attack counts its substitutes: choose {name}_asr"
        if key in SATURATION_KEYS:
            return "says how reliable the other rates are, not which weights are better: choose another metric"
        return f"is not measured by the {name} attack: choose another metric"

    def misleads(self, metric: str) -> str:
        """Why a metric, although every evaluation has it, may choose a useless checkpoint; empty if it may not."""
        name, key = _parts(metric, self.aims)
        if key != "asr" or self.aims[name].keeps_prediction:
            return ""
        return (
            "may choose a useless model: one that predicts the same class for every text has an attack success rate "
            f"of 0. {name}_robust_accuracy counts its errors too"
        )


def _meaningful_keys(aim: Aim) -> Sequence[str]:
    if aim.maximises:
        return tuple(key for key in ATTACK_KEYS if key not in RATE_KEYS)
    if aim.keeps_prediction:
        return (*(key for key in ATTACK_KEYS if key != "robust_accuracy"), *OBSTINATE_KEYS)
    return ATTACK_KEYS


def _parts(metric: str, names: Collection[str]) -> tuple[str, str]:
    """Attack and key of a metric; the longest matching attack name wins; an empty name if none matches."""
    matching = [name for name in names if metric in [f"{name}_{key}" for key in ANY_ATTACK_KEYS]]
    name = max(matching, key=len, default="")
    return name, metric.removeprefix(f"{name}_")
