"""What a finished run's model is asked beside its attacks, on tiny models and attack records made by hand."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from interpret.interpret_parts import review_records

from benchmarks.study import measures, run
from benchmarks.study.measures import FinishedRun
from benchmarks.study.paper_runs import spec_of
from hf_robust.interpret import Pair
from hf_robust.metrics import AttackRecord
from hf_robust.runs import STATUSES_FILE, write_history_line, write_records

EXPERIMENT = "text_tiny"


@pytest.fixture
def work(tmp_path: Path, model_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finished runs of two settings, the second with one example fewer that the attack changed."""
    monkeypatch.setattr(measures, "STEPS", 4)
    for name, kind, method, records in [
        ("normal", "bert", "normal", review_records()),
        ("other", "distilbert", "gradient_mask", right_everywhere(review_records()[1:])),
    ]:
        finish(tmp_path, name, model_folder(kind), method, records)
    (tmp_path / f"{EXPERIMENT}.json").write_text(json.dumps({"settings": {}}))
    return tmp_path / "work" / EXPERIMENT


def right_everywhere(records: list[AttackRecord]) -> list[AttackRecord]:
    first = replace(review_records()[0], status="skipped", perturbed=review_records()[0].original, changed=[])
    return [first, *(replace(record, original_prediction=record.label) for record in records)]


def finish(tmp_path: Path, name: str, model: Path, method: str, records: list[AttackRecord]) -> None:
    folder = tmp_path / "work" / EXPERIMENT / f"{name}-seed1"
    shutil.copytree(model, folder)
    arguments = {"robust_method": method, "max_seq_length": 32}
    (folder / "_arguments.json").write_text(json.dumps(arguments))
    for epoch, kept in ((1, records[:1]), (10, records)):
        write_history_line(folder, {"epoch": float(epoch), "step": epoch, "accuracy": 1.0, "attacks": {}})
        write_records(folder / "attack_results" / f"epoch-{epoch}" / "textfooler.jsonl", kept)
    result = tmp_path / "results" / EXPERIMENT / f"{name}-seed1"
    result.mkdir(parents=True)
    (result / STATUSES_FILE).write_text("{}")


def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    where = ["--work", str(tmp_path / "work"), "--results", str(tmp_path / "results")]
    monkeypatch.setattr(sys, "argv", ["measures.py", str(tmp_path / f"{EXPERIMENT}.json"), *where, *more])
    measures.main()


def read(tmp_path: Path, name: str, kind: str) -> Any:
    return json.loads((tmp_path / "results" / EXPERIMENT / f"{name}-seed1" / f"{kind}.json").read_text())


