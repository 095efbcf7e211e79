"""Tokens in files: those of the tokenizer, made once, and made again where anything that they depend on is another."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import build_tokenizer

from benchmarks.architectures.vocabularies import train_tokenizer
from hf_robust.data import TextDataset, token_store
from hf_robust.data.token_store import DONE, in_files, in_memory

TEXTS = ["a good film", "bad", "", "the story was dreadful and cold", "splendid music"]
CHUNKS = [
    {"input_ids": [[5, 300_000, 7], []], "attention_mask": [[1, 1, 1], []], "bbox": [[1000], [2]]},
    {"input_ids": [[9]], "attention_mask": [[0]], "bbox": [[]]},
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "MIN_ROWS", len(TEXTS))


class Calls:
    """Counts the texts that a tokenizer got."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> None:
        self.texts, call = 0, type(tokenizer).__call__

        def counted(tokenizer: Any, texts: Any, *args: Any, **options: Any) -> Any:
            self.texts += len(texts)
            return call(tokenizer, texts, *args, **options)

        monkeypatch.setattr(type(tokenizer), "__call__", counted)


def dataset(tokenizer: Any, cache: Path | None, texts: list[str] = TEXTS, **options: Any) -> TextDataset:
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
    return TextDataset(rows, "text", tokenizer, **{"max_length": 8, "token_cache": cache, **options})


def test_columns_of_files_are_those_of_memory(tmp_path: Path) -> None:
    stored, columns = in_files(tmp_path / "tokens", iter(CHUNKS)), in_memory(iter(CHUNKS))
    expected = {key: [row for chunk in CHUNKS for row in chunk[key]] for key in CHUNKS[0]}
    assert list(stored) == list(columns) == list(expected)
    for key, lists in expected.items():
        for found in (stored[key], columns[key]):
            assert [found[row] for row in range(3)] == lists
            assert found.sums().tolist() == list(map(sum, lists))
    assert isinstance(stored["input_ids"].flat, np.memmap)


def test_a_second_start_reads_the_tokens(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = build_tokenizer()
    calls = Calls(monkeypatch, tokenizer)
    in_ram = dataset(tokenizer, None)
    first, made = dataset(tokenizer, tmp_path), calls.texts
    with caplog.at_level(logging.INFO):
        second = dataset(tokenizer, tmp_path)
    assert made == calls.texts == 2 * len(TEXTS) and "--overwrite_cache makes them again" in caplog.text
    assert [*first] == [*second] == [*in_ram] and first.cut_rows == in_ram.cut_rows
    dataset(tokenizer, tmp_path, overwrite_cache=True)
    assert calls.texts == 3 * len(TEXTS) + len(first.cut_rows) * 2


@pytest.mark.parametrize(
    "other",
    [{"max_length": 4}, {"padding": True}, {"texts": [*TEXTS[:-1], "cold music"]}, {"tokenizer": 1}, {"side": 1}],
)
def test_other_tokens_have_other_files(small: None, tmp_path: Path, other: dict[str, Any]) -> None:
    tokenizer = build_tokenizer()
    dataset(tokenizer, tmp_path)
    if other.pop("tokenizer", None):
        tokenizer = train_tokenizer("SentencePiece", TEXTS, 60)
    if other.pop("side", None):
        tokenizer.padding_side = "left"
    found = dataset(tokenizer, tmp_path, **other)
    assert [*found] == [*dataset(tokenizer, None, **other)]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_what_is_stored_and_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = build_tokenizer()
    dataset(tokenizer, tmp_path)  # a small split
    monkeypatch.setattr(token_store, "MIN_ROWS", 1)

    class Changed(type(tokenizer)):  # type: ignore[misc]
        """A tokenizer of the user's own, whose code no fingerprint holds."""

    dataset(Changed(tokenizer_object=tokenizer.backend_tokenizer, pad_token="[PAD]"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_of_a_killed_run_are_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "tokens"

    def killed() -> Iterator[dict[str, Any]]:
        yield CHUNKS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_files(folder, killed())
    assert not folder.exists()
    assert in_files(folder, iter(CHUNKS))["input_ids"][2] == [9]
    (folder / DONE).unlink()
    assert in_files(folder, iter(CHUNKS))["input_ids"][2] == [9]


def _rank(folder: Path, log: Path) -> None:
    def slowly() -> Iterator[dict[str, Any]]:
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)
        yield from CHUNKS

    assert in_files(folder / "tokens", slowly())["input_ids"][2] == [9]


def test_of_several_ranks_one_makes_the_files(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    ranks = [fork.Process(target=_rank, args=(tmp_path, tmp_path / "log")) for _ in range(3)]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    assert [rank.exitcode for rank in ranks] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "made\n"
