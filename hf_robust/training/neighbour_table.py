"""The neighbours of each token: a lexicon's substitutes that are one token of the model's vocabulary, as it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from hf_robust.adversary import Hull, word_embeddings
from hf_robust.attacks.engine.vocabulary import Vocabulary, whole_words
from hf_robust.lexicons import Lexicon
from hf_robust.metrics import Coverage, some_rows
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.words import UNICODE_WORDS

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer

logger = logging.getLogger(__name__)


@dataclass
class NeighbourArguments(RobustTrainingArguments):
    """How many neighbours a word may have."""

    max_neighbours: int = field(
        default=50, metadata={"help": "Maximum number of vertices of a word's hull, the word included."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("max_neighbours", self.max_neighbours, 1, None, "1 leaves each word alone")


class Neighbours(NamedTuple):
    """What a batch's tokens may be mixed with."""

    hull: Hull
    second: Tensor
    """(B, L, N) bool, True where a vertex is a neighbour's neighbour only."""


class NeighbourTable:
    """Token ids [V, N] of each token's vertices: itself, its neighbours, then (``second_order``) theirs.

    Neighbours are per token id, so that only words of one token have any: both the word and its substitute
    must be, in the case in which the word stands. A token with which a longer word begins is not a word there, and has
    none. Where a tokenizer writes a word otherwise at the front of a text (RoBERTa's), it has none at the front.

    Args:
        trainer: whose tokenizer (a fast one), synonyms and embeddings the table is made of.
        limit: N at most; what is further back in the lexicon's order is left out.
        second_order: whether the neighbours' neighbours follow.

    Raises:
        ValueError: the tokenizer is a slow one, or has no whole words.
    """

    def __init__(self, trainer: RobustTrainer, limit: int, second_order: bool = False) -> None:
        tokenizer: Any = trainer.processing_class
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"{trainer.name} aligns words with tokens, which needs a fast tokenizer, got "
                f"{type(tokenizer).__name__}; load it with use_fast=True."
            )
        try:
            vocabulary = whole_words(tokenizer)
        except ValueError as error:
            raise ValueError(
                f"{trainer.name} mixes words that are one token each, and {type(tokenizer).__name__} has none; use a "
                "model with whole words in its vocabulary, or a method without neighbours."
            ) from error
        layer: Any = word_embeddings(trainer.model)[0]
        self._look_up: Callable[[Tensor], Tensor] = layer.forward
        near = direct_neighbours(vocabulary, trainer.synonyms)
        further = second_neighbours(near) if second_order else {}
        rows = {number: [number, *found, *further.get(number, ())][:limit] for number, found in near.items()}
        size, width = len(layer.weight), max(map(len, rows.values()), default=1)
        self._ids = torch.arange(size, dtype=torch.int32).unsqueeze(1).repeat(1, width)
        self._counts, self._direct = torch.ones(2, size, dtype=torch.int32)
        for number, row in rows.items():
            self._ids[number, : len(row)] = torch.tensor(row, dtype=torch.int32)
            self._counts[number], self._direct[number] = len(row), 1 + len(near[number])
        self._inside = inside_words(tokenizer, vocabulary, size)
        self._special = torch.tensor(sorted(tokenizer.all_special_ids))
        if trainer.protection is not None:
            logger.warning(
                "%s mixes tokens wherever they stand, and knows no words: --protect binds what measures it, not it.",
                trainer.name,
            )
        note = logger.info if rows else logger.warning
        note("%s: %d of %d one-token words have neighbours.", trainer.name, len(rows), len(vocabulary.words))

    def __call__(self, batch: Batch) -> Neighbours:
        """The neighbours of a batch's tokens; N is the most that one of them has."""
        ids: Tensor = batch["input_ids"]
        mask = batch.get("attention_mask", torch.ones_like(ids)).bool()
        if self._ids.device != ids.device:
            self._ids, self._counts, self._direct, self._inside = (
                part.to(ids.device) for part in (self._ids, self._counts, self._direct, self._inside)
            )
        begun = torch.zeros_like(mask)
        begun[:, :-1] = self._inside[ids[:, 1:]] & mask[:, 1:]
        counts = torch.where(mask & ~begun, self._counts[ids], 1).unsqueeze(-1)
        width = int(counts.max())
        order = torch.arange(width, device=ids.device)
        hull = Hull(self._ids[:, :width][ids].long(), order < counts, self._look_up)
        return Neighbours(hull, order >= self._direct[ids].unsqueeze(-1))

    def coverage(self, dataset: Any) -> Coverage:
        """The words that have neighbours among all words of a data set's tokenised rows, or of some of them."""
        return Coverage.of(self._count(dataset[row]) for row in some_rows(len(dataset)))

    def _count(self, row: Any) -> tuple[int, int]:
        ids = torch.as_tensor(row["input_ids"])
        mask = torch.as_tensor(row.get("attention_mask", [1] * len(ids))).bool()
        inside = self._inside[ids] & mask
        whole = torch.ones_like(mask)
        whole[:-1] = ~inside[1:]
        begins = mask & ~inside & ~torch.isin(ids, self._special)
        return int((begins & whole & (self._direct[ids] > 1)).sum()), int(begins.sum())


def direct_neighbours(vocabulary: Vocabulary, lexicon: Lexicon) -> dict[int, list[int]]:
    """Token id of each word that has any -> ids of its substitutes, in the lexicon's order."""
    places = dict(zip(vocabulary.words, vocabulary.ids, strict=True))
    near: dict[int, list[int]] = {}
    for word, number in places.items():
        found = map(places.get, UNICODE_WORDS.substitutes(word, lexicon))
        kept = [one for one in dict.fromkeys(found) if one is not None and one != number]
        if kept:
            near[number] = kept
    return near


def second_neighbours(near: dict[int, list[int]]) -> dict[int, list[int]]:
    """Token id -> ids of its neighbours' neighbours that are neither its own nor itself."""
    return {
        number: [
            one
            for one in dict.fromkeys(further for neighbour in found for further in near.get(neighbour, ()))
            if one != number and one not in found
        ]
        for number, found in near.items()
    }


def inside_words(tokenizer: Any, vocabulary: Vocabulary, size: int) -> Tensor:
    """[``size``] bool, True for a token that goes on with the word before it.

    That is one with the prefix of such pieces (WordPiece's ``##``), or one that makes a longer word of the word that
    it is written after.
    """
    special, word = set(tokenizer.all_special_ids), vocabulary.words[0]
    known = {number: token for token, number in tokenizer.get_vocab().items() if number not in special}
    written = tokenizer.batch_decode([[vocabulary.ids[0], number] for number in known])
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    inside = torch.zeros(size, dtype=torch.bool)
    for (number, token), text in zip(known.items(), written, strict=True):
        first = next(iter(UNICODE_WORDS.split(text)), (word, 0, 0))[0]
        inside[number] = first != word or bool(prefix and token.startswith(prefix))
    return inside
