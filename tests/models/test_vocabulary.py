"""Words of a new model: its tokenizer, its vocabulary, and the vectors it starts from."""

from __future__ import annotations

import logging
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from transformers import AutoTokenizer, set_seed
from word_models import WIDTH, write_vectors

from hf_robust.models import fill_embeddings, read_source, word_tokenizer
from hf_robust.models.tokenizer import SPECIAL_TOKENS, word_tokens
from hf_robust.words import Text, folded, word_token_positions

TEXTS = ["A good film, a GOOD film.", "It's well-made"]
OWN = ["a", "film", "good", ",", ".", "it's", "well-made"]
NORMAL = len(SPECIAL_TOKENS)


# ---- tokens ----


@given(st.text(alphabet="abcZés1tnré1\u0301 '’-_*@.,!×`\t\n\u00a0", max_size=30))
@example("`\ts")
@example("they\u00a0're '\nre")
def test_tokens_are_the_words_and_every_other_mark(text: str) -> None:
    words = [folded(word) for word in Text((text,)).tokens if len(folded(word)) > 1]
    tokens = [token.replace("’", "'").replace("`", "'").replace(" ", "") for token in word_tokens(text)]
    assert [token for token in tokens if len(token) > 1] == words
    whole = unicodedata.normalize("NFC", text).lower().replace("’", "'").replace("`", "'")
    assert "".join(tokens) == "".join(whole.split())


def test_contractions_are_one_token_however_they_are_written() -> None:
    assert word_tokens("isn’t isn't isnʼt ISN`T") == ["isn't"] * 4
    assert word_tokens("They 're sure it ca n't be") == ["they", "'re", "sure", "it", "ca", "n't", "be"]
    assert word_tokens("can #39;t say quot;no&quot;") == ["can", "#39;t", "say", "quot;", "no", "&quot;"]
    assert word_tokens("हिन्दी re\u0301sume\u0301") == ["हिन्दी", "r\u00e9sum\u00e9"]


@given(st.text(alphabet="abcZ1 '-_*@.,!", max_size=30))
def test_each_word_is_one_token(text: str) -> None:
    tokenizer = word_tokenizer([*SPECIAL_TOKENS, *sorted(set(word_tokens(text)))])
    encoding = tokenizer(text, return_offsets_mapping=True)
    words = Text((text,)).words
    places = word_token_positions(words, encoding["offset_mapping"], encoding.sequence_ids(0))
    assert [tokenizer.convert_ids_to_tokens(encoding["input_ids"])[at] for (at,) in places] == [
        word.text.lower() for word in words
    ]
    assert tokenizer.unk_token_id not in encoding["input_ids"]


def test_templates_and_saving(tmp_path: Path) -> None:
    tokenizer = word_tokenizer([*SPECIAL_TOKENS, "good", "film"])
    tokenizer.save_pretrained(tmp_path)
    for one in (tokenizer, AutoTokenizer.from_pretrained(tmp_path)):
        assert one("Good FILM")["input_ids"] == [2, 5, 6, 3]
        pair = one("good", "unheard film", return_offsets_mapping=True)
        assert pair["input_ids"] == [2, 5, 3, 1, 6, 3]
        assert [pair.sequence_ids(0)[place] for place in (1, 3)] == [0, 1]
        assert set(one("good")) == {"input_ids", "attention_mask"}
        assert (one.pad_token_id, one.mask_token_id, len(one)) == (0, 4, 7)
        assert len(one("good " * 600)["input_ids"]) == 602


# ---- vocabulary ----


