"""infobert: freelb's passes, less noise in the word features, and stable tokens that speak for the sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Adversary, Variable, token_norm
from hf_robust.interpret.head import HEAD, chosen_pooling, last_states
from hf_robust.losses import club, info_nce, middle_ranks, sentence_embedding
from hf_robust.modules.auxiliary import Auxiliary
from hf_robust.modules.critic import Critic, feature_widths
from hf_robust.training.adversary_arguments import StreamArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.contrastive_warmup import ContrastiveWarmupArguments, warmup_share
from hf_robust.training.embedding_space import FP16_SCALE, PassLoss, check_reentrant
from hf_robust.training.follow import FollowArguments


@dataclass
class InfoBERTConfig(FollowArguments, ContrastiveWarmupArguments, StreamArguments):
    """Defaults are those of the official README's run line and of TextDefender."""

    warmed_up_weights = ("info_alpha", "info_beta")
    code_weights = ("info_alpha",)
    code_reading = "AI-secure/InfoBERT: the negatives of InfoNCE are tokens of other sentences, not sentences"

    adv_steps: int = field(default=3, metadata={"help": "[k] number of steps."})
    adv_lr: float = field(default=4e-2, metadata={"help": "[alpha] size of one ascent step."})
    adv_init_mag: float = field(default=8e-2, metadata={"help": "Magnitude of the noise that the ascent starts from."})
    info_alpha: float = field(default=5e-3, metadata={"help": "[alpha] weight of InfoNCE."})
    info_beta: float = field(default=5e-3, metadata={"help": "[beta] weight of CLUB."})
    info_cl: float = field(default=0.5, metadata={"help": "[c_l] share of tokens that are too stable to be local."})
    info_ch: float = field(default=0.9, metadata={"help": "[c_h] share of tokens above which they are too brittle."})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("info_alpha", self.info_alpha, 0.0, None, "0 leaves InfoNCE out")
        check_range("info_beta", self.info_beta, 0.0, None, "0 leaves CLUB out")
        check_range("info_cl", self.info_cl, 0.0, 1.0, "it is a share of a text's tokens")
        check_range("info_ch", self.info_ch, self.info_cl, 1.0, "it is a share of a text's tokens, at least --info_cl")


class InfoBERTTrainer(RobustTrainer):
    r"""Wang et al. 2021, arXiv:2010.02329, Sections 3.2 and 3.3.

    .. math:: \frac1k\sum_{t=0}^{k-1}\bigl[\mathrm{CE}(f(e+\delta_t),y) + \beta\,\mathrm{CLUB}(T)
              - \alpha\,\mathrm{InfoNCE}(T_{local}, Z)\bigr]

    ``e`` and delta are (B, L, E) and move as in freelb. T is the first hidden state, which is after positions and
    layer norm and so not the word's embedding; CLUB pairs each real token with a random one of the batch. Z
    (B, H) is the last hidden state that the head reads, BERT's [CLS]; local tokens are those of a text whose gradient
    by delta has a middle norm. k forwards, k backwards and k partial ones a step. The critic trains with the model, to
    raise InfoNCE; its gradient is clipped together with the model's. CLUB's gradient moves delta too.
    A text too short for a local token has none, and a batch without any has InfoNCE 0.

    InfoNCE tells a token's sentence from the batch's others; with ``--follow code`` (AI-secure/InfoBERT) a sentence's
    tokens from the others. Differs from that code: its schedule of beta and its list of brittle tokens are dead code
    and not here; InfoNCE is over the whole micro-batch, not over shuffled chunks of it.
    """

    name = "infobert"
    citation = "wang2021infobert"
    config = InfoBERTConfig
    weakened_by = {"perturbation_norm": "adv_lr", "loss_club": "info_beta", "loss_info_nce": "info_alpha"}
    batch_relative = True

    def adversary(self) -> Adversary:
        check_reentrant(self)
        adversary: Adversary = self.args.adversary()
        return adversary

    def auxiliary(self) -> Auxiliary:
        self.critic = Critic(*feature_widths(self.model), seed=self.args.seed)
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
        alpha, beta = share * args.info_alpha, share * args.info_beta
        mask: Tensor = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        task, outputs = self.task_loss(model, inputs, at=point, output_hidden_states=True)
        words, last = outputs["hidden_states"][0], last_states(outputs, self.model)
        upper = club(words[mask.bool()], self._partners(inputs["input_ids"], mask, draw))
        scale = FP16_SCALE if args.fp16 else 1.0
        found = torch.autograd.grad((task + beta * upper) * scale, point.leaves, retain_graph=True)
        divisor = self.mean_divisor(inputs)
        gradients = tuple(gradient.float() * (divisor / scale) for gradient in found)
        local = middle_ranks(token_norm(gradients[0]).squeeze(-1), mask, args.info_cl, args.info_ch)
        scores = self.critic(words[local], sentence_embedding(last, mask, self.pooling))
        lower = info_nce(scores, local.nonzero()[:, 0], "tokens" if args.follow_code else "sentences")
        self.log_parts(task=task, club=upper, info_nce=-lower)
        return PassLoss(task + beta * upper - alpha * lower, outputs, gradients)

    def _partners(self, ids: Tensor, mask: Tensor, draw: int) -> Tensor:
        """(n,) a random real token of the batch for each, drawn with replacement."""
        uniform = self.embedding_space.noise(draw).uniform(ids, mask, 1).squeeze(-1)[mask.bool()]
        size = len(uniform)
        return ((uniform + 1.0) * (size / 2)).long().clamp(max=size - 1)
