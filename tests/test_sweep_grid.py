"""`hf-robust sweep` over a grid: its runs, its files, and how it continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sweep_parts import ARGS, Stage

from hf_robust.cli.main import main
from hf_robust.runs import read_history
from hf_robust.sweep.output import opened_output
from hf_robust.sweep.runs import find_script, newest_checkpoint

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_each_point_is_run_once_and_the_table_has_means_over_seeds(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = {"learning_rate": [1e-3, 3e-3], "seed": [1, 3]}
    args = {**ARGS, "attacks": ["synonym"], "lexicon": "builtin"}
    assert stage.sweep(args=args, grid=grid) == 0
    assert stage.names() == [f"learning_rate{rate}-seed{seed}" for rate in (0.001, 0.003) for seed in (1, 3)]
    printed = capsys.readouterr().out
    assert printed.startswith("4 of 4 runs to do\n")
    assert "eval_accuracy 0.899  eval_synonym_asr 0.4495 (" in printed
    assert "| 0.001 | 2 | 89.8 ± 0.1 | 44.9 ± 0.1 |" in printed
    assert "N for clean accuracy: 200. Attacked of N = 100: synonym " in printed
    first, second = stage.result()["settings"]
    assert first["flags"] == {"learning_rate": 0.001} and first["seeds"] == [1, 3]
    assert second["metrics"]["eval_accuracy"] == {
        "mean": pytest.approx(0.698),
        "spread": pytest.approx(0.002 / 2**0.5),
        "n": 2,
    }
    assert stage.result()["figures"] == ["by_learning_rate.png", "by_learning_rate.svg", "front.png", "front.svg"]
    assert "![by_learning_rate](by_learning_rate.png)" in (stage.output / "sweep.md").read_text()
    assert (stage.output / "by_learning_rate.png").stat().st_size > 10_000
    assert stage.sweep() == 0 and len(stage.names()) == 4
    assert capsys.readouterr().out.startswith("0 of 4 runs to do\n")


def test_a_single_seed_has_wilson_intervals_and_two_objectives_a_front(stage: Stage) -> None:
    args = {**ARGS, "attacks": ["synonym"]}
    objectives = {"eval_accuracy": "maximize", "eval_synonym_asr": "minimize"}
    assert stage.sweep(args=args, grid={"learning_rate": [1e-3, 3e-3], "seed": [1]}, objectives=objectives) == 0
    first, second = stage.result()["settings"]
    accuracy = first["metrics"]["eval_accuracy"]
    assert accuracy["low"] < accuracy["mean"] < accuracy["high"] and first["front"] and second["front"]
    assert "front.svg" in stage.result()["figures"]
    table = (stage.output / "sweep.md").read_text()
    assert "| 89.9 [" in table and "| ✓ |" in table and "best in clean accuracy ↑: learning_rate 0.001." in table


def test_new_points_are_added_and_old_ones_are_kept_out_of_the_table(stage: Stage) -> None:
    assert stage.sweep(grid={"learning_rate": [1e-3, 2e-3]}) == 0
    assert stage.sweep(grid={"learning_rate": [3e-3, 2e-3], "seed": [42]}) == 0
    assert stage.names()[2:] == ["learning_rate0.003-seed42", "learning_rate0.002-seed42"]
    assert stage.sweep(grid={"learning_rate": [3e-3, 1e-3]}) == 0
    assert stage.names()[4:] == ["learning_rate0.003"]
    assert [one["flags"]["learning_rate"] for one in stage.result()["settings"]] == [0.003, 0.001]
    assert len(list((stage.output / "runs").iterdir())) == 5


def test_arguments_of_a_run_are_the_file_s_and_its_folder(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text(
        json.dumps({**ARGS, "output_dir": "elsewhere", "weight_decay": 0.1, "_why": 1})
    )
    assert stage.sweep("--data", str(tmp_path), args={"train_file": "{data}/t.csv", "weight_decay": 0.2},
                       args_file="base.json", grid={"seed": [1]}) == 0  # fmt: skip
    (folder,) = (stage.output / "runs").iterdir()
    given = json.loads((folder / "_arguments.json").read_text())
    assert given == {
        **ARGS, "train_file": f"{tmp_path}/t.csv", "weight_decay": 0.2, "seed": 1, "output_dir": str(folder),
    }  # fmt: skip


def test_blocks_of_two_methods_are_one_sweep_with_a_panel_each(stage: Stage) -> None:
    blocks = [
        {"args": {"robust_method": "normal"}},
        {"args": {"robust_method": "bat_triplet", "bat_lambda": 0.5}, "grid": {"bat_margin": [0.5, 1.0]}},
    ]
    assert stage.sweep(blocks=blocks, grid={"learning_rate": [1e-3, 2e-3]}, args={**ARGS, "lexicon": "builtin"}) == 0
    assert stage.names() == [
        "normal-learning_rate0.001",
        "normal-learning_rate0.002",
        *(f"bat_triplet-learning_rate{rate}-bat_margin{margin}" for rate in (0.001, 0.002) for margin in (0.5, 1)),
    ]
    assert [one["flags"] for one in stage.result()["settings"]][0] == {
        "robust_method": "normal",
        "learning_rate": 0.001,
    }
    svg = (stage.output / "by_learning_rate.svg").read_text(encoding="utf-8")
    assert all(title in svg for title in ("normal", "bat_triplet, bat_margin 0.5", "bat_triplet, bat_margin 1"))


# ---- failures and interruptions ----


def test_a_failed_run_is_reported_the_others_go_on_and_it_is_run_again(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.control(fail=[2])
    assert stage.sweep(grid={"seed": [1, 2, 3]}) == 2
    out, error = capsys.readouterr()
    assert "failed (exit code 3, " in out and "_log.txt:\n    epoch 1\n    the disk is full\n" in out
    assert error.startswith("hf-robust sweep: 1 of 3 runs failed: seed2-") and error.count("\n") == 1
    assert list(stage.result()["runs"].values()) == ["finished", "failed", "finished"]
    assert "Not in the table: seed2-" in (stage.output / "sweep.md").read_text()
    stage.control()
    assert stage.sweep() == 0 and stage.names() == ["seed1", "seed2", "seed3", "seed2"]
    assert set(stage.result()["runs"].values()) == {"finished"}


def test_a_run_that_fails_after_its_results_is_a_failed_one(stage: Stage) -> None:
    stage.control(exit=1)
    assert stage.sweep(grid={"seed": [1]}) == 2 and stage.result()["runs"].popitem()[1] == "failed"
    stage.control()
    assert stage.sweep() == 0 and stage.names() == ["seed1", "seed1"]


def test_a_script_that_leaves_nothing_has_failed(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.script.write_text("print('hello')")
    assert stage.sweep(grid={"seed": [1]}) == 2
    assert "failed (it left no results, " in capsys.readouterr().out
    assert "No run is finished yet." in (stage.output / "sweep.md").read_text()


def wait_for(there: Path) -> None:
    end = time.monotonic() + 60
    while not there.exists() and time.monotonic() < end:
        time.sleep(0.02)


def interrupt_when(there: Path, number: signal.Signals) -> threading.Thread:
    def wait() -> None:
        wait_for(there)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_goes_on_within_the_run(
    stage: Stage, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.control(hang=[2])
    # A shell starts what it runs in the background with SIGINT ignored, and Python then leaves it so.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread = interrupt_when(stage.folder / "hanging", number)
        assert stage.sweep(grid={"seed": [1, 2, 3]}) == 2
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert "hf-robust sweep: interrupted: " in capsys.readouterr().err
    assert list(stage.result()["runs"].values()) == ["finished", "interrupted", "not begun"]
    stage.control()
    assert stage.sweep() == 0
    assert stage.names() == ["seed1", "seed2", "seed2", "seed3"]
    folder = next((stage.output / "runs").glob("seed2-*"))
    assert stage.started()[2][1] == str(folder / "checkpoint-5")
    assert [checkpoint for _, checkpoint in stage.started()].count(None) == 3


def test_two_runs_at_a_time(stage: Stage) -> None:
    stage.control(together=2)  # each waits for the other
    assert stage.sweep("--jobs", "2", grid={"seed": [1, 2, 3]}) == 0
    assert sorted(stage.names()) == ["seed1", "seed2", "seed3"]


def test_the_newest_whole_checkpoint_is_gone_on_from(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-11", "checkpoint-12", "checkpoint-best"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").write_text("{}")
        (tmp_path / name / "optimizer.pt").write_text("")
    (tmp_path / "checkpoint-11" / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-12" / "optimizer.pt").unlink()  # weights alone
    assert newest_checkpoint(tmp_path) == tmp_path / "checkpoint-10"


def test_a_second_sweep_in_the_folder_is_refused(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    with opened_output(str(stage.output)):
        assert stage.sweep(grid={"seed": [1]}) == 2
    assert "is in use by another sweep: wait" in capsys.readouterr().err
    assert stage.names() == [] and stage.sweep() == 0


def test_a_run_that_a_killed_sweep_left_behind_is_waited_for_and_not_run_twice(stage: Stage) -> None:
    stage.control(hang=[2])
    command = [sys.executable, "-m", "hf_robust.cli.main", "sweep", *stage.command(grid={"seed": [2]})]
    killed = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    wait_for(stage.folder / "hanging")
    killed.kill()
    killed.wait()
    threading.Timer(1.0, stage.go).start()
    assert stage.sweep(grid={"seed": [1, 2]}) == 0
    assert sorted(stage.names()) == ["seed1", "seed2"]
    assert list(stage.result()["runs"].values()) == ["finished", "finished"]


@pytest.mark.parametrize("left", ["robustness_history.jsonl", "all_results.json", "run_card.json"])
def test_a_half_written_folder_is_run_again(stage: Stage, left: str) -> None:
    assert stage.sweep(args={**ARGS, "attacks": ["synonym"]}, grid={"seed": [1, 2]}) == 0
    folder = next((stage.output / "runs").glob("seed1-*"))
    (folder / left).write_text((folder / left).read_text()[:20])
    assert stage.sweep() == 0 and stage.names() == ["seed1", "seed2", "seed1"]
    assert len(stage.result()["settings"][0]["runs"]) == 2


def test_a_metric_that_a_run_turns_out_not_to_measure_ends_the_sweep(
    stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stage.sweep(grid={"seed": [1, 2]}, objectives={"eval_f1_macro": "maximize"}) == 2
    assert (
        "is finished and has not measured eval_f1_macro: name one of its metrics in the sweep file (eval_accuracy, "
        in (capsys.readouterr().err)
    )
    assert stage.sweep() == 2 and stage.names() == ["seed1"]
    assert stage.sweep(grid={"seed": [1, 2]}, objectives={"eval_loss": "minimize"}) == 0
    assert stage.names() == ["seed1", "seed2"]
    assert "| 2 | 0.1965 ± 0.00071 |" in (stage.output / "sweep.md").read_text()


def test_a_dry_run_lists_and_runs_nothing(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.sweep("--dry_run", grid={"seed": [1, 2]}) == 0
    assert capsys.readouterr().out.count("to run    seed") == 2 and not stage.output.exists()
    assert stage.sweep() == 0 and stage.sweep("--dry_run") == 0
    assert "finished  seed1-" in capsys.readouterr().out


def test_the_script_is_the_working_folder_s_then_the_checkout_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_script(None) == ROOT / "run_glue_robust.py"
    (tmp_path / "run_glue_robust.py").write_text("")
    assert find_script(None) == tmp_path / "run_glue_robust.py"
    monkeypatch.chdir(ROOT / "tests")
    monkeypatch.setattr("hf_robust.__file__", str(tmp_path / "site-packages" / "hf_robust" / "__init__.py"))
    with pytest.raises(
        ValueError, match="neither in this folder nor beside the package hf_robust: give it by --script FILE"
    ):
        find_script(None)


# ---- the real script ----


def test_two_runs_on_the_demo_corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    file = tmp_path / "sweep.json"
    args = {
        "num_train_epochs": 1, "max_train_samples": 64, "max_eval_samples": 40, "attack_num_examples": 20,
        "attack_strategy": "end", "attacks": ["synonym"], "robust_method": "normal", "use_cpu": True,
    }  # fmt: skip
    demo = str(ROOT / "examples" / "demo_normal.json")
    file.write_text(json.dumps({"args_file": demo, "args": args, "grid": {"per_device_train_batch_size": [8, 32]}}))
    assert main(["sweep", str(file), "--output_dir", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert [one["flags"] for one in found["settings"]] == [
        {"per_device_train_batch_size": 8}, {"per_device_train_batch_size": 32},
    ]  # fmt: skip
    assert list(found["objectives"]) == ["eval_accuracy", "eval_synonym_asr"]
    (name,) = found["settings"][0]["runs"]
    (line,) = read_history(tmp_path / "out" / "runs" / name)
    assert found["settings"][0]["metrics"]["eval_accuracy"]["mean"] == line["accuracy"]
    assert line["attacks"]["synonym"]["num_examples"] == 20
