"""Experiments whose runs are those of `hf-robust reproduce`: their settings, and taking finished runs over."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study import reproduced, run
from benchmarks.study.experiment import TextExperiment
from benchmarks.study.measures import MEASURES
from benchmarks.study.paired import accuracy_of
from benchmarks.study.paper_runs import PAPER, paper_runs, spec_of
from benchmarks.study.titles import TITLES
from hf_robust.metrics import AttackRecord
from hf_robust.reproduce.item import read_item
from hf_robust.reproduce.plan import Plan
from hf_robust.reproduce.results import Results
from hf_robust.reproduce.scale import scales
from hf_robust.runs import STATUSES_FILE, load_run, read_json, write_history_line, write_json, write_records
from hf_robust.sweep.runs import folder_of
from hf_robust.trainers import METHODS

FILES = [
    path
    for path in sorted((run.ROOT / "benchmarks" / "experiments").glob("*.json"))
    if PAPER in json.loads(path.read_text())
]
SPEC = {
    "larger_class": 0.509,
    "paper": {
        "name": "taichi", "items": ["table4", "figure5"], "scale": "tiny", "data": "sst2", "model": "bert",
        "names": {"base_adv": "twin", "linear_average": ["average_0", "average_25", "b", "c", "d"]},
    },
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_name_items_settings_and_measures_that_exist(path: Path) -> None:
    spec = spec_of(path)
    runs = list(paper_runs(spec[PAPER]))
    assert {one.name for one in runs} == set(spec["settings"]) == set(spec["methods"]) and "normal" in spec["methods"]
    assert len({(one.name, one.seed) for one in runs}) == len({one.point.key for one in runs})  # one name for each run
    assert {flags["robust_method"] for flags in spec["settings"].values()} <= set(METHODS)
    assert path.stem in TITLES and 0 < spec["larger_class"] < 1
    assert set(spec.get("measures", ())) <= set(MEASURES)
    assert spec["args"]["train_file"].startswith("{data}/") and spec["args"]["model_name_or_path"]


def write_file(folder: Path) -> Path:
    path = folder / "text_sst2_made.json"
    path.write_text(json.dumps(SPEC))
    return path


def test_settings_have_the_names_of_the_study_and_their_own_flags_alone(tmp_path: Path) -> None:
    settings = spec_of(write_file(tmp_path))["settings"]
    assert list(settings) == ["normal", "twin", "base_adv_soft", "average_0", "average_25", "b", "c", "d"]
    assert settings["normal"] == {"robust_method": "normal"}
    assert settings["average_25"]["taichi_lambda"] == 0.25 and "learning_rate" not in settings["average_25"]


def test_two_runs_of_one_name_are_refused() -> None:
    """Tables 4 and 7 train `normal` beside other attacks, so that their runs differ."""
    with pytest.raises(ValueError, match="table7 has another run that is called normal: name fewer items"):
        list(paper_runs({**SPEC["paper"], "items": ["table4", "table7"]}))  # type: ignore[dict-item]


def test_data_that_the_scale_leaves_out_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "text_qnli_made.json"
    paper = {"name": "adaptat", "items": ["table2"], "scale": "tiny", "data": "qnli", "model": "bert"}
    path.write_text(json.dumps({"larger_class": 0.5, "paper": paper}))
    with pytest.raises(ValueError, match="no run at scale tiny is of qnli and bert: name data that the scale keeps"):
        spec_of(path)


def finish(runs: Path, name: str, accuracy: float, instead: str | None = None) -> None:
    """The files of the first seed of a setting, as the sweep leaves them."""
    one = next(one for one in paper_runs(SPEC["paper"], instead) if one.name == name)  # type: ignore[arg-type]
    folder = folder_of(runs, one.point)
    folder.mkdir(parents=True)
    contents: dict[str, Any] = {
        "_arguments.json": one.point.flags,
        "run_card.json": {"method": "x", "final_step": 3, "data": {"eval_samples": 100}},
        "all_results.json": {"eval_accuracy": accuracy, "epoch": 3},
    }
    for file, content in contents.items():
        (folder / file).write_text(json.dumps(content))
    (folder / "model.safetensors").write_text("weights")


def test_finished_runs_are_taken_over_once_and_without_their_weights(tmp_path: Path) -> None:
    file, runs, results = write_file(tmp_path), tmp_path / "runs", tmp_path / "results"
    finish(runs, "normal", 0.8)
    lines = list(reproduced.take_over(file, runs, results=results))
    assert lines[0] == "text_sst2_made/normal-seed1" and len(lines) == 3 * 8
    assert [line for line in lines if not line.startswith("not finished: ")] == lines[:1]
    kept = results / "text_sst2_made" / "normal-seed1"
    assert {path.name for path in kept.iterdir()} == {"run_card.json", "all_results.json", STATUSES_FILE}
    assert accuracy_of(kept) == 0.8 and json.loads((kept / STATUSES_FILE).read_text()) == {}
    assert TextExperiment(file, results / "text_sst2_made").methods == ["normal"]
    (kept / "run_card.json").write_text("of before")
    list(reproduced.take_over(file, runs, results=results))
    assert (kept / "run_card.json").read_text() == "of before"


def record(idx: int, letter: str) -> AttackRecord:
    """Record of an attack with an outcome: succeeded, failed, or skipped."""
    status = {"s": "succeeded", "f": "failed", "-": "skipped"}[letter]
    return AttackRecord(idx, 1, status, ["a"], ["b"], [], 5, int(letter != "-"), int(letter == "f"), 0.9, 0.2, "x", 3)


@pytest.mark.parametrize(("best", "accuracy", "letters"), [(100, 0.8, "ff-"), (None, 0.81, "sf-")])
def test_a_run_counts_by_the_epoch_whose_weights_it_kept(
    best: int | None, accuracy: float, letters: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for epoch, found in ((1, "ff-"), (2, "sf-")):
        rates = {"asr": found.count("s") / 2, "num_examples": 3, "num_attacked": 2}
        line = {"epoch": float(epoch), "step": 100 * epoch, "accuracy": 0.79 + 0.01 * epoch}
        write_history_line(folder, {**line, "attacks": {"synonym": rates}})
        write_records(folder / "attack_results" / f"epoch-{epoch}" / "synonym.jsonl", map(record, range(3), found))
    write_json(folder / "_arguments.json", {"attacks": ["synonym"]})
    write_json(folder / "run_card.json", {"load_best_model_at_end": best is not None, "best_step": best})
    reproduced.keep(folder, kept := tmp_path / "kept")
    assert accuracy_of(kept) == pytest.approx(accuracy)
    assert read_json(kept / STATUSES_FILE) == {"synonym": {str(idx): letter for idx, letter in enumerate(letters)}}
    write_json(folder / "run_card.json", {"load_best_model_at_end": True, "best_step": 150})
    with pytest.raises(ValueError, match="kept the weights of step 150, at which it was not measured"):
        reproduced.keep(folder, tmp_path / "other")
    assert letters.count("s") / 2 == load_run(kept).published["attacks"]["synonym"]["asr"]


def test_kept_runs_are_finished_again_on_another_machine(tmp_path: Path) -> None:
    file, runs, results = write_file(tmp_path), tmp_path / "runs", tmp_path / "results"
    finish(runs, "twin", 0.4)
    list(reproduced.take_over(file, runs, results=results))
    other = tmp_path / "other"
    (line,) = reproduced.give_back(file, other, results=results)
    assert line.endswith("from text_sst2_made/twin-seed1")
    plan = Plan(read_item("taichi", "table4"), scales()["tiny"], Path("data"))
    ((cell, run_given_back),) = Results(plan, other).runs.items()
    assert (cell.setting, cell.seed, accuracy_of(run_given_back.path)) == ("base_adv", 1, 0.4)
    assert list(reproduced.give_back(file, other, results=results)) == []


def test_runs_of_another_copy_of_the_model_are_found_by_it(tmp_path: Path) -> None:
    file, runs, results = write_file(tmp_path), tmp_path / "runs", tmp_path / "results"
    finish(runs, "twin", 0.4, "models/copy")
    found = list(reproduced.take_over(file, runs, results=results))
    assert all(line.startswith("not finished") for line in found)
    found = list(reproduced.take_over(file, runs, "models/copy", results))
    assert "text_sst2_made/twin-seed1" in found


def test_each_kind_of_file_is_run_by_its_own_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_file(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run", str(file), "--data", str(tmp_path)])
    monkeypatch.setattr(run, "commit", lambda: None)
    run.main()
    assert "is left out; run it by hf-robust reproduce and benchmarks.study.reproduced" in capsys.readouterr().out
    file.write_text(json.dumps({"settings": {}}))
    monkeypatch.setattr(sys, "argv", ["reproduced", str(file), "--runs", str(tmp_path)])
    with pytest.raises(SystemExit):
        reproduced.main()
    assert 'has no "paper": run it by benchmarks.study.run.' in capsys.readouterr().err
