"""What a training step of each method costs, relative to `normal` on the same batches in the same run.

    python benchmarks/cost.py [--model minilm] [--batch_size 16 --length 64 --rounds 5] [--data DIR] [--methods ...]

One trainer for each method over a copy of one model. In every round each trains ``--steps`` steps, in an order that
turns from round to round, and single passes are timed too; ratios are taken within a round. Passes are counted, in
batches' worth of rows, and memory is measured in runs of their own. Methods that train on texts made beforehand read
them from a file in which each text has one: what making them costs is not in a step. Writes
``benchmarks/results/cost_<name>.json``.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, set_seed

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.cost_setting import Setting, StepClock, StepCounts, build, own_options, synthetic_rows
from benchmarks.cost_summary import OVERHEAD_GOAL, pairs, summary
from benchmarks.passes import counting, time_passes, totals
from benchmarks.run import PACKAGED_MODELS, packaged_model
from benchmarks.step_memory import step_memory
from benchmarks.stopwatch import CLOCKS, load_average, machine
from benchmarks.stored import COMMITTED
from hf_robust.data.files import read_rows
from hf_robust.runs import versions
from hf_robust.trainers import METHODS, RobustTrainer

PASSES = "passes"
COUNTED_STEPS = 2
MEMORY_METHODS = ("freelb", "tavat", "infobert")
MEMORY_STEPS = (2, 5, 10)


def count_passes(trainer: RobustTrainer) -> dict[str, float]:
    """Passes of one step by kind, the mean over a few steps."""
    twin = getattr(trainer, "twin", None)
    models = [trainer.model] if twin is None else [trainer.model, twin]
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
    """Peak bytes of each method, and of those that stream with several numbers of steps."""
    found = {name: step_memory(build(name, setting, COUNTED_STEPS)) for name in names}
    growing = {
        name: {
            str(steps): step_memory(build(name, setting, COUNTED_STEPS, adv_steps=steps))["step"]
            for steps in MEMORY_STEPS
        }
        for name in MEMORY_METHODS
        if name in names
    }
    return found, growing


def measure(setting: Setting) -> dict[str, Any]:
    """Everything, as it is written."""
    flags, names = setting.flags, list(dict.fromkeys(["normal", *setting.flags.methods]))
    load = load_average()
    kept, by_steps = memory(names, setting)
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
        row["memory"] = kept[name] | {"relative": kept[name]["peak"] / kept["normal"]["peak"]}
    return describe(setting, load) | {
        "clock": clock,
        "passes": {kind: {one: median([each[kind][one] for each in passes]) for one in CLOCKS} for kind in passes[0]},
        "methods": methods,
        "pairs": pairs(rounds, passes, counts, clock),
        "overhead_goal": OVERHEAD_GOAL,
        "memory_by_steps": by_steps,
    }


def _freeze() -> None:
    """Keep what is there now from being looked through by every collection, of which each training run makes one."""
    gc.collect()
    gc.freeze()


def describe(setting: Setting, load: Any) -> dict[str, Any]:
    """The machine, the model and the batches, without any path."""
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="minilm", help=f"{', '.join(PACKAGED_MODELS)}, or a folder")
    parser.add_argument("--data", help="folder with train.jsonl.gz; by default texts of the builtin lexicon's words")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS), metavar="METHOD")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="tokens of a text at most")
    parser.add_argument("--steps", type=int, default=3, help="timed steps of a method in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--adv_steps", type=int, default=5, help="k of every method that has it")
    parser.add_argument("--freelb_pp_steps", type=int, default=10, help="k of freelb_pp, whose own 30 take long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="use the CPU even where there is a GPU")
    parser.add_argument("--name", help="of the result file; by default the model's")
    parser.add_argument("--output", type=Path, default=COMMITTED, help="folder of the result file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> Path:
    flags = parse(argv)
    folder = packaged_model(flags.model) if flags.model in PACKAGED_MODELS else flags.model
    set_seed(flags.seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    count = flags.batch_size * (flags.steps + 1)
    rows = read_rows(Path(flags.data) / "train.jsonl.gz")[:count] if flags.data else None
    with tempfile.TemporaryDirectory() as scratch:
        texts = rows or synthetic_rows(count, flags.length, flags.seed)
        setting = Setting(model, AutoTokenizer.from_pretrained(folder), texts, flags, scratch)
        _freeze()
        result = measure(setting)
        gc.unfreeze()
    path: Path = flags.output / f"cost_{flags.name or result['model']['name']}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(table(result))
    return path


def table(result: Mapping[str, Any]) -> str:
    """What is printed: ``data`` is the time between steps, in steps of `normal` as the ratios are."""
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
