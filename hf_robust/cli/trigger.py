"""`hf-robust trigger`: find a universal trigger of each class on some rows, and measure it on others."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.cli.flags import add_checkpoint_flags, add_seed, from_flags, output_folder

if TYPE_CHECKING:
    from hf_robust.attacks import Example
    from hf_robust.attacks.universal_trigger import Trigger
    from hf_robust.metrics import AttackRecord
    from hf_robust.wiring.measured_checkpoint import Checkpoint

STEM, FOUND, CONTROL = "trigger", "universal_trigger", "random_trigger"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add flags of the model and data, the rows on which triggers are found, and their length."""
    add_checkpoint_flags(parser, data_needed=True)
    group = parser.add_argument_group("trigger")
    group.add_argument(
        "--find_data", metavar="DATA",
        help="Labelled texts on which the triggers are found: a file, or a data set, whose train split is read. Rows "
        "of --data with one of these texts are not measured. Default: rows of --data, which are then not measured.",
    )  # fmt: skip
    group.add_argument(
        "--find_examples", type=int, default=128,
        help="Maximum number of rows of each class on which its trigger is found; of --data at most half of them. "
        "Default: 128, the batch of the paper's code.",
    )  # fmt: skip
    group.add_argument("--trigger_words", type=int, default=3, help="Number of words of a trigger. Default: 3.")
    group.add_argument(
        "--num_examples", type=int, default=0,
        help="Maximum number of rows to measure, drawn by --seed; 0 for all. Default: 0.",
    )  # fmt: skip
    add_seed(group, "for the choice of rows and of the random control")


class Rows(NamedTuple):
    """The rows on which triggers are found, those that are measured, and the number left out for a shared text."""

    found_on: list[Example]
    measured: list[Example]
    left_out: int


def run(options: argparse.Namespace) -> str:
    """Write ``trigger.json``, the records of both attacks, numbers and a run card; return the table.

    Raises:
        ValueError: the model or the data cannot be read, a class has too few rows, or the model has no gradients.
    """
    from hf_robust.attacks.universal_trigger import trigger_attack
    from hf_robust.runs import claim_folder, write_json, write_text
    from hf_robust.wiring.attack_results import write_attacks
    from hf_robust.wiring.checkpoint_attack import AttackOptions
    from hf_robust.wiring.measured_checkpoint import Checkpoint

    for flag in ("find_examples", "trigger_words"):
        if getattr(options, flag) < 1:
            raise ValueError(f"--{flag} must be at least 1, got {getattr(options, flag)}.")
    options.output_dir = output_folder(options)
    data_options = from_flags(AttackOptions, options)
    checkpoint = Checkpoint.load(options.model, options.data, data_options)
    checkpoint.victim.check_saliency("finding a trigger by gradient")
    rows = choose_rows(checkpoint, data_options, options)
    triggers, controls = _find(checkpoint, rows.found_on, options)
    attacks = {
        name: trigger_attack(name, {label: trigger.words for label, trigger in found.items()})
        for name, found in ((FOUND, triggers), (CONTROL, controls))
    }
    results = checkpoint.attacked(
        attacks,
        rows.measured,
        command_line=options.command_line,
        seed=options.seed,
        data={"eval_samples": len(rows.measured), "found_on": len(rows.found_on), "left_out": rows.left_out},
    )
    folder = claim_folder(STEM, options.output_dir)
    numbers = [_numbers(label, triggers, controls, rows, results.records) for label in sorted(triggers)]
    for number in numbers:
        number["class"] = checkpoint.splits.labels.names[number["label"]]
    write_attacks(results, folder)
    write_json(folder / f"{STEM}.json", {"left_out": rows.left_out, "classes": numbers, **checkpoint.describe()})
    text = _text(numbers, rows, checkpoint)
    write_text(folder / f"{STEM}.md", text)
    return f"{text}\nThe triggers are in {folder / STEM}.json; records and numbers are in the same folder.\n"


def choose_rows(checkpoint: Checkpoint, data_options: Any, options: argparse.Namespace) -> Rows:
    """Draw the rows on which triggers are found, and the rows to measure, which share no text with them.

    Raises:
        ValueError: a class has no row to find its trigger on, or no row is left to measure.
    """
    from hf_robust.attacks import choose_examples
    from hf_robust.wiring.checkpoint_attack import splits_of

    rows, others = checkpoint.examples(0, options.seed), options.find_data is not None
    source = rows
    if others:
        split = data_options.split if Path(options.find_data).is_file() else "train"
        victim = checkpoint.victim
        other_options = dataclasses.replace(data_options, model=options.model, split=split)
        splits = splits_of(other_options, options.find_data, victim.model, victim.tokenizer)
        source = choose_examples(splits.labelled("validation"), 0, options.seed)
    found_on = [
        example
        for label in sorted({example.label for example in rows})
        for example in _drawn([one for one in source if one.label == label], label, checkpoint, options)
    ]
    texts = {example.texts for example in found_on}
    measured = [example for example in rows if example.texts not in texts]
    left_out = len(rows) - len(measured)
    if options.num_examples > 0:
        measured = _sampled(measured, options.num_examples, options.seed)
    if not measured:
        raise ValueError(
            f"no row of --data {options.data} is left to measure: triggers were found on the texts of all "
            f"{left_out:,}; give other rows by --find_data."
        )
    return Rows(found_on, measured, left_out)


