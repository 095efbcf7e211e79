"""Committed results: a line a run, that unpack to the files a run left and pack to the same lines."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.study.stored import COMMITTED, EXPERIMENTS, commit, unpack

CARD, HISTORY = {"method": "normal", "seed": 1, "accuracy": 0.1 + 0.2}, [{"epoch": 1.0}, {"epoch": 2.0, "name": "é"}]


def run_in(folder: Path) -> Path:
    run = folder / "some_experiment" / "normal-seed1"
    run.mkdir(parents=True)
    (run / "run_card.json").write_text(json.dumps(CARD, indent=2), encoding="utf-8")
    (run / "robustness_history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in HISTORY))
    return run


def test_a_run_is_one_line_and_comes_back_as_it_was(tmp_path: Path) -> None:
    committed = tmp_path / "committed"
    committed.mkdir()
    run_in(tmp_path / "first")
    (tmp_path / "first" / "some_experiment" / "curve.svg").write_bytes(b"picture")
    (tmp_path / "first" / "single.json").write_text("{}")
    commit(tmp_path / "first", committed)
    (line,) = (committed / "some_experiment.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line) == {"run": "normal-seed1", "run_card.json": CARD, "robustness_history.jsonl": HISTORY}
    assert (committed / "some_experiment" / "curve.svg").read_bytes() == b"picture"
    again = unpack(committed, tmp_path / "second") / "some_experiment" / "normal-seed1"
    assert json.loads((again / "run_card.json").read_text(encoding="utf-8")) == CARD
    assert [json.loads(one) for one in (again / "robustness_history.jsonl").read_text().splitlines()] == HISTORY
    (tmp_path / "second" / "single.json").write_text('{"new": 1}')
    assert json.loads((committed / "single.json").read_text()) == {"new": 1}


def test_what_was_measured_since_survives_a_look_and_lines_that_changed_win(tmp_path: Path) -> None:
    committed, unpacked = tmp_path / "committed", tmp_path / "unpacked"
    committed.mkdir()
    run = run_in(unpacked)
    commit(unpacked, committed)
    new = run.with_name("normal-seed2")
    new.mkdir()
    (new / "run_card.json").write_text("{}")
    assert unpack(committed, unpacked) == unpacked and new.is_dir()
    commit(unpacked, committed)
    packed = committed / "some_experiment.jsonl"
    assert len(packed.read_text().splitlines()) == 2
    packed.write_text(packed.read_text().splitlines()[0] + "\n")
    unpack(committed, unpacked)
    assert run.is_dir() and not new.exists()


def test_the_committed_results_pack_to_themselves(tmp_path: Path) -> None:
    folder, packed = unpack(COMMITTED, tmp_path / "unpacked"), tmp_path / "packed"
    packed.mkdir()
    commit(folder, packed)
    for path in COMMITTED.glob("*.jsonl"):
        assert (packed / path.name).read_bytes() == path.read_bytes(), path.name
    runs = {path.stem for path in COMMITTED.glob("*.jsonl")} - {"attack_identity"}
    assert runs <= {path.stem for path in EXPERIMENTS.glob("*.json")}  # one file for each experiment, not for each run
    assert sum(path.is_file() and path.suffix != ".jsonl" for path in COMMITTED.rglob("*")) <= 35
