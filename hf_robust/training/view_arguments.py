"""Flags of the views that are generated before an epoch, shared by all methods that have them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_robust.training.arguments import RobustTrainingArguments, check_choice, check_range
from hf_robust.views.attacked import DROP, FAILED_VIEWS

TRAIN = "train"
LEAKED_SPLITS = ("validation", "test")


@dataclass
class GenerationArguments(RobustTrainingArguments):
    """Flags of the texts from which views are made, of the victim, and of the storage of the views."""

    view_fraction: float = field(
        default=1.0,
        metadata={"help": "Share of the training texts to make views of, drawn by --seed, anew in each round."},
    )
    view_victim: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the fine-tuned model to attack for the views. Default: a plain model that "
            "is trained first, with this run's arguments."
        },
    )
    view_file: list[str] | None = field(
        default=None, metadata={"help": "Files of views to use (_views/*.jsonl of a run); none are then generated."}
    )
    view_cache: str | None = field(
        default=None, metadata={"help": "Folder that keeps views for other runs. Default: the user's cache."}
    )
    leaked_view_split: str | None = field(
        default=None,
        metadata={
            "help": "Evaluation split to make views of, to reproduce a leaked result: the model then trains on what "
            "it is measured with, and its results are marked as leaked. Default: none, views are of the training set.",
            "choices": list(LEAKED_SPLITS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("view_fraction", self.view_fraction, 0.0, 1.0, "1 makes views of every text, 0 of none")
        if self.leaked_view_split is not None:
            check_choice("leaked_view_split", self.leaked_view_split, LEAKED_SPLITS)

    @property
    def view_split(self) -> str:
        """The split whose texts views are made of."""
        return self.leaked_view_split or TRAIN

    @property
    def views_per_text(self) -> int:
        """Number of views of a text that has one of each attack or file."""
        return len(self.view_file) if self.view_file else self._number_of_makers()

    def _number_of_makers(self) -> int:
        return 1


@dataclass
class AttackedViewArguments(GenerationArguments):
    """Flags of the attacks that make the views."""

    view_attacks: list[str] = field(
        default_factory=lambda: ["textfooler"],
        metadata={"help": "Attacks that make the views, by name (`hf-robust attacks` lists them)."},
    )
    view_query_budget: int | None = field(
        default=None, metadata={"help": "Maximum number of queries per text while views are made. Default: no limit."}
    )
    failed_views: str = field(
        default=DROP,
        metadata={
            "help": "View of a text whose attack failed. drop: none; clean: the text itself; last: the text at which "
            "the search ended.",
            "choices": list(FAILED_VIEWS),
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.view_attacks or len(set(self.view_attacks)) != len(self.view_attacks):
            raise ValueError(
                f"--view_attacks needs one attack or several different ones, got {self.view_attacks or 'none'}; "
                "`hf-robust attacks` lists them."
            )
        check_choice("failed_views", self.failed_views, FAILED_VIEWS)
        if self.view_query_budget is not None:
            check_range("view_query_budget", self.view_query_budget, 1, None, "the clean text is query 1")

    def _number_of_makers(self) -> int:
        return len(self.view_attacks)
