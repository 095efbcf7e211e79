"""No path of the machine and no secret is published."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_robust.runs import redact, redact_command

TOKEN = "hf_" + "aB3" * 11


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_inside_the_working_folder_become_relative(here: Path) -> None:
    assert redact(str(here / "out" / "run")) == "out/run"
    assert redact_command([str(here / "run_glue_robust.py"), f"--output_dir={here}/out"]) == [
        "run_glue_robust.py",
        "--output_dir=out",
    ]


@pytest.mark.parametrize(
    ("given", "published"),
    [
        ("/home/someone/data/table.json", "table.json"),
        ("vectors:/home/someone/glove.txt", "vectors:glove.txt"),
        (
            "train: /home/someone/train.jsonl (9 rows); test: /srv/test.csv",
            "train: train.jsonl (9 rows); test: test.csv",
        ),
        ("C:\\Users\\someone\\table.json", "table.json"),
        ("https://huggingface.co/org/model", "https://huggingface.co/org/model"),
        ("org/model", "org/model"),
        ("../data/x.json", "../data/x.json"),
        ("and/or", "and/or"),
        ("hf_robust", "hf_robust"),
        (f"token {TOKEN}", "token <removed>"),
    ],
)
def test_texts(here: Path, given: str, published: str) -> None:
    assert redact(given) == published


def test_values_of_any_depth() -> None:
    assert redact({"a": ["/x/y/z", 3, None, {"b": TOKEN}]}) == {"a": ["z", 3, None, {"b": "<removed>"}]}


@pytest.mark.parametrize(
    ("command", "published"),
    [
        (["r.py", "--hub_token", "hf_x", "--do_train"], ["r.py", "--do_train"]),
        (["r.py", "--token=secret", "x"], ["r.py", "x"]),
        (["r.py", "--token", "--do_train"], ["r.py", "--do_train"]),
        (["r.py", "--attack_token_budget", "5"], ["r.py", "--attack_token_budget", "5"]),
        (["r.py", "--attacks", "synonym", "antonym"], ["r.py", "--attacks", "synonym", "antonym"]),
        (["r.py", TOKEN], ["r.py", "<removed>"]),
    ],
)
def test_commands(command: list[str], published: list[str]) -> None:
    assert redact_command(command) == published
