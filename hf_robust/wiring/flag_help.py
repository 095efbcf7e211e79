"""``--help`` of the script: all flags in sections, or, with ``--robust_method``, the flags of that method."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_robust.hub.citations import title
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.follow import FollowArguments
from hf_robust.wiring.flag_format import FlagFormatter

NEED_FLAGS = {"synonyms": "lexicon", "antonyms": "antonym_lexicon"}
"""Flag of the table that a method needs, by the kind of its words."""
_SWITCHES = "A switch is turned on by its name and off by --no_NAME or `--NAME False`."


def idea(method: type[RobustTrainer]) -> str:
    """The idea of a method in one line: the first line of its file, or of its class if the user wrote it."""
    if method.name in METHODS:
        return METHODS.describe(method.name).idea
    lines = (inspect.getdoc(inspect.getmodule(method)) or method.__doc__ or "no description").strip().split("\n")
    return lines[0].removeprefix(f"{method.name}: ").rstrip(".")


def help_of_all(parser: argparse.ArgumentParser, sections: Mapping[str, type]) -> str:
    """The help of the script: a section for each dataclass of flags, and how to see the flags of a method."""
    formatter = _formatter(
        parser, "--model_name_or_path MODEL --task_name TASK [flags]", f"Train a classifier. {_SWITCHES}"
    )
    for name, group in sections.items():
        _add(formatter, parser, name, [field.name for field in dataclasses.fields(group)])
    formatter.add_text(
        f"Flags of one method: {parser.prog} --robust_method NAME --help. NAME is one of {', '.join(METHODS)}."
    )
    return formatter.format_help()


def help_of_method(parser: argparse.ArgumentParser, method: type[RobustTrainer]) -> str:
    """The help of a method: what it does, its paper, and its own flags."""
    shared = METHODS["normal"].config.__dataclass_fields__
    flags = [name for name in method.config.__dataclass_fields__ if name not in shared]
    flags.sort(key=lambda name: name != "follow")
    needed = [NEED_FLAGS[need] for need in method.needs if need in NEED_FLAGS]
    paper = f" Paper: {title(method.citation)}." if method.citation else ""
    about = f"{method.name}: {idea(method)}.{paper}"
    formatter = _formatter(parser, f"--robust_method {method.name} [flags]", about)
    formatter.add_text(_SWITCHES if flags else "This method has no flags of its own.")
    _add(formatter, parser, f"flags of {method.name}", [*needed, *flags])
    if issubclass(method.config, FollowArguments):
        formatter.add_text(f"--follow code is {method.config.code_reading}.")
    formatter.add_text(f"Flags of data, model, training and attacks: {parser.prog} --help.")
    return formatter.format_help()


def _formatter(parser: argparse.ArgumentParser, usage: str, text: str) -> argparse.HelpFormatter:
    formatter = FlagFormatter(parser.prog, max_help_position=28)
    formatter.add_usage(f"%(prog)s {usage}", (), ())
    formatter.add_text(text)
    return formatter


def _add(
    formatter: argparse.HelpFormatter, parser: argparse.ArgumentParser, section: str, names: Sequence[str]
) -> None:
    actions: Iterable[Any] = (_action(parser, name) for name in names)
    formatter.start_section(section)
    formatter.add_arguments([action for action in actions if action is not None])
    formatter.end_section()


def _action(parser: argparse.ArgumentParser, name: str) -> argparse.Action | None:
    """The flag of a dataclass field; None if the field has no flag."""
    return parser._option_string_actions.get(f"--{name}")
