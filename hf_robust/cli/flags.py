"""Flags that several subcommands share."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hf_robust.wiring.flag_format import FlagFormatter

Built = TypeVar("Built")
DATA_SOURCES = "a csv, tsv, json, jsonl or parquet file, a GLUE task, a folder, or a Hub id"
"""What ``--data`` takes, for help texts."""


def shorten_usage(parser: argparse.ArgumentParser) -> None:
    """Show flags in one spelling, and in the usage line only those that are required."""
    parser.formatter_class = FlagFormatter
    required = [action for action in parser._actions if action.required]
    positional = [action for action in required if not action.option_strings]
    flags = [action for action in required if action.option_strings]
    formatter = FlagFormatter("")
    parts = [formatter._format_args(action, str(action.metavar or action.dest)) for action in positional]
    parts += [formatter._format_action_invocation(action) for action in flags]
    hidden = [action for action in parser._actions if isinstance(action, argparse._HelpAction)]
    optional = ["[flags]"] if len(parser._actions) > len(required) + len(hidden) else []
    parser.usage = " ".join(["%(prog)s", *parts, *optional])


def add_checkpoint_flags(
    parser: argparse.ArgumentParser, data_needed: bool = False, model_needed: bool = True
) -> None:
    """A fine-tuned model, the texts to show it, and the folder of the results."""
    group = parser.add_argument_group("model and data")
    help_text = "Folder or Hub id of a fine-tuned classifier or adapter."
    group.add_argument("model", nargs=None if model_needed else "?", metavar="MODEL", help=help_text)
    needed = "" if data_needed else " Needed by --attacks."
    group.add_argument("--data", required=data_needed, metavar="DATA", help=f"Labelled texts: {DATA_SOURCES}.{needed}")
    add_column_flags(group)
    add_class_names(group)
    add_text_length(group)
    add_device(group)
    output = parser.add_argument_group("results")
    output.add_argument(
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="Folder for the results. If it holds a run already, they go to its subfolder measured/. Default: MODEL.",
    )


def add_attack_flags(parser: argparse.ArgumentParser, model_needed: bool = True) -> None:
    """The flags of `hf-robust attack`: the checkpoint and its data, and the flags of the attacks."""
    from transformers import HfArgumentParser

    from hf_robust.attacks import AttackArguments
    from hf_robust.attacks.arguments import OF_TRAINING

    add_checkpoint_flags(parser, model_needed=model_needed)
    group = parser.add_argument_group("attacks")
    group.add_argument(
        "--replay",
        nargs="+",
        default=[],
        metavar="FILE",
        help="Attack with texts that fooled another model: attack_results/<attack>.jsonl of its run. Default: none.",
    )
    group.add_argument(
        "--keep_queries",
        action="store_true",
        help="Write every text that an attack had scored, with its probabilities, to attack_queries/<attack>.jsonl.",
    )
    flags = HfArgumentParser(AttackArguments, add_help=False)
    for action in flags._actions:
        # Of --lexicon and --attack_lexicon, --attack_votes draw from the first.
        if action.dest not in OF_TRAINING:
            group._add_action(action)


def add_column_flags(parser: argparse._ActionsContainer, split: str = "Default: validation.") -> None:
    """The flags that name the split and its columns."""
    parser.add_argument("--split", metavar="NAME", help=f"Split of --data to read. {split}")
    parser.add_argument("--label_column_name", metavar="NAME", help="Column of the labels. Default: label.")
    parser.add_argument(
        "--text_column_names",
        metavar="NAMES",
        help="One or two text columns, comma separated. Default: sentence1 and sentence2, else the columns that hold "
        "text.",
    )


def add_class_names(parser: argparse._ActionsContainer) -> None:
    """The flag that maps the labels of the data to the classes of the model."""
    parser.add_argument(
        "--class_names",
        nargs="+",
        metavar="NAME",
        help="Names of the classes. If the labels of the data are integers: one name for each, in the order of the "
        "integers. If they are names: these names, in the order of the model's classes. LABEL_1 stands for the "
        "model's class 1. Default: the names in the data, else the names in the model.",
    )


def add_text_length(parser: argparse._ActionsContainer) -> None:
    """The flag that sets the number of tokens at which texts are cut."""
    parser.add_argument(
        "--max_seq_length",
        type=int,
        metavar="TOKENS",
        help="Number of tokens at which texts are cut. Default: the length of the model's training from its run card, "
        "else the most that the model can read.",
    )


def add_language(parser: argparse._ActionsContainer) -> None:
    """The flag that names the language of the texts."""
    parser.add_argument(
        "--language",
        default="en",
        metavar="CODE",
        help="Language of the texts, by its two letters (de, fr, zh, ...). It decides what a word is, and which "
        "WordNet is used. Default: en.",
    )


def add_device(parser: argparse._ActionsContainer, model: str = "the model runs") -> None:
    """The flag that chooses the device."""
    parser.add_argument(
        "--device",
        metavar="NAME",
        help=f"Device on which {model}, such as cpu or cuda:1. Default: a GPU if there is one.",
    )


def add_seed(parser: argparse._ActionsContainer, of: str, default: int | None = 0) -> None:
    """The seed, of what the help says; ``default`` may be None to tell whether it was given."""
    parser.add_argument("--seed", type=seed, default=default, metavar="INT", help=f"Seed {of}. Default: 0.")


def seed(text: str) -> int:
    """Read a seed that all generators take."""
    from hf_robust.runs import SEEDS

    number = int(text)
    if not 0 <= number < SEEDS:
        raise argparse.ArgumentTypeError(f"must be at least 0 and below {SEEDS}, got {number}")
    return number


def from_flags(kind: Callable[..., Built], options: argparse.Namespace, **given: Any) -> Built:
    """Build a dataclass from the flags that have the names of its fields, and from fields that are ``given``."""
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{**{name: value for name, value in vars(options).items() if name in names}, **given})


def output_folder(options: argparse.Namespace) -> Path:
    """``--output_dir``, else the folder of the model.

    Raises:
        ValueError: neither is a folder, or nothing can be written there.
    """
    from hf_robust.runs import require_writable

    output_dir: Path | None = options.output_dir
    if output_dir is None and not Path(options.model).is_dir():
        raise ValueError(
            f"there is no folder to write to, since {options.model} is not a local folder: give --output_dir."
        )
    folder = Path(options.model) if output_dir is None else output_dir
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is a file: give a folder; it is created if it does not exist.")
    require_writable(folder)
    return folder
