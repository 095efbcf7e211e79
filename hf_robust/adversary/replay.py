"""Random state around forward passes: the same dropout masks in several, none at all, or all as it was before."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn


class DropoutReplay:
    """Passes run inside :meth:`again` all start from the random state that the first one found.

    The CPU's and the device's generators both; with ``shared`` False each pass draws its own masks. Only for passes
    over the same batch: in another shape the same state gives other masks.
    """

    def __init__(self, device: torch.device, shared: bool = True) -> None:
        self._device, self._shared = device, shared
        self._state: tuple[torch.Tensor, torch.Tensor | None] | None = None

    @contextmanager
    def again(self) -> Iterator[None]:
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
    """``model`` in evaluation mode; afterwards each module has the mode that it had (R13e)."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Every generator that training draws from is as before when the block ends."""
    python, numpy = random.getstate(), np.random.get_state()
    # Only this process's own GPU: the default touches, and so takes memory on, every GPU of the machine in every rank.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
