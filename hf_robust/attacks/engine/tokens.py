"""Texts into token sequences: the ids that the tokenizer itself gives, with less work around them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns
from hf_robust.words import Text, word_token_positions


class Aligned(NamedTuple):
    """One text's tokens; for each of its words the positions of its tokens (none where it was cut off); for each
    token the number of its column, None for special tokens, and its place in that column's characters."""

    encoded: Encoded
    positions: list[list[int]]
    columns: list[int | None]
    offsets: list[tuple[int, int]]


class Tokens:
    """Tokenises texts, truncated to ``max_length`` tokens, the longer column of a pair first.

    Where the tokenizer's class leaves encoding to transformers' own code, texts go straight to its backend, without
    offsets: the same ids for about four fifths of the time. The first text of each call still goes through the
    tokenizer, which sets truncation there, and must come out equal; else the tokenizer's answer is used for all.

    Texts are tokenised whole, although a search changes single words of them: ids kept by word would come 4 times
    faster, but tokenising takes under 1% of the time of a small model on a CPU.
    """

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        self._backend = _backend(tokenizer)

    @property
    def can_align(self) -> bool:
        """Whether words can be found among the tokens: only a fast tokenizer tells offsets."""
        return bool(getattr(self.tokenizer, "is_fast", False))

    def encode(self, texts: Sequence[Columns]) -> list[Encoded]:
        """Ids and, where the model wants them, token types of each text.

        Raises:
            ValueError: a text has more than two columns.
        """
        if not texts:
            return []
        if self._backend is None:
            return self._slowly(texts)
        (first,) = self._slowly(texts[:1])
        pairs = list(texts) if len(texts[0]) == 2 else [column for (column,) in texts]
        typed = first.types is not None
        found = [
            Encoded(np.array(one.ids, dtype=np.int32), np.array(one.type_ids, dtype=np.int32) if typed else None)
            for one in self._backend(pairs)
        ]
        return found if found[0].key() == first.key() else self._slowly(texts)

    def align(self, text: Text) -> Aligned:
        """One text's tokens, and which words and columns they belong to."""
        encoding = self._call([text.columns], return_offsets_mapping=True)
        (encoded,) = _sequences(encoding)
        columns = list(encoding.sequence_ids(0))
        offsets = encoding["offset_mapping"][0]
        return Aligned(encoded, word_token_positions(text.words, offsets, columns), columns, offsets)

    def words_read(self, text: Text) -> frozenset[int] | None:
        """Numbers of the words of which the model reads a token; None where truncation cuts nothing off."""
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
        """Without offsets: a column is read up to the end of its shortest part that gives the tokens of the whole.

        Exact for one column; of a pair, whose columns are cut to the same length, a word more may count as read.
        """
        read: set[int] = set()
        for number, column in enumerate(text.columns):
            own = [index for index, word in enumerate(text.words) if word.column == number]

            def is_whole(count: int, number: int = number, column: str = column, own: list[int] = own) -> bool:
                part = column[: text.words[own[count - 1]].end] if count else ""
                columns = (*text.columns[:number], part, *text.columns[number + 1 :])
                return self.encode([columns])[0].key() == whole.key()

            read.update(own[: bisect_left(range(len(own) + 1), True, key=is_whole)])
        return frozenset(read)

    def _slowly(self, texts: Sequence[Columns]) -> list[Encoded]:
        return _sequences(self._call(texts, return_attention_mask=False))

    def _call(self, texts: Sequence[Columns], **options: bool) -> Any:
        columns = [list(column) for column in zip(*texts, strict=True)]
        if len(columns) > 2:
            raise ValueError(f"a text has one or two columns, got {len(columns)}; join some of them.")
        return self.tokenizer(*columns, truncation=self.max_length is not None, max_length=self.max_length, **options)


def check_mask_token(tokenizer: Any) -> None:
    """Refuse to mask where nothing stands for a masked token.

    Raises:
        ValueError: the tokenizer has no mask token.
    """
    if getattr(tokenizer, "mask_token_id", None) is None:
        raise ValueError(
            f"masking tokens needs a tokenizer with a mask token, and this {type(tokenizer).__name__} has none; take "
            "a model that was pre-trained with one, such as BERT, RoBERTa or ELECTRA."
        )


def _sequences(encoding: Any) -> list[Encoded]:
    ids = [np.asarray(one, dtype=np.int32) for one in encoding["input_ids"]]
    if "token_type_ids" not in encoding:
        return [Encoded(one, None) for one in ids]
    types = [np.asarray(one, dtype=np.int32) for one in encoding["token_type_ids"]]
    return [Encoded(*one) for one in zip(ids, types, strict=True)]


def _backend(tokenizer: Any) -> Callable[[list[Any]], Any] | None:
    """The backend's encoding without offsets, if nothing but transformers' own code stands before it."""
    from transformers import PreTrainedTokenizerFast

    for name in ("__call__", "_encode_plus", "_convert_encoding"):
        own = getattr(PreTrainedTokenizerFast, name, None)
        if own is None or getattr(type(tokenizer), name, None) is not own:
            return None
    encode: Callable[[list[Any]], Any] | None = getattr(tokenizer.backend_tokenizer, "encode_batch_fast", None)
    return encode
