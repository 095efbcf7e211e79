"""Suffixes of tokens that are written as text: they must be the same tokens when the text is tokenised again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.requests import Columns, Insertion, NewSuffix, SuffixSwaps
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.words import Text

FIRST = "!"
"""The token of a first suffix, as in the code of Zou et al. 2023."""
_ROUNDS = 8
"""Draws of a request, each as many as the texts that it asks for: many drawn texts are read as other tokens."""


class AlignedSuffix(NamedTuple):
    """The tokens of a text, and the positions of its suffix among them."""

    encoded: Encoded
    positions: list[int]


class SuffixWriter:
    """Writes suffixes of tokens into texts, each such that the tokenizer reads exactly these tokens.

    A suffix stands behind the text of its column, apart by a space. In a text that the model does not read to its end
    it stands before the cut, behind the last word that leaves room for it, so that the model reads all of it; the text
    behind it moves out of the model's sight. Nothing is deleted.
    """

    def __init__(self, tokens: TextTokenizer) -> None:
        self.tokens = tokens

    @cached_property
    def allowed(self) -> NDArray[np.int64]:
        """Ids [n] of the tokens of a suffix: printable ASCII and not special, as in the code of Zou et al. 2023."""
        special = set(self.tokens.tokenizer.all_special_ids)
        ids = [number for number in sorted(self.tokens.tokenizer.get_vocab().values()) if number not in special]
        shown = zip(ids, self._written([[number] for number in ids]), strict=True)
        return np.array([number for number, text in shown if text and text.isascii() and text.isprintable()])

    def align(self, suffix: Insertion) -> AlignedSuffix:
        """The tokens of a text with a suffix, and the positions of those that overlap the suffix."""
        encoded, _, columns, offsets = self.tokens.align(Text(suffix.columns))
        return AlignedSuffix(
            encoded,
            [
                place
                for place, (column, (start, end)) in enumerate(zip(columns, offsets, strict=True))
                if column == suffix.column and start < suffix.end and end > suffix.start
            ],
        )

    def first(self, request: NewSuffix) -> Insertion | None:
        """The text with a suffix of one repeated token, ``FIRST`` if the tokenizer has it; None if it does not fit.

        Raises:
            ValueError: the model reads fewer tokens than the suffix has.
        """
        longest, special = self.tokens.max_length, self.tokens.tokenizer.num_special_tokens_to_add()
        if longest is not None and request.length + special >= longest:
            raise ValueError(
                f"a suffix of {request.length} tokens needs a model that reads more than {request.length + special} "
                f"tokens of a text, and it reads {longest}: raise --max_seq_length."
            )
        suffix = " ".join([self._sign] * request.length)
        for place in self._places(request.columns, request.column):
            found = _with_suffix(request.columns, request.column, place, suffix)
            if len(self.align(found).positions) == request.length:
                return found
        return None

    def swaps(self, request: SuffixSwaps, aligned: AlignedSuffix, ranked: NDArray[np.int64] | None) -> list[Insertion]:
        """Up to ``count`` texts of one other token at a random place of the suffix, each once.

        Args:
            ranked: rows of ``allowed`` [places, n] from which the token of each place is drawn; None for all.
        """
        (encoded, positions), rng = aligned, request.rng
        found: dict[Columns, Insertion] = {}
        for _ in range(_ROUNDS):
            places = rng.randint(len(positions), size=request.count)
            draws = rng.randint(len(self.allowed) if ranked is None else ranked.shape[1], size=request.count)
            rows = self.allowed[draws if ranked is None else ranked[places, draws]]
            ids = np.repeat(encoded.ids[None], request.count, 0)
            ids[np.arange(request.count), np.asarray(positions)[places]] = rows
            written = [_rewritten(request.suffix, text) for text in self._written(ids[:, positions].tolist())]
            read = self.tokens.encode([suffix.columns for suffix in written])
            for suffix, wanted, tokens in zip(written, ids, read, strict=True):
                if np.array_equal(tokens.ids, wanted) and suffix.columns != request.suffix.columns:
                    found.setdefault(suffix.columns, suffix)
            if len(found) >= request.count:
                break
        return list(found.values())[: request.count]

    @cached_property
    def _sign(self) -> str:
        """``FIRST``, or the first token of ``allowed`` of which a text can have several in a row."""
        allowed = set(self.allowed.tolist())
        for sign in chain([FIRST], self._written([[number] for number in self.allowed.tolist()])):
            encoded, positions = self.align(_with_suffix(("a",), 0, 1, " ".join([sign] * 3)))
            ids = encoded.ids[positions].tolist()
            if len(ids) == 3 and set(ids) <= allowed:
                return sign
        raise ValueError(
            f"a suffix needs a tokenizer with tokens of printable ASCII, and {type(self.tokens.tokenizer).__name__} "
            "has none that a text can repeat; leave the attack out."
        )

    def _places(self, columns: Columns, column: int) -> Iterator[int]:
        """Where a suffix may stand: at the end of the column, else before the cut, from its end to its start."""
        text = columns[column]
        yield len(text)
        _, _, owners, offsets = self.tokens.align(Text(columns))
        ends = {end for owner, (start, end) in zip(owners, offsets, strict=True) if owner == column and end > start}
        between_words = {end for end in ends if text[end : end + 1].isspace()}
        yield from sorted((between_words or ends) | {0}, reverse=True)

    def _written(self, ids: Sequence[Sequence[int]]) -> list[str]:
        texts: list[Any] = self.tokens.tokenizer.batch_decode(ids, clean_up_tokenization_spaces=False)
        return [str(text).strip() for text in texts]


def _with_suffix(columns: Columns, column: int, place: int, suffix: str) -> Insertion:
    before, behind = columns[column][:place], columns[column][place:]
    before += " " * bool(before and not before[-1].isspace())
    behind = " " * bool(behind and not behind[0].isspace()) + behind
    return _put(columns, column, before, suffix, behind)


def _rewritten(suffix: Insertion, new: str) -> Insertion:
    text = suffix.columns[suffix.column]
    return _put(suffix.columns, suffix.column, text[: suffix.start], new, text[suffix.end :])


def _put(columns: Columns, column: int, before: str, suffix: str, behind: str) -> Insertion:
    changed = (*columns[:column], before + suffix + behind, *columns[column + 1 :])
    return Insertion(changed, column, len(before), len(before) + len(suffix))
