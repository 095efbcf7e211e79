"""TA-VAT's memory: one perturbation for each entry of the vocabulary, kept across batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import TokenAware, sample_norm, word_embeddings

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer


class TokenTable(nn.Module):
    """``table`` [vocabulary, E], drawn from U(-1, 1) * magnitude / sqrt(E); a buffer, since it has no gradient.

    E is the embeddings' width, not the hidden one. What a step's batches found is written when the step
    ends, over all its micro-batches and ranks, so that neither changes the mean that a word remembers. Ranks hold the
    same table; DistributedDataParallel also sends it with each pass, which ``--ddp_broadcast_buffers False`` saves.

    Args:
        trainer: whose model's words are remembered; its ``args`` are ``TokenAwareArguments``.
        accumulate: a word's old value plus the sum over its occurrences is remembered, as in the released code, where
            the table then grows with a word's frequency; else the mean over its occurrences.
    """

    table: Tensor

    def __init__(self, trainer: RobustTrainer, accumulate: bool = False) -> None:
        super().__init__()
        self._accumulate = accumulate
        self._args, self._accelerator = trainer.args, trainer.accelerator
        trainer.batch_relative = self._args.tavat_norm == "batch"
        weight: Any = word_embeddings(trainer.model)[0].weight
        generator = torch.Generator().manual_seed(trainer.args.seed)
        noise = torch.rand(tuple(weight.shape), generator=generator) * 2 - 1
        self.register_buffer("table", noise * self._args.adv_init_mag / weight.shape[1] ** 0.5)
        self._found: list[tuple[Tensor, Tensor]] = []

    def start(self, trainer: RobustTrainer, batch: Batch) -> TokenAware:
        """The first point of a batch, inside the radius: noise for the text, what is remembered for its words."""
        args = self._args
        delta = trainer.embedding_space.start(batch)
        eta = torch.zeros_like(delta.value)
        if args.tavat_norm != "zero":
            eta = self.look_up(batch["input_ids"], delta.mask, args.tavat_norm)
        shrink = delta.rule.shrink(sample_norm(delta.value + eta))
        return TokenAware(delta.value * shrink, eta * shrink, delta.mask, delta.rule, args.token_step)

    def look_up(self, ids: Tensor, mask: Tensor, norm: str) -> Tensor:
        """(B, L, E) what is remembered of the words, zero where ``mask`` (B, L, 1) is, brought to a norm.

        ``norm``: of each text to 1 (``sample``) or to the noise's magnitude (``magnitude``, so that the start is no
        farther out than the noise may be twice), or of the whole batch to 1 as in the code, where it depends on the
        batch's size and padding and stands at padding too (``batch``); ``none`` leaves it as it is.
        """
        found: Tensor = self.table[ids]
        if norm == "batch":
            found = found / found.norm().clamp(min=1e-8)
            return found
        found = found * mask
        if norm != "none":
            found = found / torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True).clamp(min=1e-8)
        return found * self._args.adv_init_mag if norm == "magnitude" else found

    def remember(self, batch: Batch, point: TokenAware) -> None:
        """Note the word perturbations of a batch's last point."""
        real = point.mask.squeeze(-1).bool()
        self._found.append((batch["input_ids"][real], point.eta[real].detach()))

    def write(self) -> None:
        """Put what was noted since the last call into the table, the same on every rank."""
        if not self._found:
            return
        ids, eta = (torch.cat(parts) for parts in zip(*self._found, strict=True))
        self._found = []
        ids = self._accelerator.gather(self._accelerator.pad_across_processes(ids, pad_index=-1))
        eta = self._accelerator.gather(self._accelerator.pad_across_processes(eta))
        ids, eta = ids[ids >= 0], eta[ids >= 0].to(self.table)
        if self._accumulate:
            self.table.index_add_(0, ids, eta)
            return
        words, places, counts = ids.unique(return_inverse=True, return_counts=True)
        sums = eta.new_zeros(len(words), eta.shape[1]).index_add_(0, places, eta)
        self.table[words] = sums / counts.unsqueeze(-1)
