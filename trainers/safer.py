"""safer: train on randomly synonym-substituted text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from hf_robust.data import split_views
from hf_robust.training.arguments import RobustTrainingArguments
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.views import RandomSynonyms, ViewSource


@dataclass
class SAFERConfig(RobustTrainingArguments):
    """SAFER has no strength: the table given as ``--lexicon`` is its only hyper-parameter."""


class SAFERTrainer(RobustTrainer):
    r"""Ye, Gong and Liu 2020, arXiv:2005.14424, Section 3.1, the training half of SAFER.

    .. math:: \min_\theta \frac1B\sum_b \mathrm{CE}(f_\theta(\tilde x_b), y_b),\qquad \tilde x_{b,i}\sim U(P_{x_{b,i}})

    ``x`` and its substituted text are (B, L) token ids, each of its own L, and ``y`` (B,) class ids. Every word is
    replaced, independently, by a uniform draw from its substitutes and itself, in both texts of a pair. The clean text
    is not trained on. One forward and one backward a step.

    Differs from the official code: texts are drawn anew at every fetch instead of once an epoch on disk (the same
    distribution); cased words are looked up in lower case and keep their case; punctuation is never looked up.
    Evaluation and attacks use the plain network, as in BAT's comparison; ``--attack_votes`` and ``--certify`` measure
    the vote with which SAFER predicts.
    """

    name = "safer"
    family = "substituted words"
    citation = "ye2020safer"
    config = SAFERConfig
    needs = ("synonyms",)

    def view_sources(self) -> Mapping[str, ViewSource]:
        return {"substituted": RandomSynonyms(self.synonyms, self.protection)}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        clean, views = split_views(inputs, self.view_names)
        substituted = {key: value for key, value in views["substituted"].items() if key != "ok"}
        loss, outputs = self.task_loss(model, {**substituted, "labels": clean["labels"]})
        return (loss, outputs) if return_outputs else loss
