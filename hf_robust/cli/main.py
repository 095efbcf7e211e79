"""The console command `hf-robust`: what there is, attack or interpret a checkpoint, compare runs, make lexicons."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_robust.cli.command import Answer, Command, add_class_names, add_text_length, say

PAIRS = 3
"""How many texts `hf-robust attack` shows before and after."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; the exit code is 2 after an error, which is one line on stderr, else what it answers."""
    given = list(sys.argv[1:] if argv is None else argv)
    options = build_parser(given).parse_args(given)
    options.command_line = given
    try:
        found = COMMANDS[options.command].run(options)
    except ValueError as error:
        return say(f"hf-robust {options.command}", error)
    text, code = found if isinstance(found, Answer) else Answer(found)
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")
    return code


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; only the flags of the subcommand that is called are made, since some need slow imports."""
    parser = argparse.ArgumentParser(prog="hf-robust", description="Robust fine-tuning of text classifiers.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=command.help, allow_abbrev=False)
        if name in given[:1]:
            command.add_flags(subparser)
    return parser


def _no_flags(parser: argparse.ArgumentParser) -> None:
    """`methods` and `attacks` take none."""


# ---- methods, attacks ----


def list_methods(options: argparse.Namespace) -> str:
    """A row for each training method: its name, what it does, its paper."""
    from hf_robust.hub.citations import title
    from hf_robust.trainers import METHODS
    from hf_robust.wiring.flag_help import idea

    rows = []
    for name, trainer in METHODS.items():
        paper = f"{trainer.citation}: {title(trainer.citation)}" if trainer.citation else ""
        rows.append([name, idea(trainer), paper])
    return _columns([["method", "what it does", "paper"], *rows])


def list_attacks(options: argparse.Namespace) -> str:
    """A row for each attack: its name and what it does."""
    from hf_robust.attacks import ATTACKS

    rows = [[name, _first_line(sys.modules[recipe.__module__], name)] for name, recipe in ATTACKS.items()]
    return _columns([["attack", "what it does"], *rows])


def _first_line(module: Any, name: str) -> str:
    line = (module.__doc__ or "").strip().split("\n")[0]
    return line.removeprefix(f"The {name} attack: ")


def _columns(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


# ---- attack ----


def add_attack_flags(parser: argparse.ArgumentParser) -> None:
    from transformers import HfArgumentParser

    from hf_robust.attacks import AttackArguments

    add_checkpoint_flags(parser)
    parser.add_argument(
        "--replay",
        nargs="+",
        default=[],
        metavar="FILE",
        help="Show this model the texts that fooled another: attack_results/<attack>.jsonl of that run.",
    )
    flags = HfArgumentParser(AttackArguments, add_help=False)
    for action in flags._actions:
        # A checkpoint has no epochs; of --lexicon and --attack_lexicon, --attack_votes draw from the first.
        if action.dest not in ("attack_strategy", "attack_warm_start"):
            parser._add_action(action)


def add_checkpoint_flags(parser: argparse.ArgumentParser, data_needed: bool = False) -> None:
    """A fine-tuned model, and the texts to show it."""
    parser.add_argument("model", metavar="MODEL", help="Folder or Hub id of a fine-tuned classifier or adapter.")
    source = "A csv, tsv, json, jsonl or parquet file, a GLUE task, a folder, or a Hub id."
    parser.add_argument("--data", required=data_needed, help=source + ("" if data_needed else " Needed by --attacks."))
    parser.add_argument(
        "--output_dir",
        type=Path,
        help="Folder for the results; one that holds a run gets them below measured/. Default: MODEL.",
    )
    parser.add_argument("--split", help="Split to take the texts from. Default: validation.")
    parser.add_argument("--label_column_name", help="Column of the labels. Default: label.")
    parser.add_argument("--text_column_names", help="One or two text columns, comma separated.")
    add_class_names(parser)
    add_text_length(parser)
    parser.add_argument("--device", help="Where the model runs. Default: a GPU where there is one.")


def output_folder(options: argparse.Namespace) -> Path:
    """``--output_dir``, else the folder of the model.

    Raises:
        ValueError: neither is a folder, or nothing can be written there.
    """
    from hf_robust.runs import check_writable

    given: Path | None = options.output_dir
    if given is None and not Path(options.model).is_dir():
        raise ValueError(f"results of {options.model}, which is no folder, need an --output_dir.")
    folder = Path(options.model) if given is None else given
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is a file; name a folder, which is made where there is none.")
    check_writable(folder)
    return folder


def attack(options: argparse.Namespace) -> str:
    """Attack a checkpoint; the rates as a table and some texts before and after."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.cli.before_after import before_and_after, choose_pairs, wants_colour
    from hf_robust.metrics import saturation_in_words
    from hf_robust.reports import results_table, warnings_of
    from hf_robust.runs import claim_folder, load_run
    from hf_robust.wiring.checkpoint_attack import AttackOptions, measure_attacks, write_attacks

    options.output_dir = output_folder(options)
    given = vars(options)
    flags = AttackArguments(**{f.name: given[f.name] for f in dataclasses.fields(AttackArguments) if f.name in given})
    own = AttackOptions(**{f.name: given[f.name] for f in dataclasses.fields(AttackOptions)})
    attacked = measure_attacks(own, flags)
    folder = claim_folder("attack", own.output_dir)
    write_attacks(attacked, folder)
    pairs = choose_pairs(attacked.records, PAIRS)
    colour = wants_colour(sys.stdout)
    run = load_run(folder)
    said = [saturation_in_words(name, summary) for name, summary in attacked.summaries.items()]
    warnings = [
        sentence for sentence in (*warnings_of(run), attacked.card.get("label_permutation"), *said) if sentence
    ]
    blocks = [*(f"Warning: {sentence}\n" for sentence in warnings), results_table(run)]
    blocks += [before_and_after(name, record, attacked.card["label_names"], colour) for name, record in pairs]
    if not pairs:
        blocks.append("No attack changed a prediction by changing a text.\n")
    if attacked.remark:
        blocks.append(attacked.remark)
    return "\n".join([*blocks, f"Results of every example are in {folder}."])


