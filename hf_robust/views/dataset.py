"""A data set that carries views of each example: drawn at every fetch, or generated beforehand."""

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
    """What a view needs of a data set; :class:`hf_robust.data.TextDataset` is one."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    def texts(self, index: int) -> tuple[str, ...]: ...
    def label(self, index: int) -> Any: ...
    def encode(self, texts: tuple[str, ...]) -> dict[str, Any]: ...
    def word_positions(self, text: Text) -> list[list[int]]: ...
    def read_words(self, index: int) -> Collection[int] | None: ...


class ViewedDataset(Dataset[dict[str, Any]]):
    """Rows of ``dataset`` plus ``<view>_input_ids``, ... and ``<view>_ok`` for each source.

    What is drawn at a fetch changes words that the model reads, and is ``ok`` only where its token ids differ from the
    text's: a change behind the cut, or of one unknown word for another, is none. Views made beforehand were looked
    through when they were made.

    A source with ``extras`` adds ``<view>_labels`` and ``<view>_soft`` (``num_labels`` probabilities: the view's own,
    else one for the label), or ``<view>_words`` and ``<view>_main_words``: for each token of the view and of the
    example the number, from 1, of the changed word it belongs to, 0 for the others.

    A view depends on (seed, epoch, row, view name) alone: not on the order of fetching, the rank, the number of
    workers or the global random state, so a resumed run sees the texts of an uninterrupted one.
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
        drawing = not all(getattr(source, "made_beforehand", False) for source in self.sources.values())
        read = self.dataset.read_words(index) if drawing else None
        for name, source in self.sources.items():
            rng = random.Random(f"{self.seed}:{self._epoch.item()}:{index}:{name}")
            own = None if label is None else int(label)
            made = getattr(source, "made_beforehand", False)
            view = source(text, own, rng, read)
            encoded = encode_view(self.dataset, view, self.mask_token_id)
            row.update({f"{name}_{key}": value for key, value in encoded.items()})
            row[f"{name}_ok"] = float(view.ok and (made or encoded["input_ids"] != row["input_ids"]))
            for extra in getattr(source, "extras", ()):
                added = getattr(self, f"_{extra}")(view, text, own)
                row.update({f"{name}_{key}": value for key, value in added.items()})
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
        own = [0] * len(self.dataset.encode(view.text.columns)["input_ids"])
        if view.pairs:
            # A pair's numbers are by the rule of the view's text.
            main_words = self.dataset.word_positions(view.text.like(text.columns))
            own_words = self.dataset.word_positions(view.text)
            kept = [(a, b) for a, b in view.pairs if main_words[a] and own_words[b]]  # not cut off on either side
            for number, (first, second) in enumerate(kept, start=1):
                for position in main_words[first]:
                    main[position] = number
                for position in own_words[second]:
                    own[position] = number
        return {"main_words": main, "words": own}


def encode_view(dataset: Texts, view: View, mask_token_id: int | None = None) -> dict[str, Any]:
    """The tokens of a view as the model reads them: cut, and with the mask token in its masked places.

    Raises:
        ValueError: a place that it masks is cut off.
    """
    encoded = dict(dataset.encode(view.text.columns))
    if view.masked:
        ids, mask = list(encoded["input_ids"]), encoded.get("attention_mask")
        start = mask.index(1) if mask else 0  # positions count from the first token, wherever the padding is
        if start + max(view.masked) >= len(ids):
            raise ValueError(
                f"a view masks token {max(view.masked)} of a text that is cut to {len(ids)} tokens here; give the "
                "--max_seq_length that its views were made with."
            )
        for position in view.masked:
            ids[start + position] = mask_token_id
        encoded["input_ids"] = ids
    return encoded


def without_unread(dataset: Texts, made: Mapping[int, View], mask_token_id: int | None = None) -> dict[int, View]:
    """Views by the row of ``dataset`` that they are of, with ``ok`` off where their token ids are the row's own.

    Those that stand for an attack that failed may be the row's own text.
    """

    def differs(row: int, view: View) -> bool:
        return bool(encode_view(dataset, view, mask_token_id)["input_ids"] != dataset[row]["input_ids"])

    return {row: view._replace(ok=view.ok and (view.failed or differs(row, view))) for row, view in made.items()}


class RefreshViews(TrainerCallback):
    """Tells the data set its epoch: the loader's own ``set_epoch`` does not reach it behind every sampler."""

    def __init__(self, dataset: ViewedDataset) -> None:
        self.dataset = dataset

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.dataset.set_epoch(int(state.epoch or 0))
