"""`hf-robust sweep` with a search: trials are runs, and an interrupted search continues."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import ARGS, Stage
from test_sweep_grid import interrupt_when

from hf_robust.sweep.search import JOURNAL

pytestmark = pytest.mark.slow

SPACE: dict[str, Any] = {
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "seed": {"low": 1, "high": 4},
}
SEARCH = {"search": SPACE, "trials": 6, "seed": 3, "objectives": {"eval_accuracy": "maximize"}}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def stage_in(folder: Path) -> Stage:
    folder.mkdir()
    return Stage(folder)


def tried(stage: Stage) -> list[dict[str, Any]]:
    return [one["flags"] for one in stage.result()["settings"]]


def test_trials_are_runs_within_the_bounds(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.sweep(**SEARCH) == 0
    assert capsys.readouterr().out.startswith("6 of 6 trials to do\n")
    found = stage.result()
    given = [json.loads((stage.output / "runs" / name / "_arguments.json").read_text()) for name in found["runs"]]
    assert len(given) == len(stage.names()) == 6
    assert all(1e-5 <= one["learning_rate"] <= 1e-2 and one["seed"] in (1, 2, 3, 4) for one in given)
    assert {"by_learning_rate.png", "front.png"} & set(found["figures"]) == {"by_learning_rate.png"}
    best = max(one["metrics"]["eval_accuracy"]["mean"] for one in found["settings"])
    assert f"{100 * best:.1f}" in (stage.output / "sweep.md").read_text()


def test_more_trials_go_on_and_make_those_that_one_search_makes(tmp_path: Path) -> None:
    whole, parts = stage_in(tmp_path / "whole"), stage_in(tmp_path / "parts")
    assert whole.sweep(**SEARCH) == 0
    assert parts.sweep(**{**SEARCH, "trials": 2}) == 0 and len(parts.names()) == 2
    assert parts.sweep(**SEARCH) == 0
    assert parts.started() == whole.started() and parts.result() == whole.result()
    assert parts.sweep() == 0 and len(parts.names()) == 6


def test_an_interrupted_trial_is_gone_on_with(tmp_path: Path) -> None:
    whole, killed = stage_in(tmp_path / "whole"), stage_in(tmp_path / "killed")
    assert whole.sweep(**SEARCH) == 0
    third = json.loads((whole.output / "runs" / list(whole.result()["runs"])[2] / "_arguments.json").read_text())
    killed.control(hang=[third["seed"]])
    thread = interrupt_when(killed.folder / "hanging", signal.SIGTERM)
    assert killed.sweep(**SEARCH) == 2
    thread.join()
    begun = killed.names()
    killed.control()
    assert killed.sweep() == 0
    assert killed.names() == [*begun, begun[-1], *whole.names()[len(begun) :]]
    assert killed.started()[len(begun)][1] is not None
    assert killed.result()["settings"] == whole.result()["settings"]


def test_a_failed_trial_is_run_again_at_the_next_call(stage: Stage) -> None:
    stage.control(fail=[1, 2, 3, 4])
    assert stage.sweep(**{**SEARCH, "trials": 2}) == 2 and len(stage.names()) == 2
    stage.control()
    assert stage.sweep() == 0
    assert stage.names()[2:] == stage.names()[:2] and len(stage.result()["settings"]) == 2


def test_a_run_that_ended_before_the_study_was_told_is_not_run_again(stage: Stage) -> None:
    assert stage.sweep(**{**SEARCH, "trials": 3}) == 0
    before = stage.result()
    journal = stage.output / JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    assert '"state":1' in lines[-1]
    journal.write_text("".join(lines[:-1]) + lines[-1][:10])  # killed while it told, which also left its lock
    journal.with_name(f"{journal.name}.lock").symlink_to(journal)
    assert stage.sweep() == 0 and len(stage.names()) == 3 and stage.result() == before


def test_two_objectives_give_a_front(stage: Stage) -> None:
    objectives = {"eval_accuracy": "maximize", "eval_synonym_asr": "minimize"}
    assert (
        stage.sweep("--jobs", "2", **{**SEARCH, "objectives": objectives}, args={**ARGS, "attacks": ["synonym"]}) == 0
    )
    found = stage.result()
    assert "front.png" in found["figures"]
    values = [[one["metrics"][metric]["mean"] for metric in objectives] for one in found["settings"]]
    for one, setting in zip(values, found["settings"], strict=True):
        beaten = any(other != one and other[0] >= one[0] and other[1] <= one[1] for other in values)
        assert setting["front"] is not beaten


def test_values_drawn_twice_are_one_run(stage: Stage) -> None:
    search = {"seed": {"choices": [7, 8]}}
    assert stage.sweep("--jobs", "2", search=search, trials=6, objectives={"eval_accuracy": "maximize"}) == 0
    assert sorted(stage.names()) == ["seed7", "seed8"] and len(stage.result()["runs"]) == 2


def test_another_search_in_the_folder_is_a_study_of_its_own(stage: Stage) -> None:
    assert stage.sweep(**{**SEARCH, "trials": 2}) == 0
    narrow = {"learning_rate": {"low": 2e-2, "high": 3e-2}}
    assert stage.sweep(**{**SEARCH, "search": narrow, "trials": 2}) == 0
    assert len(stage.names()) == 4 and all(one["learning_rate"] >= 2e-2 for one in tried(stage))


def test_a_rate_of_nothing_teaches_nothing(stage: Stage) -> None:
    stage.script.write_text(stage.script.read_text().replace('"eval_loss": 1 - accuracy', '"eval_loss": float("nan")'))
    assert stage.sweep(**{**SEARCH, "objectives": {"eval_loss": "minimize"}, "trials": 2}) == 0
    assert stage.sweep() == 0 and len(stage.names()) == 2
    assert "| – |" in (stage.output / "sweep.md").read_text()


def test_a_search_that_cannot_be_gone_on_with_says_why(
    stage: Stage, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.output.mkdir()
    (stage.output / JOURNAL).write_text("what is this\n{}\n")
    assert stage.sweep(**SEARCH) == 2
    assert "cannot be read as the journal of a search (" in capsys.readouterr().err
    (stage.output / JOURNAL).unlink()
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert stage.sweep() == 2
    error = capsys.readouterr().err
    assert error.startswith("hf-robust sweep: a search needs optuna, which is not installed: pip install ")
    assert error.endswith('"hf_robust[hpo]", or give a "grid".\n')
    assert stage.names() == []


def test_a_dry_run_shows_the_space(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.sweep("--dry_run", **SEARCH) == 0
    assert capsys.readouterr().out == (
        "up to 6 runs, which search over\nlearning_rate: 1e-05 to 0.01, on a log scale\nseed: 1 to 4, integers\n"
    )
    assert not stage.output.exists()
