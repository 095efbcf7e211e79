"""The passes that a class counts for arguments other than the defaults are those that a training step makes.

``test_every_method.py`` has the same for the defaults of every method.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny import build_model, build_trainer, synonym_attack

from benchmarks.performance.cost import count_passes
from benchmarks.performance.passes import totals
from benchmarks.study.readme import step_passes
from benchmarks.study.stored import COMMITTED
from hf_robust.trainers import METHODS
from hf_robust.training.step_passes import Passes

pytestmark = pytest.mark.slow

ARGUMENTS: list[tuple[str, dict[str, Any]]] = [
    ("semrode", {"semrode_lambda": 0.0}),
    ("semrode", {"semrode_lambda": 0.0, "semrode_adv_ce": True}),
    ("amda", {"amda_weight": 0.0}),
    *[
        ("taichi", {"taichi_variant": variant})
        for variant in ("no_kl", "no_ctr", "no_adv", "adversarial", "base_adv", "base_adv_soft", "linear_average")
    ],
    ("adpmixup", {"adpmixup_rows": "attacked"}),
    ("fgsm", {"clean_weight": 1.0}),
    ("pgd", {"adv_steps": 2, "clean_weight": 1.0}),
    ("freelb", {"adv_steps": 3, "multi_backward": "sum"}),
    ("freelb", {"adv_steps": 3, "include_initial": False}),
    ("freelb", {"adv_steps": 3, "include_initial": False, "multi_backward": "sum"}),
    ("tavat", {"adv_steps": 3, "follow": "code", "include_initial": False}),
    ("infobert", {"adv_steps": 2, "multi_backward": "sum"}),
    ("smart", {"adv_steps": 2, "smart_mu": 1.0}),
    ("smart", {"smart_lambda": 0.0}),
    ("smart", {"follow": "code"}),
    ("trades", {"trades_lambda": 0.0}),
    ("ascc", {"ascc_beta": 0.0}),
    ("ascc", {"ascc_beta": 0.0, "ascc_weight": 1.0, "adv_steps": 2}),
    ("dne", {"adv_steps": 0}),
    ("dne", {"adv_steps": 2, "multi_backward": "sum"}),
    ("adaptive_pgd", {"adv_steps": 2, "adaptive_objective": "direct"}),
    ("bat_triplet", {"label_fickle": True}),
]


@pytest.mark.parametrize(("name", "arguments"), ARGUMENTS)
def test_passes_of_a_step(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    options = {**METHODS[name].mid_run, **arguments}
    if "failed_views" in METHODS[name].config.__dataclass_fields__:
        options["failed_views"] = "clean"
    trainer = build_trainer(name, tmp_path, model=build_model(attn_implementation="eager"), **options)
    assert Passes(*totals(count_passes(trainer))) == METHODS[name].step_passes(trainer.args)


@pytest.mark.parametrize("name", ["ada", "adpmixup", "amda", "semrode"])
def test_each_attack_makes_a_view_of_a_text(name: str, tmp_path: Path) -> None:
    attacks = {"synonym": synonym_attack(), "again": synonym_attack()}
    options = {**METHODS[name].mid_run, "failed_views": "clean", "view_attacks": list(attacks)}
    trainer = build_trainer(name, tmp_path, attacks=attacks, **options)
    assert Passes(*totals(count_passes(trainer))) == METHODS[name].step_passes(trainer.args)


def test_committed_costs_counted_the_same() -> None:
    cost = json.loads((COMMITTED / "cost_minilm.json").read_text(encoding="utf-8"))
    for name, row in cost["methods"].items():
        steps = row["options"].get("adv_steps", cost["setting"]["adv_steps"])
        assert totals(row["counts"]) == step_passes(METHODS[name], steps), name
