"""Benchmarks of the time in models and of shared answers, on a tiny model; nothing looks at how long anything took."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from attacks.attack_parts import SYNONYMS, texts, victim

from benchmarks.performance import model_share, shared_answers
from hf_robust.attacks import resources


@pytest.fixture
def flags(model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tiny model, twelve rows labelled as it predicts them, and a table of synonyms."""
    monkeypatch.setattr(resources, "nltk_stop_words", frozenset)
    found = texts(12)
    labels = victim().probabilities(found).argmax(-1)
    rows = [{"sentence": one[0], "label": int(label)} for one, label in zip(found, labels, strict=True)]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "table.json").write_text(json.dumps(SYNONYMS))
    files = ["--model", model_folder(), "--data", tmp_path / "rows.jsonl", "--lexicon", tmp_path / "table.json"]
    files += ["--output", tmp_path / "out" / "result.json", "--device", "cpu", "--pos_tagger", "none", "--num", "4"]
    return [str(flag) for flag in files]


def result_of(main: Callable[[list[str]], int], flags: list[str]) -> dict[str, Any]:
    before = torch.get_num_threads()
    assert main(flags) == 0 and torch.get_num_threads() == before
    found: dict[str, Any] = json.loads(Path(flags[flags.index("--output") + 1]).read_text())
    return found


def test_the_parts_of_an_attack_sum_to_its_time(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(model_share.main, [*flags, "--recipes", "textfooler", "bae", "--title", "tiny"])["tiny"]
    assert list(result["attacks"]) == ["textfooler"] and "masked" in result["left_out"]["bae"]
    row = result["attacks"]["textfooler"]
    assert sum(row["parts"].values()) == pytest.approx(row["cpu_seconds"])
    assert 0 < row["parts"]["victim"] < row["cpu_seconds"] and row["parts"]["tokenizer"] > 0
    assert row["share"] == pytest.approx(row["parts"]["victim"] / row["cpu_seconds"])
    assert "| tiny | textfooler |" in capsys.readouterr().out


def test_a_part_inside_another_counts_once() -> None:
    meter = model_share.Meter()
    with meter.of("outer"), meter.of("inner"):
        sum(range(1000))
    assert list(meter.seconds) == ["outer"]

    class Model:
        def forward(self, number: int) -> int:
            return number + 1

    model = Model()
    with meter.calls(model, "forward", "model"):
        assert model.forward(1) == 2
    assert meter.seconds["model"] >= 0 and "forward" not in vars(model) and model.forward(2) == 3


def test_sharing_answers_saves_passes_alone(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flags += ["--recipes", "textfooler", "textbugger", "--title", "tiny"]
    result = result_of(shared_answers.main, flags)["tiny"]
    apart, shared = result["ways"]["apart"], result["ways"]["shared"]
    assert result["same_outcomes"] and apart["queries"] == shared["queries"]
    assert apart["recalled"] == 0 < shared["recalled"] == apart["forwarded"] - shared["forwarded"]
    assert "| tiny | 4 |" in capsys.readouterr().out
    again = result_of(shared_answers.main, [*flags[:-1], "other"])
    assert list(again) == ["tiny", "other"]
