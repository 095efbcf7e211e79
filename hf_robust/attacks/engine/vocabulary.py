"""Words that are a single token of a tokenizer, and the estimated loss of a text with such a word in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from hf_robust.attacks.engine.requests import Flip
from hf_robust.words import TEXTATTACK_WORDS, Text, WordRule, word_token_positions

_ASCII_LETTER, _LETTER = re.compile("[a-zA-Z]"), re.compile(r"[^\W\d_]")
_CHUNK = 4096


@dataclass(frozen=True)
class Vocabulary:
    """``words`` as written in a text, and ``ids``, the single token id of each."""

    words: Sequence[str]
    ids: Sequence[int]

    @cached_property
    def rows(self) -> dict[int, int]:
        """Index of each token id."""
        return {number: row for row, number in enumerate(self.ids)}


def whole_words(tokenizer: Any, rule: WordRule = TEXTATTACK_WORDS) -> Vocabulary:
    """The vocabulary entries with a letter that are one word and one token between two other words.

    Pieces from inside words, special tokens and spellings that the tokenizer changes are left out. The case is the
    vocabulary's. For a tokenizer that encodes the first word of a text differently (RoBERTa's), only the encoding
    inside a text counts. Every entry is tokenised once, which takes some seconds for a large vocabulary.

    Args:
        tokenizer: a fast tokenizer.
        rule: the definition of a word; in TextAttack's a word has a letter from a to z.

    Raises:
        ValueError: there is no such entry, as in a vocabulary of characters.
    """
    special = set(tokenizer.all_special_ids)
    entries = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    shown = [text.strip() for text in tokenizer.batch_decode([[number] for number in entries])]
    letter = _ASCII_LETTER if rule is TEXTATTACK_WORDS else _LETTER
    likely = [
        pair for pair in zip(shown, entries, strict=True) if rule.is_one_word(pair[0]) and letter.search(pair[0])
    ]
    ids_by_word: dict[str, int] = {}
    length = len(tokenizer("a a")["input_ids"]) + 1
    for start in range(0, len(likely), _CHUNK):
        part = likely[start : start + _CHUNK]
        texts = [Text((f"a {word} a",), rule) for word, _ in part]
        encoding = tokenizer([text.joined for text in texts], return_offsets_mapping=True)
        for row, (word, number) in enumerate(part):
            offsets, columns = encoding["offset_mapping"][row], encoding.sequence_ids(row)
            ids, places = encoding["input_ids"][row], word_token_positions(texts[row].words, offsets, columns)[1]
            # A larger length shows that a space is a separate token.
            if len(ids) == length and [ids[place] for place in places] == [number]:
                ids_by_word[word] = number
    if not ids_by_word:
        raise ValueError(
            f"flipping words by gradient needs a vocabulary with whole words, {type(tokenizer).__name__} has none; "
            "use an attack without gradients, such as textfooler."
        )
    return Vocabulary(tuple(ids_by_word), tuple(ids_by_word.values()))


def best_flips(
    vocabulary: Vocabulary,
    table: Tensor,
    gradients: Tensor,
    embeddings: Tensor,
    ids: Sequence[int],
    pieces: Mapping[int, Sequence[int]],
    k: int,
) -> list[Flip]:
    r"""The ``k`` replacements with the highest estimate for each word of one text, highest first.

    The estimate of a new word in place of a word with pieces :math:`P` is
    :math:`\frac1{|P|}\sum_{j\in P}(e_{new}-e_j)\cdot\partial L/\partial e_j`. For a ``P`` of one token it is the
    first-order change of the loss (Ebrahimi et al. 2018). The present token itself is no flip.

    Args:
        table: embeddings [V, E] of the vocabulary's words.
        gradients: gradients [tokens, E] of the text.
        embeddings: embeddings [tokens, E] of the text.
        ids: token ids [tokens] of the text.
        pieces: token positions, at least one, of each word that may be flipped.
        k: number of flips of each word.
    """
    if not pieces or k < 1:
        return []
    share = torch.zeros(len(pieces), len(gradients), device=gradients.device)
    for row, places in enumerate(pieces.values()):
        share[row, list(places)] = 1 / len(places)
    estimates = share @ gradients @ table.T - share @ (gradients * embeddings).sum(-1, keepdim=True)
    for row, places in enumerate(pieces.values()):
        if len(places) == 1 and ids[places[0]] in vocabulary.rows:
            estimates[row, vocabulary.rows[ids[places[0]]]] = -torch.inf
    highest, columns = (tensor.tolist() for tensor in estimates.topk(min(k, estimates.shape[1])))
    return [
        Flip(index, vocabulary.words[column], value)
        for index, values, best_columns in zip(pieces, highest, columns, strict=True)
        for value, column in zip(values, best_columns, strict=True)
        if value > -torch.inf
    ]
