"""Cost of a training step of each method, relative to `normal` on the same batches in the same run.

    python -m benchmarks.performance.cost [--model minilm] [--batch_size 16] [--length 64] [--rounds 5] [--data DIR]

There is one trainer for each method over a copy of one model. In every round each trains ``--steps`` steps, in an
order that rotates from round to round, and single passes are timed too. Ratios are taken within a round. Passes
(counted in batches' worth of rows) and memory are measured in separate runs. Methods that train on texts made
beforehand read one view for each text from a file; the cost of making views is not in a step. Writes
``benchmarks/results/cost_<name>.json``.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

from benchmarks.performance.cost_setting import Setting, StepClock, StepCounts, build, own_options, synthetic_rows
from benchmarks.performance.memory import step_memory
from benchmarks.performance.passes import KINDS, counting, time_passes, totals
from benchmarks.performance.stopwatch import CLOCKS, load_average, machine
from benchmarks.study.packaged import PACKAGED_MODELS, packaged_model
from benchmarks.study.stored import COMMITTED
from hf_robust.data.files import read_rows
from hf_robust.runs import versions
from hf_robust.trainers import METHODS, RobustTrainer

Row = dict[str, Any]
Round = Mapping[str, Mapping[str, float]]
"""Seconds of one step of each method, by each clock."""

PAPER_RATIOS = {"adaptive_pgd": (1.011, 0.02), "adaptive_freelb": (1.178, 0.10), "adaptive_tavat": (1.188, 0.10)}
"""Adaptive method -> ratio of its seconds to those of the method that it wraps in AdaptAT's Table 10 (k = 5, SST-2),
and our goal for its extra cost after both are divided by the cost of their counted passes."""

OVERHEAD_GOAL = 0.05
PASSES = "passes"
COUNTED_STEPS = 2
MEMORY_METHODS = ("freelb", "tavat", "infobert")
MEMORY_STEPS = (2, 5, 10)


# ---- measuring ----


def count_passes(trainer: RobustTrainer) -> dict[str, float]:
    """Number of passes of one step by kind, a mean over a few steps."""
    named = (getattr(trainer, name, None) for name in ("model", "twin", "bounds"))
    models = [model for model in named if model is not None]
    with counting(*models, rows=trainer.args.train_batch_size) as counter:
        steps = StepCounts(counter)
        trainer.add_callback(steps)
        trainer.train()
        trainer.remove_callback(steps)
    kinds = {kind for step in steps.steps for kind in step}
    return {kind: sum(step.get(kind, 0) for step in steps.steps) / len(steps.steps) for kind in sorted(kinds)}


def one_round(trainers: Mapping[str, RobustTrainer], order: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Seconds of one step of each method, and of one pass of each kind."""
    seconds, passes = {}, {}
    for name in order:
        gc.collect()
        if name == PASSES:
            normal = trainers["normal"]
            passes = time_passes(normal, list(normal.get_train_dataloader()))
            continue
        clock = StepClock()
        trainers[name].add_callback(clock)
        trainers[name].train()
        trainers[name].remove_callback(clock)
        seconds[name] = clock.mean()
    return {name: seconds[name] for name in trainers}, passes


def memory(names: Sequence[str], setting: Setting) -> tuple[dict[str, Any], dict[str, Any]]:
    """Peak bytes of each method; for `MEMORY_METHODS` also with several numbers of ascent steps."""
    peaks = {name: step_memory(build(name, setting, COUNTED_STEPS)) for name in names}
    growing = {
        name: {
            str(steps): step_memory(build(name, setting, COUNTED_STEPS, adv_steps=steps))["step"]
            for steps in MEMORY_STEPS
        }
        for name in MEMORY_METHODS
        if name in names
    }
    return peaks, growing


# ---- relative costs ----


def spread(values: Iterable[float]) -> Row:
    """Median, minimum and maximum over the rounds."""
    ordered = sorted(values)
    return {"median": median(ordered), "low": ordered[0], "high": ordered[-1]}


def expected_seconds(counts: Mapping[str, float], passes: Round, normal: float, clock: str) -> float:
    """Seconds of a step if it cost only its passes and what `normal` needs in addition to its passes.

    ``normal`` are the seconds of one step of `normal`; they include the optimizer, the data loader and the Trainer.
    """
    of_normal = passes["forward"][clock] + passes["backward"][clock]
    return sum(counts.get(kind, 0.0) * passes[kind][clock] for kind in KINDS) + normal - of_normal