# ---- certify ----


def add_certify_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.certify import add_flags

    add_flags(parser)


def certify(options: argparse.Namespace) -> str:
    """Certify a checkpoint's vote over random substitutions."""
    from hf_robust.cli.certify import run

    return run(options)


# ---- challenge ----


def add_challenge_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.challenge import add_flags

    add_flags(parser)


def challenge(options: argparse.Namespace) -> str:
    """Mask one token of each text for a checkpoint, and measure it and others on that."""
    from hf_robust.cli.challenge import run

    return run(options)


# ---- average ----


def add_average_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.average import add_flags

    add_flags(parser)


def average(options: argparse.Namespace) -> str:
    """Average a model and its twin at several shares, and attack each average."""
    from hf_robust.cli.average import run

    return run(options)


# ---- check ----


def add_check_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.check import add_flags

    add_flags(parser)


def check(options: argparse.Namespace) -> Answer:
    """Flag the numbers of a run that should not be believed; code 1 where there are some."""
    from hf_robust.cli.check import run

    return run(options)


# ---- report ----


def add_report_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.report import add_flags

    add_flags(parser)


def report(options: argparse.Namespace) -> str:
    """Compare runs: a table, and with ``--output`` a report."""
    from hf_robust.cli.report import run

    return run(options)


# ---- sweep ----


def add_sweep_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.sweep import add_flags

    add_flags(parser)


def sweep(options: argparse.Namespace) -> str:
    """Run a grid or a search over flags of the training script, and draw what came out."""
    from hf_robust.cli.sweep import run

    return run(options)


# ---- lexicon ----


def add_lexicon_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.lexicon_preview import add_flags as add_preview_flags

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    build = tasks.add_parser("build", help="Write a table from word vectors, WordNet or another lexicon.")
    build.add_argument("source", metavar="SOURCE", help="wordnet, builtin, a JSON table or a file of word vectors.")
    build.add_argument("--output", type=Path, required=True, help="The table to write, .json or .json.gz.")
    build.add_argument("--vocabulary", type=Path, help="A text file: rows for the words in it alone. Default: all.")
    build.add_argument("--k", type=int, default=8, help="Neighbours of each word vector. Default: 8.")
    build.add_argument("--min_cosine", type=float, default=0.7, help="Least cosine of neighbours. Default: 0.7.")
    look = tasks.add_parser("lookup", help="Show the substitutes of words.")
    look.add_argument("words", nargs="+", metavar="WORD")
    look.add_argument("--lexicon", default="wordnet", help="As in training. Default: wordnet.")
    split = tasks.add_parser("split", help="Divide a table: one to train with, one held out to attack with.")
    split.add_argument("source", metavar="SOURCE", help="As for build.")
    split.add_argument("--output_dir", type=Path, required=True, help="Where train.json and held_out.json go.")
    split.add_argument("--share", type=float, default=0.5, help="What train.json gets. Default: 0.5.")
    split.add_argument("--seed", type=int, default=0, help="Draws the halves. Default: 0.")
    split.add_argument(
        "--by",
        choices=("substitutes", "words"),
        default="substitutes",
        help="No pair (word, substitute) in both, or no word at all; the latter leaves pairs out. Default: "
        "substitutes.",
    )
    preview = tasks.add_parser("preview", help="Show what a table would do to a data set's texts.")
    add_preview_flags(preview)
    for task in (build, look, split, preview):
        task.add_argument("--relation", choices=("synonym", "antonym"), default="synonym")


