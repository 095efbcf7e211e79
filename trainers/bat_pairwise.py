"""bat_pairwise: pull the synonym view to the anchor, push the antonym view beyond a margin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from hf_robust.data import split_views
from hf_robust.interpret.head import EMBEDDINGS, HEAD, chosen_pooling, last_states
from hf_robust.losses import balanced_pairwise, cosine_distance, sentence_embedding
from hf_robust.training.arguments import check_choice, check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments, warmup_share
from hf_robust.training.step_passes import Passes
from hf_robust.training.text_views import attacked_antonyms, plan_antonyms, skipped_labels
from hf_robust.views import OneAntonym, RandomSynonyms, ViewSource

ANTONYM_VIEWS = ("authors", "matched")


@dataclass
class BatConfig(ContrastiveWarmupArguments):
    """What both forms of balanced training share; defaults are the paper's (Appendix C.1) and its code's."""

    bat_margin: float = field(
        default=1.0,
        metadata={"help": "[m] cosine distance from the text that the antonym view should reach, in [0, 2]."},
    )
    sentence_embed_type: str = field(
        default=HEAD,
        metadata={
            "help": "Last hidden state that is compared: that of the token that the model's head reads (BERT's "
            "[CLS], a decoder's last token), of the first or last token, or the mean or maximum over all tokens.",
            "choices": list(EMBEDDINGS),
        },
    )
    antonym_views: str = field(
        default="authors",
        metadata={
            "help": "Words that may become an antonym. authors: any word that has one (to reproduce the paper); "
            "matched: those that the antonym attack may change, no stop words, of the same part of speech (to train "
            "a model).",
            "choices": list(ANTONYM_VIEWS),
        },
    )
    label_fickle: bool = field(
        default=False,
        metadata={"help": "Train the label on the synonym view too (an ablation that is not in the paper)."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bat_margin", self.bat_margin, 0.0, 2.0, "a cosine distance reaches from 0 (same) to 2 (opposite)")
        check_choice("sentence_embed_type", self.sentence_embed_type, EMBEDDINGS)
        check_choice("antonym_views", self.antonym_views, ANTONYM_VIEWS)


@dataclass
class BatPairwiseConfig(BatConfig):
    """Weights of the two pairwise terms, as for BERT on MNLI."""

    warmed_up_weights = ("bat_alpha", "bat_beta")

    bat_alpha: float = field(default=1.0, metadata={"help": "[alpha] weight of the term that pulls the synonym view."})
    bat_beta: float = field(default=1.2, metadata={"help": "[beta] weight of the term that pushes the antonym view."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("bat_alpha", self.bat_alpha, 0.0, None, "0 leaves the pull out")
        check_range("bat_beta", self.bat_beta, 0.0, None, "0 leaves the push out")


class ViewDistances(NamedTuple):
    """Task loss and outputs of the anchor; (B,) distances of each view from it, and (B,) whether the view is valid."""

    loss: Tensor
    outputs: Any
    fickle: Tensor
    obstinate: Tensor
    fickle_ok: Tensor
    obstinate_ok: Tensor

    def pairs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The arguments of the balanced losses, without the margin."""
        return self.fickle, self.obstinate, self.fickle_ok, self.obstinate_ok


