"""A tokenised split: the Trainer reads its token ids, attacks and views read its texts."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hf_robust.data import token_store
from hf_robust.data.rows import Label, read_text_rows
from hf_robust.data.token_store import Ragged
from hf_robust.words import UNICODE_WORDS, Text, WordRule, word_token_positions

CHUNK = 1000
"""Number of rows that are tokenised at a time, as in datasets.map."""


class TextDataset(Dataset[dict[str, Any]]):
    """Texts, labels and token ids of one split; ``dataset[i]`` is the input of the model. Draws no random numbers.

    Args:
        rows: a list of dicts, a ``datasets.Dataset`` or a ``pandas.DataFrame`` with the text columns and, for labelled
            data, the label: a class id, a name of ``class_names``, a float, or one 0/1 float per class.
        text_columns: one column, or two for sentence pairs.
        tokenizer: a Hugging Face tokenizer, called as in run_glue; None for texts without token ids, for a victim
            that is a function of texts.
        max_length: maximum number of tokens, special tokens included; None for the limit of the tokenizer.
        padding: "max_length" (or True) pads here, False leaves padding to the collator.
        label_column: column of the labels; None for unlabelled data.
        class_names: names of the classes in the order of the model's ids, which labels that are names need. Integers
            that a ``datasets.ClassLabel`` names are matched by name. Default: the names of the ``ClassLabel``, if any.
        name: name of the split in errors, e.g. ``"train (train.csv)"``.
        word_rule: the definition of a word, by the language of the texts (``hf_robust.words.words_of``).
        token_cache: a folder in which the tokens of a large split are stored by tokenizer, settings and texts, so that
            a later start and the other ranks of a machine read them; None tokenises in each process.
        overwrite_cache: tokenise again although the tokens are stored.

    Raises:
        ValueError: no rows, a column that is not there, a text that is not a string, a label that is missing or no
            class, more than two text columns.
    """

    def __init__(
        self,
        rows: Any,
        text_columns: str | Sequence[str],
        tokenizer: Any,
        *,
        max_length: int | None,
        padding: bool | str = False,
        label_column: str | None = "label",
        class_names: Sequence[str] | None = None,
        name: str = "the data set",
        word_rule: WordRule = UNICODE_WORDS,
        token_cache: Path | None = None,
        overwrite_cache: bool = False,
    ) -> None:
        self.name, self.word_rule = name, word_rule
        self.text_columns = (text_columns,) if isinstance(text_columns, str) else tuple(text_columns)
        self._texts, self.labels, self.class_names = read_text_rows(
            rows, self.text_columns, label_column, class_names, name
        )
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.padding: bool | str = "max_length" if padding is True else padding
        self._tokens = self._tokenize(token_cache, overwrite_cache)

    def _tokenize(self, cache: Path | None, overwrite: bool) -> dict[str, Ragged]:
        if self.tokenizer is None:
            return {}
        if cache is None or len(self) < token_store.MIN_ROWS or not token_store.can_be_stored(self.tokenizer):
            return token_store.in_memory(self._chunks())
        key = token_store.fingerprint(self.tokenizer, [self.max_length, self.padding], self._texts)
        return token_store.in_files(cache / key, self._chunks(), overwrite)

    def _chunks(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self), CHUNK):
            columns = [list(column) for column in zip(*self._texts[start : start + CHUNK], strict=True)]
            yield self._call_tokenizer(*columns)

    def _call_tokenizer(self, *texts: Any) -> dict[str, Any]:
        return dict(self.tokenizer(*texts, padding=self.padding, max_length=self.max_length, truncation=True))

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return token ids and the other inputs of the model as lists, and ``label`` if there is one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        item: dict[str, Any] = {key: values[index] for key, values in self._tokens.items()}
        label = self.label(index)
        return item if label is None else {**item, "label": label}

    def texts(self, index: int) -> tuple[str, ...]:
        """Return the unchanged text columns of a row."""
        return self._texts[index]

    def text(self, index: int) -> Text:
        """Return the text columns of a row with their words."""
        return Text(self.texts(index), self.word_rule)

    def label(self, index: int) -> Label:
        """Return the label of a row: class id, score, or one float per class; None without labels."""
        return None if self.labels is None else self.labels[index]

    def encode(self, texts: tuple[str, ...]) -> dict[str, list[int]]:
        """Tokenise other texts (one per column) exactly like the rows: same truncation, same padding."""
        # As lists, because the tokenizer would encode a single pair with an empty second text as one text.
        return {key: values[0] for key, values in self._call_tokenizer(*([text] for text in texts)).items()}

    def _is_full(self, index: int) -> bool:
        """Whether a row has the maximum number of tokens, so that its text may be longer."""
        limit = self.tokenizer.model_max_length if self.max_length is None else self.max_length
        return bool(self._lengths[index] >= limit)

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each row, without padding."""
        mask = self._tokens.get("attention_mask")
        return np.diff(self._tokens["input_ids"].ends) if mask is None else mask.sums()

    @cached_property
    def cut_rows(self) -> frozenset[int]:
        """The rows whose text is longer than ``max_length`` and therefore cut."""
        if self.tokenizer is None:
            return frozenset()
        full = filter(self._is_full, range(len(self)))
        return frozenset(row for row in full if self._length(row) > len(self._tokens["input_ids"][row]))

    def _length(self, index: int) -> int:
        columns = ([text] for text in self.texts(index))
        return len(self.tokenizer(*columns, truncation=False, verbose=False)["input_ids"][0])

    def read_words(self, index: int) -> set[int] | None:
        """Return the numbers of the words of a row that are not cut off by ``max_length``; None if all are read.

        Also None if the tokenizer is not a fast one, which does not give the positions of words.
        """
        if not self._is_full(index) or not getattr(self.tokenizer, "is_fast", False):
            return None
        return {word for word, tokens in enumerate(self.word_positions(self.text(index))) if tokens}

    def word_positions(self, text: Text) -> list[list[int]]:
        """Return for each word of a text the positions of its tokens in ``encode``; an empty list if it is cut off.

        Raises:
            ValueError: the tokenizer is not a fast one, which does not give the positions of words.
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
        """Return a hash of texts and labels in order, 16 hex characters; it does not depend on the tokenizer."""
        digest = hashlib.sha256(json.dumps(self.text_columns).encode())
        for index, texts in enumerate(self._texts):
            digest.update(json.dumps([*texts, self.label(index)]).encode())
        return digest.hexdigest()[:16]
