"""dne: train and predict on random and adversarial mixtures of each word's neighbours."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from hf_robust.adversary import DIRICHLET_DRAWS, Adversary, Hull, Noise, SteppedWeights, StepRule, dirichlet, perturbed
from hf_robust.modules.saved_inference import SavedInference
from hf_robust.training.adversary_arguments import MultiBackwardArguments
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.neighbour_table import NeighbourArguments, Neighbours, NeighbourTable
from hf_robust.training.step_passes import Passes, streamed_passes

# Smallest weight of a vertex, so that the steps can still raise it.
_FLOOR = 1e-6
# No training step has this number, so that no vote repeats a training point.
_INFERENCE_STEP = -1


@dataclass
class DNEConfig(NeighbourArguments, MultiBackwardArguments):
    """Defaults are TextDefender's for AG News; for IMDB it takes 0.1 for both ``dne_alpha`` and ``dne_decay``.

    Its ``adv_steps`` is the length of a step, here ``adv_lr``, and its ``adv_iteration`` the count, here ``adv_steps``
    as everywhere.
    """

    adv_steps: int = field(
        default=3, metadata={"help": "[k] number of adversarial points, in addition to the random one."}
    )
    adv_lr: float = field(default=10.0, metadata={"help": "[eta] length of one step of a token's log-weights."})
    dne_alpha: float = field(
        default=1.0, metadata={"help": "[alpha] concentration of the Dirichlet weights; 0: one neighbour is drawn."}
    )
    dne_decay: float = field(
        default=0.5,
        metadata={"help": "Factor of --dne_alpha for neighbours of neighbours; 0: no such neighbours."},
    )
    dne_votes: int = field(
        default=12,
        metadata={"help": "Number of mixtures that a prediction averages over; 0: predict from the clean text."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("adv_steps", self.adv_steps, 0, None, "0 trains on the random point alone")
        check_range("adv_lr", self.adv_lr, 0.0, None, "the steps go up the loss")
        check_range("dne_alpha", self.dne_alpha, 0.0, None, "0 draws one neighbour")
        check_range("dne_decay", self.dne_decay, 0.0, 1.0, "a neighbour's neighbour weighs no more than a neighbour")
        check_range("dne_votes", self.dne_votes, 0, None, "0 predicts from the clean text")


class DNETrainer(RobustTrainer):
    r"""Zhou et al. 2021, arXiv:2006.11627 (Dirichlet Neighbourhood Ensemble), as in TextDefender.

    .. math:: \sum_{t=0}^{k}\mathrm{CE}\Bigl(f\bigl(\textstyle\sum_j \mathrm{softmax}(w^t)_j\,
              \mathrm{Emb}(\mathrm{nbr}_j)\bigr),y\Bigr),\qquad
              w^{t+1}_{bl} = w^t_{bl} + \eta\, g_{bl}/\|g_{bl}\|_2

    w is (B, L, N), the logarithms of weights over a word, its neighbours and theirs (:class:`NeighbourTable`). w^0 is
    drawn from Dirichlet(alpha), alpha * decay for second-order neighbours; g is the gradient of each text's own loss
    and eta the length ``adv_lr``. The losses are summed, so that the loss is about k+1 times that of ``normal``. k+1
    forwards and k+1 backwards a step, with one graph in memory at a time. Draws are a function of seed, step and text
    (the code draws 10,000 rows once, under keys that collide). ``dne_alpha`` 0 makes the random point SAFER in
    embedding space: one neighbour for each word, drawn in proportion to the decay, which is the limit; the code draws
    evenly.

    Evaluation and attacks use the vote: the mean of the probabilities at ``dne_votes`` mixtures, as logits, in one
    forward pass over ``dne_votes`` copies of the rows. The mixtures of a text do not depend on the rest of the batch.
    An exported model that plain transformers loads has no vote: it predicts from the clean text. Attacks that need
    gradients of words are refused by a vote, since the mixtures hide these gradients; ``--dne_votes 0`` allows them.

    Differs from the code: neighbours come before their neighbours, so that the decay applies to the latter only; empty
    places have weight 0, where the code mixes in some of the padding's embedding; the code's vote averages the
    normalised logits of 12 augmented texts.
    """

    name = "dne"
    family = "mixtures of neighbouring words"
    citation = "zhou2021dne"
    config = DNEConfig
    needs = ("synonyms",)
    presets = ("dne.json",)
    zero_strength = {"max_neighbours": 1, "adv_steps": 0}
    plain_inference = {"dne_votes": 0}
    weakened_by = {"perturbation_norm": "max_neighbours"}

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return streamed_passes(args, args.adv_steps + 1)

    def adversary(self) -> Adversary:
        args = self.args
        self.neighbours = NeighbourTable(self, args.max_neighbours, second_order=args.dne_decay > 0)
        self._rule = StepRule(args.adv_lr, norm="token_l2")
        return Adversary(args.adv_steps, self._rule, args.multi_backward)

    def _weights(self, batch: Batch, neighbours: Neighbours, noise: Noise) -> Tensor:
        """(B, L, N) log-weights of a random point."""
        shares = neighbours.hull.valid * torch.where(neighbours.second, self.args.dne_decay, 1.0)
        mask = self.embedding_space.mask(batch)
        return (dirichlet(shares, self.args.dne_alpha, noise, batch["input_ids"], mask) + _FLOOR).log()

    def saved_inference(self, folder: Path) -> SavedInference | None:
        votes = self.args.dne_votes
        if not votes:
            return None
        note = f"The rates were measured with a vote of {votes}. `from_pretrained` loads the plain model."
        return SavedInference(self.name, note)

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        votes = self.args.dne_votes
        if not votes:
            return model(**batch)
        neighbours, labels = self.neighbours(batch), batch.get("labels")
        noises = (Noise(self.args.seed, _INFERENCE_STEP, vote * DIRICHLET_DRAWS) for vote in range(votes))
        logits = torch.cat([self._weights(batch, neighbours, noise) for noise in noises])
        rows, hull = len(batch["input_ids"]), neighbours.hull
        copies = Hull(hull.ids.repeat(votes, 1, 1), hull.valid.repeat(votes, 1, 1), hull.look_up)
        inputs = {key: tile(value, rows, votes) for key, value in batch.items() if key != "labels"}
        with perturbed(self.model, SteppedWeights(logits, copies.mask, copies, self._rule)):
            all_logits = model(**inputs)["logits"].float()
        voted = all_logits.log_softmax(-1).view(votes, rows, -1).logsumexp(0) - math.log(votes)
        loss = None if labels is None else nn.functional.cross_entropy(voted, labels)
        return SequenceClassifierOutput(loss=loss, logits=voted)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        space, neighbours = self.embedding_space, self.neighbours(inputs)
        logits = self._weights(inputs, neighbours, space.noise())
        start = SteppedWeights(logits, neighbours.hull.mask, neighbours.hull, self._rule)
        loss, outputs = space.streamed(model, inputs, (1.0,) * (self.args.adv_steps + 1), start=start)
        return (loss, outputs) if return_outputs else loss


def tile(value: Any, rows: int, copies: int) -> Any:
    """A batch's tensor of ``rows`` rows, repeated ``copies`` times; any other value is returned unchanged."""
    if not isinstance(value, Tensor) or not value.dim() or len(value) != rows:
        return value
    return value.repeat(copies, *[1] * (value.dim() - 1))
