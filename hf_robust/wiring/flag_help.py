"""What ``--help`` prints: all flags by what they are about, or of a ``--robust_method`` its own alone."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hf_robust.hub.citations import title
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.arguments import LEXICON_FLAGS, as_flags
from hf_robust.training.follow import FollowArguments

_KINDS: Mapping[Any, str] = {int: "INT", float: "FLOAT"}
_SWITCHES = "A switch is turned on by its name and off by --no_NAME or `--NAME False`."


class FlagFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """One spelling of each flag, and a default only where there is one to say."""

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs in (0, "?"):
            return ", ".join(action.option_strings[:1]) or super()._format_action_invocation(action)
        kind = _KINDS.get(action.type, "TEXT")
        return f"{action.option_strings[0]} {self._format_args(action, kind)}"

    def _get_help_string(self, action: argparse.Action) -> str | None:
        plain = action.default in (None, [], argparse.SUPPRESS) or "efault:" in (action.help or "")
        return action.help if plain else super()._get_help_string(action)


def idea(method: type[RobustTrainer]) -> str:
    """What the first line of a method's file says it does; of the user's own method its class may say it."""
    if method.name in METHODS:
        return METHODS.describe(method.name).idea
    lines = (inspect.getdoc(inspect.getmodule(method)) or method.__doc__ or "no description").strip().split("\n")
    return lines[0].removeprefix(f"{method.name}: ").rstrip(".")


def help_of_all(parser: argparse.ArgumentParser, sections: Mapping[str, type]) -> str:
    """The script's flags, a section for each dataclass of them, and where a method's are."""
    formatter = _formatter(
        parser, "--model_name_or_path MODEL --task_name TASK [flags]", f"Train a classifier. {_SWITCHES}"
    )
    for name, group in sections.items():
        _add(formatter, parser, name, [field.name for field in dataclasses.fields(group)])
    formatter.add_text(
        f"Flags of a method: {parser.prog} --robust_method NAME --help, NAME one of {', '.join(METHODS)}."
    )
    return formatter.format_help()


def help_of_method(parser: argparse.ArgumentParser, method: type[RobustTrainer]) -> str:
    """What a method does, its paper, and the flags that it has beside the script's."""
    shared = METHODS["normal"].config.__dataclass_fields__
    own = [name for name in method.config.__dataclass_fields__ if name not in shared]
    own.sort(key=lambda name: name != "follow")
    needed = [LEXICON_FLAGS[need] for need in method.needs if need in LEXICON_FLAGS]
    paper = f" Paper: {title(method.citation)}." if method.citation else ""
    about = f"{method.name}: {idea(method)}.{paper}"
    formatter = _formatter(parser, f"--robust_method {method.name} [flags]", about)
    formatter.add_text(_SWITCHES if own else "It has no flags of its own.")
    _add(formatter, parser, f"flags of {method.name}", [*needed, *own])
    if issubclass(method.config, FollowArguments):
        formatter.add_text(f"--follow code is {method.config.code_reading}.")
    if method.zero_strength:
        formatter.add_text(f"With {as_flags(method.zero_strength)} it trains as normal does.")
    if method.presets:
        formatter.add_text(f"Published settings: {', '.join(f'examples/{file}' for file in method.presets)}.")
    formatter.add_text(f"Flags of the script, of training and of attacks: {parser.prog} --help.")
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
    """The flag of a field; None of a field that no flag sets."""
    return parser._option_string_actions.get(f"--{name}")
