"""Table of the neighbours of each token: the substitutes of a lexicon that are single tokens of the vocabulary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from hf_robust.adversary import Hull, word_embeddings
from hf_robust.attacks.engine.vocabulary import Vocabulary, whole_words
from hf_robust.lexicons import Lexicon
from hf_robust.metrics import Coverage, sampled_rows
from hf_robust.training.arguments import RobustTrainingArguments, check_range
from hf_robust.training.text_views import word_rule_of
from hf_robust.words import UNICODE_WORDS, WordRule

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer

logger = logging.getLogger(__name__)


@dataclass
class NeighbourArguments(RobustTrainingArguments):
    """Flag of the maximum number of neighbours."""

    max_neighbours: int = field(
        default=50, metadata={"help": "Maximum number of vertices of a word's hull, the word included."}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("max_neighbours", self.max_neighbours, 1, None, "1 leaves each word alone")


class Neighbours(NamedTuple):
    """The neighbours of the tokens of a batch, with which these may be mixed."""

    hull: Hull
    second: Tensor
    """(B, L, N) bool, True where a vertex is only a neighbour's neighbour."""


class NeighbourTable:
    """Token ids [V, N] of each token's vertices: itself, its neighbours, then (``second_order``) theirs.

    The table is indexed by token id, so that a word has neighbours only if it is a single token; its substitutes must
    be single tokens too, in the same letter case. A token at the beginning of a longer word has no neighbours there.
    If the tokenizer writes the first word of a text differently (RoBERTa's), this word has none either.

    Args:
        trainer: provides the fast tokenizer, the synonyms and the embeddings.
        limit: maximum of N, None for no limit; the last substitutes in the lexicon's order are left out.
        second_order: whether to include the neighbours' neighbours.
        unknown: whether a substitute that is the unknown token for the tokenizer counts as this token; by default it
            is left out, as are those of several tokens.

    Raises:
        ValueError: the tokenizer is slow, or its vocabulary has no whole words.
    """

    def __init__(
        self, trainer: RobustTrainer, limit: int | None, second_order: bool = False, unknown: bool = False
    ) -> None:
        tokenizer: Any = trainer.processing_class
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"{trainer.name} aligns words with tokens, which needs a fast tokenizer, got "
                f"{type(tokenizer).__name__}; load it with use_fast=True."
            )
        rule = word_rule_of(trainer)
        try:
            vocabulary = whole_words(tokenizer) if rule is UNICODE_WORDS else whole_words(tokenizer, rule)
        except ValueError as error:
            raise ValueError(
                f"{trainer.name} mixes words that are single tokens, and {type(tokenizer).__name__} has none; use a "
                "model with whole words in its vocabulary, or a method without neighbours."
            ) from error
        layer: Any = word_embeddings(trainer.model)[0]
        self._look_up: Callable[[Tensor], Tensor] = layer.forward
        unread = unknown_words_of(tokenizer, trainer.synonyms) if unknown else {}
        near = direct_neighbours(vocabulary, trainer.synonyms, rule, unread)
        further = second_neighbours(near) if second_order else {}
        rows = {token: [token, *direct, *further.get(token, ())][:limit] for token, direct in near.items()}
        size, width = len(layer.weight), max(map(len, rows.values()), default=1)
        self._ids = torch.arange(size, dtype=torch.int32).unsqueeze(1).repeat(1, width)
        self._counts, self._direct = torch.ones(2, size, dtype=torch.int32)
        for token, row in rows.items():
            self._ids[token, : len(row)] = torch.tensor(row, dtype=torch.int32)
            self._counts[token], self._direct[token] = len(row), 1 + len(near[token])
        self._inside = inside_words(tokenizer, vocabulary, size, rule)
        self._special = torch.tensor(sorted(tokenizer.all_special_ids))
        if trainer.protection is not None:
            logger.warning(
                "%s mixes tokens at all positions and ignores --protect, which applies only to the measurements.",
                trainer.name,
            )
        log = logger.info if rows else logger.warning
        log("%s: %d of %d one-token words have neighbours.", trainer.name, len(rows), len(vocabulary.words))

    def __call__(self, batch: Batch) -> Neighbours:
        """The neighbours of the tokens of a batch; N is the maximum number over these tokens."""
        ids: Tensor = batch["input_ids"]
        mask = batch.get("attention_mask", torch.ones_like(ids)).bool()
        if self._ids.device != ids.device:
            self._ids, self._counts, self._direct, self._inside = (
                tensor.to(ids.device) for tensor in (self._ids, self._counts, self._direct, self._inside)
            )
        begun = torch.zeros_like(mask)
        begun[:, :-1] = self._inside[ids[:, 1:]] & mask[:, 1:]
        counts = torch.where(mask & ~begun, self._counts[ids], 1).unsqueeze(-1)
        width = int(counts.max())
        order = torch.arange(width, device=ids.device)
        hull = Hull(self._ids[:, :width][ids].long(), order < counts, self._look_up)
        return Neighbours(hull, order >= self._direct[ids].unsqueeze(-1))

    def coverage(self, dataset: Any) -> Coverage:
        """The share of words with neighbours in the tokenised rows of a data set, or in a sample of them."""
        return Coverage.of(self._count(dataset[row]) for row in sampled_rows(len(dataset)))

    def _count(self, row: Any) -> tuple[int, int]:
        ids = torch.as_tensor(row["input_ids"])
        mask = torch.as_tensor(row.get("attention_mask", [1] * len(ids))).bool()
        inside = self._inside[ids] & mask
        whole = torch.ones_like(mask)
        whole[:-1] = ~inside[1:]
        begins = mask & ~inside & ~torch.isin(ids, self._special)
        return int((begins & whole & (self._direct[ids] > 1)).sum()), int(begins.sum())


