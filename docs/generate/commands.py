"""A page for each command, made from its parser."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator

from transformers import HfArgumentParser, TrainingArguments

from docs.generate.text import flag_with_kind, flags_of, flags_table, prose
from hf_robust.cli.main import COMMANDS, build_parser
from hf_robust.trainers import METHODS
from hf_robust.wiring.parsing import SECTIONS


def script_page() -> str:
    """Flags of ``run_glue_robust.py`` in sections, without those of the methods, which are on their pages."""
    config = METHODS["normal"].config
    parser = HfArgumentParser((*SECTIONS.values(), config), allow_abbrev=False)
    parts = [
        "# run_glue_robust.py",
        "```text\npython run_glue_robust.py --model_name_or_path MODEL --task_name TASK --output_dir DIR [flags]\n"
        "python run_glue_robust.py FILE.json [flags]\n```",
        "Flags of a method are on [its page](../../methods.md). The script also takes every flag of transformers' "
        "`TrainingArguments` (`--learning_rate`, `--num_train_epochs`, ...). `--NAME` turns a switch on, `--no_NAME` "
        "or `--NAME False` turns it off.",
    ]
    training_fields = [
        name for name in config.__dataclass_fields__ if name not in TrainingArguments.__dataclass_fields__
    ]
    sections = {name: [field.name for field in dataclasses.fields(group)] for name, group in SECTIONS.items()}
    for name, fields in {**sections, "training": training_fields}.items():
        parts += [f"## {name.capitalize()}", flags_table(flags_of(parser, fields))]
    return "\n\n".join(parts) + "\n"


def page(command: str) -> str:
    """Arguments of a subcommand of ``hf-robust``, and those of its tasks if it has any."""
    parser = _tasks(build_parser([command]))[command]
    parts = [f"# hf-robust {command}", prose(COMMANDS[command]), *_parts(parser)]
    for task, below in _tasks(parser).items():
        parts += [f"## hf-robust {command} {task}", prose(below.description or ""), *_parts(below)]
    if command == "train":
        parts.append("Its flags are on [the script's page](run_glue_robust.md).")
    return "\n\n".join(part for part in parts if part) + "\n"


def _tasks(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Name -> parser of each subcommand."""
    groups = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {name: below for group in groups for name, below in group.choices.items()}


def _parts(parser: argparse.ArgumentParser) -> Iterator[str]:
    hidden = (argparse._SubParsersAction, argparse._HelpAction)
    actions = [action for action in parser._actions if not isinstance(action, hidden)]
    if _tasks(parser):
        return
    required = [flag_with_kind(action) for action in actions if action.required]
    yield f"```text\n{' '.join([parser.prog, *required, *['[flags]'] * (len(actions) > len(required))])}\n```"
    if actions:
        yield flags_table(actions)
