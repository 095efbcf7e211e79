"""From importances of tokens to importances of words: vocabularies hold pieces of words, marks and capital letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from hf_robust.words import Text

MARKS = ("Ġ", "▁", "##")
"""How vocabularies mark a token that begins a word (byte-level BPE, SentencePiece) or goes on with one (WordPiece)."""


class WordImportances(NamedTuple):
    """phi by word type. ``cased``: words that differ by case alone are two types, else all are in lower case."""

    values: dict[str, float]
    cased: bool


def importances_as_written(names: Mapping[str, float]) -> WordImportances:
    """Names that are words already.

    Raises:
        ValueError: some are pieces of words.
    """
    piece = next((name for name in names if name.startswith(MARKS) and name not in MARKS), None)
    if piece is not None:
        raise ValueError(
            f"the importances are of a tokenizer's tokens, such as {piece!r}, and no tokenizer lies beside their file "
            "to say what words they make; give --tokenizer, the folder of the model that they are of."
        )
    lower = {name.lower(): value for name, value in names.items()}
    cased = len(lower) < len(names)
    return WordImportances(dict(names) if cased else lower, cased)


def importances_by_word(tokens: Mapping[str, float], tokenizer: Any, words: Iterable[str]) -> WordImportances:
    """phi of ``words``, and of the tokens that are a word each, as they stand inside a text.

    A word is as important as its most important piece (FLAT). One with a piece that the tokenizer does not know, or
    whose importance is not given, has none. Words differ by case where the tokenizer tells case apart.

    Args:
        tokens: phi by token, as ``word_importances.json`` of a run has it.
        words: in the case in which texts have them.

    Raises:
        ValueError: a name is no token of the tokenizer.
    """
    vocabulary = tokenizer.get_vocab()
    strange = next((name for name in tokens if name not in vocabulary), None)
    if strange is not None:
        raise ValueError(
            f"the importances have {strange!r}, which is no token of the tokenizer; give --tokenizer, the folder of "
            "the model that they are of."
        )
    given = sorted(set(words))
    in_lower_case = [word.lower() for word in given]
    cased = _pieces(tokenizer, given) != _pieces(tokenizer, in_lower_case)
    found = _importances(tokens, tokenizer, given if cased else sorted(set(in_lower_case)))
    names = [name for name in tokens if name not in tokenizer.all_special_tokens]
    alone = {name: tokenizer.convert_tokens_to_string([name]).strip() for name in names}
    alone = {name: word for name, word in alone.items() if Text((word,)).tokens == [word if cased else word.lower()]}
    for (name, word), pieces in zip(alone.items(), _pieces(tokenizer, list(alone.values())), strict=True):
        if pieces == [vocabulary[name]]:
            found[word] = tokens[name]
    return WordImportances(found, cased)


def _importances(tokens: Mapping[str, float], tokenizer: Any, words: list[str]) -> dict[str, float]:
    found = {}
    for word, pieces in zip(words, _pieces(tokenizer, words), strict=True):
        names = tokenizer.convert_ids_to_tokens(pieces)
        if names and tokenizer.unk_token not in names and all(name in tokens for name in names):
            found[word] = max(tokens[name] for name in names)
    return found


def _pieces(tokenizer: Any, words: list[str]) -> list[list[int]]:
    """Ids of the tokens that have a character of each word, which a mark that stands alone has not."""
    if not words:
        return []
    # The space makes it a word inside a text for tokenizers that tell these apart.
    texts = [f" {word}" for word in words]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    pairs = (zip(*row, strict=True) for row in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))
    return [[token for token, (_, end) in row if end > 1] for row in pairs]
