"""Tokenises texts to the same ids as the tokenizer itself, with less overhead."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns
from hf_robust.attacks.engine.word_ids import WordIds
from hf_robust.words import Text, word_token_positions


class Aligned(NamedTuple):
    """A text's tokens aligned with its words.

    Attributes:
        encoded: the tokens.
        positions: positions of the tokens of each word; empty for a word that truncation removed.
        columns: column number of each token; None for special tokens.
        offsets: character span of each token in its column.
    """

    encoded: Encoded
    positions: list[list[int]]
    columns: list[int | None]
    offsets: list[tuple[int, int]]


class TextTokenizer:
    """Tokenises texts, truncated to ``max_length`` tokens, the longer column of a pair first.

    If the tokenizer's class does not override transformers' encoding, texts go directly to its backend, without
    offsets: the same ids in about four fifths of the time. The first text of each call also goes through the
    tokenizer, which sets truncation in the backend. If both results differ, the tokenizer encodes all texts.

    For BERT's kind of tokenizer the ids of words are kept, and those of a text are joined from them (``WordIds``).
    Of a text only the ``readable`` part is tokenised.
    """

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self._backend = _backend(tokenizer)
        fits = self._backend is not None and WordIds.fits(tokenizer)
        self._words = WordIds(tokenizer, max_length) if fits else None

    @cached_property
    def _reads_the_start(self) -> bool:
        """Whether the tokens of the start of a text are the first tokens of the text."""
        right = getattr(self.tokenizer, "truncation_side", None) == "right"
        return right and self._backend is not None and _splits_at_spaces(self.tokenizer)

    def readable(self, columns: Columns) -> Columns:
        """The start of each column that is certain to contain every token the model reads: twice ``max_length`` words.

        A word is at least one token, and a tokenizer that splits at spaces reads the same tokens from the start as
        from the whole. The second half is for words that an attack deletes. Of a pair, whose longer column is cut
        first, a start has at least as many words as the other column has bytes, so that the longer column stays
        longer. Texts are returned whole for a tokenizer that does not split at spaces or has no backend.
        """
        if self.max_length is None or max(map(len, columns), default=0) < 4 * self.max_length:
            return columns  # most texts: so few characters are no more words
        if not self._reads_the_start:
            return columns
        sizes = [len(column.encode()) for column in columns] if len(columns) > 1 else [0]
        counts = [max(2 * self.max_length, *sizes[:number], *sizes[number + 1 :], 0) for number in range(len(columns))]
        start = tuple(_first_words(column, count) for column, count in zip(columns, counts, strict=True))
        return columns if start == columns else start

    @property
    def can_align(self) -> bool:
        """Whether words can be aligned with tokens: only a fast tokenizer returns offsets."""
        return bool(getattr(self.tokenizer, "is_fast", False))

    def encode(self, texts: Sequence[Columns]) -> list[Encoded]:
        """Ids and, if the model uses them, token types of each text.

        Raises:
            ValueError: a text has more than two columns.
        """
        if not texts:
            return []
        starts = [self.readable(columns) for columns in texts]
        distinct = list(dict.fromkeys(starts))
        encoded = dict(zip(distinct, self._encode(distinct), strict=True))
        return [
            encoded[start] if start is columns or self._is_full(encoded[start]) else self._encode([columns])[0]
            for columns, start in zip(texts, starts, strict=True)
        ]

    def _is_full(self, start: Encoded) -> bool:
        """Whether a start has all tokens that the model reads; else its characters are hardly any tokens."""
        return self.max_length is None or len(start.ids) >= self.max_length

    def _encode(self, texts: Sequence[Columns]) -> list[Encoded]:
        if len(texts) == 1 and self._words is not None and (known := self._words.recall(texts[0])) is not None:
            return [known]
        if self._backend is None or len(texts) == 1:
            return self._slowly(texts)
        (first,) = self._slowly(texts[:1])
        joined: Sequence[Encoded | None] = [None] * len(texts) if self._words is None else self._words.encode(texts)
        left = [columns for columns, encoded in zip(texts, joined, strict=True) if encoded is None]
        others = iter(self._quickly(left, first.types is not None))
        encodings = [next(others) if encoded is None else encoded for encoded in joined]
        return encodings if encodings[0].key() == first.key() else self._slowly(texts)

    def _quickly(self, texts: Sequence[Columns], typed: bool) -> list[Encoded]:
        """The tokens of whole texts, by the backend."""
        if not texts or self._backend is None:
            return []
        return [
            Encoded(
                np.array(encoding.ids, dtype=np.int32), np.array(encoding.type_ids, dtype=np.int32) if typed else None
            )
            for encoding in self._backend(list(texts) if len(texts[0]) == 2 else [column for (column,) in texts])
        ]

    def align(self, text: Text) -> Aligned:
        """A text's tokens, and the words and columns that they belong to."""
        start = self.readable(text.columns)
        encoding = self._call([start], return_offsets_mapping=True)
        (encoded,) = _sequences(encoding)
        if start is not text.columns and not self._is_full(encoded):
            encoding = self._call([text.columns], return_offsets_mapping=True)
            (encoded,) = _sequences(encoding)
        columns = list(encoding.sequence_ids(0))
        offsets = encoding["offset_mapping"][0]
        return Aligned(encoded, word_token_positions(text.words, offsets, columns), columns, offsets)

    def words_read(self, text: Text) -> frozenset[int] | None:
        """Numbers of the words of which the model reads a token; None if nothing is truncated.

        Tokenizers cut the longer column of a pair first: a word behind the cut, replaced by one of another number of
        tokens, may move the cut by that many. Such a word still counts as not read.
        """
        if self.max_length is None:
            return None
        (encoded,) = self.encode([text.columns])
        if len(encoded.ids) < self.max_length:
            return None
        if self.can_align:
            read = frozenset(index for index, places in enumerate(self.align(text).positions) if places)
        else:
            read = self._read_by_prefixes(text, encoded)
        return None if len(read) == len(text.words) else read

    def _read_by_prefixes(self, text: Text, whole: Encoded) -> frozenset[int]:
        """The words read, without offsets: those of each column's shortest prefix with the tokens of the whole text.

        Exact for one column. For a pair, whose columns are truncated to the same length, one word too many may count
        as read.
        """
        read: set[int] = set()
        for number, column in enumerate(text.columns):
            indices = [index for index, word in enumerate(text.words) if word.column == number]

            def is_whole(count: int, number: int = number, column: str = column, indices: list[int] = indices) -> bool:
                part = column[: text.words[indices[count - 1]].end] if count else ""
                columns = (*text.columns[:number], part, *text.columns[number + 1 :])
                return self.encode([columns])[0].key() == whole.key()

            read.update(indices[: bisect_left(range(len(indices) + 1), True, key=is_whole)])
        return frozenset(read)

    def _slowly(self, texts: Sequence[Columns]) -> list[Encoded]:
        return _sequences(self._call(texts, return_attention_mask=False))

    def _call(self, texts: Sequence[Columns], **options: bool) -> Any:
        columns = [list(column) for column in zip(*texts, strict=True)]
        if len(columns) > 2:
            raise ValueError(f"a text must have one or two columns, got {len(columns)}; join some of them.")
        return self.tokenizer(*columns, truncation=self.max_length is not None, max_length=self.max_length, **options)


