"""The committed runs of the leaderboard: which there are, from which arguments, and what their cards may not hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.study import run_leaderboard
from benchmarks.study.leaderboard_part import SUBMITTED
from benchmarks.study.stored import EXPERIMENTS
from hf_robust.runs import HISTORY_FILE, RUN_CARD_FILE

FILE = EXPERIMENTS / f"{run_leaderboard.NAME}.json"


@pytest.fixture(autouse=True)
def no_packaged_models(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("run", "run_leaderboard"):
        monkeypatch.setattr(f"benchmarks.study.{module}.packaged_model", lambda name: f"packages/{name}/model")


def test_a_run_has_the_name_of_its_data_method_and_seed_and_its_model_that_of_a_link(tmp_path: Path) -> None:
    runs = dict(run_leaderboard.runs_of(FILE, Path("data"), tmp_path, Path("links")))
    spec = json.loads(FILE.read_text())
    assert [folder.name for folder in runs] == [
        f"sst2-{method}-seed{seed}" for seed in spec["seeds"] for method in spec["methods"]
    ]
    for arguments in runs.values():
        assert arguments["model_name_or_path"] == "links/bert_tiny" and arguments["attacks"] == ["standard"]
        assert arguments["attack_lexicon"] == "wordnet"  # no table of training


def test_a_run_that_is_there_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def one(folder: Path, arguments: object, work: Path) -> str:
        folder.mkdir()
        done.append(folder.name)
        return folder.name

    monkeypatch.setattr(run_leaderboard, "SUBMITTED", tmp_path)
    monkeypatch.setattr(run_leaderboard, "run", one)
    (tmp_path / "sst2-normal-seed1").mkdir()
    monkeypatch.setattr(
        "sys.argv", ["run_leaderboard", "--data", "data", "--seeds", "1", "--work", str(tmp_path / "w")]
    )
    for _ in range(2):
        run_leaderboard.main()
    assert len(done) == len(set(done)) == len(json.loads(FILE.read_text())["methods"]) - 1


def test_committed_runs_hold_no_path_of_a_machine() -> None:
    for folder in (path for path in SUBMITTED.iterdir() if path.is_dir()):
        assert {path.name for path in folder.iterdir()} == {HISTORY_FILE, RUN_CARD_FILE}
        text = "".join(path.read_text(encoding="utf-8") for path in folder.iterdir())
        assert not re.search(r'"[^"]*(?<![A-Z_0-9"\w])/(?:home|root|tmp|work|usr|mnt|Users)/', text), folder
