"""From data sets to batches: tasks, sources, labels, tokenised splits, batches. torch is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_robust.data.tasks import GLUE_TASKS

if TYPE_CHECKING:
    from hf_robust.data.collators import VIEW_COLUMNS, PairedCollator, split_views, stack_rows, valid_rows
    from hf_robust.data.dataset import TextDataset

_NEED_TORCH = {
    **dict.fromkeys(
        ("VIEW_COLUMNS", "PairedCollator", "split_views", "stack_rows", "valid_rows"), "hf_robust.data.collators"
    ),
    "TextDataset": "hf_robust.data.dataset",
}


def __getattr__(name: str) -> Any:
    if name in _NEED_TORCH:
        return getattr(import_module(_NEED_TORCH[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["GLUE_TASKS", "VIEW_COLUMNS", "PairedCollator", "TextDataset", "split_views", "stack_rows", "valid_rows"]
