"""Importances by word for vocabularies of all four families, trained on cased texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.architectures.vocabularies import VOCABULARIES, train_tokenizer
from hf_robust.interpret import importances_as_written, importances_by_word

TEXTS = ["A Good film, not a good plot.", "The film was Good and the café good", "They don't like naïve films"] * 5
every_vocabulary = pytest.mark.parametrize("kind", VOCABULARIES)


def importances(tokenizer: Any) -> dict[str, float]:
    """A different importance for each token."""
    names = sorted(tokenizer.get_vocab())
    return {name: (number + 1) / len(names) for number, name in enumerate(names)}


def in_a_text(phi: Mapping[str, float], tokenizer: Any, word: str) -> float:
    """Highest importance of the tokens of a word in a sentence, by their character positions."""
    sentence = f"the {word} film"
    encoded = tokenizer(sentence, return_offsets_mapping=True, add_special_tokens=False)
    start, end = sentence.index(word), sentence.index(word) + len(word)
    names = tokenizer.convert_ids_to_tokens(encoded["input_ids"])
    inside = [name for name, (a, b) in zip(names, encoded["offset_mapping"], strict=True) if a < end and b > start]
    return max(phi[name] for name in inside)


@every_vocabulary
def test_a_word_is_as_important_as_its_most_important_piece_inside_a_text(kind: str) -> None:
    tokenizer = train_tokenizer(kind, TEXTS)
    phi = importances(tokenizer)
    words = ["Good", "good", "film", "café", "naïve", "likes"]
    found, cased = importances_by_word(phi, tokenizer, words)
    assert cased is (kind != "uncased WordPiece")
    for word in words:
        key = word if cased else word.lower()
        assert found[key] == in_a_text(phi, tokenizer, key), word
    if kind in ("cased WordPiece", "byte-level BPE"):
        assert found["Good"] != found["good"]
    assert ("Good" in found) is cased


@every_vocabulary
def test_tokens_that_are_words_always_have_an_importance(kind: str) -> None:
    tokenizer = train_tokenizer(kind, TEXTS)
    phi = importances(tokenizer)
    found, _ = importances_by_word(phi, tokenizer, [])
    token = {"byte-level BPE": "Ġfilm", "SentencePiece": "▁"}.get(kind, "film")
    assert token in phi
    if kind != "SentencePiece":  # which so few texts leave with pieces alone
        assert found["film"] == phi[token]
    marks = ("Ġ", "▁", "##", "[PAD]")
    assert found and not any(word.startswith(marks) for word in found) and "" not in found


@pytest.mark.parametrize("kind", ["uncased WordPiece", "cased WordPiece"])
def test_a_word_that_the_tokenizer_does_not_know_has_no_importance(kind: str) -> None:
    tokenizer = train_tokenizer(kind, TEXTS)
    found, _ = importances_by_word(importances(tokenizer), tokenizer, ["xyzzy", "film"])
    assert "xyzzy" not in found and "film" in found


def test_a_word_with_a_piece_of_no_known_importance_has_none() -> None:
    tokenizer = train_tokenizer("byte-level BPE", TEXTS)
    phi = importances(tokenizer)
    del phi["Ġfilm"]
    found, _ = importances_by_word(phi, tokenizer, ["film", "good"])
    assert set(found) >= {"good"} and "film" not in found


def test_importances_of_another_tokenizer_are_one_sentence() -> None:
    tokenizer = train_tokenizer("cased WordPiece", TEXTS)
    with pytest.raises(
        ValueError, match="the importances have 'Ġgood', which is not a token of the tokenizer; give --to"
    ):
        importances_by_word({"good": 0.5, "Ġgood": 0.5}, tokenizer, ["good"])


@pytest.mark.parametrize("piece", ["Ġgood", "▁good", "##ood"])
def test_pieces_without_a_tokenizer_are_one_sentence(piece: str) -> None:
    with pytest.raises(ValueError, match=f"tokens, such as '{piece}', and there is no tokenizer beside"):
        importances_as_written({"good": 0.5, piece: 0.5})


def test_words_without_a_tokenizer_keep_their_case_where_two_differ_by_it_alone() -> None:
    assert importances_as_written({"Good": 1.0, "bad": 0.5}) == ({"good": 1.0, "bad": 0.5}, False)
    assert importances_as_written({"Good": 1.0, "good": 0.5}) == ({"Good": 1.0, "good": 0.5}, True)
