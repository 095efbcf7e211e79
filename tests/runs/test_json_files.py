"""JSON files are written atomically, broken files are named, and old measurements in a reused folder are removed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model, build_tokenizer, review_rows

from hf_robust.runs import (
    METRICS_FILE,
    finite,
    is_torn,
    load_run,
    read_card,
    read_history,
    read_json,
    read_json_lines,
    write_json,
    write_json_lines,
    write_text,
)
from run_glue_robust import main as train

ATTACK = ["--attacks", "synonym", "--lexicon", "builtin", "--pos_tagger", "none"]
PICTURES = ("tradeoff_curves.png", "tradeoff_curves.svg")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, its data and a training of two epochs (two steps each) that was attacked."""
    place = tmp_path_factory.mktemp("again")
    build_model(dropout=0.1).save_pretrained(place / "start")
    build_tokenizer().save_pretrained(place / "start")
    (place / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(16)))
    run_script(place, place / "run", "--num_train_epochs", "2", *ATTACK)
    return place


@pytest.fixture
def run(place: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place / "run", tmp_path / "run"))


def run_script(place: Path, out: Path, *more: str, model: Path | None = None, trains: bool = True) -> None:
    files = [word for split in ("train", "validation") for word in (f"--{split}_file", str(place / "reviews.jsonl"))]
    flags = ["--max_seq_length", "32", "--use_cpu", "--report_to", "none", "--save_strategy", "epoch", "--do_eval"]
    flags += ["--model_name_or_path", str(model or place / "start"), "--output_dir", str(out)]
    train([*files, *flags, *(["--do_train"] if trains else []), *more])


def attack_metrics(folder: Path) -> list[str]:
    return [name for name in read_json(folder / METRICS_FILE) if "synonym" in name]


@pytest.mark.slow
def test_going_on_from_a_checkpoint_forgets_what_was_measured_after_it(place: Path, run: Path) -> None:
    first, _ = read_history(run)
    (checkpoint, _) = sorted(run.glob("checkpoint-*"))
    assert attack_metrics(run)
    on = ["--resume_from_checkpoint", str(checkpoint), "--learning_rate", "0.1", "--num_train_epochs", "2"]
    run_script(place, run, *on)
    assert read_history(run) == [first] and not attack_metrics(run)
    assert [path.name for path in (run / "attack_results").iterdir()] == ["epoch-1"]
    assert not load_run(run).measured_exactly  # of the last weights nothing is known


def test_a_new_training_without_attacks_leaves_no_rate_and_no_picture_of_the_last(place: Path, run: Path) -> None:
    assert attack_metrics(run) and all((run / name).is_file() for name in PICTURES)
    run_script(place, run, "--num_train_epochs", "1")
    assert read_json(run / METRICS_FILE)["eval_samples"] == 16 and not attack_metrics(run)
    assert not any((run / name).exists() for name in (*PICTURES, "robustness_history.jsonl", "attack_results"))


def test_a_broken_history_ends_a_run_that_would_go_on_with_it_before_it_trains(place: Path, run: Path) -> None:
    lines = (run / "robustness_history.jsonl").read_text().splitlines(keepends=True)
    (run / "robustness_history.jsonl").write_text(f'{{"epoch": 1.0, "st\n{lines[1]}')
    card = read_card(run)
    on = ["--resume_from_checkpoint", str(run / "checkpoint-2"), "--num_train_epochs", "2"]
    with pytest.raises(ValueError, match="robustness_history.jsonl, line 1: not JSON"):
        run_script(place, run, *on, *ATTACK)
    assert read_card(run) == card


def test_what_was_trained_is_saved_where_the_history_cannot_be_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("hf_robust.runs.history.write_json_lines", full)
    with pytest.raises(OSError, match="No space left"):
        run_script(place, tmp_path, "--num_train_epochs", "2", *ATTACK)
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]


def test_an_evaluation_in_the_folder_of_a_training_leaves_its_model_card(
    place: Path, run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = (run / "README.md").read_text()
    assert "learning_rate: 5e-05" in card and "num_epochs: 2" in card
    run_script(place, run, "--learning_rate", "0.1", "--num_train_epochs", "7", model=run, trains=False)
    assert (run / "README.md").read_text() == card
    assert "belongs to a training run, and this run trained nothing: the file stays unchanged." in caplog.text


def test_a_model_has_no_twin_of_an_earlier_run_beside_it(place: Path, run: Path) -> None:
    build_model(seed=5).save_pretrained(run / "_twin")
    run_script(place, run, "--num_train_epochs", "1")
    assert (run / "model.safetensors").is_file() and not (run / "_twin").exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), VALUES, max_size=4)


def same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(value=OBJECTS)
def test_what_is_written_is_read_with_null_for_what_is_no_number(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("json") / "deep" / "value.json"
    write_json(path, value)
    assert same(read_json(path), finite(value))
    write_json_lines(path, [value, value])
    assert all(same(line, finite(value)) for line in read_json_lines(path)) and not is_torn(path)
    assert [file.name for file in path.parent.iterdir()] == ["value.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half a surrogate: \ud800")
    assert path.read_text() == "old" and [file.name for file in tmp_path.iterdir()] == ["card.json"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"method": "safer", "da', "card.json is not JSON"),
        (b"\xff\xfe\x00", "card.json is not UTF-8 text"),
        (b"[1, 2]", "card.json must hold an object, got list"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "card.json").write_bytes(content)
    with pytest.raises(ValueError, match=says):
        read_json(tmp_path / "card.json")


def test_an_absent_file_is_an_empty_object(tmp_path: Path) -> None:
    assert read_json(tmp_path / "none.json") == {}


def test_every_cut_of_a_file_of_lines_reads_as_its_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    write_json_lines(path, [{"a": 1, "text": "é \u2028 x"}, {"b": math.nan}, {"c": 3}])
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        # A line whose last character was written is whole, with its line break or without.
        assert len(read_json_lines(path, warn=False)) == sum(end <= cut for end in ends)
