"""Coverage of the training texts by a method's lexicons: no coverage is refused, low coverage gives a warning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import ANTONYMS, SYNONYMS, build_tokenizer, build_trainer, review_data, review_rows, table

from hf_robust.attacks import ATTACKS, Resources
from hf_robust.data import TextDataset
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import Coverage
from hf_robust.trainers import METHODS
from hf_robust.words import Protection, Text

NEEDS = [(name, need) for name, method in METHODS.items() for need in ("synonyms", "antonyms") if need in method.needs]
TABLES = {"synonyms": SYNONYMS, "antonyms": ANTONYMS}


def lexicon(words: dict[str, list[str]], need: str) -> TableLexicon:
    return table(words, need.removesuffix("s"))


def naive(words: dict[str, list[str]], rows: list[dict[str, Any]]) -> Coverage:
    counts = []
    for row in rows:
        tokens = Text((row["sentence"],)).tokens
        counts.append((sum(word in words for word in tokens), len(tokens)))
    return Coverage.of(counts)


@pytest.mark.parametrize(("name", "need"), NEEDS)
@pytest.mark.parametrize("words", [{}, {"电影": ["影片"]}])
def test_a_table_that_covers_no_training_text_is_refused(
    name: str, need: str, words: dict[str, list[str]], tmp_path: Path
) -> None:
    flag = {"synonyms": "--lexicon", "antonyms": "--antonym_lexicon"}[need]
    with pytest.raises(ValueError, match=f"has no {need} for the open words of 16 training texts.*{flag}"):
        build_trainer(name, tmp_path, **{need: lexicon(words, need)})


@pytest.mark.parametrize(("name", "need"), NEEDS)
def test_coverage_is_counted_and_said(name: str, need: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hf_robust"):
        trainer = build_trainer(name, tmp_path)
    found, expected = trainer.coverage[need], naive(TABLES[need], review_rows(16))
    if name in ("ascc", "dne", "ibp"):
        # Words of one token whose substitute is one token too.
        assert 0 < found.covered_words <= expected.covered_words and found.open_words >= expected.open_words
    else:
        assert found == expected
    assert f"has {need} for {found.in_words()} of the training set" in caplog.text


def test_little_coverage_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*review_rows(15), {"sentence": "splendid", "label": 0}]
    rare = table({"splendid": ["fine"]}, "synonym")
    with caplog.at_level(logging.WARNING, "hf_robust"):
        trainer = build_trainer("safer", tmp_path, synonyms=rare, data=review_data(rows=rows))
    assert trainer.coverage["synonyms"].covered_texts == 1
    assert "1 of 16 texts of the training set, which is little" in caplog.text


def test_protected_words_and_skipped_labels_do_not_count(tmp_path: Path) -> None:
    free = build_trainer("bat_triplet", tmp_path).coverage
    trainer = build_trainer("bat_triplet", tmp_path, skip_labels=frozenset({1}))
    assert trainer.coverage["synonyms"] == free["synonyms"]
    assert trainer.coverage["antonyms"] == naive(ANTONYMS, review_rows(16)[::2])
    closed = build_trainer("safer", tmp_path, protection=Protection((), ["film", "good"]))
    assert closed.coverage["synonyms"].covered_words < free["synonyms"].covered_words
    assert closed.coverage["synonyms"].open_words < free["synonyms"].open_words


def cut_data(text: str = "the film was good", max_length: int = 5) -> TextDataset:
    rows = [{"sentence": text, "label": row % 2} for row in range(16)]
    return TextDataset(rows, ("sentence",), build_tokenizer(), max_length=max_length)


@pytest.mark.parametrize("name", ["safer", "bat_triplet"])
def test_words_behind_the_cut_do_not_count(name: str, tmp_path: Path) -> None:
    """[CLS] the film was [SEP]: "good" is in both tables, but a model of this length does not read it."""
    with pytest.raises(ValueError, match=r"open words of 16 training texts \(16 texts are cut, see --max_seq"):
        build_trainer(name, tmp_path, data=cut_data(), synonyms=table({"good": ["fine"]}, "synonym"))
    trainer = build_trainer(name, tmp_path, data=cut_data("film was warm good good"))
    assert trainer.coverage["synonyms"] == naive(SYNONYMS, [{"sentence": "film was warm"}] * 16)


def test_words_that_matched_views_leave_do_not_count(tmp_path: Path) -> None:
    antonyms = table({"was": ["lacked"], "good": ["bad"]}, "antonym")
    attack = ATTACKS["antonym"](Resources(antonyms=antonyms))
    given = {"data": cut_data(max_length=32), "antonyms": antonyms, "attacks": {"antonym": attack}}
    for rule, expected in (("authors", Coverage(64, 32, 16, 16)), ("matched", Coverage(32, 16, 16, 16))):
        trainer = build_trainer("bat_triplet", tmp_path, antonym_views=rule, **given)
        assert trainer.coverage["antonyms"] == expected
    given["data"] = cut_data()
    with pytest.raises(ValueError, match="no antonyms for the open words of 16 training texts"):
        build_trainer("bat_triplet", tmp_path, antonym_views="matched", **given)


def test_nothing_is_asked_where_nothing_is_trained(tmp_path: Path) -> None:
    from tiny import NO_DATA

    assert build_trainer("safer", tmp_path, data=NO_DATA, synonyms=table({}, "synonym")).coverage == {}


def test_tokens_with_neighbours_are_those_that_are_mixed(tmp_path: Path) -> None:
    trainer: Any = build_trainer("ascc", tmp_path)
    data, counts = review_data(), []
    for row in range(len(data)):
        batch = {key: torch.tensor([value]) for key, value in data[row].items() if key != "labels"}
        counts.append(int((trainer.neighbours(batch).hull.valid.sum(-1) > 1).sum()))
    assert trainer.coverage["synonyms"].covered_words == sum(counts)
    assert trainer.coverage["synonyms"].covered_texts == sum(count > 0 for count in counts)


@pytest.mark.parametrize("name", ["ascc", "dne"])
def test_a_method_that_mixes_tokens_says_that_it_protects_none(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = {"protection": Protection(["urls"])}
    with caplog.at_level(logging.WARNING, "hf_robust"):
        build_trainer(name, tmp_path)
        assert "--protect" not in caplog.text
        build_trainer(name, tmp_path, **given)
    assert f"{name} mixes tokens at all positions" in caplog.text
