"""Token sequences into padded batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Encoded(NamedTuple):
    """Token ids of one text or pair [length], and its token types [length] where the tokenizer gives them."""

    ids: NDArray[np.int32]
    types: NDArray[np.int32] | None

    def key(self) -> bytes:
        """16 bytes, equal for two texts of one tokenizer where the model sees the same tokens, else different.

        A digest, since a search keeps the key of every text that it asks.
        """
        tokens = self.ids.tobytes() if self.types is None else self.ids.tobytes() + self.types.tobytes()
        return hashlib.blake2b(tokens, digest_size=16).digest()


def packed(lengths: Sequence[int], token_budget: int, overhead: int = 0) -> Iterator[list[int]]:
    """Places by falling length, cut into batches of at most ``token_budget`` padded tokens (one place at least).

    The cuts lie where padded tokens plus ``overhead`` for each batch are fewest, found by dynamic programming over the
    distinct lengths: the variants of one text mostly have one length, and then need no padding.

    Args:
        overhead: what one more batch costs, in tokens.
    """
    if not lengths:
        return
    order = np.argsort(-np.asarray(lengths), kind="stable")
    falling = np.maximum(np.asarray(lengths)[order], 1)
    starts = np.flatnonzero(np.diff(falling, prepend=0))
    ends = np.append(starts[1:], len(order))
    longest = falling[starts]
    rows = np.maximum(token_budget // longest, 1)
    costs = np.zeros(len(starts) + 1)
    cuts = []
    for run, end in enumerate(ends):
        first = slice(run + 1)
        count = end - starts[first]
        total = costs[first] + count * longest[first] + overhead * -(-count // rows[first])
        cuts.append(int(total.argmin()))
        costs[run + 1] = total.min()
    parts, run = [], len(starts) - 1
    while run >= 0:
        parts.append((cuts[run], ends[run]))
        run = cuts[run] - 1
    for first_run, end in reversed(parts):
        for start in range(starts[first_run], end, rows[first_run]):
            yield order[start : min(start + rows[first_run], end)].tolist()


class Padder:
    """Pads to the longest of a batch on the tokenizer's side, with its pad ids.

    Raises:
        ValueError: the tokenizer has no padding token.
    """

    def __init__(self, tokenizer: Any) -> None:
        if tokenizer.pad_token_id is None:
            raise ValueError(
                "attacking in batches needs a tokenizer with a padding token, this one has none; "
                "set tokenizer.pad_token and model.config.pad_token_id."
            )
        self.pad_id, self.pad_type = int(tokenizer.pad_token_id), int(getattr(tokenizer, "pad_token_type_id", 0) or 0)
        self.left = tokenizer.padding_side == "left"

    def __call__(self, sequences: Sequence[Encoded]) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` and, where given, ``token_type_ids``, each [n, longest] on the CPU."""
        shape = (len(sequences), max((len(sequence.ids) for sequence in sequences), default=0))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        types = None if sequences[0].types is None else np.full(shape, self.pad_type, dtype=np.int64)
        for row, sequence in enumerate(sequences):
            place = self.span(len(sequence.ids), shape[1])
            ids[row, place] = sequence.ids
            mask[row, place] = 1
            if types is not None and sequence.types is not None:
                types[row, place] = sequence.types
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return {name: torch.from_numpy(array) for name, array in arrays.items() if array is not None}

    def span(self, length: int, longest: int) -> slice:
        """Where a sequence of ``length`` stands in a row of ``longest``."""
        return slice(longest - length, longest) if self.left else slice(0, length)


def moved(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The batch on the device; to a GPU by page-locked memory, so that the host does not wait for the copy."""
    if device.type == "cuda":
        batch = {name: tensor.pin_memory() for name, tensor in batch.items()}
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
