"""The share of an attack's time that its models take: the victim, and the models that the attack consults.

    python -m benchmarks.performance.model_share --model DIR --data FILE --num 4 --lexicon counterfitted.json.gz \
        --sentence_encoder DIR --masked_lm DIR --query_budget 300 --output FILE

Each attack runs on the same correctly classified rows with its plan kept, in one thread. Seconds are those of the
processor, which other work on the machine disturbs least. Time in the victim is that of its forward and backward
passes with the copies to and from its device; time in another model is that of its forward passes. The rest is split
into the victim's tokenizer and everything else. An attack that lacks a resource is left out, with the reason.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from benchmarks.performance.stopwatch import Row, load_average, machine
from benchmarks.performance.throughput import add_titled_flags, prepare, run_titled, settings
from benchmarks.performance.throughput_runs import Case, RecordingVictim, TimedPlans, native
from benchmarks.performance.throughput_tables import shares
from hf_robust.attacks import ATTACKS, Attack
from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.runs import versions

CONSULTED = {"encoder": "sentence encoder", "masked_lm": "masked LM", "language_model": "language model"}
"""Attribute of the resources -> the model's name in the result."""
VICTIM, TOKENIZER, REST = "victim", "tokenizer", "rest"


class Meter:
    """Processor seconds by part; a part inside another one counts for the outer one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._depth = 0

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        self._depth += 1
        start = time.process_time()
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - start

    @contextmanager
    def calls(self, owner: Any, name: str, part: str) -> Iterator[None]:
        """Count the time of ``owner.name(...)`` inside the block."""
        inner: Callable[..., Any] = getattr(owner, name)

        def metered(*args: Any, **options: Any) -> Any:
            with self.of(part):
                return inner(*args, **options)

        setattr(owner, name, metered)
        try:
            yield
        finally:
            delattr(owner, name)


class MeteredVictim(RecordingVictim):
    """A victim whose passes are timed by a meter."""

    meter: Meter

    @contextmanager
    def _timed(self) -> Iterator[None]:
        with super()._timed(), self.meter.of(VICTIM):
            yield


def models_of(case: Case) -> dict[str, nn.Module]:
    """The models, by name in the table, that attacks consult besides the victim."""
    found = {name: getattr(case.resources, attribute) for attribute, name in CONSULTED.items()}
    return {name: model.model for name, model in found.items() if isinstance(model, ConsultedModel)}


def measure_attack(case: Case, attack: Attack) -> Row:
    """Counts, seconds by part and the models' share of one attack."""
    victim = case.victim
    metered = MeteredVictim(victim.model, victim.tokenizer, max_length=victim.max_length)
    metered.meter = meter = Meter()
    plans = TimedPlans()
    for example in case.examples:
        plans.get(attack, example)
    with ExitStack() as stack:
        stack.enter_context(meter.calls(metered._tokens, "encode", TOKENIZER))
        for name, model in models_of(case).items():
            stack.enter_context(meter.calls(model, "forward", name))
        row, _ = native(case, attack, victim=metered, plans=plans)
    seconds = row["cpu_seconds"]
    parts = {**meter.seconds, REST: seconds - sum(meter.seconds.values())}
    in_models = seconds - parts[REST] - parts.get(TOKENIZER, 0.0)
    counts = {name: row[name] for name in ("examples", "queries", "forwards", "forwarded", "gradients", "cpu_seconds")}
    return counts | {"parts": parts, "share": in_models / seconds}


def measure(args: argparse.Namespace) -> Row:
    """The rows of all attacks, as one JSON-ready dict."""
    torch.set_num_threads(1)
    load = load_average()
    case, _, _ = prepare(args)
    case.new_victim().probabilities([example.texts for example in case.examples])  # the first forwards are slower
    rows, left_out = {}, {}
    for name in args.recipes:
        try:
            rows[name] = measure_attack(case, case.recipe(name))
        except ValueError as error:
            left_out[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
            continue
        print(f"{name}: {rows[name]['share']:.1%} of {rows[name]['cpu_seconds']:.1f} s in models", flush=True)
    return {
        "settings": settings(args),
        "versions": versions(),
        "machine": machine(case.victim.device),
        "load_average": {"start": load, "end": load_average()},
        "attacks": rows,
        "left_out": left_out,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipes", nargs="+", default=list(ATTACKS), choices=list(ATTACKS), metavar="RECIPE")
    add_titled_flags(parser, 4)
    return run_titled(parser, argv, measure, shares)


if __name__ == "__main__":
    raise SystemExit(main())
