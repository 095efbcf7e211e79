"""Batches of examples and their views.

A view named ``adv`` has the columns ``adv_input_ids``, ``adv_attention_mask``, ... and ``adv_ok`` (1 if the view
differs from the text, 0 if it is the original). Each view is padded separately, and the main columns are the same as
without views. A view may have its own labels (``adv_labels``, ``adv_soft``), and numbers that mark the tokens of one
changed word in the view and in the example (``adv_words``, ``adv_main_words``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

OK = "ok"
LABELS, SOFT, WORDS, MAIN_WORDS = "labels", "soft", "words", "main_words"
VIEW_COLUMNS: tuple[str, ...] = (
    *("input_ids", "attention_mask", "token_type_ids"),
    *(OK, LABELS, SOFT, WORDS, MAIN_WORDS),
)

_EXTRAS = {LABELS, SOFT, WORDS, MAIN_WORDS}

Features = list[dict[str, Any]]


def _view_of_column(key: str, views: Sequence[str]) -> str | None:
    """Return the view of a column; only known column names count, so that views ``adv`` and ``adv_2`` do not mix."""
    return next((view for view in views for column in VIEW_COLUMNS if key == f"{view}_{column}"), None)


class PairedCollator:
    """Collates the main columns and each view separately by ``base_collator``, and merges them with prefixes.

    Features without view columns (in evaluation) are collated as usual. ``{view}_ok`` becomes a float tensor [B].

    Raises:
        ValueError: some features carry a view and others do not.
    """

    def __init__(self, base_collator: Callable[[Features], Mapping[str, Any]], views: Sequence[str]) -> None:
        self.base_collator = base_collator
        self.views = tuple(views)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        main = [
            {key: value for key, value in feature.items() if _view_of_column(key, self.views) is None}
            for feature in features
        ]
        batch = dict(self.base_collator(main))
        for view in self.views:
            batch.update(self._collate_view(features, view, batch))
        return batch

    def _collate_view(
        self, features: Sequence[Mapping[str, Any]], view: str, main: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = {column: f"{view}_{column}" for column in VIEW_COLUMNS}
        parts = [{column: row[key] for column, key in names.items() if key in row} for row in features]
        if not any(parts):
            return {}
        if any(part.keys() != parts[0].keys() for part in parts):
            columns = sorted({tuple(sorted(part)) for part in parts})
            raise ValueError(f"view '{view}' must have the same columns in every feature of a batch, got {columns}.")
        ok = torch.tensor([float(part.pop(OK, 1.0)) for part in parts])
        extra = {
            column: [part.pop(column) for part in parts] for column in names if column in _EXTRAS & parts[0].keys()
        }
        batch = dict(self.base_collator(parts))
        for column, values in extra.items():
            if column in (LABELS, SOFT):
                batch[column] = torch.tensor(values)
            else:
                mask = (main if column == MAIN_WORDS else batch)["attention_mask"]
                batch[column] = _padded_like(values, mask)
        return {**{f"{view}_{column}": values for column, values in batch.items()}, f"{view}_{OK}": ok}


def _padded_like(rows: Sequence[Sequence[int]], mask: torch.Tensor) -> torch.Tensor:
    """Return numbers of tokens as a tensor of the shape of ``mask``, with 0 on the padding of either side."""
    numbers = torch.zeros_like(mask, dtype=torch.long)
    for row, values in enumerate(rows):
        # A row that was padded by the dataset has the full length.
        places = slice(None) if len(values) == mask.shape[1] else mask[row].bool()
        numbers[row, places] = torch.tensor(values)
    return numbers


def split_views(inputs: Mapping[str, Any], views: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Split a paired batch into the main batch and one batch per view, with plain column names (``ok`` included).

    A view that the batch does not have is missing in the second result. ``inputs`` is not changed.
    """
    main: dict[str, Any] = {}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in inputs.items():
        view = _view_of_column(key, views)
        if view is None:
            main[key] = value
        else:
            parts.setdefault(view, {})[key[len(view) + 1 :]] = value
    return main, parts


def valid_rows(inputs: Mapping[str, Any], views: Sequence[str]) -> dict[str, torch.Tensor]:
    """Return for each view in a paired batch a tensor [B]: 1 if the row has the view, else 0."""
    return {view: inputs[f"{view}_{OK}"] for view in views if f"{view}_{OK}" in inputs}


def stack_rows(batches: Sequence[Mapping[str, Any]], tokenizer: Any) -> dict[str, torch.Tensor]:
    """Stack several batches for one forward pass, padded to the longest row on the tokenizer's side.

    Columns that some batches lack are left out.
    """
    shared = [key for key in batches[0] if all(key in batch for batch in batches)]
    padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": getattr(tokenizer, "pad_token_type_id", 0)}
    longest = max(batch["input_ids"].shape[1] for batch in batches)
    stacked = {}
    for key in shared:
        columns = [batch[key] for batch in batches]
        if key in ("input_ids", "attention_mask", "token_type_ids"):
            columns = [_padded(column, longest, padding.get(key, 0), tokenizer.padding_side) for column in columns]
        stacked[key] = torch.cat(columns)
    return stacked


def _padded(column: torch.Tensor, longest: int, value: int, side: str) -> torch.Tensor:
    missing = longest - column.shape[1]
    return torch.nn.functional.pad(column, (missing, 0) if side == "left" else (0, missing), value=value)
