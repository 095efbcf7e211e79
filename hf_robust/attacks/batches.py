"""Token sequences into padded batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor


class Encoded(NamedTuple):
    """Token ids of one text or pair, and its token types where the tokenizer gives them."""

    ids: Sequence[int]
    types: Sequence[int] | None

    def key(self) -> bytes:
        """Equal for two texts exactly where the model sees the same tokens."""
        return np.asarray([*self.ids, *(self.types or ())], dtype=np.int32).tobytes()


def packed(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Places by falling length, cut into batches of at most ``token_budget`` padded tokens (one place at least)."""
    batch: list[int] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and longest * (len(batch) + 1) > token_budget:
            yield batch
            batch = []
        if not batch:
            longest = max(lengths[place], 1)
        batch.append(place)
    if batch:
        yield batch


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

    def __call__(self, sequences: Sequence[Encoded], device: torch.device) -> dict[str, Tensor]:
        """``input_ids``, ``attention_mask`` and, where given, ``token_type_ids``, each [n, longest]."""
        shape = (len(sequences), max((len(sequence.ids) for sequence in sequences), default=0))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        types = None if sequences[0].types is None else np.full(shape, self.pad_type, dtype=np.int64)
        for row, sequence in enumerate(sequences):
            place = self.span(len(sequence.ids), shape[1])
            ids[row, place] = sequence.ids
            mask[row, place] = 1
            if types is not None:
                types[row, place] = sequence.types or ()
        arrays = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        return {
            name: torch.from_numpy(array).to(device, non_blocking=True)
            for name, array in arrays.items()
            if array is not None
        }

    def span(self, length: int, longest: int) -> slice:
        """Where a sequence of ``length`` stands in a row of ``longest``."""
        return slice(longest - length, longest) if self.left else slice(0, length)
