"""Counting of forward passes in texts: a pass over a batch of B rows counts B."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_measuring: ContextVar[bool] = ContextVar("measuring", default=False)


@contextmanager
def uncounted() -> Iterator[None]:
    """Do not count passes in the block: they measure something and are no part of training."""
    before = _measuring.set(True)
    try:
        yield
    finally:
        _measuring.reset(before)


def are_counted() -> bool:
    """Whether forward passes are counted now."""
    return not _measuring.get()


class ForwardCounter:
    """Counts the texts in forward passes of the watched modules while ``counting`` is True.

    Attributes:
        counting: whether passes now belong to training.
        texts: number of texts so far, by the name of the watched module.
    """

    def __init__(self) -> None:
        self.counting = False
        self.texts: dict[str, int] = {}
        self._handles: list[RemovableHandle] = []

    def watch(self, name: str, module: nn.Module) -> None:
        """Count the texts in the calls of ``module`` under ``name``."""
        self.texts[name] = 0

        def count(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
            if self.counting and are_counted():
                self.texts[name] += _rows(args, kwargs)

        self._handles.append(module.register_forward_pre_hook(count, with_kwargs=True))

    def stop(self) -> None:
        """Remove the hooks; the counts stay."""
        for handle in self._handles:
            handle.remove()
        self._handles, self.counting = [], False


def _rows(args: Any, kwargs: Mapping[str, Any]) -> int:
    """Number of rows of a call's batch: of the ids, or else of the first tensor."""
    named = [kwargs.get("input_ids"), kwargs.get("inputs_embeds"), *args, *kwargs.values()]
    return next((len(value) for value in named if isinstance(value, Tensor) and value.dim()), 0)
