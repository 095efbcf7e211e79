"""`hf-robust check` and the held-out protocol on a run of the script on the demo corpus; exit codes and errors."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import recorded_run, records

from hf_robust.cli.main import main
from hf_robust.lexicons import read_table
from hf_robust.reports.sanity import CHECKS
from run_glue_robust import main as train

SMALL = {
    "num_train_epochs": 1,
    "max_train_samples": 64,
    "max_seq_length": 32,
    "learning_rate": 1e-3,
    "use_cpu": True,
    "report_to": "none",
    "save_strategy": "no",
    "disable_tqdm": True,
    "attack_num_examples": 24,
    "pos_tagger": "none",
}


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lexicon") / "halves"
    assert main(["lexicon", "split", "builtin", "--output_dir", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def demo_run(halves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`safer` trained on one half of the builtin table and attacked with the other."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    tables = ["--lexicon", str(halves / "train.json"), "--attack_lexicon", str(halves / "held_out.json")]
    source = ["--model_name_or_path", "demo", "--dataset_name", "demo", "--do_train", "--do_eval"]
    flags = [f"--{name}={value}" for name, value in SMALL.items()]
    train([*source, *flags, *tables, "--robust_method", "safer", "--attacks", "synonym", "--output_dir", str(folder)])
    return folder


def checked(folder: Path, *flags: str) -> dict[str, dict[str, Any]]:
    """The findings by check, read back from --json; the exit code says whether there is a flag."""
    file = folder.parent / "findings.json"
    code = main(["check", str(folder), *flags, "--json", str(file)])
    stated = json.loads(file.read_text())
    findings = {finding["check"]: finding for finding in stated["checks"]}
    assert list(findings) == [check.__name__ for check in CHECKS]
    assert stated["flagged"] == sum(one["status"] == "flagged" for one in findings.values())
    assert code == int(stated["flagged"] > 0)
    return findings


@pytest.mark.slow
def test_the_held_out_protocol_keeps_the_tables_apart(halves: Path, demo_run: Path) -> None:
    card = json.loads((demo_run / "run_card.json").read_text())
    roles = {role: lexicon["fingerprint"] for role, lexicon in card["lexicons"].items()}
    assert set(roles) == {"synonyms", "attack_synonyms"} and roles["synonyms"] != roles["attack_synonyms"]
    assert card["attacks"]["synonym"]["candidates"]["lexicon"]["fingerprint"] == roles["attack_synonyms"]
    assert card["data"]["seen_in_training"] == 0
    assert checked(demo_run)["held_out_table"]["status"] == "ok"
    held_out = read_table(halves / "held_out.json")
    file = next((demo_run / "attack_results").rglob("synonym.jsonl"))
    changed = [change for line in file.read_text().splitlines() for change in json.loads(line)["changed"]]
    assert changed and all(new.lower() in held_out[old.lower()] for _, old, new in changed)


@pytest.mark.slow
def test_the_commands_that_a_check_gives_answer_it(
    demo_run: Path, halves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checked(demo_run)
    assert "# " in (printed := capsys.readouterr().out) and "- **flagged** clean accuracy" in printed
    assert before["clean_accuracy"]["status"] == "flagged"  # one epoch of 64 rows
    assert before["complete_run"]["status"] == "ok"
    for name in ("stronger_attacks", "gradient_masking"):
        assert before[name]["status"] == "not checked" and before[name]["commands"]
        for command in before[name]["commands"]:
            program, *arguments = shlex.split(command.replace("FILES_DIR", str(halves)))
            assert program == "hf-robust" and main(arguments) == 0
    after = checked(demo_run)
    for name in ("stronger_attacks", "gradient_masking"):
        assert after[name]["status"] in ("ok", "flagged") and after[name]["numbers"]
    assert all(one["num_examples"] == 24 for one in after["stronger_attacks"]["numbers"])
    assert after["complete_run"]["status"] == "ok"  # the further folders are whole too


def test_an_attack_folder_is_checked_too(demo_run: Path, tmp_path: Path) -> None:
    flags = ["--data", "demo", "--attacks", "synonym", "--attack_num_examples", "20", "--max_seq_length", "32"]
    assert main(["attack", str(demo_run), *flags, "--lexicon", "builtin", "--output_dir", str(tmp_path / "out")]) == 0
    found = checked(tmp_path / "out", "--baseline", str(demo_run), "--force")
    assert found["complete_run"]["status"] == "ok"
    assert found["sample_size"]["numbers"][0]["num_examples"] <= 20
    command = found["gradient_masking"]["commands"][0]
    _, *arguments = shlex.split(command.replace("MODEL_DIR", str(demo_run.parent)))
    assert "MODEL_DIR" in command and main(arguments) == 0
    assert checked(tmp_path / "out")["gradient_masking"]["status"] in ("ok", "flagged")


def test_nothing_flagged_is_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks = {"synonym": records("s" * 60 + "f" * 60, queries=[5, 9] * 60)}
    assert all(one["status"] != "flagged" for one in checked(recorded_run(tmp_path / "run", attacks)).values())
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"# {tmp_path / 'run'}: 0 of 16 checks flagged, 6 not checked"
    assert [line.split("**")[1] for line in printed if line.startswith("- **")].count("ok") == 10


def test_errors_are_one_line_and_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("sf")})
    other = recorded_run(tmp_path / "other", {"synonym": records("sf")}, data={"fingerprint": "f9"})
    (tmp_path / "empty").mkdir()
    for arguments, message in (
        ([tmp_path / "none"], "none is not a folder; give the output folder"),
        ([tmp_path / "empty"], "robustness_history.jsonl does not exist"),
        ([run, "--with", tmp_path / "none"], "none is not a folder"),
        ([run, "--baseline", other], "are not comparable: data fingerprint differs"),
    ):
        assert main(["check", *map(str, arguments)]) == 2
        error = capsys.readouterr().err
        assert error.startswith("hf-robust check: ") and message in error and error.count("\n") == 1


def test_split_writes_both_halves_or_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"good": ["fine", "nice"], "bad": ["poor"], "fine": ["good"]}))
    split = ["lexicon", "split", str(table), "--output_dir", str(tmp_path / "out"), "--seed", "3"]
    assert main(split) == 0
    assert "train.json: " in (printed := capsys.readouterr().out) and "held_out.json: " in printed
    parts = [read_table(tmp_path / "out" / f"{name}.json") for name in ("train", "held_out")]
    assert {(word, other) for part in parts for word, others in part.items() for other in others} == {
        ("good", "fine"), ("good", "nice"), ("bad", "poor"), ("fine", "good"),
    }  # fmt: skip
    table.write_text(json.dumps({"good": ["fine"]}))
    assert main([*split[:4], str(tmp_path / "nothing")]) == 2
    assert f"{table}: a table of 1 word cannot be divided" in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
