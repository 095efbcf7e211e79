"""What ``--help`` prints: the script's flags in short, a method's own flags, or all flags (``--help all``)."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

import hf_robust
from hf_robust.hub.citations import title
from hf_robust.trainers import METHODS, RobustTrainer
from hf_robust.training.arguments import LEXICON_FLAGS, as_flags
from hf_robust.training.follow import FollowArguments
from hf_robust.training.step_passes import passes_of
from hf_robust.training.view_arguments import GenerationArguments
from hf_robust.wiring.flag_format import FlagFormatter

_TRAINER = TrainingArguments.__dataclass_fields__
EXAMPLES = Path(hf_robust.__file__).resolve().parents[1] / "examples"
"""The presets of a checkout; an installed package has none."""
SWITCHES = "Turn a switch on by its name, and off by --no_NAME or `--NAME False`."
USAGE = "--model_name_or_path MODEL --task_name TASK --output_dir DIR [flags]"
SCRIPT = f"Train a classifier. {SWITCHES}"


class ShortFormatter(FlagFormatter):
    """The first sentence of each flag's help, and its default if it has one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        short = argparse.Action(action.option_strings, "", help=first_sentence(action.help or ""), nargs=action.nargs)
        short.default = None if action.default is False else action.default
        return super()._get_help_string(short)


def first_sentence(text: str) -> str:
    """The beginning of a help text, up to its first full stop.

    >>> first_sentence("Metric to use, e.g. f1_macro. Default: the task's.")
    'Metric to use, e.g. f1_macro.'
    """
    return re.split(r"(?<=\.) (?=[A-Z`-])", text, maxsplit=1)[0]


def idea(method: type[RobustTrainer]) -> str:
    """The idea of a method in one line: the first line of its file, or of its class if the user wrote it."""
    if method.name in METHODS:
        return METHODS.describe(method.name).idea
    lines = (inspect.getdoc(inspect.getmodule(method)) or method.__doc__ or "no description").strip().split("\n")
    return lines[0].removeprefix(f"{method.name}: ").rstrip(".")


def help_of_script(parser: argparse.ArgumentParser, sections: Mapping[str, type]) -> str:
    """The script's flags in short, one section for each dataclass, without those of transformers' Trainer."""
    formatter = _formatter(parser, USAGE, SCRIPT, ShortFormatter)
    for name, group in sections.items():
        _add(formatter, parser, name, [field for field in _names(group) if field not in _TRAINER])
    formatter.add_text(
        f"Flags of a method: {parser.prog} --robust_method NAME --help, with NAME one of {', '.join(METHODS)}."
    )
    formatter.add_text(
        f"All flags in full, with those of transformers' Trainer (--do_train, --do_eval, --output_dir, "
        f"--num_train_epochs, --learning_rate, --seed, ...): {parser.prog} --help all."
    )
    return formatter.format_help()


def help_of_method(parser: argparse.ArgumentParser, method: type[RobustTrainer]) -> str:
    """What a method does, its paper, and its own flags."""
    formatter = _formatter(parser, f"--robust_method {method.name} [flags]", _about(method))
    _add_own(formatter, parser, method)
    formatter.add_text(
        f"Flags of the script: {parser.prog} --help. All flags, those of the Trainer too: {parser.prog} "
        f"--robust_method {method.name} --help all."
    )
    return formatter.format_help()


def help_of_every_flag(
    parser: argparse.ArgumentParser, sections: Mapping[str, type], method: type[RobustTrainer] | None
) -> str:
    """Every flag with its default: those of ``method`` first, then the script's, then the Trainer's."""
    usage, about = (f"--robust_method {method.name} [flags]", _about(method)) if method else (USAGE, SCRIPT)
    formatter = _formatter(parser, usage, about)
    if method:
        _add_own(formatter, parser, method)
    shown = {*_TRAINER, *own_flags(method)}
    for name, group in sections.items():
        _add(formatter, parser, name, [field for field in _names(group) if field not in shown])
    _add(formatter, parser, "transformers' Trainer", list(_TRAINER))
    return formatter.format_help()


def own_flags(method: type[RobustTrainer] | None) -> list[str]:
    """The fields that a method's config has beside those of every method."""
    shared = METHODS["normal"].config.__dataclass_fields__
    return [] if method is None else [name for name in method.config.__dataclass_fields__ if name not in shared]


def _names(group: type) -> list[str]:
    return [field.name for field in dataclasses.fields(group)]


def _about(method: type[RobustTrainer]) -> str:
    paper = f" Paper: {title(method.citation)}." if method.citation else ""
    return f"{method.name}: {idea(method)}.{paper} {cost_of_step(method)}"


def cost_of_step(method: type[RobustTrainer]) -> str:
    """What a step of a method costs at its defaults, by its counted passes, in a sentence."""
    forwards, backwards = passes = passes_of(method)
    steps = f"{passes.steps_of_normal:.2g}"
    made = " Making its texts costs extra." if issubclass(method.config, GenerationArguments) else ""
    return (
        f"A step makes {forwards} forward and {backwards} backward passes: it costs at most {steps} "
        f"step{'s' * (steps != '1')} of normal.{made}"
    )


def _add_own(formatter: argparse.HelpFormatter, parser: argparse.ArgumentParser, method: type[RobustTrainer]) -> None:
    """The flags of a method and of its tables, what ``--follow code`` changes, and its presets."""
    own = sorted(own_flags(method), key=lambda name: name != "follow")
    needed = [LEXICON_FLAGS[need] for need in method.needs if need in LEXICON_FLAGS]
    formatter.add_text(SWITCHES if own else "It has no flags of its own.")
    _add(formatter, parser, f"flags of {method.name}", [*needed, *own])
    if issubclass(method.config, FollowArguments):
        formatter.add_text(f"--follow code is {method.config.code_reading}.")
    if method.zero_strength:
        formatter.add_text(f"With {as_flags(method.zero_strength)} it trains as normal does.")
    if presets := [file for file in method.presets if (EXAMPLES / file).is_file()]:
        formatter.add_text(f"Published settings: {', '.join(f'examples/{file}' for file in presets)}.")


def _formatter(
    parser: argparse.ArgumentParser, usage: str, text: str, kind: type[FlagFormatter] = FlagFormatter
) -> argparse.HelpFormatter:
    formatter = kind(parser.prog, max_help_position=28)
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
