"""ascc: keep the prediction at the worst mixture of each word's neighbours near the clean prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from hf_robust.adversary import AdamRule, Adversary, SparseWeights, StepRule
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.follow import FollowArguments, Reading
from hf_robust.training.neighbour_table import NeighbourArguments, NeighbourTable
from hf_robust.training.step_passes import Passes

WEIGHT_DECAY = 2e-5


READINGS = {"adv_steps": Reading(5, 10), "ascc_alpha": Reading(10.0, 15.0)}


@dataclass
class ASCCConfig(FollowArguments, NeighbourArguments):
    """Defaults are TextDefender's; those of ``--follow code`` are the official code's for BERT."""

    code_weights = ("ascc_beta", "ascc_weight")
    code_reading = "dongxinshuai/ASCC for BERT: the ascent runs without dropout"

    adv_steps: int | None = field(
        default=None,
        metadata={"help": f"[k] number of Adam steps on the mixture weights. {READINGS['adv_steps'].words}"},
    )
    adv_lr: float = field(default=1.0, metadata={"help": "Learning rate of the mixture weights."})
    adv_init_mag: float = field(
        default=1.0, metadata={"help": "Standard deviation of the noise at which the mixture weights start."}
    )
    same_dropout: bool = field(
        default=False,
        metadata={"help": "The clean pass, the ascent and the adversarial pass share their dropout masks."},
    )
    ascc_alpha: float | None = field(
        default=None,
        metadata={
            "help": "[alpha] weight of the mixture weights' entropy, which the ascent lowers. "
            f"{READINGS['ascc_alpha'].words}"
        },
    )
    ascc_beta: float = field(default=4.0, metadata={"help": "[beta] weight of the KL divergence."})
    ascc_weight: float = field(
        default=0.0,
        metadata={"help": "Weight of the cross-entropy at the worst mixture, a term of the official code."},
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return READINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        assert self.adv_steps is not None and self.ascc_alpha is not None
        check_range("adv_steps", self.adv_steps, 1, None, "use --robust_method normal for training without steps")
        check_range("adv_lr", self.adv_lr, 0.0, None, "the ascent goes up the divergence")
        check_range("ascc_alpha", self.ascc_alpha, 0.0, None, "0 lets the weights spread out")
        check_range("ascc_beta", self.ascc_beta, 0.0, None, "0 leaves the divergence out")
        check_range("ascc_weight", self.ascc_weight, 0.0, None, "0 leaves the term out")
        if self.adv_init_mag <= 0:
            raise ValueError(
                f"--adv_init_mag must be above 0, got {self.adv_init_mag}; the ascent on the entropy has no slope at "
                "equal weights, so start from noise."
            )


class ASCCTrainer(RobustTrainer):
    r"""Dong et al. 2021, arXiv:2107.13541 (Adversarial Sparse Convex Combination), as in TextDefender.

    .. math:: \mathrm{CE}(f(e),y) + \beta\,\mathrm{KL}\bigl(p(e)\,\|\,p(e^{adv})\bigr),\qquad
              e^{adv}_{bl} = \sum_j \mathrm{softmax}(w_{bl})_j\,\mathrm{Emb}(\mathrm{nbr}_j)

    ``e`` is (B, L, E), the weights w are (B, L, N) over a word and its neighbours (:class:`NeighbourTable`).
    w starts from noise and takes k Adam steps up :math:`\mathrm{KL} - \alpha\,\bar H(\mathrm{softmax}(w))`, with p(e)
    fixed: low entropy means a mixture near one word. Empty ones of the N places have weight 0. The gradient flows
    into both predictions and, through the mixture, into every neighbour's embedding. k+2 forwards and k+2 backwards a
    step, one each if both weights are 0; the ascent differentiates by w alone and does not change the parameters'
    gradients.

    Differs from both codes: the entropy is a mean over each text's real tokens, and the divergence is that of one
    text. They take the mean over the batch with its padding and the sum over the batch, which lowers alpha for larger
    batches. w starts at ``--adv_init_mag`` times N(0, 1); theirs, by Kaiming's rule, shrinks with length and padding.
    The ascent draws new dropout masks at each pass, as TextDefender's does (``--same_dropout``). ``--follow code`` is
    the authors' own dongxinshuai/ASCC: 10 steps, alpha 15, and an ascent without dropout. TextDefender leaves out CE
    at e_adv; ``--ascc_weight`` adds it as in the official code, without the code's ramps over epochs.
    """

    name = "ascc"
    family = "mixtures of neighbouring words"
    citation = "dong2021ascc"
    config = ASCCConfig
    needs = ("synonyms",)
    presets = ("ascc.json", "ascc_code.json")
    trains_multi_label = True
    zero_strength = {"ascc_beta": 0.0}
    weakened_by = {"loss_kl": "ascc_beta", "loss_adversarial": "ascc_weight"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        count = args.adv_steps + 2 if args.ascc_beta or args.ascc_weight else 1
        return Passes(count, count)

    def adversary(self) -> Adversary:
        args = self.args
        self.neighbours = NeighbourTable(self, args.max_neighbours)
        return Adversary(
            args.adv_steps,
            StepRule(args.adv_lr),
            "climb",
            same_dropout=args.same_dropout,
            eval_mode=args.follow_code,
        )

    def _start(self, batch: Batch) -> SparseWeights:
        hull = self.neighbours(batch).hull
        real = self.embedding_space.mask(batch)
        noise = self.embedding_space.noise().normal(batch["input_ids"], real, hull.ids.shape[-1])
        return SparseWeights(
            logits=noise * self.args.adv_init_mag * hull.valid,
            mask=hull.mask,
            hull=hull,
            rule=AdamRule(self.args.adv_lr, WEIGHT_DECAY),
            entropy_weight=self.args.ascc_alpha,
            counts=real.sum(1).clamp(min=1).view(-1, 1, 1),
            first=noise.new_zeros(noise.shape),
            second=noise.new_zeros(noise.shape),
        )

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        args, replay = self.args, self.embedding_space.replay(inputs)
        with replay.again():
            loss, outputs = self.task_loss(model, inputs)
        self.log_parts(ce=loss)
        if args.ascc_beta or args.ascc_weight:
            clean = outputs["logits"]
            objective = self.divergence_from(clean.detach())
            worst = self.embedding_space.worst(inputs, objective, self._start(inputs), replay=replay)
            with replay.again():
                adversarial, moved = self.task_loss(model, inputs, at=worst)
            assert isinstance(worst, SparseWeights)
            self.log_values(weight_entropy=worst.entropy.mean())
            terms = {
                "kl": (args.ascc_beta, self.divergence_from(clean)(moved["logits"]).mean()),
                "adversarial": (args.ascc_weight, adversarial),
            }
            parts = {name: weight * term for name, (weight, term) in terms.items() if weight}
            self.log_parts(**parts)
            loss = loss + sum(parts.values())
        return (loss, outputs) if return_outputs else loss
