"""``--follow paper|code``: whose reading of a method its defaults are, where its released code reads otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hf_robust.training.arguments import RobustTrainingArguments, check_choice, check_has_effect

PAPER, CODE = "paper", "code"


class Reading(NamedTuple):
    """A default as the paper has it, and as its released code does."""

    paper: Any
    code: Any

    @property
    def words(self) -> str:
        """For the help of a flag."""
        return f"Default: {self.paper}; with --follow code {self.code}."


@dataclass
class FollowArguments(RobustTrainingArguments):
    """Arguments of a method whose released code is another than its paper.

    What a flag says itself holds under both. A field in ``readings()`` is None until it is given or filled in here.
    ``code_reading`` says whose code it is, and what of it beside the defaults in ``readings()`` is another;
    ``code_weights`` are the weights of the terms that it changes, where these can be left out.
    """

    # Without annotations, which would make them flags.
    code_reading = ""
    code_weights = tuple[str, ...]()

    follow: str = field(
        default=PAPER,
        metadata={
            "help": "Source of the defaults where they differ: the paper, or its released code.",
            "choices": [PAPER, CODE],
        },
    )

    def __post_init__(self) -> None:
        check_choice("follow", self.follow, (PAPER, CODE))
        for name, reading in self.readings().items():
            if getattr(self, name) is None:
                setattr(self, name, reading.code if self.follow_code else reading.paper)
        super().__post_init__()
        if self.follow_code:
            check_has_effect("--follow code", self, self.code_weights)

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        """By field, the two defaults."""
        return {}

    @property
    def follow_code(self) -> bool:
        """Whether the released code is followed."""
        return self.follow == CODE
