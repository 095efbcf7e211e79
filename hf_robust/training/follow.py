"""``--follow paper|code``: defaults as in the paper, or as in the released code if it differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hf_robust.training.arguments import RobustTrainingArguments, check_choice, check_has_effect

PAPER, CODE = "paper", "code"


class Reading(NamedTuple):
    """A default value in the paper, and in the released code."""

    paper: Any
    code: Any

    @property
    def words(self) -> str:
        """Sentence on the two defaults, for the help of a flag."""
        return f"Default: {self.paper}; with --follow code {self.code}."


@dataclass
class FollowArguments(RobustTrainingArguments):
    """Arguments of a method whose released code differs from its paper.

    A value on the command line wins over both defaults. A field in ``readings()`` is None until the user sets it or
    ``__post_init__`` fills it. ``code_reading`` names the code and its differences besides the defaults in
    ``readings()``; ``code_weights`` are the flags of the weights of the terms that it changes, if these can be 0.
    """

    # Without annotations, which would make them fields.
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
        """The two defaults of each field that has them."""
        return {}

    @property
    def follow_code(self) -> bool:
        """Whether the defaults are those of the released code."""
        return self.follow == CODE
