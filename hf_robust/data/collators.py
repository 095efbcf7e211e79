"""Batches that carry other views of each example beside the example itself.

A view named ``adv`` travels as the columns ``adv_input_ids``, ``adv_attention_mask``, ... and ``adv_ok`` (1 where the
view is a real change of the text, 0 where it had to stay the original). Views have lengths of their own, so each is
padded on its own; the main columns come out exactly as without views. A view may bring labels of its own
(``adv_labels``, ``adv_soft``), and say which of its tokens and of the example's belong to one changed word
(``adv_words``, ``adv_main_words``).
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
            batch.update(self._collate_view(features, view, batch))
        return batch

    def _collate_view(
        self, features: Sequence[Mapping[str, Any]], view: str, main: Mapping[str, Any]
    ) -> dict[str, Any]:
        names = {column: f"{view}_{column}" for column in VIEW_COLUMNS}
        parts = [{column: one[key] for column, key in names.items() if key in one} for one in features]
        if not any(parts):
            return {}
        if any(part.keys() != parts[0].keys() for part in parts):
            held = sorted({tuple(sorted(part)) for part in parts})
            raise ValueError(f"view '{view}' must have the same columns in every feature of a batch, got {held}.")
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
                batch[column] = _beside_padding(values, mask)
        return {**{f"{view}_{column}": values for column, values in batch.items()}, f"{view}_{OK}": ok}


def _beside_padding(rows: Sequence[Sequence[int]], mask: torch.Tensor) -> torch.Tensor:
    """Numbers of tokens as a tensor of the shape of ``mask``, 0 on the padding, whichever side that is on."""
    numbers = torch.zeros_like(mask, dtype=torch.long)
    for row, values in enumerate(rows):
        # A row that was padded before it came here has the full length.
        places = slice(None) if len(values) == mask.shape[1] else mask[row].bool()
        numbers[row, places] = torch.tensor(values)
    return numbers


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


def valid_rows(inputs: Mapping[str, Any], views: Sequence[str]) -> dict[str, torch.Tensor]:
    """(B,) for each view that a paired batch carries: 1 where the row has one, else 0."""
    return {view: inputs[f"{view}_{OK}"] for view in views if f"{view}_{OK}" in inputs}


def stack_rows(batches: Sequence[Mapping[str, Any]], tokenizer: Any) -> dict[str, torch.Tensor]:
    """The rows of several batches as one, padded to the longest on the tokenizer's side, for a single forward.

    Columns that not all of them have are left out.
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
