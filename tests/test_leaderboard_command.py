"""`hf-robust leaderboard` on what `hf-robust attack` wrote: from models to the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import ANTONYMS, SYNONYMS, review_rows, table

from hf_robust.cli.main import main
from hf_robust.runs import load_run


@pytest.fixture(autouse=True)
def no_nltk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.attacks.resources.nltk_stop_words", lambda: frozenset({"the"}))
    monkeypatch.setattr("hf_robust.attacks.standard.load_lexicon", lambda *_: table(ANTONYMS, "antonym"))


def measured(model: Path, folder: Path, substitutes: dict[str, list[str]]) -> Path:
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(12)))
    (folder / "synonyms.json").write_text(json.dumps(substitutes))
    flags = ["--data", folder / "rows.jsonl", "--class_names", "bad", "good", "--pos_tagger", "none"]
    flags += ["--lexicon", folder / "synonyms.json", "--output_dir", folder / "out"]
    assert main(["attack", str(model), *map(str, flags)]) == 0
    return folder / "out"


def test_two_models_stand_on_one_page(model_folder: Callable[..., Path], tmp_path: Path, capsys: Any) -> None:
    model = model_folder()
    runs = [measured(model, tmp_path / name, SYNONYMS) for name in ("first", "second")]
    capsys.readouterr()
    assert main(["leaderboard", *map(str, runs), "--output", str(tmp_path / "board")]) == 0
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    entry = load_run(runs[0]).published["standard"]
    assert board["standard"]["name"] == entry["name"] in (tmp_path / "board" / "leaderboard.html").read_text()
    assert len({one["name"] for one in board["entries"]}) == len({one["card"] for one in board["entries"]}) == 2
    for one in board["entries"]:
        assert one["robust_accuracy"]["value"] == pytest.approx(entry["robust_accuracy"])
        assert one["robust_accuracy"]["low"] == pytest.approx(entry["robust_accuracy_low"])
        assert [member["name"] for member in one["members"]] == [member["name"] for member in entry["members"]]
    assert not any(str(tmp_path) in path.read_text() for path in (tmp_path / "board").rglob("*.*"))
    # The same model with another table is measured by another standard.
    other = measured(model, tmp_path / "third", {"good": ["fine"], "bad": ["poor"]})
    capsys.readouterr()
    assert main(["leaderboard", str(runs[0]), str(other), "--output", str(tmp_path / "unlike")]) == 2
    assert "different standards" in capsys.readouterr().err and not (tmp_path / "unlike").exists()
