"""Importances of words from importances of tokens, which may be pieces of words, with marks and capital letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_robust.words import UNICODE_WORDS, Text, WordRule

MARKS = ("Ġ", "▁", "##")
"""Marks of tokens that begin a word (byte-level BPE, SentencePiece) or continue one (WordPiece)."""


class WordImportances(NamedTuple):
    """phi by word type. If ``cased``, words that differ only by case are two types; else all are in lower case."""

    values: dict[str, float]
    cased: bool


def importances_as_written(names: Mapping[str, float]) -> WordImportances:
    """Importances whose names are words already.

    Raises:
        ValueError: a name is a piece of a word.
    """
    piece = next((name for name in names if name.startswith(MARKS) and name not in MARKS), None)
    if piece is not None:
        raise ValueError(
            f"the importances are those of tokens, such as {piece!r}, and there is no tokenizer beside their file; "
            "give --tokenizer, the folder of their model."
        )
    lower = {name.lower(): value for name, value in names.items()}
    cased = len(lower) < len(names)
    return WordImportances(dict(names) if cased else lower, cased)


def importances_by_word(
    tokens: Mapping[str, float], tokenizer: Any, words: Iterable[str], rule: WordRule = UNICODE_WORDS
) -> WordImportances:
    """phi of ``words``, and of tokens that are whole words inside a text.

    The importance of a word is that of its most important piece (FLAT). Words with an unknown piece, or a piece
    without an importance, are left out. Words are cased if the tokenizer is.

    Args:
        tokens: phi by token, as in ``word_importances.json`` of a run.
        words: words in their case in the texts.
        rule: the definition of a word.

    Raises:
        ValueError: a name is not a token of the tokenizer.
    """
    vocabulary = tokenizer.get_vocab()
    unknown = next((name for name in tokens if name not in vocabulary), None)
    if unknown is not None:
        raise ValueError(
            f"the importances have {unknown!r}, which is not a token of the tokenizer; give --tokenizer, the folder "
            "of their model."
        )
    distinct = sorted(set(words))
    in_lower_case = [word.lower() for word in distinct]
    cased = _pieces(tokenizer, distinct) != _pieces(tokenizer, in_lower_case)
    values = _importances(tokens, tokenizer, distinct if cased else sorted(set(in_lower_case)))
    names = [name for name in tokens if name not in tokenizer.all_special_tokens]
    alone = {name: tokenizer.convert_tokens_to_string([name]).strip() for name in names}
    alone = {
        name: word for name, word in alone.items() if Text((word,), rule).tokens == [word if cased else word.lower()]
    }
    for (name, word), pieces in zip(alone.items(), _pieces(tokenizer, list(alone.values())), strict=True):
        if pieces == [vocabulary[name]]:
            values[word] = tokens[name]
    return WordImportances(values, cased)


def _importances(tokens: Mapping[str, float], tokenizer: Any, words: list[str]) -> dict[str, float]:
    values = {}
    for word, pieces in zip(words, _pieces(tokenizer, words), strict=True):
        names = tokenizer.convert_ids_to_tokens(pieces)
        if names and tokenizer.unk_token not in names and all(name in tokens for name in names):
            values[word] = max(tokens[name] for name in names)
    return values


def _pieces(tokenizer: Any, words: list[str]) -> list[list[int]]:
    """Ids of the tokens that contain a character of each word, without separate marks."""
    if not words:
        return []
    # The space marks a word inside a text, which some tokenizers treat differently.
    texts = [f" {word}" for word in words]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    pairs = (zip(*row, strict=True) for row in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))
    return [[token for token, (_, end) in row if end > 1] for row in pairs]
