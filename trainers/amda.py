"""amda: ada, and training on interpolations of random pairs of texts inside the encoder."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from hf_robust.adversary import changed_states, encoder_layers
from hf_robust.losses import soft_label_kl
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, planned_epochs, union_loss, union_rows
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import Refresh, ViewSource

TWELFTHS = (7, 9, 12)


@dataclass
class AMDAConfig(AttackedViewArguments):
    """Defaults are those of MixADA's code."""

    amda_weight: float = field(default=1.0, metadata={"help": "[w_mix] weight of the loss on mixed texts."})
    amda_alpha: float = field(
        default=0.2,
        metadata={"help": "[alpha] parameter of Beta(alpha, alpha), from which a step's share of each text is drawn."},
    )
    amda_layers: list[int] | None = field(
        default=None,
        metadata={
            "help": "Layers after which texts may be mixed (TMix), counted from 1; 0: word embeddings; -1: the last "
            "layer (SMix). Default: 7, 9 and 12 twelfths of the model's layers, rounded; 0 for an LSTM or CNN."
        },
    )
    amda_num_adv: int = field(
        default=0,
        metadata={
            "help": "Texts to attack before every epoch but the first, with the model in training as victim (500 in "
            "MixADA); 0: attack all texts once, with a plain model as victim."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("amda_weight", self.amda_weight, 0.0, None, "0 is ada")
        check_range("amda_alpha", self.amda_alpha, 1e-3, None, "small values mix little, 1 mixes evenly")
        check_range("amda_num_adv", self.amda_num_adv, 0, None, "MixADA attacks 500 texts an epoch")
        if self.amda_layers is not None and not self.amda_layers:
            raise ValueError("--amda_layers needs one layer or more, got none; leave it out for the default.")
        if self.amda_num_adv and self.view_victim is not None:
            raise ValueError(
                f"--view_victim {self.view_victim} has no effect: --amda_num_adv {self.amda_num_adv} attacks the "
                "model in training; leave one of them out."
            )


class Mixing(NamedTuple):
    """How the rows of a step are mixed: after which layer, the weight of a row itself, and (B,) its partner's row."""

    layer: int
    share: float
    partners: Tensor

    def mixed(self, rows: Tensor) -> Tensor:
        """(B, ...) to (B, ...): each row's interpolation with its partner."""
        return self.share * rows + (1.0 - self.share) * rows[self.partners]

    def joined(self, rows: Batch) -> Batch:
        """The columns of the rows without labels, with attention on the real positions of both texts of each pair.

        Positions where only the partner has a token get the partner's, since some models count positions and lengths
        from the ids.
        """
        mask: Tensor = rows.get("attention_mask", torch.ones_like(rows["input_ids"]))
        real = mask.bool()
        both = {key: value for key, value in rows.items() if key != "labels"}
        both |= {
            key: torch.where(real, value, value[self.partners])
            for key, value in both.items()
            if isinstance(value, Tensor) and value.shape == mask.shape
        }
        return {**both, "attention_mask": (real | real[self.partners]).to(mask.dtype)}


class AMDATrainer(RobustTrainer):
    r"""Si et al. 2021, arXiv:2012.15699, Section 3.2 (AMDA-TMix and AMDA-SMix).

    .. math:: \min_\theta \mathbb{E}_{D\cup D'}\Big[\mathrm{CE}(f(x_i), y_i)
              + w\,\mathrm{KL}\big(\lambda y_i + (1-\lambda)y_j \,\|\,
              f_{>s}(\lambda h^s_i + (1-\lambda)h^s_j)\big)\Big],\qquad \lambda\sim\mathrm{Beta}(\alpha,\alpha)

    D' is that of ``ada``; i is any row of a batch (B, L) and its views, j a random other row, ``h^s`` (B, L, H) the
    states after layer s, y one-hot. Layer, lambda and pairs of a step are drawn from (seed, step). The mixed pass
    starts from the states of the clean pass, so that a step has two forwards where the code has three; layers above s
    attend to the union of both texts. SMix (``--amda_layers -1``) mixes after the last layer, of which a classifier on
    [CLS] reads [CLS] alone. Word embeddings (layer 0) are mixed before positions are added.

    Differs from the code: the code masks the union of both texts and takes the log of a softmax; TextDefender's code
    never mixes and weighs the term 0. ``--amda_num_adv`` replaces the views of the epoch before, where the code
    keeps them. The pairs are drawn within a micro-batch.
    """

    name = "amda"
    family = "attacked or masked texts"
    citation = "si2021better"
    config = AMDAConfig
    needs = ("attacks",)
    presets = ("amda.json",)
    zero_strength = {"view_fraction": 0.0, "amda_weight": 0.0}
    batch_relative = True
    row_wise = {"amda_weight": 0.0}
    weakened_by = {"loss_views": "view_fraction", "loss_mix": "amda_weight"}

    if TYPE_CHECKING:
        args: AMDAConfig

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = union_passes(args).forwards * (2 if args.amda_weight else 1)
        return Passes(count, count)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mixing_layers = mixing_layers(self)

    def view_sources(self) -> Mapping[str, ViewSource]:
        if not self.args.amda_num_adv:
            return attacked_views(self)
        if planned_epochs(self) < 2:
            raise ValueError(
                "--amda_num_adv attacks before every epoch but the first and the run has 1; raise --num_train_epochs "
                "or leave the flag out."
            )
        attempts = self.args.amda_num_adv
        return attacked_views(self, refresh=Refresh(1, 1), victim="model", attempts=attempts, seed=self.args.seed)

    def used_arguments(self) -> dict[str, Any]:
        return {"amda_layers": self.mixing_layers}

    def mixing(self, count: int) -> Mixing:
        """How this step mixes ``count`` rows, drawn from a random generator of its own."""
        rng = random.Random(f"amda:{self.args.seed}:{self.state.global_step}")
        layer, share = rng.choice(self.mixing_layers), rng.betavariate(self.args.amda_alpha, self.args.amda_alpha)
        return Mixing(layer, share, torch.tensor(rng.sample(range(count), count), device=self.args.device))

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.args.amda_weight == 0:
            loss, outputs = union_loss(self, model, inputs)
            return (loss, outputs) if return_outputs else loss
        main, rows = union_rows(self, inputs)
        mixing = self.mixing(len(rows["labels"]))
        clean_states: list[Tensor] = []

        def record(states: Tensor) -> Tensor:
            clean_states.append(states)
            return states

        with changed_states(self.model, mixing.layer, record):
            loss, outputs = union_loss(self, model, inputs)
        with changed_states(self.model, mixing.layer, lambda _: mixing.mixed(clean_states[0])):
            logits = model(**mixing.joined(rows))["logits"]
        targets = mixing.mixed(nn.functional.one_hot(rows["labels"], logits.shape[-1]).float())
        mix = soft_label_kl(targets, logits).sum() / (len(main["labels"]) * (1.0 + self.view_share))
        self.log_parts(mix=mix)
        loss = loss + self.args.amda_weight * mix
        return (loss, outputs) if return_outputs else loss


def mixing_layers(trainer: RobustTrainer) -> list[int]:
    """The layers after which a trainer may mix, one of which is drawn in each step; 0 is the word embeddings.

    Raises:
        ValueError: the model has no such layers, or their states cannot be changed in this set-up.
    """
    model, chosen = trainer.model, trainer.args.amda_layers
    check_model(trainer)
    _, depth = encoder_layers(model)
    if chosen is None:
        return [(twelfths * depth + 6) // 12 for twelfths in TWELFTHS] if depth else [0]
    if depth == 0 and -1 in chosen:
        raise ValueError(
            f"--amda_layers -1 mixes the states after the last encoder layer, and {type(model).__name__} has none; "
            "leave it out, which then mixes word embeddings."
        )
    if not all(-1 <= layer <= depth for layer in chosen):
        raise ValueError(
            f"--amda_layers must lie between 0 and the {depth} encoder layers of {type(model).__name__}, or be -1, "
            f"got {chosen}; 0 mixes word embeddings, -1 after the last layer."
        )
    return [depth if layer == -1 else layer for layer in chosen]


def check_model(trainer: RobustTrainer) -> None:
    """Refuse models and set-ups in which the states of two texts cannot be mixed."""
    if getattr(trainer.model.config, "is_encoder_decoder", False):
        raise ValueError(
            f"amda mixes two texts in one stack of layers, and {type(trainer.model).__name__} has an encoder and a "
            "decoder; use a model such as BERT, RoBERTa or DeBERTa."
        )
    if trainer.args.n_gpu > 1 or trainer.args.torch_compile:
        raise ValueError(
            f"{trainer.name} mixes states by a hook, which neither DataParallel nor a compiled model carries; start "
            "the script with torchrun, or show it one GPU, and leave --torch_compile out."
        )
