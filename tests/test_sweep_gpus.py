"""`hf-robust sweep --gpus_per_run` on one machine: each run sees GPUs of its own. The GPUs are names only."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_parts import Stage

from hf_robust.sweep import pool
from hf_robust.sweep.pool import gpu_shares, visible_gpus

SEEDS = {"seed": [1, 2, 3, 4, 5]}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr(pool, "visible_gpus", lambda: ["3", "5"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Stage(tmp_path)


@pytest.mark.parametrize(
    ("gpus", "per_run", "shares"),
    [
        ("0 1 2 3", 1, ["0", "1", "2", "3"]),
        ("0 1 2 3", 2, ["0,1", "2,3"]),
        ("0 1 2 3 4", 2, ["0,1", "2,3"]),
        ("0 1", 4, []),
        ("0 1", 0.5, ["0", "1", "0", "1"]),
        ("7", 1 / 3, ["7", "7", "7"]),
        ("7", 0.4, ["7", "7"]),
        ("GPU-a GPU-b", 1, ["GPU-a", "GPU-b"]),
        ("", 1, []),
    ],
)
def test_shares(gpus: str, per_run: float, shares: list[str]) -> None:
    assert gpu_shares(gpus.split(), per_run) == shares


def test_a_machine_shows_only_the_gpus_that_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    assert visible_gpus() == ["4", "6"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert visible_gpus() == []


def test_runs_at_a_time_have_a_gpu_each(stage: Stage) -> None:
    stage.control(together=2)  # each of the first two waits for the other
    assert stage.sweep("--gpus_per_run", "1", grid=SEEDS) == 0
    assert sorted(stage.gpus()[:2], key=str) == ["3", "5"] and set(stage.gpus()) == {"3", "5"}


def test_a_run_may_have_two_gpus_and_two_runs_one(stage: Stage) -> None:
    assert stage.sweep("--gpus_per_run", "2", grid={"seed": [6, 7]}) == 0
    assert stage.gpus() == ["3,5", "3,5"]
    stage.control(together=2 + 4)
    assert stage.sweep("--gpus_per_run", "0.5", grid=SEEDS) == 0
    assert sorted(stage.gpus()[2:6], key=str) == ["3", "3", "5", "5"] and len(stage.gpus()) == 2 + 5


def test_without_the_flag_a_run_sees_all_gpus_and_with_0_none(stage: Stage) -> None:
    assert stage.sweep(grid={"seed": [1]}) == 0
    assert stage.sweep("--gpus_per_run", "0", grid={"seed": [2]}) == 0
    assert stage.gpus() == [None, ""]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ("--gpus_per_run -1", "--gpus_per_run must be 0, a whole number, or a part of one GPU such as 0.5, got -1."),
        ("--gpus_per_run 1.5", "a part of one GPU such as 0.5, got 1.5."),
        ("--gpus_per_run 3", "--gpus_per_run 3 is more than this machine has (2 GPUs): give a smaller number"),
        ("--gpus_per_run 1 --jobs 3", "--jobs 3 with --gpus_per_run 1 is more than this machine has room for: give "
         "--jobs 2 or less"),
        ("--address host:6379", "--address host:6379 is of a Ray cluster: add --backend ray, or leave it out."),
    ],
)  # fmt: skip
def test_wrong_flags(stage: Stage, flags: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stage.sweep(*flags.split(), grid=SEEDS) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1 and stage.names() == []
