"""The cost of whole trainings: what is counted in which phase, and what the committed result says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import SYNONYMS, review_rows

from benchmarks.performance import cost_trainings
from benchmarks.study import readme
from benchmarks.study.stored import COMMITTED
from hf_robust.trainers import METHODS


@pytest.mark.slow
def test_victim_texts_and_training_of_one_method(
    model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_robust.attacks.resources.nltk_stop_words", lambda: frozenset({"the"}))
    (tmp_path / "sst2").mkdir()
    with gzip.open(tmp_path / "sst2" / "train.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in review_rows(16))
    (tmp_path / "table.json").write_text(json.dumps(SYNONYMS))
    flags = ["--data", tmp_path, "--model", model_folder(), "--methods", "ada", "gradient_mask", "--rows", "16"]
    flags += ["--epochs", "2", "--batch_size", "4", "--length", "16", "--lexicon", tmp_path / "table.json"]
    flags += ["--pos_tagger", "none"]
    path = cost_trainings.main([*map(str, flags), "--output", str(tmp_path)])
    result = json.loads(path.read_text())
    assert str(tmp_path) not in path.read_text() and result["setting"]["lexicon"] == "table.json"
    for row in result["methods"].values():
        # The victim is plain training with the same arguments; each text may get one view.
        assert row["victim"] == 1.0 and 1.0 <= row["training"] <= 2.0
        assert row["all"] == pytest.approx(row["victim"] + row["texts"] + row["training"])
    # Each text is scored at least once by the search; a mask takes one pass with a gradient for each text, of six.
    assert result["methods"]["ada"]["texts"] >= 16 / (16 * 2 * 3)
    assert result["methods"]["gradient_mask"]["texts"] >= 16 * 3 / (16 * 2 * 3)


def test_cells_of_a_row() -> None:
    trainings = {"methods": {"ada": {"victim": 1.0, "texts": 3.24, "training": 1.5, "all": 5.74}}}
    trainings["methods"]["a2t"] = {"victim": 0.0, "texts": 2.0, "training": 1.5, "all": 3.5}
    assert readme.training_costs(METHODS["ada"], trainings) == ("1.0", "3.2", "5.7")
    assert readme.training_costs(METHODS["a2t"], trainings) == ("–", "2.0", "3.5")
    assert readme.training_costs(METHODS["flat"], {}) == (readme.ABSENT,) * 3


def test_how_it_was_counted_is_said() -> None:
    setting = {"model": "bert_tiny", "data": "SST-2", "lexicon": "wordnet", "rows": 96, "epochs": 4}
    said = readme.training_setting({"setting": setting})
    assert "96 rows of SST-2 for 4 epochs" in said and "bert_tiny" in said and "wordnet" in said


def test_a_committed_result_has_methods_with_texts_made_beforehand() -> None:
    own = {"a2t", "adv_iter", "flat"}  # they attack the model in training
    for name, row in readme.read_trainings(COMMITTED).get("methods", {}).items():
        assert name in cost_trainings.methods()
        assert (row["victim"] == 0) == (name in own) and row["texts"] > 0 and row["training"] >= 1