class BatPairwiseTrainer(RobustTrainer):
    r"""Chen, Ji and Evans 2022, arXiv:2210.11498, Section 4.1.

    .. math:: \mathrm{CE}(f(x),y) + \alpha\frac{\sum_b p^f_b d_b^+}{\sum_b p^f_b}
              + \beta\frac{\sum_b p^o_b\max(0, m-d_b^-)}{\sum_b p^o_b},\qquad d^\pm = 1-\cos(h, h^\pm)

    ``h`` is (B, H), the last hidden state that the classifier's head reads: BERT's [CLS], a decoder's last token. The
    fickle view replaces every word by a random synonym, the obstinate view one word by a random antonym; p^f and p^o
    are 1 if a view is valid (a row with a skip label has no obstinate view; a view with the same tokens as its text is
    not valid). Three forwards and three backwards a step. Views are drawn anew at every fetch, among the words that
    the model reads. The mean distances of valid views are logged as ``distance_fickle`` and ``distance_obstinate``.
    Evaluation uses the plain model.

    The authors' obstinate views may change stop words, which their attack never does: a third to a half of them turn
    "is" into "differ" or "do" into "unmake", and a model first learns to tell these words apart.
    ``--antonym_views matched`` draws only what the antonym attack could do. Use it to train a model, and the default
    to compare with the paper's numbers.

    The default weights are meant for about 36,000 steps. With a few hundred steps the contrastive terms outweigh
    cross-entropy and clean accuracy falls far (docs, "Balanced training at small budgets"): lower the weights, or let
    them rise (``--contrastive_warmup``).

    Differs from the paper: the printed ``L_ML = log f`` is taken as cross-entropy; the views are x_f and x_o
    throughout; Figure 3 is read as a trade-off in both directions, unlike its caption. Differs from the code: a view
    is valid if some word changed under case folding; denominators are clamped; gradient accumulation divides the loss;
    flags are named after the paper's symbols. The means over valid views are those of each micro-batch.
    """

    name = "bat_pairwise"
    family = "substituted words"
    citation = "chen2022balanced"
    config = BatPairwiseConfig
    needs = ("synonyms", "antonyms")
    presets = ("bat_pairwise.json",)
    zero_strength = {"bat_alpha": 0.0, "bat_beta": 0.0}
    batch_relative = True
    weakened_by = {"loss_pull": "bat_alpha", "loss_push": "bat_beta"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return Passes(3, 3)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.train_dataset is not None:
            remedy = f"choose another --sentence_embed_type of {', '.join(EMBEDDINGS)}"
            self.pooling = chosen_pooling(self.model, self.processing_class, self.args.sentence_embed_type, remedy)
            plan_antonyms(self)

    def view_sources(self) -> Mapping[str, ViewSource]:
        matched = self.args.antonym_views == "matched"
        obstinate = (
            attacked_antonyms(self) if matched else OneAntonym(self.antonyms, skipped_labels(self), self.protection)
        )
        return {"fickle": RandomSynonyms(self.synonyms, self.protection), "obstinate": obstinate}

    def used_arguments(self) -> dict[str, Any]:
        return {} if self.train_dataset is None else {"sentence_embed_type": self.pooling}

    def view_distances(self, model: nn.Module, inputs: Batch) -> ViewDistances:
        """Three forwards in train mode and with gradient: the anchor with its label, the two views without labels."""
        anchor, views = split_views(inputs, self.view_names)
        loss, outputs = self.task_loss(model, anchor, output_hidden_states=True)
        anchor_state = self._embed(outputs, anchor)
        distances: dict[str, Tensor] = {}
        for name, view in views.items():
            batch = {key: value for key, value in view.items() if key != "ok"}
            if name == "fickle" and self.args.label_fickle:
                labelled, view_outputs = self.task_loss(
                    model, {**batch, "labels": anchor["labels"]}, output_hidden_states=True
                )
                loss = loss + labelled
            else:
                view_outputs = model(**batch, output_hidden_states=True)
            distances[name] = cosine_distance(anchor_state, self._embed(view_outputs, batch))
            self.means.add(f"distance_{name}", distances[name], view["ok"])
        return ViewDistances(
            loss, outputs, distances["fickle"], distances["obstinate"], views["fickle"]["ok"], views["obstinate"]["ok"]
        )

    def _embed(self, outputs: Any, batch: Batch) -> Tensor:
        return sentence_embedding(last_states(outputs, self.model), batch["attention_mask"], self.pooling)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        distances = self.view_distances(model, inputs)
        pull, push = balanced_pairwise(*distances.pairs(), self.args.bat_margin)
        self.log_parts(task=distances.loss, pull=pull, push=push)
        share = warmup_share(self)
        loss = distances.loss + share * self.args.bat_alpha * pull + share * self.args.bat_beta * push
        return (loss, distances.outputs) if return_outputs else loss
