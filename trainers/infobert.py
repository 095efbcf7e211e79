"""infobert: freelb's passes with less noise in word features, and stable tokens that identify their sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Adversary, Variable, token_norm
from hf_robust.interpret.head import HEAD, chosen_pooling, first_states, last_states
from hf_robust.losses import club, info_nce, middle_ranks, sentence_embedding
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.critic import Critic, feature_widths
from hf_robust.training.adversary_arguments import StreamArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments, warmup_share
from hf_robust.training.embedding_space import FP16_SCALE, PassLoss, check_reentrant
from hf_robust.training.follow import FollowArguments
from hf_robust.training.step_passes import Passes


@dataclass
class InfoBERTConfig(FollowArguments, ContrastiveWarmupArguments, StreamArguments):
    """Defaults are those of the official README's run line and of TextDefender."""

    warmed_up_weights = ("infobert_alpha", "infobert_beta")
    code_weights = ("infobert_alpha",)
    code_reading = "AI-secure/InfoBERT: the negatives of InfoNCE are tokens of other sentences, not sentences"

    adv_steps: int = field(default=3, metadata={"help": "[k] number of ascent steps."})
    adv_lr: float = field(default=4e-2, metadata={"help": "[alpha] size of one ascent step."})
    adv_init_mag: float = field(default=8e-2, metadata={"help": "Magnitude of the noise at which the ascent starts."})
    infobert_alpha: float = field(default=5e-3, metadata={"help": "[alpha] weight of InfoNCE."})
    infobert_beta: float = field(default=5e-3, metadata={"help": "[beta] weight of CLUB."})
    infobert_local: list[float] = field(
        default_factory=lambda: [0.5, 0.9],
        metadata={
            "help": "[c_l c_h] local tokens: those above the share c_l of a text's tokens and up to c_h, in the "
            "order of their gradient norms (more stable below, more brittle above)."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("infobert_alpha", self.infobert_alpha, 0.0, None, "0 leaves InfoNCE out")
        check_range("infobert_beta", self.infobert_beta, 0.0, None, "0 leaves CLUB out")
        if len(self.infobert_local) != 2 or not 0.0 <= self.infobert_local[0] <= self.infobert_local[1] <= 1.0:
            raise ValueError(
                "--infobert_local must be two shares of a text's tokens, the lower one first, got "
                f"{' '.join(f'{share:g}' for share in self.infobert_local) or 'none'}; 0.5 0.9 are the paper's."
            )


class InfoBERTTrainer(RobustTrainer):
    r"""Wang et al. 2021, arXiv:2010.02329, Sections 3.2 and 3.3.

    .. math:: \frac1k\sum_{t=0}^{k-1}\bigl[\mathrm{CE}(f(e+\delta_t),y) + \beta\,\mathrm{CLUB}(T)
              - \alpha\,\mathrm{InfoNCE}(T_{local}, Z)\bigr]

    ``e`` and delta are (B, L, E); delta moves as in ``freelb``. T is the first hidden state, after positions and layer
    norm, and so not the word's embedding; CLUB pairs each real token with a random token of the batch. Z (B, H) is the
    last hidden state that the head reads, BERT's [CLS]; local tokens are the tokens of a text whose gradient by delta
    has a middle norm. k forwards a step, each with a backward to the parameters and one to the embeddings. The critic
    trains with the model, to raise InfoNCE; its gradient is clipped together with the model's. CLUB's gradient moves
    delta too. A short text may have no local token; InfoNCE is 0 for a batch without any.

    InfoNCE distinguishes the sentence of a token from the other sentences of the batch; with ``--follow code``
    (AI-secure/InfoBERT) the tokens of a sentence from the other tokens. Differs from that code: its schedule of beta
    and its list of brittle tokens have no effect there and are not here; InfoNCE is over the whole micro-batch, not
    over shuffled chunks of it.
    """

    name = "infobert"
    family = "perturbed embeddings"
    citation = "wang2021infobert"
    config = InfoBERTConfig
    presets = ("infobert.json", "infobert_code.json")
    trains_multi_label = True
    zero_strength = {"adv_steps": 1, "adv_init_mag": 0.0, "infobert_alpha": 0.0, "infobert_beta": 0.0}
    batch_relative = True
    row_wise = {"infobert_alpha": 0.0, "infobert_beta": 0.0}
    weakened_by = {"perturbation_norm": "adv_lr", "loss_club": "infobert_beta", "loss_info_nce": "infobert_alpha"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return Passes(args.adv_steps, 2 * args.adv_steps)

    def adversary(self) -> Adversary:
        check_reentrant(self)
        adversary: Adversary = self.args.adversary()
        return adversary

    def auxiliary(self) -> Auxiliary:
        self.critic = Critic(*feature_widths(self.model, self.processing_class), seed=self.args.seed)
        self.pooling = chosen_pooling(self.model, self.processing_class, HEAD, "use a model such as BERT")
        return Auxiliary(self.critic)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        steps = self.args.adv_steps
        draws = count(1)

        def loss_at(point: Variable) -> PassLoss:
            return self._pass_loss(model, inputs, point.attached(), next(draws))

        loss, outputs = self.embedding_space.streamed(model, inputs, (1 / steps,) * steps, loss_at)
        return (loss, outputs) if return_outputs else loss

    def _pass_loss(self, model: nn.Module, inputs: Batch, point: Variable, draw: int) -> PassLoss:
        args, share = self.args, warmup_share(self)
        alpha, beta = share * args.infobert_alpha, share * args.infobert_beta
        mask: Tensor = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        task, outputs = self.task_loss(model, inputs, at=point, output_hidden_states=True)
        words, last = first_states(outputs, self.model), last_states(outputs, self.model)
        upper = club(words[mask.bool()], self._partners(inputs["input_ids"], mask, draw))
        scale = FP16_SCALE if args.fp16 else 1.0
        scaled = torch.autograd.grad((task + beta * upper) * scale, point.leaves, retain_graph=True)
        divisor = self.mean_divisor(inputs)
        gradients = tuple(gradient.float() * (divisor / scale) for gradient in scaled)
        local = middle_ranks(token_norm(gradients[0]).squeeze(-1), mask, *args.infobert_local)
        scores = self.critic(words[local], sentence_embedding(last, mask, self.pooling))
        lower = info_nce(scores, local.nonzero()[:, 0], "tokens" if args.follow_code else "sentences")
        self.log_parts(task=task, club=upper, info_nce=-lower)
        return PassLoss(task + beta * upper - alpha * lower, outputs, gradients)

    def _partners(self, ids: Tensor, mask: Tensor, draw: int) -> Tensor:
        """(n,) for each real token of the batch the index of a random one, drawn with replacement."""
        uniform = self.embedding_space.noise(draw).uniform(ids, mask, 1).squeeze(-1)[mask.bool()]
        size = len(uniform)
        return ((uniform + 1.0) * (size / 2)).long().clamp(max=size - 1)
