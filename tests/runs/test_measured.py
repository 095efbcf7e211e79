"""Measurements by commands have their own folders and change no file of the run."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from tiny import ANTONYMS, SYNONYMS, build_model, build_tokenizer, review_rows

from hf_robust.cli.main import main
from hf_robust.runs import JOURNAL_FOLDER, MEASURED_FOLDER, claim_folder, load_run, read_card, read_history
from run_glue_robust import main as train


def contents(folder: Path) -> dict[str, str]:
    """Every file of a run by its content, without what measurements add."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    kept = [path for path in files if not {MEASURED_FOLDER, JOURNAL_FOLDER} & set(path.relative_to(folder).parts)]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data, the tables and a training of two epochs that was attacked and certified."""
    place = tmp_path_factory.mktemp("trained")
    build_model(dropout=0.1).save_pretrained(place / "start")
    build_tokenizer().save_pretrained(place / "start")
    (place / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(24)))
    (place / "synonyms.json").write_text(json.dumps(SYNONYMS))
    (place / "antonyms.json").write_text(json.dumps(ANTONYMS))
    files = ["--train_file", str(place / "reviews.jsonl"), "--validation_file", str(place / "reviews.jsonl")]
    names = ["--class_names", "negative", "positive", "--max_seq_length", "32", "--use_cpu", "--num_train_epochs", "2"]
    measured = ["--attacks", "synonym", "--certify", "end", "--certify_votes", "20", "--pos_tagger", "none"]
    table = ["--lexicon", str(place / "synonyms.json")]
    to = ["--output_dir", str(place / "run"), "--report_to", "none", "--do_train", "--do_eval"]
    train(["--model_name_or_path", str(place / "start"), *files, *names, *measured, *table, *to])
    return place


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained / "run", tmp_path / "run"))


def command(trained: Path, name: str, run: Path, *more: str) -> int:
    given = ["--data", str(trained / "reviews.jsonl"), "--lexicon", str(trained / "synonyms.json"), "--pos_tagger"]
    return main([name, str(run), *given, "none", *more])


@pytest.mark.slow
def test_attack_and_certify_into_a_run_write_below_it(
    trained: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, lines = contents(run), len(read_history(run))
    assert lines == 2 and {"config", "training", "seconds", "hardware", "trained_on"} <= set(read_card(run))
    assert command(trained, "attack", run, "--attacks", "synonym", "--output_dir", str(run)) == 0
    assert command(trained, "attack", run, "--attacks", "deepwordbug", "--attack_fixed", "True") in (0, 2)
    assert command(trained, "certify", run, "--votes", "20", "--num_examples", "4", "--output_dir", str(run)) == 0
    assert contents(run) == before
    assert f"Results of every example are in {run / 'measured' / 'attack-1'}." in capsys.readouterr().out
    attacked = load_run(run / "measured" / "attack-1")
    assert list(attacked.published["attacks"]) == ["synonym"] and attacked.method == "normal"
    assert "certified" in read_history(run / "measured" / "certify-1")[0]


def test_a_second_measurement_of_a_folder_leaves_the_first(trained: Path, run: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    assert command(trained, "attack", run, "--attacks", "synonym", "--output_dir", out) == 0
    before = contents(tmp_path / "out")
    for number in (1, 2):
        assert command(trained, "attack", run, "--attacks", "synonym", "--output_dir", out) == 0
        assert load_run(tmp_path / "out" / "measured" / f"attack-{number}").published["attacks"]
    assert contents(tmp_path / "out") == before


def test_interpretation_of_a_run_into_its_folder_writes_below_it(trained: Path, run: Path) -> None:
    before = contents(run)
    records = next((run / "attack_results").glob("epoch-*/synonym.jsonl"))
    given = ["--pairs", str(records), "--output_dir", str(run)]
    for _ in range(2):
        assert main(["interpret", "pairs", "--model", str(run), "--status", "failed", "succeeded", *given]) in (0, 2)
    baseline = ["--baseline", str(records), "--new", str(records)]
    assert main(["interpret", "errors", *baseline, "--output_dir", str(run)]) == 0
    assert contents(run) == before and (run / "measured" / "interpret-errors-1" / "errors.json").is_file()


def test_averages_of_a_run_lie_below_it(trained: Path, run: Path) -> None:
    shutil.copytree(run, run / "_twin")
    before = contents(run)
    more = ["--attacks", "synonym", "--lambdas", "0.5", "--attack_num_examples", "4"]
    assert command(trained, "average", run, *more, "--output_dir", str(run)) == 0
    assert contents(run) == before
    average = run / "measured" / "average-1"
    assert (average / "linear_average.json").is_file() and load_run(average / "lambda-0.5").published["attacks"]


def test_a_killed_measurement_leaves_its_journal_alone(trained: Path, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert (
        command(trained, "attack", run, "--attacks", "synonym", "--replay", "nowhere", "--output_dir", str(out)) == 2
    )
    assert not out.exists() or not any(out.iterdir())


def test_folders_are_claimed_in_order_and_never_twice(tmp_path: Path) -> None:
    assert claim_folder("attack", tmp_path / "new") == tmp_path / "new"
    (tmp_path / "new" / "run_card.json").write_text("{}")
    assert [claim_folder("attack", tmp_path / "new").name for _ in range(3)] == ["attack-1", "attack-2", "attack-3"]
    assert claim_folder("certify", tmp_path / "new").name == "certify-1"
    (tmp_path / "new" / "measured" / "attack-x").mkdir()
    (tmp_path / "new" / "measured" / "attack-12").mkdir()
    assert claim_folder("attack", tmp_path / "new").name == "attack-13"


@pytest.mark.parametrize("command", ["attack", "certify", "average", "interpret words"])
def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_loaded(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    given = ["--model", "gone", "--pairs", "gone"] if "interpret" in command else ["gone", "--data", "gone.jsonl"]
    assert main([*command.split(), *given, "--output_dir", str(tmp_path / "file" / "out")]) == 2
    assert "file/out cannot be written to (Not a directory): choose another folder." in capsys.readouterr().err