def direct_neighbours(
    vocabulary: Vocabulary,
    lexicon: Lexicon,
    rule: WordRule = UNICODE_WORDS,
    others: Mapping[str, int] = MappingProxyType({}),
) -> dict[int, list[int]]:
    """Token id of each word with substitutes -> ids of its substitutes, in the lexicon's order.

    ``others`` are ids of further substitutes, which are no words of the vocabulary.
    """
    words = dict(zip(vocabulary.words, vocabulary.ids, strict=True))
    ids = {**others, **words}
    near: dict[int, list[int]] = {}
    for word, token in words.items():
        substitutes = dict.fromkeys(map(ids.get, rule.substitutes(word, lexicon)))
        neighbours = [neighbour for neighbour in substitutes if neighbour is not None and neighbour != token]
        if neighbours:
            near[token] = neighbours
    return near


def unknown_words_of(tokenizer: Any, lexicon: Lexicon) -> dict[str, int]:
    """The substitutes of a lexicon that are the tokenizer's unknown token, with the id of this token."""
    unknown = tokenizer.unk_token_id
    substitutes = list(dict.fromkeys(new for word in lexicon.words() for new in lexicon(word)))
    if unknown is None or not substitutes:
        return {}
    tokens = tokenizer(substitutes, add_special_tokens=False)["input_ids"]
    return {word: unknown for word, ids in zip(substitutes, tokens, strict=True) if ids == [unknown]}


def second_neighbours(near: dict[int, list[int]]) -> dict[int, list[int]]:
    """Token id -> ids of its neighbours' neighbours, without its own neighbours and itself."""
    return {
        token: [
            second
            for second in dict.fromkeys(second for neighbour in direct for second in near.get(neighbour, ()))
            if second != token and second not in direct
        ]
        for token, direct in near.items()
    }


def inside_words(tokenizer: Any, vocabulary: Vocabulary, size: int, rule: WordRule = UNICODE_WORDS) -> Tensor:
    """[``size``] bool, True for a token that continues the word before it.

    Such a token has the prefix of word pieces (WordPiece's ``##``), or forms a longer word when it is decoded after a
    word.
    """
    special, word = set(tokenizer.all_special_ids), vocabulary.words[0]
    tokens = {number: token for token, number in tokenizer.get_vocab().items() if number not in special}
    decoded = tokenizer.batch_decode([[vocabulary.ids[0], number] for number in tokens])
    prefix = getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None)
    inside = torch.zeros(size, dtype=torch.bool)
    for (number, token), text in zip(tokens.items(), decoded, strict=True):
        first = next(iter(rule.split(text)), (word, 0, 0))[0]
        inside[number] = first != word or bool(prefix and token.startswith(prefix))
    return inside
