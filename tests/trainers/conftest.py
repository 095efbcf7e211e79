"""Every method trained on two ranks, in one launch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

HERE = Path(__file__).parent


def launch(folder: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE.parents[1]}:{HERE.parent}"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    finished = subprocess.run(
        [*command, str(HERE / "train_on_two_ranks.py"), str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """Method -> (weights on rank 0, weights on rank 1) after two steps of 2 x 4 rows.

    The first process of the tests that asks launches it, for all of them: it takes half a minute.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "two_ranks"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            launch(trained := tmp_path_factory.mktemp("two_ranks"))
            trained.rename(folder)
    return {
        path.name.removesuffix("-0.pt"): tuple(
            torch.load(str(path).replace("-0.pt", f"-{rank}.pt")) for rank in (0, 1)
        )
        for path in folder.glob("*-0.pt")
    }


@pytest.fixture
def uncovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a method train with a table that covers no word; normally it refuses (``test_covered_texts.py``)."""
    monkeypatch.setattr("hf_robust.training.base.check_coverage", lambda trainer: {})
