"""Every method trained on two ranks, in one launch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from two_ranks import on_two_ranks

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def two_ranks(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, Any]:
    """Method -> (weights on rank 0, weights on rank 1) after two steps of 2 x 4 rows.

    The first process of the tests that asks launches it, for all of them: it takes half a minute.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "two_ranks"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            trained = tmp_path_factory.mktemp("two_ranks")
            on_two_ranks(HERE / "train_on_two_ranks.py", str(trained), output=trained)
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
