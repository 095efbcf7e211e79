"""Void rules and controls: each on runs that the test makes, and on every check of the committed study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.study import checks, study_page, voids
from benchmarks.study.controls import CONTROLS, FROZEN, with_control
from benchmarks.study.paired import FAILS, HOLDS, OPEN, VOID, read, runs_of
from benchmarks.study.stored import RESULTS


def write_run(folder: Path, config: dict[str, Any], method: str = "pgd", **attack: float) -> None:
    folder.mkdir(parents=True)
    (folder / "statuses.json").write_text(json.dumps({"pwws": {"0": "f"}}))
    (folder / "run_card.json").write_text(json.dumps({"method": method, "config": config}))
    line = {
        "epoch": 1.0,
        "step": 1,
        "accuracy": 0.8,
        "attacks": {"pwws": {"asr": 0.5, "robust_accuracy": 0.5, **attack}},
    }
    (folder / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")


def row(*runs: str, **more: Any) -> dict[str, Any]:
    return {"claim": "C9", "verdict": HOLDS, "runs": list(runs), "quantity": "pwws", "why": "it is above", **more}


# ---- rules ----


@pytest.mark.parametrize(
    ("saturated", "verdict"),
    [({}, HOLDS), ({"saturated_share": 0.05}, HOLDS), ({"saturated_share": 0.06}, voids.BLIND)],
)
def test_saturated_queries(tmp_path: Path, saturated: dict[str, float], verdict: str) -> None:
    write_run(tmp_path / "normal-seed1", {})
    write_run(tmp_path / "pgd-seed1", {}, **saturated)
    assert voids.by_rules(tmp_path, row("normal", "pgd"))["verdict"] == verdict
    assert voids.by_rules(tmp_path, row("normal", "pgd", quantity="accuracy"))["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("config", "verdict"), [({}, HOLDS), ({"loss_increase": 0.05}, HOLDS), ({"loss_increase": 6e-6}, voids.UNMOVED)]
)
def test_a_perturbation_that_moved_nothing(tmp_path: Path, config: dict[str, Any], verdict: str) -> None:
    write_run(tmp_path / "pgd-seed1", {"loss_increase": 0.05})
    write_run(tmp_path / "pgd-seed2", config)
    found = voids.by_rules(tmp_path, row("pgd"))
    assert found["verdict"] == verdict and found["why"] == (
        "in pgd-seed2" if voids.is_void(verdict) else "it is above"
    )


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({}, voids.UNLEARNT),
        ({"phi_std": 0.02}, voids.UNLEARNT),
        ({"phi_std": 0.2}, HOLDS),
        ({"phi_std": 0.2, "phi_rank": 0.0, "phi_rank_words": 10_000}, voids.UNLEARNT),
    ],
)
def test_a_mask_that_was_not_learnt(tmp_path: Path, config: dict[str, Any], verdict: str) -> None:
    write_run(tmp_path / "flat-seed1", config, "flat")
    write_run(tmp_path / "adv_iter-seed1", {}, "adv_iter")
    assert voids.by_rules(tmp_path, row("adv_iter", "flat"))["verdict"] == verdict
    assert voids.by_rules(tmp_path, row("adv_iter"))["verdict"] == HOLDS
    assert voids.by_rules(tmp_path, row("flat", verdict=FAILS))["verdict"] == (FAILS if verdict == HOLDS else verdict)
    assert voids.by_rules(tmp_path, row("flat", verdict=VOID))["verdict"] == VOID  # the first reason stays


def test_every_void_verdict_has_a_written_reason() -> None:
    named = {value for value in vars(voids).values() if isinstance(value, str) and value.startswith("void: ")}
    assert named == {*voids.RULES} and all(why.endswith(".") for why in voids.RULES.values())
    assert {control.missing for control in CONTROLS.values()} <= named


# ---- controls ----


def test_a_gain_counts_beside_its_control_and_a_loss_without_it(tmp_path: Path) -> None:
    adaptive = row("pgd", "adaptive_pgd", claim="C17")
    assert with_control(tmp_path, adaptive)["verdict"] == voids.NO_FROZEN
    for verdict in (FAILS, OPEN):
        assert with_control(tmp_path, {**adaptive, "verdict": verdict})["verdict"] == verdict
    assert with_control(tmp_path, {**adaptive, "quantity": "accuracy"})["beside"] is None
    write_run(tmp_path / f"adaptive_pgd{FROZEN}-seed1", {})
    found = with_control(tmp_path, adaptive)
    assert found["verdict"] == HOLDS and found["beside"] == f"adaptive_pgd{FROZEN}"
    assert with_control(tmp_path, row("normal", "taichi"))["beside"] is None  # a claim without one


@pytest.mark.parametrize(("frozen", "verdict"), [(0.052, HOLDS), (0.08, voids.UNEQUAL)])
def test_a_frozen_control_raises_the_loss_as_much(tmp_path: Path, frozen: float, verdict: str) -> None:
    write_run(tmp_path / "adaptive_pgd-seed1", {"loss_increase": 0.05})
    write_run(tmp_path / f"adaptive_pgd{FROZEN}-seed1", {"loss_increase": frozen})
    for first in ("pgd", f"adaptive_pgd{FROZEN}"):
        assert with_control(tmp_path, row(first, "adaptive_pgd", claim="C17"))["verdict"] == verdict


def test_taichis_parts_need_the_whole_and_the_whole_without_its_twin(tmp_path: Path) -> None:
    part = row("normal", "taichi_no_kl", claim="C10")
    assert with_control(tmp_path, part)["verdict"] == voids.NO_WHOLE
    for name in ("taichi", "taichi_no_adv"):
        write_run(tmp_path / f"{name}-seed1", {})
    assert with_control(tmp_path, part)["verdict"] == HOLDS


@pytest.mark.parametrize(
    ("config", "verdict"),
    [
        ({}, voids.CORRECTED),
        ({"w_optim": "sgd"}, voids.UNMEASURED),  # a training shorter than a logging window
        ({"w_optim": "sgd", "loss_increase": 0.05}, HOLDS),
    ],
)
def test_learnt_weights_of_before_their_correction(tmp_path: Path, config: dict[str, Any], verdict: str) -> None:
    write_run(tmp_path / "normal-seed1", {})
    write_run(tmp_path / "adaptive_pgd-seed1", config, "adaptive_pgd")
    assert voids.by_rules(tmp_path, row("normal", "adaptive_pgd"))["verdict"] == verdict


# ---- the committed study ----


@pytest.fixture(scope="module")
def committed() -> list[dict[str, Any]]:
    return [row for claim in read(RESULTS / study_page.FILE).values() for row in claim["checks"]]


def test_no_check_that_holds_is_without_a_control_where_one_exists(committed: list[dict[str, Any]]) -> None:
    held = [row for row in committed if row["verdict"] == HOLDS]
    assert held
    for row in held:
        assert row["control"], row["text"]
        control = CONTROLS.get(row["claim"])
        if control is not None and control.needed(row):
            assert row["beside"] == control.found(RESULTS / row["experiment"], row) != "", row["text"]


def test_no_committed_check_that_counts_breaks_a_rule(committed: list[dict[str, Any]]) -> None:
    for row in committed:
        folder = RESULTS / row["experiment"]
        if not voids.is_void(row["verdict"]) and row["quantity"] not in (checks.COLLAPSE, "tolerance"):
            assert voids.by_rules(folder, row)["verdict"] == row["verdict"], row["text"]


def test_every_open_check_with_an_estimate_says_what_it_takes(committed: list[dict[str, Any]]) -> None:
    sized = [row for row in committed if row["verdict"] == OPEN and row.get("visible") is not None]
    assert sized
    for row in sized:
        if row["needs"] is None:  # the measured effect lies on the limit
            assert abs(row["value"] - (row["above"] or row["below"] or 0.0)) < 1e-6, row["text"]
            continue
        seeds = max(len(row["by_seed"]), 1)
        assert row["needs"]["rows"] > row["examples"] or row["needs"]["seeds"] > seeds, row["text"]


def test_the_runs_of_every_check_are_committed_lines(committed: list[dict[str, Any]]) -> None:
    from benchmarks.study.stored import lines_of

    for row in committed:
        if not row["experiment"].startswith("cost_"):
            lines = lines_of(row["experiment"])
            assert all(run.name in lines for name in row["runs"] for run in runs_of(RESULTS / row["experiment"], name))