def summary(
    rounds: Sequence[Round], passes: Sequence[Round], counts: Mapping[str, Mapping[str, float]], clock: str
) -> dict[str, Row]:
    """Seconds of each method, cost relative to `normal`, and overhead (measured over expected seconds, minus one).

    Ratios are taken within a round, so that whatever slows a whole round down cancels.
    """
    rows: dict[str, Row] = {}
    for name in rounds[0]:
        expected = [
            expected_seconds(counts[name], units, seconds_of_round["normal"][clock], clock)
            for seconds_of_round, units in zip(rounds, passes, strict=True)
        ]
        measured = [seconds_of_round[name][clock] for seconds_of_round in rounds]
        rows[name] = {
            "counts": {kind: counts[name].get(kind, 0.0) for kind in KINDS},
            "seconds": spread(seconds_of_round[name]["seconds"] for seconds_of_round in rounds),
            "cpu_seconds": spread(seconds_of_round[name]["cpu_seconds"] for seconds_of_round in rounds),
            "between_steps": spread(seconds_of_round[name][f"between_{clock}"] for seconds_of_round in rounds),
            "relative": spread(
                seconds_of_round[name][clock] / seconds_of_round["normal"][clock] for seconds_of_round in rounds
            ),
            "expected": spread(
                expected_of_round / seconds_of_round["normal"][clock]
                for expected_of_round, seconds_of_round in zip(expected, rounds, strict=True)
            ),
            "overhead": spread(
                measured_of_round / expected_of_round - 1
                for measured_of_round, expected_of_round in zip(measured, expected, strict=True)
            ),
        }
    return rows


def pairs(
    rounds: Sequence[Round], passes: Sequence[Round], counts: Mapping[str, Mapping[str, float]], clock: str
) -> dict[str, Row]:
    """Adaptive against wrapped methods: the ratio of seconds, and the ratio per counted pass minus one."""
    rows = {}
    for name, (paper, goal) in PAPER_RATIOS.items():
        wrapped: str = METHODS[name].wraps  # type: ignore[attr-defined]
        if name not in rounds[0] or wrapped not in rounds[0]:
            continue
        ratios, beyond = [], []
        for seconds_of_round, units in zip(rounds, passes, strict=True):
            normal = seconds_of_round["normal"][clock]
            above, below = (expected_seconds(counts[method], units, normal, clock) for method in (name, wrapped))
            ratios.append(seconds_of_round[name][clock] / seconds_of_round[wrapped][clock])
            beyond.append(ratios[-1] / (above / below) - 1)
        row: Row = {"ratio": spread(ratios), "paper": paper, "beyond_passes": spread(beyond), "goal": goal}
        rows[f"{name}/{wrapped}"] = row | {"within_goal": row["beyond_passes"]["median"] <= goal}
    return rows


# ---- all of it ----


def measure(setting: Setting) -> dict[str, Any]:
    """All measurements, JSON-ready."""
    flags, names = setting.flags, list(dict.fromkeys(["normal", *setting.flags.methods]))
    load = load_average()
    peaks, by_steps = memory(names, setting)
    counts = {name: count_passes(build(name, setting, COUNTED_STEPS)) for name in names}
    trainers = {name: build(name, setting, flags.steps + 1) for name in names}
    _freeze()
    rounds, passes = [], []
    for number in range(flags.rounds + 1):
        places = [PASSES, *names]
        turn = number % len(places)
        seconds, units = one_round(trainers, places[turn:] + places[:turn])
        print(f"round {number} of {flags.rounds}" + (" (warm-up)" if not number else ""), flush=True)
        if number:
            rounds.append(seconds)
            passes.append(units)
    clock = "cpu_seconds" if setting.device.type == "cpu" and torch.get_num_threads() == 1 else "seconds"
    methods = summary(rounds, passes, counts, clock)
    for name, row in methods.items():
        row["options"] = own_options(name, flags)
        row["memory"] = peaks[name] | {"relative": peaks[name]["peak"] / peaks["normal"]["peak"]}
    return describe(setting, load) | {
        "clock": clock,
        "passes": {
            kind: {one: median([of_round[kind][one] for of_round in passes]) for one in CLOCKS} for kind in passes[0]
        },
        "methods": methods,
        "pairs": pairs(rounds, passes, counts, clock),
        "overhead_goal": OVERHEAD_GOAL,
        "memory_by_steps": by_steps,
    }


def _freeze() -> None:
    """Exclude the present objects from garbage collection, which runs in every training run."""
    gc.collect()
    gc.freeze()


