"""Context managers for forward passes: shared dropout masks, evaluation mode, preserved random state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


class DropoutReplay:
    """All passes inside :meth:`again` start from the random state that the first of them started from.

    This covers the generators of the CPU and of the device. With ``shared`` False each pass draws its own masks. It
    works for passes over one batch only: the same state gives other masks for another shape.
    """

    def __init__(self, device: torch.device, shared: bool = True) -> None:
        self._device, self._shared = device, shared
        self._state: tuple[torch.Tensor, torch.Tensor | None] | None = None

    @contextmanager
    def again(self) -> Iterator[None]:
        """Run one pass under the shared dropout masks."""
        if not self._shared:
            yield
            return
        cuda = self._device.type == "cuda"
        if self._state is None:
            self._state = torch.get_rng_state(), torch.cuda.get_rng_state(self._device) if cuda else None
        else:
            torch.set_rng_state(self._state[0])
            if self._state[1] is not None:
                torch.cuda.set_rng_state(self._state[1], self._device)
        yield


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` into evaluation mode inside the block; afterwards each module has its former mode (R13e)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Restore all random generators that training draws from when the block ends."""
    python, numpy = random.getstate(), np.random.get_state()
    # Only the GPU of this process: the default would take memory on all GPUs of the machine in each rank.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
