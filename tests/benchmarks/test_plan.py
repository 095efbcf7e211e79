"""The plan of further seeds, the page of runs, and the run card behind a committed line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study import plan, run, runs_page, stored, voids
from benchmarks.study.paired import HOLDS, OPEN

EXPERIMENT = "text_x"


def write_run(folder: Path, hours: float) -> None:
    folder.mkdir(parents=True)
    (folder / "statuses.json").write_text("{}")
    (folder / "run_card.json").write_text(json.dumps({"seconds": {"total": 3600 * hours}}))


def check(verdict: str, rows: int, seeds: int, *runs: str, **more: Any) -> dict[str, Any]:
    row = {"claim": "C9", "text": f"{runs[-1]} above {runs[0]}", "verdict": verdict, "runs": list(runs)}
    row |= {"needs": {"rows": rows, "seeds": seeds}, "examples": 400, "experiment": EXPERIMENT}
    return {**row, **more}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, hours in (("normal-seed1", 0.5), ("taichi-seed1", 2.0), ("taichi-seed2", 1.0), ("ada-seed1", 1.0)):
        write_run(tmp_path / EXPERIMENT / name, hours)
    return tmp_path


def lines(results: Path, *checks: dict[str, Any]) -> list[str]:
    claims = {"C9": {"checks": [row for row in checks if row["claim"] == "C9"]}}
    claims["C14"] = {"checks": [row for row in checks if row["claim"] != "C9"]}
    (results / plan.STUDY).write_text(json.dumps(claims))
    return list(plan.plan([Path(f"{EXPERIMENT}.json"), Path("text_y.json")], results))


def test_the_plan_has_the_seeds_that_decide_and_the_cheapest_first(results: Path) -> None:
    found = lines(
        results,
        check(OPEN, 400, 5, "ada", "taichi"),
        check(OPEN, 400, 3, "normal", "taichi"),
        check(OPEN, 300, 3, "normal", "taichi", text="the same runs"),
        check(HOLDS, 400, 9, "normal", "ada"),
    )
    assert found == [
        f"{EXPERIMENT}:",
        # Two of normal at half an hour, one of taichi at an hour and a half.
        "  normal, taichi to seed 3: 3 runs, 2.5 h, decide C9 taichi above normal; C9 the same runs",
        "  ada, taichi to seed 5: 7 runs, 8.5 h, decide C9 taichi above ada",
        "text_y:",
        "  no check yet: one seed of each setting measures the spread that a plan needs",
    ]


def test_runs_that_cannot_decide_are_not_proposed(results: Path) -> None:
    found = lines(
        results,
        check(OPEN, 12_000, 10, "ada", "taichi"),
        check(OPEN, 401, 2, "normal", "taichi"),
        check(OPEN, 400, 11, "normal", "ada"),
        check(OPEN, 400, 1, "normal", "ada", needs=None),
        check(voids.NO_UNTRAINED, 400, 3, "normal", "flat", claim="C14"),
    )
    assert found[1:3] == [
        "  not by 10 seeds with these rows: 4 open checks; the least takes 401 rows and 2 seeds "
        "(C9 taichi above normal)",
        "  void in C14, no untrained mask: more seeds of these runs decide nothing",
    ]
    decided = lines(results, check(HOLDS, 400, 1, "normal", "taichi"))
    assert decided[1] == "  every check that counts is decided"


def test_the_command_prints_the_plan_and_runs_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "run_all", pytest.fail)
    file = str(stored.EXPERIMENTS / "text_sst2_bert_tiny.json")
    monkeypatch.setattr("sys.argv", ["run", file, "--plan"])
    run.main()
    assert capsys.readouterr().out.startswith("text_sst2_bert_tiny:\n  ")
    monkeypatch.setattr("sys.argv", ["run", file])
    with pytest.raises(SystemExit):
        run.main()
    assert "name the folder of the data sets by --data, or print the plan by --plan." in capsys.readouterr().err


# ---- from a number to its run card ----


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    folder = tmp_path / "committed"
    folder.mkdir()
    rows = [{"run": name, "run_card.json": {"seed": seed}} for seed, name in enumerate(("ada-seed1", "b-seed2"), 1)]
    lines = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    (folder / f"{EXPERIMENT}.jsonl").write_text(lines)
    return folder


def test_a_run_leads_to_its_line_and_its_card(committed: Path) -> None:
    assert stored.lines_of(EXPERIMENT, committed) == {"ada-seed1": 1, "b-seed2": 2}
    assert stored.lines_of("nothing", committed) == {}
    place, _, card = stored.card(f"{EXPERIMENT}/b-seed2", committed).partition("\n")
    assert place == f"benchmarks/results/{EXPERIMENT}.jsonl, line 2" and json.loads(card) == {"seed": 2}


@pytest.mark.parametrize(("name", "known"), [(f"{EXPERIMENT}/c-seed1", "ada-seed1, b-seed2"), ("y/a", EXPERIMENT)])
def test_an_unknown_run_is_refused_with_those_there_are(committed: Path, name: str, known: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is no committed run; name EXPERIMENT/RUN, and choose from {known}"):
        stored.card(name, committed)


def test_the_page_of_runs_has_the_line_of_each_run() -> None:
    page = runs_page.page(stored.RESULTS)
    lines = stored.lines_of("text_sst2_bert_tiny")
    assert "\n## text_sst2_bert_tiny\n" in page
    for name, line in lines.items():
        assert f"| {name} | {line} | " in page
    row = {"runs": ["normal", "taichi", "normal"], "experiment": "text_sst2_bert_tiny"}
    assert runs_page.linked(row) == f"[normal, taichi]({runs_page.PAGE}#text_sst2_bert_tiny)"
    assert runs_page.linked({**row, "experiment": "cost_minilm"}) == "normal, taichi"
