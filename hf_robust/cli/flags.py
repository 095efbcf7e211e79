"""Flags that several subcommands share."""

from __future__ import annotations

import argparse
from pathlib import Path


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


def add_class_names(parser: argparse.ArgumentParser) -> None:
    """The flag that says which class of the model a label is."""
    parser.add_argument(
        "--class_names",
        nargs="+",
        metavar="NAME",
        help="Names of the classes: of the data's integer labels in their order, or, where the data has names, of the "
        "model's classes in theirs; LABEL_1 is the model's class 1. Default: the data's names, else the model's.",
    )


def add_text_length(parser: argparse.ArgumentParser) -> None:
    """The flag that says behind how many tokens texts are cut."""
    parser.add_argument(
        "--max_seq_length",
        type=int,
        metavar="TOKENS",
        help="Texts are cut behind so many tokens. Default: as in the model's training, by its run card, else as many "
        "as it can read.",
    )


def output_folder(options: argparse.Namespace) -> Path:
    """``--output_dir``, else the folder of the model.

    Raises:
        ValueError: neither is a folder, or nothing can be written there.
    """
    from hf_robust.runs import require_writable

    given: Path | None = options.output_dir
    if given is None and not Path(options.model).is_dir():
        raise ValueError(f"results of {options.model}, which is no folder, need an --output_dir.")
    folder = Path(options.model) if given is None else given
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is a file; name a folder, which is made where there is none.")
    require_writable(folder)
    return folder