def test_all_measures_and_none_twice(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert "no transition of text_tiny/normal-seed1: it is measured of gradient_mask alone" in printed
    baseline, other = (read(tmp_path, name, "interpretation") for name in ("normal", "other"))
    assert baseline["own"] == baseline["fixed"] and other["own"] != other["fixed"]
    # The records of the kept epoch, which is the last: 3 pairs of the baseline's attack, 2 of the other's.
    assert baseline["own"]["counts"]["pairs"] == other["fixed"]["counts"]["pairs"] == 3
    assert other["own"]["counts"]["pairs"] == 2
    assert set(other["own"]["tau_by_pair"]) < set(other["fixed"]["tau_by_pair"]) <= {"0", "1", "2"}
    mean = sum(other["fixed"]["tau_by_pair"].values()) / other["fixed"]["num_pairs"]
    assert mean == pytest.approx(other["fixed"]["kendall_tau"], abs=1e-5)
    assert len(other["own"]["top_k"]) == 10
    written = (tmp_path / "results" / EXPERIMENT / "other-seed1" / "interpretation.json").read_text()
    assert "splendid" not in written and str(tmp_path) not in written
    monkeypatch.setattr(measures, "MEASURES", dict.fromkeys(measures.MEASURES, None))
    ask(tmp_path, monkeypatch, "--only", "other-seed1")
    assert "interpretation" not in (printed := capsys.readouterr().out) and "pairs" not in printed


def test_pairs_are_the_baselines_for_every_model(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, monkeypatch)
    rows = [read(tmp_path, name, "pairs") for name in ("normal", "other")]
    for row in rows:
        # Three successes, the inserted word too: distances of texts need no word for word.
        assert row["num_pairs"] == 3 and set(row["kl_pos_by_pair"]) == {"0", "1", "3"}
        assert sum(row["kl_pos_by_pair"].values()) / 3 == pytest.approx(row["kl_pos"], abs=1e-5)
    assert rows[0]["kl_pos"] != rows[1]["kl_pos"]


def test_what_masking_changes_is_measured_by_the_models_on_all_rows(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outcomes by row agree with the counts of errors, and the masked texts are those of `normal` for both models."""
    rows = [{"sentence": record.original[0], "label": record.label} for record in review_records()]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, method in (("normal", "normal"), ("other", "gradient_mask")):
        arguments = {"robust_method": method, "max_seq_length": 32, "validation_file": str(data)}
        (work / f"{name}-seed1" / "_arguments.json").write_text(json.dumps(arguments))
    ask(tmp_path, monkeypatch, "--seeds", "1")
    before, after = (read(tmp_path, name, "challenge") for name in ("normal", "other"))
    assert {len(digits) for one in (before, after) for digits in one.values()} == {len(rows)}
    found, pairs = (
        read(tmp_path, "other", "transition")["all"],
        list(zip(before["clean"], after["clean"], strict=True)),
    )
    assert found["fixed"] == pairs.count(("0", "1")) and found["introduced"] == pairs.count(("1", "0"))
    assert (
        found["num_examples"] == len(rows)
        and not (tmp_path / "results" / EXPERIMENT / "normal-seed1" / "transition.json").exists()
    )


def test_what_cannot_be_measured_is_said(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (work / "other-seed1" / "model.safetensors").unlink()
    (work / "other-seed1" / "_arguments.json").write_text(json.dumps({"robust_method": "x", "max_seq_length": 32}))
    (work / "normal-seed1" / "_arguments.json").write_text(
        json.dumps({"robust_method": "adpmixup", "max_seq_length": 32})
    )
    ask(tmp_path, monkeypatch)
    printed = capsys.readouterr().out
    assert "no pairs of text_tiny/other-seed1" in printed and "holds no model" in printed
    assert "no interpretation of text_tiny/normal-seed1: adpmixup predicts by several passes" in printed
    shutil.rmtree(work / "other-seed1")
    ask(tmp_path, monkeypatch)
    assert "other-seed1 does not exist" in capsys.readouterr().out
    (tmp_path / "results" / EXPERIMENT / "normal-seed1" / STATUSES_FILE).unlink()
    ask(tmp_path, monkeypatch)
    assert "other-seed1 is compared with normal-seed1" in capsys.readouterr().out


def test_a_measure_that_fails_is_said_and_not_written(tmp_path: Path, model_folder: Callable[..., Path]) -> None:
    finish(tmp_path, "normal", model_folder(), "normal", review_records()[:1])
    folder = tmp_path / "work" / EXPERIMENT / "normal-seed1"
    result = tmp_path / "results" / EXPERIMENT / "normal-seed1"
    (line,) = measures.measure(FinishedRun(folder, folder), result, ["pairs"])
    assert line.startswith("no pairs of text_tiny/normal-seed1: pairs with a text of another label need two labels")
    assert not (result / "pairs.json").exists()


def test_the_sample_of_pairs_is_the_same_for_every_model() -> None:
    pairs = [Pair(idx, 0, "failed", ("a b",), ("a c",), (1,)) for idx in range(50)]
    drawn = measures.sample(pairs, 10)
    assert drawn == measures.sample(list(pairs), 10) and len(drawn) == 10
    assert [pair.idx for pair in drawn] == sorted(pair.idx for pair in drawn)
    assert measures.sample(pairs, 60) == pairs


def test_an_experiment_names_its_measures() -> None:
    assert measures.kinds_of({}, "flat") == ["interpretation", "pairs", "transition", "challenge"]
    assert measures.kinds_of({"measures": ["pairs"]}, "flat") == ["pairs"]
    chosen = {"measures": {"interpretation": ["flat"], "pairs": ["normal", "flat"]}}
    assert measures.kinds_of(chosen, "flat") == ["interpretation", "pairs"]
    assert measures.kinds_of(chosen, "normal") == ["pairs"] and measures.kinds_of(chosen, "ada") == []
    with pytest.raises(
        SystemExit, match="measures names speed; choose from interpretation, pairs, transition, challenge"
    ):
        measures.kinds_of({"measures": ["speed"]}, "flat")


def test_committed_experiments_measure_settings_that_they_have() -> None:
    for path in (run.ROOT / "benchmarks" / "experiments").glob("text_*.json"):
        experiment = spec_of(path)
        asked = experiment.get("measures", {})
        assert not isinstance(asked, dict) or {name for names in asked.values() for name in names} <= set(
            experiment["settings"]
        )
        assert any(measures.kinds_of(experiment, name) for name in experiment["settings"])
