"""The command in a run card: no args file, no token, no folder of the machine, and the same meaning."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.reports.reproduction import reproduction
from hf_robust.runs import PLACEHOLDERS, SCRIPT_LENGTH, command_words, flags_of, max_length_of, redact_command
from hf_robust.wiring.parsing import parse_arguments

SCRIPT = "run_glue_robust.py"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def pasted(card: dict[str, Any], folder: Path) -> list[str]:
    """Words of the printed command, with the folder in place of its placeholder."""
    text = reproduction(card).command
    return shlex.split(PLACEHOLDERS.sub(str(folder), text))


@pytest.mark.parametrize(
    ("given", "noted"),
    [
        (["--train_file", "/data/x/train.jsonl"], ["--train_file", "DATA_DIR/train.jsonl"]),
        (["--train_file", "data/train.jsonl"], ["--train_file", "data/train.jsonl"]),
        (["--lexicon", "vectors:/data/glove.txt"], ["--lexicon", "vectors:FILES_DIR/glove.txt"]),
        (["--attacks", "synonym", "file:/a/b.jsonl"], ["--attacks", "synonym", "file:FILES_DIR/b.jsonl"]),
        (["--model_name_or_path=/m/bert"], ["--model_name_or_path=MODEL_DIR/bert"]),
        (["--output_dir", "/somewhere/out"], ["--output_dir", "out"]),
        (["--data", "../other/test.csv"], ["--data", "DATA_DIR/test.csv"]),
        (["--model_name_or_path", "C:\\Users\\me\\bert"], ["--model_name_or_path", "MODEL_DIR/bert"]),
        (["--learning_rate", "1e-5", "--seed", "-1"], ["--learning_rate", "1e-5", "--seed", "-1"]),
        (["--hub_token", "x", "--do_train"], ["--do_train"]),
    ],
)
def test_words(here: Path, given: list[str], noted: list[str]) -> None:
    assert redact_command([SCRIPT, *given]) == [SCRIPT, *noted]


def test_each_folder_has_a_name_of_its_own(here: Path) -> None:
    words = ["--train_file", "/a/x.jsonl", "--validation_file", "/b/x.jsonl", "--test_file", "/a/y.jsonl"]
    noted = redact_command([SCRIPT, *words])[2::2]
    assert noted == ["DATA_DIR/x.jsonl", "DATA_DIR_2/x.jsonl", "DATA_DIR/y.jsonl"]
    assert redact_command(["hf-robust", "attack", "/runs/mine", "--data", "/a/x.jsonl"]) == [
        "hf-robust", "attack", "MODEL_DIR/mine", "--data", "DATA_DIR/x.jsonl"
    ]  # fmt: skip


@pytest.mark.parametrize("program", ["-c", "/x/ipykernel_launcher.py", "/x/pytest/__main__.py", ""])
def test_no_command_is_known_where_code_ran_without_one(program: str) -> None:
    assert redact_command([program, "-f", "kernel.json"]) == [] and reproduction({"command": []}) == ("", "")


def test_the_flags_of_an_args_file_stand_in_its_place(here: Path) -> None:
    flags = {"_why": "a remark", "do_train": True, "use_cpu": False, "attacks": ["synonym", "antonym"], "seed": 3}
    flags |= {
        "learning_rate": 1e-5,
        "train_file": "/far/train.jsonl",
        "frozen_columns": None,
        "lora_target_modules": [],
    }
    (here / "args.json").write_text(json.dumps(flags))
    noted = redact_command([f"{here}/{SCRIPT}", "args.json", "--seed", "4"])
    assert noted == [
        SCRIPT, "--do_train", "true", "--use_cpu", "false", "--attacks", "synonym", "antonym",
        "--learning_rate", "1e-05", "--train_file", "DATA_DIR/train.jsonl", "--seed", "4",
    ]  # fmt: skip


def test_the_printed_command_is_parsed_as_what_was_given(here: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    flags = {
        "model_name_or_path": str(rows / "a model"), "train_file": str(rows / "train.jsonl"), "do_train": True,
        "validation_file": str(rows / "dev.jsonl"), "do_eval": True, "robust_method": "bat_triplet",
        "attacks": ["synonym", "antonym"], "bat_lambda": 0.5, "lexicon": str(rows / "table.json"), "seed": 9,
        "lr_scheduler_kwargs": {"num_cycles": 2}, "fp16": False, "class_names": ["no", "it is"],
        "resume_from_checkpoint": "/gone/checkpoint-4", "push_to_hub": True, "hub_model_id": "me/it",
        "report_to": ["tensorboard"], "output_dir": str(tmp_path / "out"),
    }  # fmt: skip
    (here / "args.json").write_text(json.dumps(flags))
    card = {"command": redact_command([SCRIPT, "args.json", "--bat_margin=0.25"])}
    assert reproduction(card).note.startswith("MODEL_DIR, DATA_DIR and FILES_DIR stand for folders")
    command, *words = pasted(card, rows)
    assert command == "run_glue_robust"
    kept = parse_arguments(words)
    meant = parse_arguments(["args.json", "--bat_margin=0.25"])
    assert (kept.model, kept.data, kept.attack, kept.certify) == (meant.model, meant.data, meant.attack, meant.certify)
    for name in ("bat_margin", "bat_lambda", "seed", "lr_scheduler_kwargs", "fp16", "robust_method", "do_eval"):
        assert getattr(kept.training, name) == getattr(meant.training, name), name
    assert kept.training.resume_from_checkpoint is None and not kept.training.push_to_hub
    assert kept.training.output_dir == "out" and str(tmp_path) not in str(card)


@pytest.mark.parametrize("program", ["run_glue_robust", "run_glue_robust.py"], ids=["new", "old"])
def test_the_printed_command_needs_no_checkout(program: str, here: Path) -> None:
    card: dict[str, Any] = {"command": [program, "--do_train"]}
    assert reproduction(card) == ("run_glue_robust --do_train", "")
    card["hardware"] = {"processes": 2}
    assert reproduction(card).command == "torchrun --nproc_per_node=2 -m run_glue_robust --do_train"
    assert max_length_of(card) == SCRIPT_LENGTH
    own = {"command": ["mine.py", "--do_train"]}
    assert reproduction(own).command == "python mine.py --do_train"
    assert (
        reproduction({**own, "hardware": {"processes": 2}}).command == "torchrun --nproc_per_node=2 mine.py --do_train"
    )


def test_notes_on_commands_that_cannot_be_pasted(here: Path) -> None:
    old = reproduction({"command": [SCRIPT, "_arguments.json"]})
    assert old == ("", "The flags of this run were in the file `_arguments.json`, which the run card does not hold.")
    assert "not part of hf_robust" in reproduction({"command": ["mine.py"]}).note


NAMES = st.sampled_from(["alpha", "beta", "gamma_rate"])
VALUES = st.one_of(
    st.integers(-99, 99),
    st.floats(-1, 1),
    st.text("ab -'\"$", min_size=1, max_size=6).filter(lambda text: not text.startswith("--")),
)


@given(st.dictionaries(NAMES, st.one_of(VALUES, st.lists(VALUES.map(str).filter(lambda t: t[0] != "-"), min_size=2))))
def test_flags_survive_being_written_out_and_quoted(flags: dict[str, Any]) -> None:
    words = shlex.split(shlex.join(command_words(flags)))
    written = {
        name: [str(one) for one in value] if isinstance(value, list) else str(value) for name, value in flags.items()
    }
    assert flags_of(words) == written
