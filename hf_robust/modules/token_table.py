"""TA-VAT's global table: one perturbation for each token of the vocabulary, kept across batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import TokenAware, sample_norm, word_embeddings

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer


class TokenTable(nn.Module):
    """``table`` [vocabulary, E], drawn from U(-1, 1) * magnitude / sqrt(E); a buffer, because it has no gradient.

    E is the embedding width, not the hidden width. Entries are in the unit of the start (``--adv_relative``). The
    perturbations of a step are written at its end, over all micro-batches and ranks, so that these do not change the
    mean of a word. All ranks have equal tables; DistributedDataParallel also sends the table in each pass, which
    ``--ddp_broadcast_buffers False`` avoids.

    Args:
        trainer: the trainer, whose ``args`` are ``TokenAwareArguments``.
        accumulate: add the sum over a word's occurrences to its old value, as in the released code, where values grow
            with the frequency of a word; by default the mean over the occurrences replaces the old value.
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
        self._records: list[tuple[Tensor, Tensor]] = []

    def start(self, trainer: RobustTrainer, batch: Batch) -> TokenAware:
        """The first point of a batch, inside the radius: noise for the texts, table entries for their words."""
        args = self._args
        delta = trainer.embedding_space.start(batch)
        eta = torch.zeros_like(delta.value)
        if args.tavat_norm != "zero":
            eta = self.look_up(batch["input_ids"], delta.mask, args.tavat_norm)
        shrink = delta.rule.shrink(sample_norm(delta.value + eta))
        return TokenAware(delta.value * shrink, eta * shrink, delta.mask, delta.rule, args.token_step, delta.relative)

    def look_up(self, ids: Tensor, mask: Tensor, norm: str) -> Tensor:
        """(B, L, E) normalised table entries of the words, zero where ``mask`` (B, L, 1) is zero.

        ``norm``: ``sample`` scales each text to norm 1; ``magnitude`` scales it to the magnitude of the noise, so that
        the start is at most twice as far as the noise alone; ``batch`` scales the whole batch to norm 1 as in the
        released code, which includes padding and depends on the batch size; ``none`` does not scale.
        """
        eta: Tensor = self.table[ids]
        if norm == "batch":
            eta = eta / eta.norm().clamp(min=1e-8)
            return eta
        eta = eta * mask
        if norm != "none":
            eta = eta / torch.linalg.vector_norm(eta, dim=(1, 2), keepdim=True).clamp(min=1e-8)
        return eta * self._args.adv_init_mag if norm == "magnitude" else eta

    def remember(self, batch: Batch, point: TokenAware) -> None:
        """Record the word perturbations at the last point of a batch."""
        real = point.mask.squeeze(-1).bool()
        self._records.append((batch["input_ids"][real], point.eta[real].detach()))

    def forget(self) -> None:
        """Drop the records since the last :meth:`write`."""
        self._records = []

    def write(self) -> None:
        """Write the records since the last call into the table, equally on all ranks."""
        if not self._records:
            return
        ids, eta = (torch.cat(parts) for parts in zip(*self._records, strict=True))
        self._records = []
        ids = self._accelerator.gather(self._accelerator.pad_across_processes(ids, pad_index=-1))
        eta = self._accelerator.gather(self._accelerator.pad_across_processes(eta))
        ids, eta = ids[ids >= 0], eta[ids >= 0].to(self.table)
        if self._accumulate:
            self.table.index_add_(0, ids, eta)
            return
        words, places, counts = ids.unique(return_inverse=True, return_counts=True)
        sums = eta.new_zeros(len(words), eta.shape[1]).index_add_(0, places, eta)
        self.table[words] = sums / counts.unsqueeze(-1)
