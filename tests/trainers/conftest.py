"""Every method trained on two ranks, in one launch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def launch_two_ranks() -> Callable[[str, Path], Any]:
    """Run a script of this folder on two ranks; its argument is a folder."""

    def launch(script: str, folder: Path) -> Any:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{HERE.parents[1]}:{HERE.parent}"}
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
        return subprocess.run(
            [*command, str(HERE / script), str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return launch


@pytest.fixture(scope="session")
def two_ranks(launch_two_ranks: Any, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """Method -> (weights on rank 0, weights on rank 1) after two steps of 2 x 4 rows.

    The first process of the tests that asks launches it, for all of them: it takes half a minute.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "two_ranks"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            finished = launch_two_ranks("train_on_two_ranks.py", trained := tmp_path_factory.mktemp("two_ranks"))
            assert finished.returncode == 0, finished.stderr[-4000:]
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
