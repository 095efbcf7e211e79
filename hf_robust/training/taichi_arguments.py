"""The variants of taichi, and its flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from hf_robust.training.arguments import check_choice, check_hub_strategy, check_range
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments
from hf_robust.training.follow import FollowArguments
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views.attacked import CLEAN, FAILED_VIEWS


class Variant(NamedTuple):
    """The models and loss terms of a variant.

    Args:
        clean: whether the model classifies clean texts; if not, it classifies adversarial texts.
        twin: whether a second model classifies adversarial texts.
        ctr, kl: whether the loss has the contrastive term, and the divergence of the predictions.
        soft: whether the targets of adversarial texts are the victim's probabilities instead of labels.
    """

    clean: bool = True
    twin: bool = False
    ctr: bool = False
    kl: bool = False
    soft: bool = False


VARIANTS = {
    "full": Variant(twin=True, ctr=True, kl=True),
    "no_kl": Variant(ctr=True),
    "no_ctr": Variant(twin=True, kl=True),
    "no_adv": Variant(ctr=True, kl=True),
    "adversarial": Variant(clean=False, ctr=True),
    "base_adv": Variant(clean=False),
    "base_adv_soft": Variant(clean=False, soft=True),
    "linear_average": Variant(twin=True),
}
_NEEDS = {
    **dict.fromkeys(("taichi_beta", "taichi_tau", "contrastive_warmup"), "ctr"),
    "taichi_gamma": "kl",
}


@dataclass
class TaiChiConfig(FollowArguments, ContrastiveWarmupArguments, AttackedViewArguments):
    """The defaults are the paper's; ``--follow code`` weighs the terms as in the released file."""

    warmed_up_weights = ("taichi_beta",)
    code_reading = "sai4july/TaiChi as its file reads: all terms but the divergence count twice"

    failed_views: str = field(
        default=CLEAN,
        metadata={
            "help": "View of a text whose attack failed. clean: the text itself, as the paper pairs every text; "
            "drop: none; last: the text at which the search ended.",
            "choices": list(FAILED_VIEWS),
        },
    )
    taichi_variant: str = field(
        default="full",
        metadata={
            "help": "Models and loss terms: full; the ablations no_kl, no_ctr, no_adv; one model of adversarial "
            "texts (adversarial, base_adv, base_adv_soft); two models trained apart and averaged (linear_average).",
            "choices": list(VARIANTS),
        },
    )
    taichi_beta: float = field(default=1.0, metadata={"help": "[beta] weight of the contrastive term."})
    taichi_gamma: float = field(default=1.0, metadata={"help": "[gamma] weight of the divergence of predictions."})
    taichi_lambda: float = field(
        default=1.0, metadata={"help": "[lambda] share of the clean model in the saved weights of linear_average."}
    )
    taichi_tau: float = field(default=1.0, metadata={"help": "[tau] temperature of the contrastive term."})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.taichi_variant == "linear_average":
            check_hub_strategy(self, "linear_average")
        check_choice("taichi_variant", self.taichi_variant, list(VARIANTS))
        check_range("taichi_beta", self.taichi_beta, 0.0, None, "0 leaves the contrastive term out")
        check_range("taichi_gamma", self.taichi_gamma, 0.0, None, "0 leaves the divergence out")
        check_range("taichi_tau", self.taichi_tau, 1e-6, None, "1 is the paper's")
        check_range("taichi_lambda", self.taichi_lambda, 0.0, 1.0, "1 saves the clean model, 0 its twin")
        needs = {**_NEEDS, "taichi_lambda": "average"}
        for flag, need in needs.items():
            has = self.taichi_variant == "linear_average" if need == "average" else getattr(self.variant, need)
            value = getattr(self, flag)
            if not has and value != TaiChiConfig.__dataclass_fields__[flag].default:
                raise ValueError(
                    f"--{flag} {value} has no effect with --taichi_variant {self.taichi_variant}; leave it out, or "
                    "use another variant."
                )

    @property
    def variant(self) -> Variant:
        """The models and terms of ``taichi_variant``."""
        return VARIANTS[self.taichi_variant]
