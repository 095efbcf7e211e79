"""Check before training that the metric that chooses the best model will be measured.

The Trainer itself finds out after its first evaluation, and loses what was trained until then.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from hf_robust.metrics.keys import CERTIFICATE_KEYS, EVALUATION_KEYS, AttackKeys


@dataclass(frozen=True)
class ExpectedMetrics:
    """The metrics that a run's evaluations will have.

    Attributes:
        task: metrics of ``compute_metrics``; None if unknown.
        attacks: metrics of the attacks at the end of an epoch.
        known: names of all attacks of the package.
        eval_strategy, attack_strategy, certify: when the run evaluates, attacks and certifies.
    """

    task: Sequence[str] | None
    attacks: AttackKeys = AttackKeys()
    known: Collection[str] = ()
    eval_strategy: str = "epoch"
    attack_strategy: str = "no"
    certify: str = "no"


def check_best_metric(name: str | None, expected: ExpectedMetrics) -> None:
    """Refuse a ``metric_for_best_model`` that the run's evaluations will not have.

    Raises:
        ValueError: there is no such metric, it is not in every evaluation, or it cannot choose a model.
    """
    metric = str(name or "").removeprefix("eval_")
    if not metric or metric in (*EVALUATION_KEYS, *(expected.task or ())):
        return
    flag = f"--metric_for_best_model {metric}"
    attacked = metric in expected.attacks.always_there()
    if attacked or metric in CERTIFICATE_KEYS:
        option, strategy = ("attack_strategy", expected.attack_strategy) if attacked else ("certify", expected.certify)
        if expected.eval_strategy != "epoch" or strategy != "epoch":
            raise ValueError(
                f"{flag} is measured at the end of each epoch only: it needs --eval_strategy epoch "
                f"(got {expected.eval_strategy}) and --{option} epoch (got {strategy})."
            )
        return
    reason = expected.attacks.reason_not_measured(metric, expected.known)
    if reason:
        raise ValueError(f"{flag} {reason}.")
    if expected.task is not None:
        certificates = CERTIFICATE_KEYS if expected.certify == "epoch" else ()
        metrics = ["loss", *expected.task, *expected.attacks.always_there(), *certificates]
        close = difflib.get_close_matches(metric, metrics, n=1)
        hint = f"did you mean {close[0]}" if close else f"there are {', '.join(metrics)}"
        raise ValueError(f"{flag} is no metric of this run's evaluations: {hint}.")
