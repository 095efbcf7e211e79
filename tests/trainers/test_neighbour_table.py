"""The table of neighbours: tokens with neighbours, their order, and refused tokenizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_tokenizer, build_trainer, table
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from hf_robust.attacks.engine.vocabulary import Vocabulary, whole_words
from hf_robust.training.neighbour_table import NeighbourTable, direct_neighbours, inside_words

CHAIN = {"good": ["fine", "great"], "fine": ["great", "good", "warm"], "great": ["tender", "fine"]}


def build(folder: Path, words: Any, limit: int = 50, second_order: bool = False) -> NeighbourTable:
    trainer = build_trainer("ascc", folder)
    trainer.synonyms = table(words, "synonym")
    return NeighbourTable(trainer, limit, second_order)


def vertices(neighbours: NeighbourTable, text: str) -> list[list[str]]:
    """The vertices of each token but the special ones."""
    tokenizer = build_tokenizer()
    hull = neighbours(tokenizer(text, return_tensors="pt")).hull
    return [
        tokenizer.convert_ids_to_tokens(ids[valid].tolist())
        for ids, valid in zip(hull.ids[0], hull.valid[0], strict=True)
    ][1:-1]


def test_a_words_vertices_are_itself_then_its_substitutes(tmp_path: Path) -> None:
    assert vertices(build(tmp_path, CHAIN), "a good film") == [["a"], ["good", "fine", "great"], ["film"]]


def test_words_of_several_pieces_have_none_and_are_none(tmp_path: Path) -> None:
    neighbours = build(tmp_path, {"good": ["splendid", "fine"], "splendid": ["good"], "pic": ["film"]})
    assert vertices(neighbours, "good splendid") == [["good", "fine"], ["splen"], ["##did"]]


def test_the_first_piece_of_a_longer_word_is_not_that_word(tmp_path: Path) -> None:
    neighbours = build(tmp_path, {"pic": ["film"]})
    assert vertices(neighbours, "pic picture pic.") == [["pic", "film"], ["pic"], ["##ture"], ["pic", "film"], ["."]]


def test_padding_and_special_tokens_have_none(tmp_path: Path) -> None:
    neighbours = build(tmp_path, CHAIN)
    batch = build_tokenizer()(["good", "good film was good"], padding=True, return_tensors="pt")
    hull = neighbours(batch).hull
    assert hull.mask.squeeze(-1).tolist() == [[0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 1, 0]]
    blind = neighbours({"input_ids": batch["input_ids"], "attention_mask": torch.zeros(2, 6)}).hull
    assert blind.mask.sum() == 0 and blind.ids.shape[-1] == 1


def test_second_order_neighbours_follow_the_first(tmp_path: Path) -> None:
    neighbours = build(tmp_path, CHAIN, second_order=True)
    assert vertices(neighbours, "good") == [["good", "fine", "great", "warm", "tender"]]
    second = neighbours(build_tokenizer()("good", return_tensors="pt")).second
    assert second[0, 1].tolist() == [False, False, False, True, True]


def test_the_limit_counts_the_word_itself(tmp_path: Path) -> None:
    assert vertices(build(tmp_path, CHAIN, limit=4, second_order=True), "good") == [["good", "fine", "great", "warm"]]
    assert vertices(build(tmp_path, CHAIN, limit=1), "good") == [["good"]]


def test_an_empty_lexicon_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert vertices(build(tmp_path, {}), "good") == [["good"]]
    assert "0 of" in caplog.text and "one-token words have neighbours" in caplog.text


def test_a_slow_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path)
    trainer.processing_class = object()
    with pytest.raises(ValueError, match="ascc aligns words with tokens.*fast tokenizer, got object"):
        NeighbourTable(trainer, 50)


def test_a_vocabulary_without_words_is_one_sentence(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path)
    characters = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##b": 2, "zz": 3}, unk_token="[UNK]"))  # noqa: S106
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    trainer.processing_class = PreTrainedTokenizerFast(tokenizer_object=characters, unk_token="[UNK]")
    trainer.processing_class.add_tokens(["?"])
    with pytest.raises(ValueError, match="ascc mixes words that are single tokens.*has none"):
        NeighbourTable(trainer, 50)


def test_byte_level_pieces_without_a_leading_space_go_on_with_a_word() -> None:
    vocabulary = {
        piece: number for number, piece in enumerate(["<unk>", "Ġgood", "Ġfilm", "ness", "Ġa", "a", ".", "Ġ"])
    }
    backend = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", ignore_merges=True))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.post_processor = processors.ByteLevel()
    from tokenizers import decoders

    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    words = whole_words(tokenizer)
    assert dict(zip(words.words, words.ids, strict=True)) == {"good": 1, "film": 2, "a": 4}
    inside = inside_words(tokenizer, words, 10)
    assert inside.nonzero().flatten().tolist() == [3, 5]


def test_pieces_of_contractions_have_no_neighbours_and_are_none() -> None:
    vocabulary = Vocabulary(("re", "sos", "did", "wo", "good", "fine"), (0, 1, 2, 3, 4, 5))
    lexicon = table({"re": ["sos"], "sos": ["re"], "did": ["wo", "good"], "good": ["fine"]}, "synonym")
    assert direct_neighbours(vocabulary, lexicon) == {2: [4], 4: [5]}