def check_mask_token(tokenizer: Any) -> None:
    """Raise if the tokenizer has no mask token.

    Raises:
        ValueError: the tokenizer has no mask token.
    """
    if getattr(tokenizer, "mask_token_id", None) is None:
        raise ValueError(
            f"masking tokens needs a tokenizer with a mask token, and this {type(tokenizer).__name__} has none; use "
            "a model that was pre-trained with one, such as BERT, RoBERTa or ELECTRA."
        )


def _first_words(column: str, count: int) -> str:
    """The column up to its ``count``-th word between white space."""
    if len(column) < 2 * count:
        return column
    words = column.split(None, count)
    return column[: len(column) - len(words[-1])].rstrip() if len(words) > count else column


def _splits_at_spaces(tokenizer: Any) -> bool:
    """Whether no token of a fast tokenizer goes on behind a space."""
    splitter = tokenizer.backend_tokenizer.pre_tokenizer
    if splitter is not None and all(len(splitter.pre_tokenize_str(f"{end} b")) > 1 for end in "a.1"):
        return True
    return not any(re.search("[^ \u2581][ \u2581]", token) for token in tokenizer.get_vocab())


def _sequences(encoding: Any) -> list[Encoded]:
    ids = [np.asarray(row, dtype=np.int32) for row in encoding["input_ids"]]
    if "token_type_ids" not in encoding:
        return [Encoded(row, None) for row in ids]
    types = [np.asarray(row, dtype=np.int32) for row in encoding["token_type_ids"]]
    return [Encoded(*pair) for pair in zip(ids, types, strict=True)]


def _backend(tokenizer: Any) -> Callable[[list[Any]], Any] | None:
    """The backend's encoding function without offsets; None if the tokenizer overrides transformers' encoding."""
    from transformers import PreTrainedTokenizerFast

    for name in ("__call__", "_encode_plus", "_convert_encoding"):
        method = getattr(PreTrainedTokenizerFast, name, None)
        if method is None or getattr(type(tokenizer), name, None) is not method:
            return None
    encode: Callable[[list[Any]], Any] | None = getattr(tokenizer.backend_tokenizer, "encode_batch_fast", None)
    return encode