def lexicon(options: argparse.Namespace) -> str:
    """Build a table, divide one, preview one on a data set, or look words up."""
    from hf_robust.cli.lexicon_preview import run as preview
    from hf_robust.lexicons import build_table, load_lexicon, write_table
    from hf_robust.words import Text, folded

    if options.task == "split":
        return _split_lexicon(options)
    if options.task == "preview":
        return preview(options)
    if options.task == "lookup":
        source = load_lexicon(options.lexicon, options.relation)
        found = {word: ", ".join(source(folded(word))) for word in options.words}
        return "\n".join(f"{word}: {others or f'(no {options.relation} known)'}" for word, others in found.items())
    vocabulary = None
    if options.vocabulary is not None:
        if not options.vocabulary.is_file():
            raise ValueError(f"--vocabulary {options.vocabulary} is no file; give a text file of words.")
        text = options.vocabulary.read_text(encoding="utf-8")
        vocabulary = {key for key in Text(tuple(text.splitlines())).keys if key}
    table = build_table(
        options.source, options.relation, vocabulary=vocabulary, k=options.k, min_cosine=options.min_cosine
    )
    if not table:
        raise ValueError(f"{options.source} has no {options.relation} for any word asked for; nothing was written.")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, options.output)
    mean = sum(map(len, table.values())) / len(table)
    return f"{options.output}: {len(table):,} words, {mean:.1f} {options.relation}s each"


def _split_lexicon(options: argparse.Namespace) -> str:
    from hf_robust.lexicons import build_table, split_table, write_table

    table = build_table(options.source, options.relation)
    try:
        halves = split_table(table, options.share, options.seed, options.by)
    except ValueError as error:
        raise ValueError(f"{options.source}: {error}") from error
    lines = []
    for name, half in (("train", halves.train), ("held_out", halves.held_out)):
        path = options.output_dir / f"{name}.json"
        write_table(half, path)
        lines.append(f"{path}: {len(half):,} words, {sum(map(len, half.values())):,} pairs")
    if halves.left_out:
        lines.append(f"{halves.left_out:,} pairs of a word here and a word there are in neither.")
    return "\n".join(lines)


# ---- interpret ----


def add_interpret_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.interpret.commands import TASKS

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    for name, task in TASKS.items():
        task.add_flags(tasks.add_parser(name, help=task.help, description=task.help, allow_abbrev=False))


def interpret(options: argparse.Namespace) -> str | Answer:
    """Run one of its tasks."""
    from hf_robust.cli.interpret.commands import TASKS
    from hf_robust.runs import check_writable

    if options.output_dir is not None:
        check_writable(options.output_dir)
    return TASKS[options.task].run(options)


COMMANDS: dict[str, Command] = {
    "methods": Command("List the training methods.", _no_flags, list_methods),
    "attacks": Command("List the attacks.", _no_flags, list_attacks),
    "attack": Command("Attack a checkpoint, without training.", add_attack_flags, attack),
    "certify": Command("Certify a checkpoint's vote over random substitutions.", add_certify_flags, certify),
    "challenge": Command(
        "Make a model's challenge set, one token of each text masked, and measure models on it.",
        add_challenge_flags,
        challenge,
    ),
    "interpret": Command("What a model looks at, and how steadily.", add_interpret_flags, interpret),
    "average": Command("Average a model with its taichi twin, and attack each average.", add_average_flags, average),
    "check": Command("Flag the numbers of a run that should not be believed.", add_check_flags, check),
    "report": Command("Compare runs: a table, and a report as one HTML page.", add_report_flags, report),
    "sweep": Command(
        "Train over a grid of flags or search for good ones, with tables and figures.", add_sweep_flags, sweep
    ),
    "lexicon": Command("Build, divide or preview a table of substitutes; look words up.", add_lexicon_flags, lexicon),
}


if __name__ == "__main__":
    sys.exit(main())
