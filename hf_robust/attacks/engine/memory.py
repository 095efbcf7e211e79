"""The number of tokens in one batch, and how it is lowered when a batch does not fit into memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from hf_robust.attacks.engine.batches import packed

logger = logging.getLogger(__name__)

CPU_TOKENS, CPU_OVERHEAD = 1024, 32
"""Padded tokens of a batch, and the cost of one more batch in tokens; measured with a 6-layer model."""
GPU_TOKENS, GPU_OVERHEAD = 32768, 4096
_MESSAGES = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
Result = TypeVar("Result")


class TokenBudget:
    """Maximum number of padded tokens in one batch, permanently lowered when a batch does not fit into memory.

    Args:
        tokens: the maximum, which one long sequence may exceed; None for the device's default.
    """

    def __init__(self, tokens: int | None = None) -> None:
        if tokens is not None and tokens < 1:
            raise ValueError(f"--attack_token_budget must be at least 1, got {tokens}.")
        self._tokens = tokens
        self._lowered = False

    def tokens(self, device: torch.device) -> int:
        """Maximum number of padded tokens in one batch on this device."""
        if self._tokens is not None:
            return self._tokens
        return CPU_TOKENS if device.type == "cpu" else GPU_TOKENS

    def run(
        self, lengths: Sequence[int], device: torch.device, work: Callable[[list[int]], Result], share: int = 1
    ) -> Iterator[tuple[list[int], Result]]:
        """Call ``work`` with the indices of each batch, longest first, and yield the indices and the result.

        A batch that does not fit into memory is halved and tried again; each index is yielded exactly once.

        Args:
            share: memory of one token in this work, as a multiple of its memory in a plain forward pass.

        Raises:
            ValueError: one sequence alone does not fit.
        """
        overhead = CPU_OVERHEAD if device.type == "cpu" else GPU_OVERHEAD
        for places in packed(lengths, self.tokens(device) // share, overhead):
            waiting = [places]
            while waiting:
                part = waiting.pop()
                rows = max(self.tokens(device) // share // max(lengths[part[0]], 1), 1)
                if len(part) > rows:
                    waiting += [part[start : start + rows] for start in range(0, len(part), rows)][::-1]
                    continue
                done = _attempt(work, part)
                if done is not None:
                    yield part, done[0]
                    continue
                self._lower(len(part), lengths[part[0]], device, share)
                waiting.append(part)

    def _lower(self, rows: int, longest: int, device: torch.device, share: int) -> None:
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if rows == 1:
            raise ValueError(
                f"one text of {longest} tokens does not fit into the memory of {device}; truncate texts to fewer "
                "tokens (--max_seq_length) or use a device with more memory."
            )
        before, self._tokens = self.tokens(device), (rows + 1) // 2 * longest * share
        if not self._lowered:
            self._lowered = True
            logger.warning(
                "A batch of %d x %d tokens does not fit into the memory of %s: from now on batches have at most %d "
                "tokens instead of %d (--attack_token_budget), or fewer if these do not fit either.",
                *(rows, longest, device, self._tokens, before),
            )


def means_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error is an out-of-memory error (allocator, CUDA libraries or CPU)."""
    return isinstance(error, torch.OutOfMemoryError) or any(message in str(error) for message in _MESSAGES)


def _attempt(work: Callable[[list[int]], Result], part: list[int]) -> list[Result] | None:
    """The result in a list, or None if memory ran out; returning frees the frames and tensors of the error."""
    try:
        return [work(part)]
    except RuntimeError as error:
        if not means_out_of_memory(error):
            raise
    return None
