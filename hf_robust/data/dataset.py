"""A text classification split, tokenised once: the Trainer fetches from it, attacks and views read its texts."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hf_robust.words import Text, word_token_positions

logger = logging.getLogger(__name__)

Row = Mapping[str, Any]
Label = int | float | list[float] | None
CHUNK = 1000  # rows handed to the tokenizer at a time, as datasets.map does


def check_texts(rows: Sequence[Row], text_columns: Sequence[str], name: str) -> None:
    """Refuse what is not text (``None``, NaN, numbers, text that UTF-8 cannot hold); an empty string is text.

    Raises:
        ValueError: names the split, the row (from 0) and the column.
    """
    for index, row in enumerate(rows):
        for column in text_columns:
            if column not in row:
                raise ValueError(f"row {index} of {name} has no column '{column}': its columns are {list(row)}.")
            text = row[column]
            if not isinstance(text, str):
                raise ValueError(
                    f"row {index} of {name} holds {text!r} where column '{column}' needs text: "
                    "fill it in, write an empty string, or remove the row."
                )
            if not text.isascii():
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise ValueError(
                        f"row {index} of {name} holds text that is not valid Unicode in column '{column}' "
                        f"(a lone surrogate at character {error.start}): repair it or remove the row."
                    ) from error


class Ragged:
    """Integer lists of different lengths in one flat array: a tenth of the memory of Python lists."""

    def __init__(self, lists: Sequence[Sequence[int]]) -> None:
        self.ends: NDArray[np.int64] = np.cumsum([0, *map(len, lists)], dtype=np.int64)
        flat = np.fromiter((value for one in lists for value in one), dtype=np.int64, count=int(self.ends[-1]))
        small = flat.size == 0 or (flat.min() >= -128 and flat.max() <= 127)  # masks and segment ids
        self.flat = flat.astype(np.int8 if small else np.int32)

    def __getitem__(self, index: int) -> list[int]:
        values: list[int] = self.flat[self.ends[index] : self.ends[index + 1]].tolist()
        return values


class TextDataset(Dataset[dict[str, Any]]):
    """Texts, labels and token ids of one split; ``dataset[i]`` is what the model needs. Draws no random numbers.

    Args:
        rows: mappings that hold the text columns and, for labelled data, the label as a class id (or a float, or one
            0/1 float per class).
        text_columns: one column, or two for sentence pairs.
        tokenizer: any Hugging Face tokenizer; called as run_glue calls it.
        max_length: longest input in tokens, special ones included; None leaves the length to the tokenizer.
        padding: False pads in the collator, "max_length" (or True) here.
        label_column: None for unlabelled data.
        name: how errors call this split, e.g. ``"train (train.csv)"``.

    Raises:
        ValueError: no rows, a text that is not a string, more than two text columns.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        text_columns: Sequence[str],
        tokenizer: Any,
        *,
        max_length: int | None,
        padding: bool | str = False,
        label_column: str | None = "label",
        name: str = "the data set",
    ) -> None:
        if not 1 <= len(text_columns) <= 2:
            raise ValueError(f"a model reads one text column or two, got {list(text_columns)}: choose among them.")
        if len(rows) == 0:
            raise ValueError(f"{name} has no rows: check its file, its split name and max_*_samples.")
        check_texts(rows, text_columns, name)
        self.name = name
        self.text_columns = tuple(text_columns)
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.padding: bool | str = "max_length" if padding is True else padding
        self._texts = [tuple(row[column] for column in text_columns) for row in rows]
        self.labels: list[Label] | None = None if label_column is None else [row.get(label_column) for row in rows]
        self._tokens = self._tokenize()

    def _tokenize(self) -> dict[str, Ragged]:
        lists: dict[str, list[list[int]]] = {}
        for start in range(0, len(self._texts), CHUNK):
            columns = [list(column) for column in zip(*self._texts[start : start + CHUNK], strict=True)]
            for key, values in self._call_tokenizer(*columns).items():
                lists.setdefault(key, []).extend(values)
        return {key: Ragged(values) for key, values in lists.items()}

    def _call_tokenizer(self, *texts: Any) -> dict[str, Any]:
        return dict(self.tokenizer(*texts, padding=self.padding, max_length=self.max_length, truncation=True))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Token ids and the like as lists, and ``label`` where there is one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        item: dict[str, Any] = {key: values[index] for key, values in self._tokens.items()}
        label = self.label(index)
        return item if label is None else {**item, "label": label}

    def texts(self, index: int) -> tuple[str, ...]:
        """The text columns of a row, untouched."""
        return self._texts[index]

    def label(self, index: int) -> Label:
        """Class id, score, one float per class, or None without labels."""
        return None if self.labels is None else self.labels[index]

    def encode(self, texts: tuple[str, ...]) -> dict[str, list[int]]:
        """Tokenise other texts (one per column) exactly as the rows were: same truncation, same padding."""
        # As lists: given alone, a pair with an empty second text would be encoded as one text.
        return {key: values[0] for key, values in self._call_tokenizer(*([text] for text in texts)).items()}

    def _is_full(self, index: int) -> bool:
        """Whether a row has as many tokens as it may have, so that its text may be longer."""
        limit = self.tokenizer.model_max_length if self.max_length is None else self.max_length
        mask = self._tokens.get("attention_mask")
        length: int = len(self._tokens["input_ids"][index]) if mask is None else sum(mask[index])
        return length >= limit

    @cached_property
    def cut_rows(self) -> frozenset[int]:
        """The rows whose text is longer than ``max_length``, and so is not read to its end."""
        full = filter(self._is_full, range(len(self)))
        return frozenset(row for row in full if self._length(row) > len(self._tokens["input_ids"][row]))

    def _length(self, index: int) -> int:
        columns = ([text] for text in self.texts(index))
        return len(self.tokenizer(*columns, truncation=False, verbose=False)["input_ids"][0])

    def read_words(self, index: int) -> set[int] | None:
        """Numbers of the words of a row that are not cut off behind ``max_length``; None where all are read.

        None too where the tokenizer is no fast one, which cannot say.
        """
        if not self._is_full(index) or not getattr(self.tokenizer, "is_fast", False):
            return None
        return {word for word, tokens in enumerate(self.word_positions(Text(self.texts(index)))) if tokens}

    def word_positions(self, text: Text) -> list[list[int]]:
        """For each word of a text the positions of its tokens in ``encode``; none where it was cut off.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be found among the tokens.
        """
        if not getattr(self.tokenizer, "is_fast", False):
            raise ValueError(
                f"aligning words with tokens needs a fast tokenizer, got {type(self.tokenizer).__name__}; "
                "load it with use_fast=True."
            )
        encoding = self.tokenizer(
            *([column] for column in text.columns),
            padding=self.padding,
            max_length=self.max_length,
            truncation=True,
            return_offsets_mapping=True,
        )
        return word_token_positions(text.words, encoding["offset_mapping"][0], encoding.sequence_ids(0))

    def fingerprint(self) -> str:
        """16 hex characters over texts and labels, in order; the tokenizer is no part of it."""
        digest = hashlib.sha256(json.dumps(self.text_columns).encode())
        for index, texts in enumerate(self._texts):
            digest.update(json.dumps([*texts, self.label(index)]).encode())
        return digest.hexdigest()[:16]
