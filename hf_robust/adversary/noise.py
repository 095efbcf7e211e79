"""Random numbers that belong to a text and a training step, not to a batch.

The next number of a random generator depends on the earlier draws, so that the noise of an example would change with
the batch size, the padding, the rank and the device. Here each number is a hash of (seed, step, the tokens of the
text, token position, dimension) and depends on nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B9
_DIMENSION = 0x85EBCA6B
_MURMUR = ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1))


def _signed(value: int) -> int:
    """The int32 number with the given 32-bit pattern."""
    return (value + 2**31) % 2**32 - 2**31


def _mixed(keys: Tensor) -> Tensor:
    """MurmurHash3's finaliser on int32 (overflow wraps), which spreads each input bit over all output bits."""
    for shift, factor in _MURMUR:
        keys = keys ^ ((keys >> shift) & (2 ** (32 - shift) - 1))
        keys = keys * _signed(factor)
    return keys


@dataclass(frozen=True)
class Noise:
    """Noise of one training step; equal arguments give equal noise on every machine.

    ``seed`` and ``step`` are those of the run; ``draw`` numbers several draws of one step.
    """

    seed: int
    step: int
    draw: int = 0

    def uniform(self, ids: Tensor, mask: Tensor, width: int) -> Tensor:
        """(B, L, ``width``) float32 in (-1, 1); one number for each real token of a text and each dimension.

        Args:
            ids: (B, L) token ids.
            mask: (B, L), 1 for real tokens. Positions count from the first real token, so that padding on either
                side changes nothing; the values at padding are arbitrary.
        """
        mask = mask.int()
        positions = mask.cumsum(1, dtype=torch.int32) - 1
        cells = _mixed(ids.int() * _signed(_GOLDEN) + _mixed(positions))
        rows = (cells * mask).sum(1, keepdim=True, dtype=torch.int32)
        start = (self.seed * 0x27D4EB2F + self.step * 0x165667B1 + self.draw * 0x9E3779B1) % 2**32
        keys = _mixed(_mixed(rows + _signed(start)) + positions * _signed(_GOLDEN))
        dimensions = torch.arange(width, dtype=torch.int32, device=ids.device) * _signed(_DIMENSION)
        bits = _mixed(keys.unsqueeze(-1) + dimensions)
        return ((bits >> 8).float() + 0.5) * 2.0**-23

    def normal(self, ids: Tensor, mask: Tensor, width: int) -> Tensor:
        """(B, L, ``width``) float32 from the standard normal; arguments as in :meth:`uniform`."""
        return torch.erfinv(self.uniform(ids, mask, width)) * math.sqrt(2.0)