def test_training_words_by_frequency_then_those_of_the_vectors(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.txt", ["movie", "Film", "...", "good", "café"])
    source = read_source(TEXTS, str(tmp_path / "v.txt"))
    # The tokenizer splits "..." into three tokens, so that no text contains it.
    assert source.vocabulary() == [
        *SPECIAL_TOKENS,
        "a",
        "film",
        "good",
        ",",
        ".",
        "it's",
        "well-made",
        "movie",
        "café",
    ]
    assert read_source(TEXTS, None).vocabulary() == [*SPECIAL_TOKENS, *OWN]


def test_a_full_vocabulary_leaves_out_the_rarest_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_vectors(tmp_path / "v.txt", ["good", "movie"])
    assert read_source(TEXTS, str(tmp_path / "v.txt"), size=8).vocabulary() == [*SPECIAL_TOKENS, "a", "film", "good"]
    assert "leaves out the 5 least frequent words" in caplog.text and "--vocabulary_size (8)" in caplog.text


def test_coverage_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_vectors(tmp_path / "v.txt", ["good", "film", "movie"])
    with caplog.at_level(logging.INFO, "hf_robust"):
        read_source(TEXTS, str(tmp_path / "v.txt")).vocabulary()
    # 2 of 7 distinct tokens; 4 of 10 in all.
    assert "2 of 7 distinct tokens of the training texts (28.6%) and 40.0% of all tokens are in" in caplog.text


# ---- embeddings ----


def filled(path: Path, seed: int, width: int = WIDTH) -> tuple[torch.nn.Embedding, list[str], int]:
    source = read_source(TEXTS, str(path))
    tokens = source.vocabulary()
    embeddings = torch.nn.Embedding(len(tokens), width, padding_idx=0)
    set_seed(seed)
    count = fill_embeddings(embeddings, {token: row for row, token in enumerate(tokens)}, source)
    return embeddings, tokens, count


def test_vectors_stand_in_their_words_rows_and_the_others_are_seeded(tmp_path: Path) -> None:
    words = ["film", "movie", "GOOD", *(f"w{number}" for number in range(200))]
    numbers = write_vectors(tmp_path / "v.txt", words, width=20)
    embeddings, tokens, count = filled(tmp_path / "v.txt", 1, width=20)
    table = embeddings.weight.detach().numpy()
    lowered = [word.lower() for word in words]
    for token, row in zip(tokens, table, strict=True):
        if token in lowered:
            assert np.array_equal(row, numbers[lowered.index(token)])
    assert count == len(words) and not table[0].any()
    unknown = [row for row, token in enumerate(tokens) if token not in lowered and row]
    assert table[unknown].std() == pytest.approx(numbers.std(), rel=0.15)
    again, other = (filled(tmp_path / "v.txt", seed, width=20)[0].weight.detach().numpy() for seed in (1, 2))
    assert np.array_equal(table, again) and not np.array_equal(table[unknown], other[unknown])
    known = [row for row in range(len(tokens)) if row not in unknown]
    assert np.array_equal(table[known], other[known])


# ---- what cannot work ----


def test_vectors_of_no_word_at_all_are_one_sentence(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.txt", ["chien", "chat"])
    source = read_source(TEXTS, str(tmp_path / "v.txt"))
    with pytest.raises(ValueError, match=r"none of the 7 words of the training texts is in .*v\.txt; give vectors of"):
        source.vocabulary()
    with pytest.raises(ValueError, match=r"none of the 2 tokens of the vocabulary is in .*v\.txt; give vectors of"):
        fill_embeddings(torch.nn.Embedding(2, WIDTH), {"[PAD]": 0, "film": 1}, source)


def test_vectors_of_another_width_are_one_sentence(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.txt", ["film"])
    with pytest.raises(ValueError, match=r"have width 5 and the model's embedding_size is 6; give vectors of that"):
        filled(tmp_path / "v.txt", 0, width=6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("", "holds no word vector"), ("film one two\n", "is not a word and 2 numbers")],
)
def test_vectors_that_cannot_be_read_are_one_sentence(content: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "v.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_source(TEXTS, str(path))


def test_a_vocabulary_without_room_for_words_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="--vocabulary_size must be above 5, the number of special tokens, got 5"):
        read_source(TEXTS, None, size=NORMAL)
