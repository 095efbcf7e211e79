"""One recipe on one victim and one set of examples, run by this package's engine or by TextAttack, and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.attack_bound import RecordingVictim
from benchmarks.stopwatch import Row, stopwatch, wait_for
from hf_robust.attacks import ATTACKS, Attack, Example, Plans, Resources, Victim, attack_dataset
from hf_robust.attacks.engine.plans import Plan
from hf_robust.attacks.engine.requests import Columns
from hf_robust.metrics import AttackRecord

STOCK_BATCH = 32
"""TextAttack's own number of texts in a model call, at most."""


class TimedPlans(Plans):
    """Plans that add up the time spent on finding or making them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0

    def planner(self, attack: Attack) -> Callable[[Example], Plan]:
        start = time.perf_counter()
        plan = super().planner(attack)
        self.seconds += time.perf_counter() - start

        def timed(example: Example) -> Plan:
            start = time.perf_counter()
            try:
                return plan(example)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


@dataclass
class Case:
    """What both sides share: examples, resources, and the model behind ``victim``."""

    victim: Victim
    examples: list[Example]
    columns: tuple[str, ...]
    resources: Resources
    seed: int = 0
    masked_lm: str | None = None

    def new_victim(self) -> RecordingVictim:
        """A victim of the same model whose counters stand at zero."""
        own = self.victim
        return RecordingVictim(own.model, own.tokenizer, max_length=own.max_length, autocast=own.autocast)

    def recipe(self, name: str) -> Attack:
        return ATTACKS[name](self.resources)


def native(
    case: Case,
    attack: Attack,
    *,
    examples: Sequence[Example] | None = None,
    victim: RecordingVictim | None = None,
    plans: TimedPlans | None = None,
    one_at_a_time: bool = False,
    replayed: dict[int, Columns] | None = None,
) -> tuple[Row, list[AttackRecord]]:
    """The engine's run; with ``one_at_a_time`` a call for each example, as for somebody who has only one."""
    chosen = case.examples if examples is None else examples
    victim = victim or case.new_victim()
    plans = plans or TimedPlans()
    planned = plans.seconds
    options: dict[str, Any] = {"plans": plans, "seed": case.seed, "progress": False, "replayed": replayed}
    with stopwatch(victim.device) as spent:
        if one_at_a_time:
            records = [
                attack_dataset(attack, victim, [one], live=1, check_candidates=False, **options)[0] for one in chosen
            ]
        else:
            records = attack_dataset(attack, victim, chosen, **options)
    row = summed(records, spent.to_json(), victim.seconds)
    row["planning_seconds"] = plans.seconds - planned
    row["planning_share"] = row["planning_seconds"] / row["seconds"]
    row |= {"forwards": victim.forwards, "forwarded": victim.forwarded, "gradients": victim.gradients}
    return row, records


def summed(records: Sequence[AttackRecord], spent: Row, model_seconds: float) -> Row:
    """Counts and rates of one run beside what it cost."""
    attacked = sum(record.status != "skipped" for record in records)
    succeeded = sum(record.status == "succeeded" for record in records)
    queries = sum(record.queries for record in records)
    return {
        "examples": len(records),
        "attacked": attacked,
        "succeeded": succeeded,
        "asr": succeeded / attacked if attacked else None,
        "queries": queries,
        "queries_per_second": queries / spent["seconds"],
        "model_seconds": model_seconds,
        "model_share": model_seconds / spent["seconds"],
        **spent,
    }


def textattack(
    case: Case, name: str, examples: Sequence[Example], padded_to: int | None = None
) -> tuple[Row, list[AttackRecord]]:
    """TextAttack's run, one example after another.

    ``padded_to`` takes its own wrapper, which pads every query to the tokenizer's ``model_max_length``, set to this;
    None takes a wrapper that pads to the longest of a call. The recipe is built before the clock starts.
    """
    from benchmarks.textattack_recipes import SideA, side_a
    from hf_robust.attacks.textattack.importing import import_textattack

    victim = case.new_victim()
    recipe = side_a(name, SideA(case.resources, victim, masked_lm=case.masked_lm), case.columns)
    goal = recipe.attack.goal_function
    if padded_to is not None:
        wrappers = import_textattack().models.wrappers
        goal.model, goal.batch_size = wrappers.HuggingFaceModelWrapper(victim.model, victim.tokenizer), STOCK_BATCH
    with _model_max_length(victim.tokenizer, padded_to), victim.measuring(case.seed), _model_time(victim) as clock:
        with stopwatch(victim.device) as spent:
            records = list(recipe.run(victim, examples, case.seed))
    row = summed(records, spent.to_json(), clock.seconds)
    return row | {"forwards": clock.calls, "forwarded": clock.texts, "padded_to": padded_to}, records


@dataclass
class _Clock:
    seconds: float = 0.0
    calls: int = 0
    texts: int = 0
    started: float = 0.0


@contextmanager
def _model_time(victim: Victim) -> Iterator[_Clock]:
    """Seconds inside the model, whoever calls it. A GPU is waited for after each call, as its callers do anyway."""
    clock = _Clock()

    def before(*_: Any) -> None:
        clock.started = time.perf_counter()

    def after(module: Any, inputs: Any, output: Any) -> None:
        wait_for(victim.device)
        clock.seconds += time.perf_counter() - clock.started
        clock.calls += 1
        clock.texts += len(output.logits)

    hooks = [victim.model.register_forward_pre_hook(before), victim.model.register_forward_hook(after)]
    try:
        yield clock
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _model_max_length(tokenizer: Any, length: int | None) -> Iterator[None]:
    before = tokenizer.model_max_length
    tokenizer.model_max_length = before if length is None else length
    try:
        yield
    finally:
        tokenizer.model_max_length = before