def _drawn(rows: Sequence[Example], label: int, checkpoint: Checkpoint, options: argparse.Namespace) -> list[Example]:
    most = len(rows) if options.find_data is not None else len(rows) // 2
    if not most:
        name, needed = checkpoint.splits.labels.names[label], "1 row" if options.find_data is not None else "2 rows"
        raise ValueError(
            f"a trigger of class {name} needs at least {needed} of it, and {options.find_data or options.data} has "
            f"{len(rows)}: give more rows."
        )
    return _sampled(rows, min(options.find_examples, most), options.seed)


def _sampled(rows: Sequence[Example], count: int, seed: int) -> list[Example]:
    import random

    return sorted(random.Random(seed).sample(rows, min(count, len(rows))), key=lambda example: example.idx)


def _find(
    checkpoint: Checkpoint, rows: Sequence[Example], options: argparse.Namespace
) -> tuple[dict[int, Trigger], dict[int, Trigger]]:
    """The trigger of each class, and a random one of the same number of scored triggers."""
    from hf_robust.attacks.universal_trigger import find_trigger, random_trigger

    triggers, controls, victim = {}, {}, checkpoint.victim
    with victim.measuring(options.seed):
        for label in sorted({example.label for example in rows}):
            examples, length = [example for example in rows if example.label == label], options.trigger_words
            triggers[label] = find_trigger(victim, examples, length=length)
            controls[label] = random_trigger(victim, examples, triggers[label].tried, options.seed, length)
    return triggers, controls


def _numbers(
    label: int,
    triggers: Mapping[int, Trigger],
    controls: Mapping[int, Trigger],
    rows: Rows,
    records: Mapping[str, Sequence[AttackRecord]],
) -> dict[str, Any]:
    """The numbers of one class: its rows, and for both triggers words, search and accuracy on the measured rows."""
    measured = [one for one in records[FOUND] if one.label == label]
    right = [one.original_prediction == label for one in measured]
    numbers: dict[str, Any] = {"label": label, "found_on": sum(one.label == label for one in rows.found_on)}
    numbers |= {"measured": len(measured), "clean": _share(right)}
    for name, found in ((FOUND, triggers), (CONTROL, controls)):
        own = [one for one in records[name] if one.label == label]
        kept = [one.status == "failed" for one in own]
        numbers[name] = {**found[label]._asdict(), "accuracy": _share(kept)}
    return numbers


def _share(hits: Sequence[bool]) -> dict[str, float] | None:
    """A share with its Wilson interval; None of no row."""
    from hf_robust.metrics import wilson_interval

    if not hits:
        return None
    low, high = wilson_interval(sum(hits), len(hits))
    return {"value": sum(hits) / len(hits), "low": low, "high": high}


def _text(numbers: Sequence[dict[str, Any]], rows: Rows, checkpoint: Checkpoint) -> str:
    from hf_robust.reports import markdown_table, percent

    def cell(share: dict[str, float] | None) -> str:
        return "–" if share is None else percent(share["value"], (share["low"], share["high"]))

    header = ["class", "trigger", "found on", "measured on", "accuracy, %", "with the trigger, %", "random words, %"]
    cells = [
        [
            str(one["class"]), str(one[FOUND]["words"]), f"{one['found_on']:,} rows", f"{one['measured']:,} rows",
            cell(one["clean"]), cell(one[FOUND]["accuracy"]), cell(one[CONTROL]["accuracy"]),
        ]
        for one in numbers
    ]  # fmt: skip
    tried, queries = (sum(one[FOUND][key] for one in numbers) for key in ("tried", "queries"))
    notes = [
        f"The trigger stands before each text of its class (before the last text of a pair). Finding took {queries:,} "
        f"queries for {tried:,} triggers; the random words are the best of as many, on the same rows. In brackets: "
        "95 % intervals. A text that is classified wrongly without the trigger counts as wrong with it. Words that "
        "alone say another class change what the text means."
    ]
    if rows.left_out:
        notes.append(
            f"Rows of the data that are not measured, since their texts were used to find: {rows.left_out:,}."
        )
    weak = [str(one["class"]) for one in numbers if _is_no_better(one)]
    if weak:
        notes.append(f"Of {', '.join(weak)} the trigger found no more than random words did.")
    permuted = checkpoint.restored.remark
    return f"{markdown_table(header, cells)}\n" + "\n".join([*notes, *([permuted] if permuted else [])]) + "\n"


def _is_no_better(one: Mapping[str, Any]) -> bool:
    found, control = one[FOUND]["accuracy"], one[CONTROL]["accuracy"]
    return found is not None and found["value"] >= control["value"]
