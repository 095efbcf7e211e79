"""Packs token sequences into padded batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Encoded(NamedTuple):
    """Token ids of one text or pair [length], and token types [length] if the tokenizer returns them."""

    ids: NDArray[np.int32]
    types: NDArray[np.int32] | None

    def key(self) -> bytes:
        """Hash (16 bytes) of the tokens: equal for two texts exactly if the model receives the same tokens.

        It is a hash because a search stores the key of every text that it scores.
        """
        tokens = self.ids.tobytes() if self.types is None else self.ids.tobytes() + self.types.tobytes()
        return hashlib.blake2b(tokens, digest_size=16).digest()


def packed(lengths: Sequence[int], token_budget: int, overhead: int = 0) -> Iterator[list[int]]:
    """Yield batches of indices, longest sequences first, of at most ``token_budget`` padded tokens or one sequence.

    Batches minimise padded tokens plus ``overhead`` per batch, by dynamic programming over the distinct lengths: most
    variants of one text have the same length and then need no padding.

    Args:
        lengths: number of tokens of each sequence.
        overhead: cost of one more batch, in tokens.
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
    """Pads a batch to its longest sequence, on the tokenizer's side and with its pad ids.

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
        """``input_ids``, ``attention_mask`` and, if types exist, ``token_type_ids``, each [n, longest], on the CPU."""
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
        """Positions of a sequence of ``length`` tokens in a row of ``longest``."""
        return slice(longest - length, longest) if self.left else slice(0, length)


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Copy the batch to the device; to a GPU through page-locked memory, so that the host does not wait."""
    if device.type == "cuda":
        batch = {name: tensor.pin_memory() for name, tensor in batch.items()}
    return {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