def describe(setting: Setting, load: Any) -> dict[str, Any]:
    """Machine, model and batches, without paths."""
    flags, config = setting.flags, setting.model.config
    dataset = setting.dataset()
    lengths = [len(dataset[index]["input_ids"]) for index in range(len(setting.rows))]
    return {
        "machine": machine(setting.device) | {"load_average": {"start": load, "end": load_average()}},
        "versions": versions(),
        "model": {
            "name": flags.model if flags.model in PACKAGED_MODELS else Path(flags.model).name,
            "type": config.model_type,
            "parameters": sum(parameter.numel() for parameter in setting.model.parameters()),
            "width": getattr(config, "hidden_size", None),
            "layers": getattr(config, "num_hidden_layers", None),
        },
        "setting": {
            key: getattr(flags, key)
            for key in ("batch_size", "length", "steps", "rounds", "adv_steps", "freelb_pp_steps", "bf16", "seed")
        }
        | {
            "data": Path(flags.data).name if flags.data else "synthetic",
            "tokens_in_a_text": sum(lengths) / len(lengths),
            "view_share": setting.view_share,
        },
    }


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm", help=f"{', '.join(PACKAGED_MODELS)}, or a folder")
    parser.add_argument(
        "--data", help="folder with train.jsonl.gz; default: random texts of the builtin lexicon's words"
    )
    # The model is an encoder, which a method that names its architectures may not train.
    names = [name for name in METHODS if not METHODS[name].architectures]
    parser.add_argument("--methods", nargs="+", default=names, choices=names, metavar="METHOD")
    parser.add_argument("--batch_size", type=int, default=16, help="texts of a batch")
    parser.add_argument("--length", type=int, default=64, help="maximum number of tokens of a text")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of each method in a round")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds after one warm-up round")
    parser.add_argument("--adv_steps", type=int, default=5, help="ascent steps k of every method that has them")
    parser.add_argument(
        "--freelb_pp_steps", type=int, default=10, help="ascent steps k of freelb_pp, whose default of 30 takes long"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and texts")
    parser.add_argument("--bf16", action="store_true", help="train in bfloat16")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even if there is a GPU")
    parser.add_argument(
        "--add", action="store_true", help="add the methods that the result file lacks, with `normal` measured anew"
    )
    parser.add_argument("--name", help="name of the result file; default: the model's")
    parser.add_argument("--output", type=Path, default=COMMITTED, help="folder of the result file")
    return parser.parse_args(argv)


@contextmanager
def prepared(flags: argparse.Namespace) -> Iterator[Setting]:
    """The model and the texts of the flags; their objects are not collected while they are measured."""
    folder = packaged_model(flags.model) if flags.model in PACKAGED_MODELS else flags.model
    set_seed(flags.seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    count = flags.batch_size * (flags.steps + 1)
    rows = read_rows(Path(flags.data) / "train.jsonl.gz")[:count] if flags.data else None
    with tempfile.TemporaryDirectory() as scratch:
        texts = rows or synthetic_rows(count, flags.length, flags.seed)
        setting = Setting(model, AutoTokenizer.from_pretrained(folder), texts, flags, scratch)
        _freeze()
        try:
            yield setting
        finally:
            gc.unfreeze()


def main(argv: Sequence[str] | None = None) -> Path:
    flags = parse(argv)
    with prepared(flags) as setting:
        result = measure(setting)
    path: Path = flags.output / f"cost_{flags.name or result['model']['name']}.json"
    if flags.add:
        result = with_added(json.loads(path.read_text(encoding="utf-8")), result)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    return path


def with_added(stored: dict[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """A stored result with the rows of further methods, measured on the same model with the same batches.

    Raises:
        SystemExit: model, clock, or setting differ, so that the rows do not belong into one table.
    """
    same = ("batch_size", "length", "adv_steps", "freelb_pp_steps", "bf16", "data")
    for key, mine, theirs in [
        ("model", stored["model"], result["model"]),
        ("clock", stored["clock"], result["clock"]),
        *[(key, stored["setting"][key], result["setting"][key]) for key in same],
    ]:
        if mine != theirs:
            raise SystemExit(f"--add: {key} is {mine} in the stored result and {theirs} now; measure with the same.")
    methods = {**result["methods"], **stored["methods"]}
    added = {name: methods[name] for name in result["methods"] if name not in stored["methods"]}
    apart = {key: result[key] for key in ("machine", "versions", "setting", "passes")}
    return {
        **stored,
        "setting": stored["setting"] | {"view_share": result["setting"]["view_share"]},
        "methods": {name: methods[name] for name in METHODS if name in methods},
        "pairs": stored["pairs"] | result["pairs"],
        "added": {**stored.get("added", {}), **dict.fromkeys(added, apart)},
    }


def table(result: Mapping[str, Any]) -> str:
    """The printed table; ``data`` is the time between steps, in units of a step of `normal`."""
    normal = result["methods"]["normal"][result["clock"]]["median"]
    lines = [
        f"{'method':16} {'F':>5} {'B':>5} {'relative':>9} {'expected':>9} {'overhead':>9} {'data':>6} {'memory':>7}"
    ]
    for name, row in result["methods"].items():
        forwards, backwards = totals(row["counts"])
        lines.append(
            f"{name:16} {forwards:5g} {backwards:5g} "
            f"{row['relative']['median']:9.2f} {row['expected']['median']:9.2f} "
            f"{100 * row['overhead']['median']:8.1f}% {row['between_steps']['median'] / normal:6.2f} "
            f"{row['memory']['relative']:7.2f}"
        )
    for name, row in result["pairs"].items():
        beyond = 100 * row["beyond_passes"]["median"]
        lines.append(
            f"{name:32} {row['ratio']['median']:.3f} (paper {row['paper']}), beyond its passes {beyond:+.1f}%"
        )
    lines += [f"bytes of a step, {name}: {sizes}" for name, sizes in result["memory_by_steps"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
