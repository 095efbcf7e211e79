"""What an ascent leaves behind: no point holds the graph of an earlier one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tiny import build_trainer

from hf_robust.adversary import StepRule, TokenAware, ascend


@pytest.mark.parametrize("name", ["tavat", "adaptive_tavat", "freelb", "pgd"])
@pytest.mark.parametrize("radius", [0.0, 0.5])
def test_more_than_two_steps_train(name: str, radius: float, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, adv_steps=4, adv_max_norm=radius)
    trainer.train()
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)


def test_a_word_perturbation_has_no_graph_after_a_move() -> None:
    value = torch.rand(2, 3, 4)
    start = TokenAware(value, value * 0.5, torch.ones(2, 3, 1), StepRule(0.1, 0.2), token_step=0.1)
    points = ascend(start, 3)
    point = next(points)
    for _ in range(3):
        assert point.delta.requires_grad and not point.eta.requires_grad
        (gradient,) = torch.autograd.grad(point.offset.pow(3).sum(), point.leaves)
        point = points.send((gradient,))
    assert not point.delta.requires_grad and not point.eta.requires_grad
