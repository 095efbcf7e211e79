"""How many tokens go into one batch, and what happens when they do not fit into memory."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from hf_robust.attacks.engine.batches import packed

logger = logging.getLogger(__name__)

CPU_TOKENS, CPU_OVERHEAD = 1024, 32
"""Padded tokens of a batch, and what one more batch costs in tokens: from measurements of a 6-layer model."""
GPU_TOKENS, GPU_OVERHEAD = 32768, 4096
_SAYINGS = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
Result = TypeVar("Result")


class TokenBudget:
    """Padded tokens in one batch; lowered for good when a batch does not fit.

    Args:
        tokens: at most that many, if at least one sequence fits them; None for what suits the device.
    """

    def __init__(self, tokens: int | None = None) -> None:
        if tokens is not None and tokens < 1:
            raise ValueError(f"--attack_token_budget must be at least 1, got {tokens}.")
        self._tokens = tokens
        self._lowered = False

    def tokens(self, device: torch.device) -> int:
        """Padded tokens in one batch on this device."""
        if self._tokens is not None:
            return self._tokens
        return CPU_TOKENS if device.type == "cpu" else GPU_TOKENS

    def run(
        self, lengths: Sequence[int], device: torch.device, work: Callable[[list[int]], Result], share: int = 1
    ) -> Iterator[tuple[list[int], Result]]:
        """Give ``work`` the places of each batch, longest first, and yield them with its result.

        A batch that does not fit into memory is halved and tried again; no place is lost, each is yielded once.

        Args:
            share: how many times a token of this work needs the memory that one of a plain forward needs.

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
                f"one text of {longest} tokens does not fit into the memory of {device}; cut texts at fewer tokens "
                "(--max_seq_length) or use a device with more memory."
            )
        before, self._tokens = self.tokens(device), (rows + 1) // 2 * longest * share
        if not self._lowered:
            self._lowered = True
            logger.warning(
                "A batch of %d x %d tokens does not fit into the memory of %s: from here on batches have at most %d "
                "tokens, not %d (--attack_token_budget), and fewer if that is still too much.",
                *(rows, longest, device, self._tokens, before),
            )


def means_out_of_memory(error: RuntimeError) -> bool:
    """Whether the error says that memory ran out (allocator, CUDA libraries or CPU)."""
    return isinstance(error, torch.OutOfMemoryError) or any(saying in str(error) for saying in _SAYINGS)


def _attempt(work: Callable[[list[int]], Result], part: list[int]) -> list[Result] | None:
    """The result in a list, or None where memory ran out; returning lets the error's frames and tensors go."""
    try:
        return [work(part)]
    except RuntimeError as error:
        if not means_out_of_memory(error):
            raise
    return None
