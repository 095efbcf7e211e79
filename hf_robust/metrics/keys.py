"""The names of an evaluation's metrics, known before anything is measured (without the Trainer's ``eval_``)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from hf_robust.metrics.rates import Aim

EVALUATION_KEYS = ("loss", "runtime", "samples_per_second", "steps_per_second")
RATE_KEYS = ("asr", "robust_accuracy")
ATTACK_KEYS = (*RATE_KEYS, "queries", "seconds", "accuracy")
OBSTINATE_KEYS = ("raises_asr", "remains_asr")
"""Of attacks that want the prediction to stay."""
RISE_KEYS = ("median_rise",)
"""Of these attacks too, but not a number where none of them succeeded."""
CANDIDATE_KEYS = ("covered", "covered_asr")
"""Of attacks that count their substitutes, where something was attacked."""
SUCCESS_KEYS = ("changed_words", "changed_share")
"""Only there where an attack succeeded by changing a word."""
SATURATION_KEYS = ("saturated_share",)
"""Of attacks that climb probabilities, where something was attacked."""
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
_TO_LOWER = ("asr", "abstained", "loss", "mse", "mae", "seconds", "runtime")


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better, as of a share of errors."""
    return any(metric.removeprefix("eval_") == end or metric.endswith(f"_{end}") for end in _TO_LOWER)


@dataclass(frozen=True)
class AttackKeys:
    """What attacks add to every evaluation that they measure.

    Attributes:
        aims: of each attack, by the name that its metrics carry.
        static: those of them that bring their own texts, which are in no union.
        vote: whether they meet a vote.
    """

    aims: Mapping[str, Aim] = field(default_factory=dict)
    static: Collection[str] = ()
    vote: bool = False

    @property
    def _union(self) -> int:
        """How many attacks would be in a union."""
        return sum(not aim.keeps_prediction for name, aim in self.aims.items() if name not in self.static)

    def always_there(self) -> list[str]:
        """The metrics that are always there and tell one state of the weights from another."""
        found = [f"{name}_{key}" for name, aim in self.aims.items() for key in _telling(aim)]
        return [*found, *(UNION_KEYS if self._union > 1 else ()), *(VOTE_KEYS if self.vote else ())]

    def reason_not_measured(self, metric: str, known: Collection[str] = ()) -> str:
        """Why these attacks do not measure a metric by which weights could be chosen, and the way out.

        Empty where the metric is not one of an attack. ``known`` are the attacks that could be added.
        """
        if metric in UNION_KEYS:
            wanted = f"needs two attacks or more, got {self._union} that want another prediction"
            return f"{wanted}: add one to --attacks"
        if metric in VOTE_KEYS:
            return "needs the vote that is attacked: add --attack_votes"
        name, key = _parts(metric, (*self.aims, *known))
        if name not in self.aims:
            return f"needs its attack: add --attacks {name}" if name else ""
        if key in RATE_KEYS and self.aims[name].maximises:
            return f"says nothing, since the {name} attack succeeds on every text that was right: take another metric"
        if key == "robust_accuracy":
            return f"says nothing, since the {name} attack wants the prediction to stay: take {name}_asr"
        if key in SUCCESS_KEYS:
            return f"is only measured in epochs in which the {name} attack succeeds by changing a word: take another"
        if key in RISE_KEYS and self.aims[name].keeps_prediction:
            return f"is no number in epochs in which the {name} attack never succeeds: take {name}_raises_asr"
        if key in CANDIDATE_KEYS:
            return f"is only measured where the {name} attack counts its substitutes: take {name}_asr"
        if key in SATURATION_KEYS:
            return "says how much the other rates can be believed, not which weights are better: take another"
        return f"is not measured by the {name} attack: take another"


def _telling(aim: Aim) -> Sequence[str]:
    if aim.maximises:
        return tuple(key for key in ATTACK_KEYS if key not in RATE_KEYS)
    if aim.keeps_prediction:
        return (*(key for key in ATTACK_KEYS if key != "robust_accuracy"), *OBSTINATE_KEYS)
    return ATTACK_KEYS


def _parts(metric: str, names: Collection[str]) -> tuple[str, str]:
    """The attack and the key of a metric, of the longest name that fits; empty names where there is none."""
    fit = [name for name in names if metric in [f"{name}_{key}" for key in ANY_ATTACK_KEYS]]
    name = max(fit, key=len, default="")
    return name, metric.removeprefix(f"{name}_")
