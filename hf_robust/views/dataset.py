"""Data set with views of each example, which are drawn at each fetch or were generated before."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.views.view import View, ViewSource
from hf_robust.words import Text


class Texts(Protocol):
    """Interface of a data set with texts, such as :class:`hf_robust.data.TextDataset`."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    def texts(self, index: int) -> tuple[str, ...]: ...
    def text(self, index: int) -> Text: ...
    def label(self, index: int) -> Any: ...
    def encode(self, texts: tuple[str, ...]) -> dict[str, Any]: ...
    def word_positions(self, text: Text) -> list[list[int]]: ...
    def read_words(self, index: int) -> Collection[int] | None: ...


class ViewedDataset(Dataset[dict[str, Any]]):
    """The rows of ``dataset`` with the columns ``<view>_input_ids``, ... and ``<view>_ok`` of each view source.

    A view drawn at a fetch changes words that the model reads. It is ``ok`` only if its token ids differ from those of
    the text: a change after the cut, or of one unknown word to another, does not count. Pregenerated views were
    checked when they were generated.

    A source with ``extras`` adds columns: ``<view>_labels``; ``<view>_soft`` (``num_labels`` probabilities: those of
    the view, else 1 for the label); or ``<view>_words`` and ``<view>_main_words``, which give for each token of the
    view and of the example the number, from 1, of the changed word that it belongs to, and 0 for other tokens.

    A view depends on (seed, epoch, row, view name) alone: not on the order of fetching, the rank, the number of
    workers or the global random state, so that a resumed run trains on the same texts as an uninterrupted one.
    """

    def __init__(
        self,
        dataset: Texts,
        sources: Mapping[str, ViewSource],
        seed: int,
        *,
        mask_token_id: int | None = None,
        num_labels: int = 0,
    ) -> None:
        self.dataset, self.sources, self.seed = dataset, dict(sources), seed
        self.mask_token_id, self.num_labels = mask_token_id, num_labels
        # In shared memory, so that persistent loader workers read the current epoch too.
        self._epoch = torch.zeros(1, dtype=torch.long).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch whose views are drawn."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = dict(self.dataset[index])
        text = self.dataset.text(index)
        label = self.dataset.label(index)
        drawing = not all(getattr(source, "pregenerated", False) for source in self.sources.values())
        read = self.dataset.read_words(index) if drawing else None
        for name, source in self.sources.items():
            rng = random.Random(f"{self.seed}:{self._epoch.item()}:{index}:{name}")
            class_id = None if label is None else int(label)
            pregenerated = getattr(source, "pregenerated", False)
            view = source(text, class_id, rng, read)
            encoded = encode_view(self.dataset, view, self.mask_token_id)
            row.update({f"{name}_{key}": value for key, value in encoded.items()})
            row[f"{name}_ok"] = float(view.ok and (pregenerated or encoded["input_ids"] != row["input_ids"]))
            for extra in getattr(source, "extras", ()):
                columns = getattr(self, f"_{extra}")(view, text, class_id)
                row.update({f"{name}_{key}": value for key, value in columns.items()})
        return row

    def _labels(self, view: View, text: Text, label: int) -> dict[str, Any]:
        return {"labels": label if view.label is None else view.label}

    def _soft(self, view: View, text: Text, label: int) -> dict[str, Any]:
        if view.soft is not None:
            return {"soft": list(view.soft)}
        hard = label if view.label is None else view.label
        return {"soft": [float(number == hard) for number in range(self.num_labels)]}

    def _words(self, view: View, text: Text, label: int) -> dict[str, Any]:
        main = [0] * len(self.dataset.encode(text.columns)["input_ids"])
        other = [0] * len(self.dataset.encode(view.text.columns)["input_ids"])
        if view.pairs:
            # The word rule of the view's text numbers the words of a pair.
            main_words = self.dataset.word_positions(view.text.like(text.columns))
            view_words = self.dataset.word_positions(view.text)
            pairs = [(a, b) for a, b in view.pairs if main_words[a] and view_words[b]]  # not cut off in either text
            for number, (first, second) in enumerate(pairs, start=1):
                for position in main_words[first]:
                    main[position] = number
                for position in view_words[second]:
                    other[position] = number
        return {"main_words": main, "words": other}


def encode_view(dataset: Texts, view: View, mask_token_id: int | None = None) -> dict[str, Any]:
    """The tokens of a view as the model reads them: truncated, with the mask token at its masked positions.

    Raises:
        ValueError: a masked position is cut off.
    """
    encoded = dict(dataset.encode(view.text.columns))
    if view.masked:
        ids, mask = list(encoded["input_ids"]), encoded.get("attention_mask")
        start = mask.index(1) if mask else 0  # positions count from the first real token
        if start + max(view.masked) >= len(ids):
            raise ValueError(
                f"a view masks token {max(view.masked)} of a text that is cut to {len(ids)} tokens here; give the "
                "--max_seq_length with which the views were generated."
            )
        for position in view.masked:
            ids[start + position] = mask_token_id
        encoded["input_ids"] = ids
    return encoded


def disable_unchanged(dataset: Texts, views: Mapping[int, View], mask_token_id: int | None = None) -> dict[int, View]:
    """The views by their row of ``dataset``, with ``ok`` False if the token ids equal those of the row.

    Views of failed attacks may equal their row.
    """

    def differs(row: int, view: View) -> bool:
        return bool(encode_view(dataset, view, mask_token_id)["input_ids"] != dataset[row]["input_ids"])

    return {row: view._replace(ok=view.ok and (view.failed or differs(row, view))) for row, view in views.items()}


class RefreshViews(TrainerCallback):
    """Sets the epoch of the data set, because the loader's ``set_epoch`` does not reach it with all samplers."""

    def __init__(self, dataset: ViewedDataset) -> None:
        self.dataset = dataset

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.dataset.set_epoch(int(state.epoch or 0))
