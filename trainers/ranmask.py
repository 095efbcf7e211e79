"""ranmask: train on texts with a random share of their words masked."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.attacks.engine.tokens import check_mask_token
from hf_robust.certify import kept_words, random_masks
from hf_robust.certify.masking import FEWEST_KEPT
from hf_robust.data import split_views
from hf_robust.metrics import sampled_rows
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.views import View, ViewSource
from hf_robust.words import Protection, Text


@dataclass
class RanMASKConfig(RobustTrainingArguments):
    """The default is the official README's for SST-2; the paper takes 0.9 for AG News, whose texts are longer."""

    ranmask_rate: float = field(
        default=0.3,
        metadata={"help": "[rho] share of the words that are masked; 0: the same as --robust_method normal."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ranmask_rate", self.ranmask_rate, 0.0, 0.99, "0 masks no word")


@dataclass(frozen=True)
class RandomMasks:
    """A view whose words are masked at random, as :class:`hf_robust.certify.RandomMasking` draws them for a vote.

    The share is one of all unprotected words, also of those that the model does not read, as in the vote.
    """

    mask_token: str
    rate: float
    protection: Protection | None = None

    def open_words(self, text: Text) -> list[int]:
        """The words that may be masked."""
        closed = self.protection.closed(text) if self.protection else ()
        return [index for index in range(len(text.words)) if index not in closed]

    def __call__(self, text: Text, label: int | None, rng: random.Random, read: Collection[int] | None = None) -> View:
        masked = random_masks(self.open_words(text), self.rate, rng)
        return View(text.replace(dict.fromkeys(masked, self.mask_token)), bool(masked), tuple(masked))


class RanMASKTrainer(RobustTrainer):
    r"""Zeng et al. 2021, arXiv:2105.03743, the training half of RanMASK.

    .. math:: \min_\theta \frac1B\sum_b \mathrm{CE}(f_\theta(\mathcal M(x_b, T_b)), y_b),\qquad
              T_b\sim U\bigl(\{T \subseteq \{1,\ldots,h_b\} : |T| = k_b\}\bigr),\quad
              k_b = h_b - \lfloor\rho h_b\rceil

    ``x`` and its masked text M(x, T), which keeps the k of its h words in T and has the mask token in place of the
    others, are (B, L) token ids, each of its own L; ``y`` is (B,) class ids. Masks are drawn anew at every fetch. The
    clean text is not trained on. One forward and one backward a step.

    Evaluation and attacks use the plain network, as with ``safer``. RanMASK predicts by a vote over masked texts:
    ``--vote_mask_rate`` makes the votes of ``--attack_votes`` and ``--certify`` such votes, and is ``ranmask_rate`` by
    default in a run of this method. Its certificate is for a number of changed words, whatever they become
    (:class:`hf_robust.certify.RandomMasking`), so that it needs no table, but
    a rate above 0.5: with a lower one the change of one word may turn over a unanimous vote.

    Differs from the paper: at least two words are kept, as in the official code. Differs from that code: a word is one
    of this package, so that punctuation beside a word is neither masked with it nor something that the certified
    attacker may change; both columns of a pair are masked.
    """

    name = "ranmask"
    family = "attacked or masked texts"
    citation = "zeng2023ranmask"
    config = RanMASKConfig
    presets = ("ranmask.json",)
    zero_strength = {"ranmask_rate": 0.0}

    def view_sources(self) -> Mapping[str, ViewSource]:
        check_mask_token(self.processing_class)
        masks = RandomMasks(self.processing_class.mask_token, self.args.ranmask_rate, self.protection)
        if masks.rate and hasattr(self.train_dataset, "text"):
            check_masks(masks, [self.train_dataset.text(row) for row in sampled_rows(len(self.train_dataset))])
        return {"masked": masks}

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        clean, views = split_views(inputs, self.view_names)
        masked = {key: value for key, value in views["masked"].items() if key != "ok"}
        loss, outputs = self.task_loss(model, {**masked, "labels": clean["labels"]})
        return (loss, outputs) if return_outputs else loss


def check_masks(masks: RandomMasks, texts: Sequence[Text]) -> None:
    """Refuse a share that comes to no word in any of the texts.

    Raises:
        ValueError: no word is ever masked.
    """
    longest = max((len(masks.open_words(text)) for text in texts), default=0)
    if kept_words(longest, masks.rate) == longest:
        raise ValueError(
            f"--ranmask_rate {masks.rate:g} masks no word of the training texts: they have at most {longest} open "
            f"words, of which {FEWEST_KEPT} are always kept; give a higher rate or --robust_method normal."
        )
