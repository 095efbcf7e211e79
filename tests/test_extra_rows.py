"""--extra_rows adds texts of an earlier run to the training rows: the rows, the run card, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import build_tokenizer, review_data, review_rows

from hf_robust.data import TextDataset
from hf_robust.reports.compare import differences
from hf_robust.reports.groups import group_by_seed
from hf_robust.runs import load_run
from hf_robust.trainers import METHODS
from hf_robust.views import View, ViewedDataset, ViewRound, tokenizer_hash, write_views
from hf_robust.wiring.extra_rows import ExtendedDataset, extra_rows_of, with_extra_rows
from hf_robust.words import Text
from run_glue_robust import main

pytestmark = pytest.mark.slow


def arguments(paths: list[str], method: str = "pgd") -> Any:
    own = METHODS[method].config(output_dir="out", use_cpu=True)
    return SimpleNamespace(data=SimpleNamespace(extra_rows=paths), training=own, method=METHODS[method])


def view_file(path: Path, train: TextDataset, views: list[tuple[int, View]], **header: Any) -> str:
    made = ViewRound(views)
    made.attempts = len(train)
    own = {"data": train.fingerprint(), "tokenizer": tokenizer_hash(train.tokenizer), "split": "train"}
    write_views(path, {"name": "pwws", "victim": "w", "how": {}, **own, **header}, made)
    return str(path)


def text(words: str) -> Text:
    return Text((words,))


VIEWS = [
    (0, View(text("the film was splendid"), True, (3,))),
    (3, View(text("a dreadful plot"), True, (1,), label=0)),
    (4, View(text("good"), False, (0,))),
]


def test_views_that_may_be_trained_on_stand_below_the_rows_with_their_labels(tmp_path: Path) -> None:
    train = review_data(6)
    found = with_extra_rows(train, arguments([view_file(tmp_path / "a.jsonl", train, VIEWS)]))
    assert isinstance(found, ExtendedDataset) and len(found) == 8
    assert [found[row] for row in range(6)] == [train[row] for row in range(6)]
    assert [found.texts(row) for row in (6, 7)] == [("the film was splendid",), ("a dreadful plot",)]
    assert (train.label(0), train.label(3)) == (0, 1)
    assert [found.label(row) for row in (6, 7)] == [0, 0]
    assert found.fingerprint() == train.fingerprint()
    (line,) = found.rounds
    assert (line["view"], line["rows"], line["found"], line["attempts"]) == ("pwws", 2, 3, 6)


def test_what_stands_for_a_failed_attack_is_no_row_more(tmp_path: Path) -> None:
    train = review_data(6)
    views = [*VIEWS, (5, View(text("a chilly story"), True, (), failed=True))]
    found = with_extra_rows(train, arguments([view_file(tmp_path / "a.jsonl", train, views)]))
    assert [found.texts(row) for row in (6, 7)] == [("the film was splendid",), ("a dreadful plot",)]
    assert len(found) == 8
    (line,) = found.rounds
    assert (line["rows"], line["found"], line["attempts"]) == (2, 3, 6)


def test_the_card_finds_them_under_views_that_wrap_the_rows(tmp_path: Path) -> None:
    train = review_data(6)
    found = with_extra_rows(train, arguments([view_file(tmp_path / "a.jsonl", train, VIEWS)]))
    assert extra_rows_of(ViewedDataset(found, {}, seed=0)) is found is extra_rows_of(found)  # type: ignore[arg-type]
    assert extra_rows_of(train) is None and with_extra_rows(train, arguments([])) is train


def test_files_that_are_not_of_this_training_set_are_refused(tmp_path: Path) -> None:
    train, other = review_data(6), review_data(6, seed=3)
    with pytest.raises(ValueError, match="holds views of another data set"):
        with_extra_rows(train, arguments([view_file(tmp_path / "a.jsonl", other, VIEWS)]))
    with pytest.raises(ValueError, match="holds views of another tokenizer"):
        with_extra_rows(train, arguments([view_file(tmp_path / "b.jsonl", train, VIEWS, tokenizer="x")]))
    hidden = [(0, View(text("the film was good"), True, (), masked=(2,)))]
    with pytest.raises(
        ValueError, match="has views with masked tokens, which cannot be written as texts: give the file to"
    ):
        with_extra_rows(train, arguments([view_file(tmp_path / "c.jsonl", train, hidden)]))
    same = [(row, View(Text(train.texts(row)), True, ())) for row in range(3)]
    with pytest.raises(ValueError, match="has no text that differs for the model from its row"):
        with_extra_rows(train, arguments([view_file(tmp_path / "d.jsonl", train, same)]))


def test_a_method_with_texts_of_its_own_and_a_run_without_training_refuse_the_flag(tmp_path: Path) -> None:
    path = view_file(tmp_path / "a.jsonl", review_data(6), VIEWS)
    with pytest.raises(ValueError, match="make no texts themselves: give these files to ada by --view_file"):
        with_extra_rows(review_data(6), arguments([path], "ada"))
    with pytest.raises(ValueError, match="nothing is trained: add --do_train"):
        with_extra_rows(None, arguments([path]))


def write_rows(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def script(model_folder: Callable[..., Path], tmp_path: Path) -> Callable[..., Path]:
    """``script(name, **flags)`` trains into a folder of that name, on the review rows unless told otherwise."""

    def run(name: str, **flags: Any) -> Path:
        settings = {
            "model_name_or_path": str(model_folder()), "do_train": True, "do_eval": True, "max_seq_length": 24,
            "train_file": write_rows(tmp_path / "train.jsonl", review_rows(16)), "use_cpu": True, "seed": 7,
            "validation_file": write_rows(tmp_path / "dev.jsonl", review_rows(12, seed=5)), "report_to": "none",
            "class_names": ["negative", "positive"], "save_strategy": "no", "num_train_epochs": 1,
            "per_device_train_batch_size": 4, "disable_tqdm": True, "output_dir": str(tmp_path / name),
            "attacks": ["synonym"], "lexicon": "builtin", "pos_tagger": "none", "attack_strategy": "end",
        }  # fmt: skip
        (tmp_path / f"{name}.json").write_text(json.dumps({**settings, **flags}))
        main([str(tmp_path / f"{name}.json")])
        return tmp_path / name

    return run


def test_training_is_that_on_a_file_which_holds_the_texts_too(script: Callable[..., Path], tmp_path: Path) -> None:
    rows = review_rows(16)
    train = TextDataset(rows, ("sentence",), build_tokenizer(), max_length=24)
    path = view_file(tmp_path / "made.jsonl", train, VIEWS)
    added = [{"sentence": "the film was splendid", "label": 0}, {"sentence": "a dreadful plot", "label": 0}]
    both = write_rows(tmp_path / "both.jsonl", [*rows, *added])
    for method in ("normal", "pgd"):
        folders = [
            script(f"{method}-extra", robust_method=method, extra_rows=[path]),
            script(f"{method}-both", robust_method=method, train_file=both),
            script(f"{method}-plain", robust_method=method),
        ]
        extra, whole, plain = (load_file(folder / "model.safetensors") for folder in folders)
        assert all(torch.equal(value, whole[name]) for name, value in extra.items())
        assert not all(torch.equal(value, plain[name]) for name, value in extra.items())
    card = load_run(folders[0]).card
    assert card["data"]["train_samples"] == 18 and list(card["data"]["extra_rows"].values()) == [2]
    assert [(view["view"], view["rows"]) for view in card["views"]] == [("pwws", 2)]
    runs = [load_run(folders[0]), load_run(folders[2])]
    assert differences(runs) == [] and len(group_by_seed(runs)) == 2
