"""Flags of the views that are generated before an epoch, shared by all methods that have them."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_robust.training.arguments import RobustTrainingArguments, check_choice, check_range
from hf_robust.views.attacked import DROP, FAILED_VIEWS

TRAIN = "train"
SPLITS = (TRAIN, "validation", "test")


@dataclass
class GenerationArguments(RobustTrainingArguments):
    """Flags of the texts from which views are made, of the victim, and of the storage of the views."""

    view_fraction: float = field(
        default=1.0,
        metadata={"help": "Share of the training texts that views are made of, drawn by --seed, anew in each round."},
    )
    view_victim: str | None = field(
        default=None,
        metadata={
            "help": "Folder or Hub id of the fine-tuned model whose weaknesses the views show. Default: a plain model "
            "is trained first, by this run's arguments (methods that attack the model in training have no such flag)."
        },
    )
    view_file: list[str] | None = field(
        default=None, metadata={"help": "Files of views made before (_views/*.jsonl of a run): nothing is generated."}
    )
    view_cache: str | None = field(
        default=None, metadata={"help": "Folder where views are kept for other runs. Default: the user's cache."}
    )
    view_split: str = field(
        default=TRAIN, metadata={"help": "Split whose texts views are made of.", "choices": list(SPLITS)}
    )
    allow_eval_views: bool = field(
        default=False, metadata={"help": "Let --view_split name an evaluation split; results are marked as leaked."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("view_fraction", self.view_fraction, 0.0, 1.0, "1 makes views of every text, 0 of none")
        check_choice("view_split", self.view_split, SPLITS)
        if self.view_split != TRAIN and not self.allow_eval_views:
            raise ValueError(
                f"--view_split {self.view_split} would train on evaluation texts; leave it at train, or pass "
                "--allow_eval_views to reproduce a leaked result."
            )


@dataclass
class AttackedViewArguments(GenerationArguments):
    """Flags of the attacks that make the views."""

    view_attacks: list[str] = field(
        default_factory=lambda: ["textfooler"],
        metadata={"help": "Attacks that make the views, by name (`hf-robust attacks` lists them)."},
    )
    view_query_budget: int | None = field(
        default=None, metadata={"help": "Queries for each text while views are made. Default: no limit."}
    )
    failed_views: str = field(
        default=DROP,
        metadata={
            "help": "What a text has whose attack failed: drop, no view; clean, itself; last, the text where the "
            "search ended.",
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
