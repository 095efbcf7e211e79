"""A saved model is measured at the text length of its training, and run cards and reports name this length."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny import SYNONYMS, review_rows
from transformers import BertConfig, CamembertConfig, RobertaConfig

from hf_robust.cli.main import main
from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.length import usable_length
from hf_robust.runs import RUN_CARD_FILE, SCRIPT_LENGTH, load_run, read_card, write_card, write_json
from hf_robust.wiring import restored
from hf_robust.wiring.restored import text_length
from run_glue_robust import main as train

LENGTH = 7
"""Tokens, of reviews that have a few more."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rows")
    made = {name: review_rows(24, seed) for seed, name in enumerate(("train", "dev"))}
    for name, texts in made.items():
        (folder / f"{name}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in texts))
    (folder / "s.json").write_text(json.dumps(SYNONYMS))
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def trained(rows: dict[str, str], model_folder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "out"
    flags = ["--max_seq_length", str(LENGTH), "--save_strategy", "epoch", "--num_train_epochs", "1", "--use_cpu"]
    files = ["--train_file", rows["train"], "--validation_file", rows["dev"], "--class_names", "bad", "good"]
    attack = ["--attacks", "synonym", "--lexicon", rows["s"], "--pos_tagger", "none"]
    model = ["--model_name_or_path", str(model_folder()), "--output_dir", str(out), "--do_train", "--do_eval"]
    train([*model, *files, *flags, *attack, "--pad_to_max_length", "False", "--report_to", "none"])
    return out


def measure(what: str, model: Path, rows: dict[str, str], out: Path, *more: str) -> None:
    flags = ["--data", rows["dev"], "--lexicon", rows["s"], "--output_dir", str(out), "--class_names", "bad", "good"]
    attack = ["--attacks", "synonym", "--pos_tagger", "none"] if what == "attack" else ["--votes", "100"]
    assert main([what, str(model), *flags, *attack, *more]) == 0


def test_the_run_card_counts_the_texts_that_were_cut(trained: Path, rows: dict[str, str], tokenizer: Any) -> None:
    data = read_card(trained)["data"]
    for name, key in (("train", "train_cut"), ("dev", "eval_cut")):
        texts = [json.loads(line)["sentence"] for line in Path(rows[name]).read_text().splitlines()]
        cut = sum(len(tokenizer(text)["input_ids"]) > LENGTH for text in texts)
        assert data[key] == cut and 0 < cut < len(texts)
    assert data["max_length"] == LENGTH
    # Of some texts the full stop alone is cut off, and no word.
    assert 0 < load_run(trained).published["attacks"]["synonym"]["texts_cut"] <= data["eval_cut"] / 24


@pytest.fixture(autouse=True)
def say_again() -> None:
    restored._warn_once.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["attack", "certify"])
def test_a_command_reads_as_much_as_training_did(
    what: str, trained: Path, rows: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (checkpoint,) = trained.glob("checkpoint-*")
    for model in (trained, checkpoint):
        out = tmp_path / model.name
        measure(what, model, rows, out)
        card = read_card(out)
        assert card["data"]["max_length"] == LENGTH
        assert card["data"]["eval_cut"] == read_card(trained)["data"]["eval_cut"]
    assert "trained on texts cut" not in caplog.text
    assert load_run(tmp_path / "out").published["accuracy" if what == "attack" else "certified"]
    measure(what, trained, rows, tmp_path / "longer", "--max_seq_length", "24")
    said = f"{trained} was trained on texts cut at {LENGTH} tokens and is measured on texts cut at 24"
    assert caplog.text.count(said) == 1
    assert read_card(tmp_path / "longer")["data"]["max_length"] == 24


def test_the_rates_are_those_of_training(trained: Path, rows: dict[str, str], tmp_path: Path) -> None:
    measure("attack", trained, rows, tmp_path / "same")
    measure("attack", trained, rows, tmp_path / "longer", "--max_seq_length", "24")
    first, same, longer = (
        load_run(one).published["attacks"]["synonym"] for one in (trained, tmp_path / "same", tmp_path / "longer")
    )
    keys = ("asr", "accuracy", "queries", "texts_cut", "num_attacked")
    assert [first[key] for key in keys] == [same[key] for key in keys]
    assert first["texts_cut"] > 0.2 and longer["texts_cut"] == 0


@pytest.mark.slow
def test_reports_refuse_other_lengths_and_check_flags_them(
    trained: Path, rows: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure("attack", trained, rows, tmp_path / "longer", "--max_seq_length", "24")
    measure("attack", trained, rows, tmp_path / "same")
    assert main(["report", str(tmp_path / "longer"), str(tmp_path / "same")]) == 2
    assert f"texts were cut at 24 and at {LENGTH} tokens" in capsys.readouterr().err

    def checked(folder: Path) -> dict[str, Any]:
        main(["check", str(folder), "--json", str(tmp_path / "check.json")])
        checks = json.loads((tmp_path / "check.json").read_text())["checks"]
        return {one["check"]: one for one in checks}["cut_texts"]

    for folder in (trained, tmp_path / "same"):
        found = checked(folder)
        assert found["status"] == "flagged" and "% of 24 texts were cut; its rates describe only" in found["flags"][0]
    assert any(f"--max_seq_length {2 * LENGTH}" in command for command in checked(trained)["commands"])
    capsys.readouterr()
    run = shutil.copytree(trained, tmp_path / "run")
    measure("attack", run, rows, run, "--max_seq_length", "24")
    main(["check", str(run)])
    assert f"attack-1 cut texts at 24 tokens, and {run} at {LENGTH}; give one" in capsys.readouterr().out
    assert main(["check", str(trained), "--with", str(tmp_path / "longer")]) == 2
    # A card keeps no folder of the machine: as a user fills it in.
    (card := read_card(run / "measured" / "attack-1"))["model"] = str(run)
    write_json(run / "measured" / "attack-1" / RUN_CARD_FILE, card)
    assert checked(run / "measured" / "attack-1")["flags"] == [
        f"texts were cut at 24 tokens in the attacks and at {LENGTH} tokens in training."
    ]


# ---- where the length comes from ----


def reader(most: float = 1e30) -> Any:
    return SimpleNamespace(model_max_length=most)


def test_as_asked_else_as_trained_else_as_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    name, config = str(tmp_path), BertConfig(max_position_embeddings=512)
    assert text_length(None, name, reader(), config) == 512
    write_card(tmp_path, {"data": {"max_length": 48}})
    assert text_length(None, name, reader(), config) == 48
    assert text_length(48, name, reader(), config) == 48 and not caplog.records
    assert text_length(1000, name, reader(64), config) == 64
    assert "reads at most 64 tokens, so texts are cut at 64 tokens, not at 1000." in caplog.text
    with pytest.raises(ValueError, match="--max_seq_length must be at least 1, got 0"):
        text_length(0, name, reader(), config)
    (tmp_path / RUN_CARD_FILE).unlink()
    with pytest.raises(ValueError, match="neither a run card of .* nor its tokenizer says .*: give --max_seq_len"):
        text_length(None, name, reader(), SimpleNamespace())
    assert text_length(7, name, reader(), SimpleNamespace()) == 7


def test_a_folder_below_another_measurement_is_not_of_its_training(tmp_path: Path) -> None:
    write_card(tmp_path, {"data": {"max_length": 48}})
    (tmp_path / "model").mkdir()
    assert text_length(None, str(tmp_path / "model"), reader(64), BertConfig()) == 64
    write_card(tmp_path, {"data": {"max_length": 48}, "final_step": 3})
    assert text_length(None, str(tmp_path / "model"), reader(64), BertConfig()) == 48


@pytest.mark.parametrize(
    ("tokenizer", "config", "length"),
    [
        (reader(64), BertConfig(max_position_embeddings=128), 64),
        (reader(512), BertConfig(max_position_embeddings=128), 128),
        (reader(), RobertaConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (reader(), CamembertConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (reader(512), RobertaConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (reader(), SimpleNamespace(), None),
    ],
)
def test_tokenizer_and_model_both_bound_what_is_read(tokenizer: Any, config: Any, length: int | None) -> None:
    assert usable_length(tokenizer, config) == length


def test_the_scripts_default_is_the_one_that_older_cards_mean() -> None:
    assert DataTrainingArguments(task_name="sst2").max_seq_length == SCRIPT_LENGTH
