"""``WordIds``: token ids of texts from those of their words, for tokenizers that never look across a space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns

MOST_WORDS = 1 << 16
"""Number of words whose ids are kept, about 10 MB."""
_PARTS = {"normalizer": "BertNormalizer", "pre_tokenizer": "BertPreTokenizer", "model": "WordPiece"}
_ITEM = np.dtype(np.int32).itemsize


class WordIds:
    """Joins the ids of a text's words, which are tokenised once: a search changes few words of a text.

    The ids are the tokenizer's own. BERT's normalizer changes characters one by one, its pre-tokenizer separates at
    white space, WordPiece reads one of these parts at a time, and no added token holds white space or takes that
    beside it; so no token depends on what is behind a space. ``fits`` tells whether a tokenizer is of this kind.

    Args:
        tokenizer: one that fits.
        max_length: number of tokens to which texts are truncated, special tokens included; None for no limit.
    """

    def __init__(self, tokenizer: Any, max_length: int | None) -> None:
        self.max_length = max_length
        self._backend = tokenizer.backend_tokenizer
        self._ids: dict[str, bytes] = {"": b""}
        encoding = tokenizer([""], [""])
        self._first, *self._ends = (np.int32(number).tobytes() for number in encoding["input_ids"][0])
        self._typed = "token_type_ids" in encoding

    @staticmethod
    def fits(tokenizer: Any) -> bool:
        """Whether the ids of a text are those of its words, between a first token and one after each column."""
        backend, added = tokenizer.backend_tokenizer, tokenizer.added_tokens_decoder.values()
        if any(type(getattr(backend, part)).__name__ != name for part, name in _PARTS.items()):
            return False
        if any(token.lstrip or token.rstrip or token.single_word or _has_space(token.content) for token in added):
            return False
        if tokenizer.truncation_side != "right" or len(tokenizer([""], [""])["input_ids"][0]) != 3:
            return False
        joined = WordIds(tokenizer, None).encode(_SAMPLES)
        return all(
            one is not None and _is_equal(one, tokenizer(*([column] for column in columns)))
            for one, columns in zip(joined, _SAMPLES, strict=True)
        )

    def encode(self, texts: Sequence[Columns]) -> list[Encoded | None]:
        """The tokens of each text; None for a pair that is too long: the tokenizer cuts its longer column first.

        The tokenizer was called just before, so that its backend neither pads nor cuts at fewer than ``max_length``.
        """
        words = [[column.split(" ") for column in columns] for columns in texts]
        self._learn({word for columns in words for column in columns for word in column})
        return [self._joined(columns) for columns in words]

    def recall(self, columns: Columns) -> Encoded | None:
        """The tokens of a text of known words; None if a word is new, or as in ``encode``."""
        words = [column.split(" ") for column in columns]
        known = len(words) < 3 and all(self._ids.keys() >= set(column) for column in words)
        return self._joined(words) if known else None

    def _joined(self, columns: Sequence[Sequence[str]]) -> Encoded | None:
        ids_of = self._ids.__getitem__
        bodies = [b"".join(map(ids_of, words)) for words in columns]
        if self.max_length is not None:
            room = (self.max_length - 1 - len(bodies)) * _ITEM
            if sum(map(len, bodies)) > room:
                if len(bodies) > 1 or room < 0:
                    return None
                bodies = [bodies[0][:room]]
        parts = [body + end for body, end in zip(bodies, self._ends, strict=False)]
        ids = np.frombuffer(self._first + b"".join(parts), np.int32)
        if not self._typed:
            return Encoded(ids, None)
        types = np.zeros(len(ids), np.int32)
        types[1 + len(parts[0]) // _ITEM :] = 1
        return Encoded(ids, types)

    def _learn(self, words: set[str]) -> None:
        """Tokenise the words that are new."""
        new = [word for word in words if word not in self._ids]
        if len(self._ids) + len(new) > MOST_WORDS:
            self._ids = {"": b""}
            new = [word for word in words if word]
        if not new:
            return
        for word, encoding in zip(new, self._backend.encode_batch_fast(new, add_special_tokens=False), strict=True):
            self._ids[word] = np.array(encoding.ids, np.int32).tobytes()


_SAMPLES: list[Columns] = [("",), ("a film [MASK]",), ("", "a"), ("two, words", "and  three more")]


def _is_equal(encoded: Encoded, encoding: Any) -> bool:
    types = None if encoded.types is None else [encoded.types.tolist()]
    return bool([encoded.ids.tolist()] == encoding["input_ids"] and types == encoding.get("token_type_ids"))


def _has_space(text: str) -> bool:
    return any(letter.isspace() for letter in text)
