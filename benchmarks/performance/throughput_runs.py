"""The timed runs of one recipe on one victim and one set of examples.

These are the runs of this package's engine, of TextAttack, and of the bare model on the token sequences of the attack,
which is the bound for any engine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.performance.stopwatch import Row, mean_row, stopwatch, wait_for
from hf_robust.attacks import ATTACKS, Attack, Example, Plans, Resources, Victim, attack_dataset
from hf_robust.attacks.engine.batches import Encoded, Padder, packed, to_device
from hf_robust.attacks.engine.memory import CPU_OVERHEAD, GPU_OVERHEAD
from hf_robust.attacks.engine.plans import Plan
from hf_robust.attacks.engine.requests import Columns
from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

CPU_BUDGETS = (256, 512, 1024, 2048, 4096)
GPU_BUDGETS = (8192, 16384, 32768, 65536, 131072)
STOCK_BATCH = 32
"""TextAttack's maximum number of texts in a model call."""


class RecordingVictim(Victim):
    """A victim that records the distinct token sequences of its forward passes.

    Attributes:
        recorded: key -> sequence, in order of arrival.
        gradients: number of texts whose gradients were computed; their passes are not part of the bound.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.recorded: dict[bytes, Encoded] = {}
        self.gradients = 0

    def _batches(self, new: Sequence[tuple[bytes, Encoded]]) -> Iterator[tuple[list[bytes], Tensor]]:
        self.recorded.update(new)
        return super()._batches(new)

    def saliency(self, texts: Sequence[Text], loss: str = "probability") -> list[Any]:
        self.gradients += len(texts)
        return super().saliency(texts, loss)


class TimedPlans(Plans):
    """Plans that sum up the time of looking them up or making them."""

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
    """Inputs that both sides share: examples, resources, and the model of ``victim``."""

    victim: Victim
    examples: list[Example]
    columns: tuple[str, ...]
    resources: Resources
    seed: int = 0

    def new_victim(self) -> RecordingVictim:
        """A victim of the same model with all counters at zero."""
        victim = self.victim
        return RecordingVictim(victim.model, victim.tokenizer, max_length=victim.max_length, autocast=victim.autocast)

    def recipe(self, name: str) -> Attack:
        """The native recipe of that name with these resources."""
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
    """Run the engine. With ``one_at_a_time`` each example is a call of its own, as for a user with one example."""
    chosen = case.examples if examples is None else examples
    victim = victim or case.new_victim()
    plans = plans or TimedPlans()
    planned = plans.seconds
    options: dict[str, Any] = {"plans": plans, "seed": case.seed, "progress": False, "replayed": replayed}
    with stopwatch(victim.device) as usage:
        if one_at_a_time:
            records = [
                attack_dataset(attack, victim, [example], live=1, check_candidates=False, **options)[0]
                for example in chosen
            ]
        else:
            records = attack_dataset(attack, victim, chosen, **options)
    row = run_row(records, usage.to_json(), victim.seconds)
    row["planning_seconds"] = plans.seconds - planned
    row["planning_share"] = row["planning_seconds"] / row["seconds"]
    row |= {"forwards": victim.forwards, "forwarded": victim.forwarded, "gradients": victim.gradients}
    return row, records


def run_row(records: Sequence[AttackRecord], usage: Row, model_seconds: float) -> Row:
    """Counts, rates, time and memory of one run."""
    attacked = sum(record.status != "skipped" for record in records)
    succeeded = sum(record.status == "succeeded" for record in records)
    queries = sum(record.queries for record in records)
    return {
        "examples": len(records),
        "attacked": attacked,
        "succeeded": succeeded,
        "asr": succeeded / attacked if attacked else None,
        "queries": queries,
        "queries_per_second": queries / usage["seconds"],
        "model_seconds": model_seconds,
        "model_share": model_seconds / usage["seconds"],
        **usage,
    }


def textattack(
    case: Case, name: str, examples: Sequence[Example], padded_to: int | None = None
) -> tuple[Row, list[AttackRecord]]:
    """Run TextAttack, one example after another.

    With ``padded_to`` it uses its own model wrapper, which pads every query to that length (the tokenizer's
    ``model_max_length``); with None a wrapper that pads to the longest text of a call. The recipe is built before the
    clock starts.
    """
    from benchmarks.performance.textattack_recipes import SideA, side_a
    from hf_robust.attacks.textattack.importing import import_textattack

    victim = case.new_victim()
    recipe = side_a(name, SideA(case.resources, victim), case.columns)
    goal = recipe.attack.goal_function
    if padded_to is not None:
        wrappers = import_textattack().models.wrappers
        goal.model, goal.batch_size = wrappers.HuggingFaceModelWrapper(victim.model, victim.tokenizer), STOCK_BATCH
    with _model_max_length(victim.tokenizer, padded_to), victim.measuring(case.seed), _model_time(victim) as clock:
        with stopwatch(victim.device) as usage:
            records = list(recipe.run(victim, examples, case.seed))
    row = run_row(records, usage.to_json(), clock.seconds)
    return row | {"forwards": clock.calls, "forwarded": clock.texts, "padded_to": padded_to}, records


@dataclass
class _Clock:
    seconds: float = 0.0
    calls: int = 0
    texts: int = 0
    started: float = 0.0


@contextmanager
def _model_time(victim: Victim) -> Iterator[_Clock]:
    """Seconds inside the model, for any caller. Waits for the GPU after each call, as the callers do anyway."""
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


# ---- the bound ----


class Bound:
    """Runs the sequences of one attack through the victim's model, without any search.

    Batches are padded and made into tensors before the clock starts. Only the copy to the device, the forwards and the
    copy of the logits back are timed.
    """

    def __init__(self, victim: Victim, sequences: Iterable[Encoded]) -> None:
        self.victim, self.pad = victim, Padder(victim.tokenizer)
        self.sequences = list(sequences)
        self.lengths = [len(sequence.ids) for sequence in self.sequences]

    def run(self, budget: int, equal_lengths: bool = False, threads: int | None = None) -> Row:
        """Time all sequences in batches of at most ``budget`` padded tokens."""
        overhead = CPU_OVERHEAD if self.victim.device.type == "cpu" else GPU_OVERHEAD
        places = of_equal_length(self.lengths, budget) if equal_lengths else packed(self.lengths, budget, overhead)
        batches = [self.pad([self.sequences[place] for place in part]) for part in places]
        with _threads(threads), self.victim.measuring(), torch.inference_mode(), self.victim.autocast():
            self._forward(batches[0])
            with stopwatch(self.victim.device) as usage:
                logits = [self._forward(batch) for batch in batches]
                torch.cat(logits).cpu()
        return {
            "budget": budget,
            "sequences": len(self.sequences),
            "tokens": sum(self.lengths),
            "padded_tokens": sum(batch["input_ids"].numel() for batch in batches),
            "batches": len(batches),
            **usage.to_json(),
        }

    def _forward(self, batch: dict[str, Tensor]) -> Tensor:
        logits: Tensor = self.victim.model(**to_device(batch, self.victim.device)).logits
        return logits


def of_equal_length(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Batches of positions of equal length, longest first, so that nothing is padded."""
    by_length: dict[int, list[int]] = {}
    for place, length in enumerate(lengths):
        by_length.setdefault(length, []).append(place)
    for length in sorted(by_length, reverse=True):
        rows, places = max(token_budget // max(length, 1), 1), by_length[length]
        for start in range(0, len(places), rows):
            yield places[start : start + rows]


def fastest(rounds: dict[int, list[Row]]) -> tuple[int, Row]:
    """The token budget with the lowest mean seconds, and its mean row."""
    means = {budget: mean_row(rows) for budget, rows in rounds.items()}
    best = min(means, key=lambda budget: float(means[budget]["seconds"]))
    return best, means[best]


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
