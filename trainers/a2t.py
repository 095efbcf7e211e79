"""a2t: before each epoch a cheap attack finds adversarial texts for a fifth of the training set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, planned_epochs, union_loss
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import Refresh, ViewSource


@dataclass
class A2TConfig(AttackedViewArguments):
    """Defaults are the paper's (Section 5) and its code's."""

    view_attacks: list[str] = field(
        default_factory=lambda: ["a2t"],
        metadata={"help": "Attacks that make the views, by name (`hf-robust attacks` lists them)."},
    )
    view_query_budget: int | None = field(
        default=200, metadata={"help": "Maximum number of queries per text while views are made."}
    )
    a2t_alpha: float = field(default=1.0, metadata={"help": "[alpha] weight of an adversarial row in the mean loss."})
    clean_epochs: int = field(default=1, metadata={"help": "Epochs on clean texts before the first attack."})
    epochs_per_round: int = field(default=1, metadata={"help": "Epochs between attacks."})
    num_train_adv_examples: float = field(
        default=0.2,
        metadata={
            "help": "Maximum number of adversarial texts per round: a share of the training set, or a number above 1."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("a2t_alpha", self.a2t_alpha, 0.0, None, "0 trains on clean texts alone")
        check_range("clean_epochs", self.clean_epochs, 0, None, "0 attacks before the first epoch")
        check_range("epochs_per_round", self.epochs_per_round, 1, None, "1 attacks before each epoch")
        check_range("num_train_adv_examples", self.num_train_adv_examples, 0.0, None, "0.2 is a fifth of the texts")
        if self.view_victim is not None:
            raise ValueError(
                f"--view_victim {self.view_victim} has no effect: a2t attacks the model in training; leave it out."
            )


class A2TTrainer(RobustTrainer):
    r"""Yoo and Qi 2021, arXiv:2109.00544, Algorithm 1.

    .. math:: L = \frac{1}{|D\cup D'_t|}\Big[\sum_{D}\mathrm{CE}(f_\theta(x), y)
              + \alpha\sum_{D'_t}\mathrm{CE}(f_\theta(x'), y)\Big]

    ``x`` is (B, L) token ids and ``y`` (B,) class ids, which adversarial rows keep. After the clean epochs, D'_t holds
    the texts by which the ``a2t`` attack (it ranks words by gradients, with at most 200 queries) fools the weights of
    the beginning of epoch t; texts are attacked in a new order until enough are found. The mean divides by the number
    of rows, whatever alpha is. One forward and one backward a step, of up to twice the rows.

    Differs from the code: the number of attempts is bounded by ``--view_fraction`` of the training set; all ranks
    attack; both texts of a pair may be changed, except ``--frozen_columns``. ``--lexicon`` and
    ``--sentence_encoder`` stand for the paper's counter-fitted vectors and sentence encoder.
    """

    name = "a2t"
    family = "attacked or masked texts"
    citation = "yoo2021a2t"
    config = A2TConfig
    needs = ("attacks",)
    presets = ("a2t.json",)
    zero_strength = {"view_fraction": 0.0}
    mid_run = {"clean_epochs": 0, "num_train_adv_examples": 1.0}
    weakened_by = {"loss_views": "num_train_adv_examples"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return union_passes(args)

    def view_sources(self) -> Mapping[str, ViewSource]:
        refresh = Refresh(self.args.clean_epochs, self.args.epochs_per_round)
        if refresh.first >= planned_epochs(self):
            raise ValueError(
                f"a2t first attacks after {refresh.first} clean epochs, and the run has {planned_epochs(self)}; "
                "raise --num_train_epochs or lower --clean_epochs."
            )
        rows = 0 if self.train_dataset is None else len(self.train_dataset)
        share = self.args.num_train_adv_examples
        wanted = round(share * rows if share <= 1 else share)
        if rows and share > 0 and not wanted:
            raise ValueError(
                f"of {rows} texts --num_train_adv_examples {share:g} looks for 0, so a2t would be plain training; "
                "raise it, or pass --num_train_adv_examples 0 for plain training."
            )
        return attacked_views(self, refresh=refresh, victim="model", wanted=wanted, attempts=rows, seed=self.args.seed)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = union_loss(self, model, inputs, weight=self.args.a2t_alpha)
        return (loss, outputs) if return_outputs else loss
