"""Dropout masks repeated, and evaluation mode undone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import build_model
from torch import Tensor, nn

from hf_robust.adversary import DropoutReplay, evaluating

CPU = torch.device("cpu")


@pytest.mark.parametrize("kind", ["bert", "roberta", "electra", "deberta-v2"])
def test_every_pass_has_the_masks_of_the_first(kind: str) -> None:
    model: Any = build_model(kind, dropout=0.2).train()
    ids = torch.tensor([[2, 9, 11, 3]])
    replay = DropoutReplay(CPU)

    def again() -> Tensor:
        with replay.again():
            return model(input_ids=ids).logits.detach()

    first = again()
    torch.rand(17)  # what is drawn between two passes does not matter
    assert torch.equal(again(), first) and torch.equal(again(), first)
    assert not torch.equal(model(input_ids=ids).logits, first)


def test_the_first_pass_draws_what_it_would_draw_alone_and_the_state_goes_on() -> None:
    torch.manual_seed(3)
    expected = [torch.rand(2), torch.rand(2)]
    torch.manual_seed(3)
    replay = DropoutReplay(CPU)
    for _ in range(3):
        with replay.again():
            assert torch.equal(torch.rand(2), expected[0])
    assert torch.equal(torch.rand(2), expected[1])


def test_two_replays_are_independent() -> None:
    first, second = DropoutReplay(CPU), DropoutReplay(CPU)
    with first.again():
        one = torch.rand(3)
    with second.again():
        assert not torch.equal(torch.rand(3), one)


def test_evaluating_gives_each_module_its_own_mode_back() -> None:
    model = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.Linear(1, 1)))
    model[1][0].eval()
    with evaluating(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
    with pytest.raises(RuntimeError), evaluating(model):
        raise RuntimeError
    assert [module.training for module in model.modules()] == [True, True, True, False, True]
