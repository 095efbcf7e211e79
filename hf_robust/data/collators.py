"""Batches that carry other views of each example beside the example itself.

A view named ``adv`` travels as the columns ``adv_input_ids``, ``adv_attention_mask``, ... and ``adv_ok`` (1 where the
view is a real change of the text, 0 where it had to stay the original). Views have lengths of their own, so each is
padded on its own; the main columns come out exactly as without views.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

OK = "ok"
VIEW_COLUMNS: tuple[str, ...] = ("input_ids", "attention_mask", "token_type_ids", OK)

Features = list[dict[str, Any]]


def _owner(key: str, views: Sequence[str]) -> str | None:
    """The view that a column belongs to; known column names only, so that views ``adv`` and ``adv_2`` do not mix."""
    return next((view for view in views for column in VIEW_COLUMNS if key == f"{view}_{column}"), None)


class PairedCollator:
    """Collate the main columns and every view separately by ``base_collator``, then merge under the views' prefixes.

    Features without any view column (evaluation) pass as if there were no views. ``{view}_ok`` becomes a float
    tensor [B].

    Raises:
        ValueError: some features carry a view and others do not.
    """

    def __init__(self, base_collator: Callable[[Features], Mapping[str, Any]], views: Sequence[str]) -> None:
        self.base_collator = base_collator
        self.views = tuple(views)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        main = [{key: value for key, value in one.items() if _owner(key, self.views) is None} for one in features]
        batch = dict(self.base_collator(main))
        for view in self.views:
            batch.update(self._collate_view(features, view))
        return batch

    def _collate_view(self, features: Sequence[Mapping[str, Any]], view: str) -> dict[str, Any]:
        names = {column: f"{view}_{column}" for column in VIEW_COLUMNS}
        parts = [{column: one[key] for column, key in names.items() if key in one} for one in features]
        if not any(parts):
            return {}
        if any(part.keys() != parts[0].keys() for part in parts):
            held = sorted({tuple(sorted(part)) for part in parts})
            raise ValueError(f"view '{view}' must have the same columns in every feature of a batch, got {held}.")
        ok = torch.tensor([float(part.pop(OK, 1.0)) for part in parts])
        batch = {f"{view}_{column}": values for column, values in self.base_collator(parts).items()}
        return {**batch, f"{view}_{OK}": ok}


def split_views(inputs: Mapping[str, Any], views: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Take a paired batch apart: the main batch, and per view its batch with plain names (``ok`` included).

    A view that the batch does not carry is absent from the second part; ``inputs`` is not changed.
    """
    main: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in inputs.items():
        view = _owner(key, views)
        if view is None:
            main[key] = value
        else:
            parts.setdefault(view, {})[key[len(view) + 1 :]] = value
    return main, parts
