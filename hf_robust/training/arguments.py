"""The arguments that all methods share, and checks of flags."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments
from transformers.trainer_utils import HubStrategy

from hf_robust.lexicons import Lexicon
from hf_robust.metrics.keys import lower_is_better
from hf_robust.runs import SEEDS, portable_path, redact

logger = logging.getLogger(__name__)


@dataclass
class RobustTrainingArguments(TrainingArguments):
    """``TrainingArguments`` plus the arguments of all robust methods; the config of a method adds its own fields only.

    Differs from the stock arguments: written copies (``training_args.bin``, which a push publishes, and the text and
    config of trackers) contain no access token and no absolute path of this machine. The Trainer's own pickle contains
    both.
    """

    robust_method: str = field(
        default="normal",
        metadata={"help": "Training method, by name (`hf-robust methods` lists them), or package.module:Class."},
    )
    class_weights: list[float] | None = field(
        default=None,
        metadata={
            "help": "Weight of each class in the cross-entropy, in the order of the label ids. Default: 1 for every "
            "class."
        },
    )

    def __post_init__(self) -> None:
        self._choose_direction(str(self.metric_for_best_model))
        super().__post_init__()
        if not 0 <= self.seed < SEEDS:
            raise ValueError(f"--seed must be at least 0 and below {SEEDS}, got {self.seed}.")
        if self.class_weights is not None and not all(weight > 0 for weight in self.class_weights):
            raise ValueError(f"--class_weights must all be above 0, got {self.class_weights}.")

    def _choose_direction(self, metric: str) -> None:
        """Set ``greater_is_better`` for metrics that are better when lower; the Trainer does so for losses only."""
        if vars(self)["greater_is_better"] is None and lower_is_better(metric) and not metric.endswith("loss"):
            self.greater_is_better = False
            logger.warning(f"--metric_for_best_model {metric}: lower is better (--greater_is_better False).")

    def __getstate__(self) -> dict[str, Any]:
        tokens = {name: None for name in self.__dict__ if name.endswith("_token")}
        return {name: _portable(value) for name, value in self.__dict__.items()} | tokens

    def __copy__(self) -> RobustTrainingArguments:
        return self._with(dict(self.__dict__))

    def __deepcopy__(self, memo: dict[int, Any]) -> RobustTrainingArguments:
        return self._with(copy.deepcopy(self.__dict__, memo))

    def _with(self, attributes: dict[str, Any]) -> RobustTrainingArguments:
        """A complete copy in memory; the default ``copy`` would use the pickled state, which lacks the tokens."""
        copied = object.__new__(type(self))
        copied.__dict__.update(attributes)
        return copied

    def to_dict(self) -> dict[str, Any]:
        return dict(redact(super().to_dict()))


def _portable(value: Any) -> Any:
    """The value with shortened absolute paths, in plain strings and lists of them; str-enum members do not change."""
    if type(value) is list:
        return [_portable(inner) for inner in value]
    return portable_path(value) if type(value) is str else value


def check_config(trainer: str, config: type[TrainingArguments], args: Any) -> None:
    """Refuse training arguments that are not of the method's ``config``, and so lack the method's own arguments."""
    if not isinstance(args, config):
        given = "none" if args is None else f"a {type(args).__name__}"
        raise ValueError(
            f"{trainer} needs args that are a {config.__name__}, got {given}: pass "
            f"args={config.__name__}(output_dir=...), which also takes every argument of TrainingArguments."
        )


def check_choice(flag: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a ``value`` of ``--flag`` that is not one of ``choices``."""
    if value not in choices:
        raise ValueError(f"--{flag} must be one of {', '.join(choices)}, got {value!r}.")


def check_has_effect(setting: str, args: RobustTrainingArguments, weights: Sequence[str]) -> None:
    """Refuse a setting that changes only loss terms with weight 0; ``weights`` are the flags of their weights."""
    if weights and not any(getattr(args, flag) for flag in weights):
        flags = " and ".join(f"--{flag}" for flag in weights)
        raise ValueError(f"{setting} has no effect if {flags} is 0; leave it out.")


def check_range(flag: str, value: float, low: float, high: float | None, remedy: str) -> None:
    """Refuse a ``value`` of ``--flag`` outside [low, high]; the message ends with ``remedy``."""
    if not low <= value <= (float("inf") if high is None else high):
        bounds = f"at least {low}" if high is None else f"between {low} and {high}"
        raise ValueError(f"--{flag} must be {bounds}, got {value}; {remedy}.")


def check_hub_strategy(args: TrainingArguments, name: str) -> None:
    """Refuse to publish the checkpoints of a method if only its final export predicts as it was evaluated."""
    if args.push_to_hub and HubStrategy(args.hub_strategy) is not HubStrategy.END:
        raise ValueError(
            f"--hub_strategy {HubStrategy(args.hub_strategy).value} would publish checkpoints of {name}, which store "
            "its parts separately and predict differently from the evaluated model; use --hub_strategy end."
        )


LEXICON_FLAGS = {"synonyms": "lexicon", "antonyms": "antonym_lexicon"}
"""Lexicon that a method may need -> the flag that names it."""


def check_lexicons(name: str, needs: Sequence[str], lexicons: Mapping[str, Lexicon | None]) -> None:
    """Refuse a method without the lexicons from which it draws its views."""
    for need, flag in LEXICON_FLAGS.items():
        if need in needs and lexicons[need] is None:
            raise ValueError(f"{name} needs a lexicon of {need}, got none; pass {need}=... (--{flag}).")


def as_flags(arguments: Mapping[str, Any]) -> str:
    """Arguments as they are written on the command line."""
    return " ".join(
        f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}" for name, value in arguments.items()
    )
