"""Forward passes of models, counted in texts: a pass over twice the rows is two."""

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
    """Passes in the block measure something inside a training step, and are no part of what training needs."""
    before = _measuring.set(True)
    try:
        yield
    finally:
        _measuring.reset(before)


def are_counted() -> bool:
    """Whether passes now are part of what training needs."""
    return not _measuring.get()


class ForwardCounter:
    """Counts the texts that go forward through the watched modules while ``counting`` is on.

    Attributes:
        counting: whether what goes forward now belongs to training.
        texts: how many went forward so far, by the name under which a module is watched.
    """

    def __init__(self) -> None:
        self.counting = False
        self.texts: dict[str, int] = {}
        self._handles: list[RemovableHandle] = []

    def watch(self, name: str, module: nn.Module) -> None:
        """Count the calls of a module under a name."""
        self.texts[name] = 0

        def count(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
            if self.counting and are_counted():
                self.texts[name] += _rows(args, kwargs)

        self._handles.append(module.register_forward_pre_hook(count, with_kwargs=True))

    def stop(self) -> None:
        """Take the hooks off; the counts stay."""
        for handle in self._handles:
            handle.remove()
        self._handles, self.counting = [], False


def _rows(args: Any, kwargs: Mapping[str, Any]) -> int:
    """Rows of a call's batch: of the ids, or whatever tensor comes first."""
    named = [kwargs.get("input_ids"), kwargs.get("inputs_embeds"), *args, *kwargs.values()]
    return next((len(value) for value in named if isinstance(value, Tensor) and value.dim()), 0)
