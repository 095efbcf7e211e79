"""A data set that carries views of each example, drawn anew at every fetch."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.views.view import ViewSource
from hf_robust.words import Text


class Texts(Protocol):
    """What a view needs of a data set; :class:`hf_robust.data.TextDataset` is one."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    def texts(self, index: int) -> tuple[str, ...]: ...
    def label(self, index: int) -> int | float | None: ...
    def encode(self, texts: tuple[str, ...]) -> dict[str, Any]: ...


class ViewedDataset(Dataset[dict[str, Any]]):
    """Rows of ``dataset`` plus ``<view>_input_ids``, ... and ``<view>_ok`` for each source.

    A view depends on (seed, epoch, row, view name) alone (R17): not on the order of fetching, the rank, the number of
    workers or the global random state, so a resumed run sees the texts of an uninterrupted one.
    """

    def __init__(self, dataset: Texts, sources: Mapping[str, ViewSource], seed: int) -> None:
        self.dataset, self.sources, self.seed = dataset, dict(sources), seed
        # In shared memory, so that persistent loader workers see the epoch too.
        self._epoch = torch.zeros(1, dtype=torch.long).share_memory_()  # type: ignore[no-untyped-call]

    def set_epoch(self, epoch: int) -> None:
        """Draw the texts of this epoch from now on."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = dict(self.dataset[index])
        text = Text(self.dataset.texts(index))
        label = self.dataset.label(index)
        for name, source in self.sources.items():
            rng = random.Random(f"{self.seed}:{self._epoch.item()}:{index}:{name}")
            view = source(text, None if label is None else int(label), rng)
            row.update({f"{name}_{key}": value for key, value in self.dataset.encode(view.text.columns).items()})
            row[f"{name}_ok"] = float(view.ok)
        return row


class RefreshViews(TrainerCallback):
    """Tells the data set its epoch: the loader's own ``set_epoch`` does not reach it behind every sampler."""

    def __init__(self, dataset: ViewedDataset) -> None:
        self.dataset = dataset

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.dataset.set_epoch(int(state.epoch or 0))
