"""The averaged model of SMART's Bregman term: what it averages, where it is kept, and when."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import build_model, build_trainer, review_data

from hf_robust.losses import symmetric_kl
from hf_robust.modules.auxiliary import STATE_FILE
from hf_robust.modules.teacher import AverageWeights


def own_weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def some_batch() -> dict[str, torch.Tensor]:
    rows = [review_data()[i] for i in range(4)]
    length = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(4, length, dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row["input_ids"])] = torch.as_tensor(row["input_ids"])
    return {"input_ids": ids, "attention_mask": (ids > 0).long()}


def test_moves_by_its_decay_and_predicts_as_a_model_with_those_weights() -> None:
    model, other = build_model(seed=0, dropout=0.5), build_model(seed=1)
    first = own_weights(model)
    teacher = AverageWeights(model)
    model.load_state_dict(other.state_dict())
    teacher.update(model, decay=0.75)
    expected = {name: 0.75 * first[name] + 0.25 * value for name, value in own_weights(other).items()}
    assert teacher.values().keys() == expected.keys()
    assert all(torch.allclose(value, expected[name], atol=1e-6) for name, value in teacher.values().items())
    averaged = copy.deepcopy(other)
    averaged.load_state_dict({**other.state_dict(), **teacher.values()})
    before = own_weights(model)
    model.train()
    logits = teacher.logits(model, {**some_batch(), "labels": torch.zeros(4, dtype=torch.long)})
    assert torch.allclose(logits, averaged.eval()(**some_batch()).logits, atol=1e-6)
    assert not logits.requires_grad and all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in own_weights(model).items())


def test_frozen_weights_are_not_kept_and_16_bits_are_averaged_in_32() -> None:
    model = build_model().to(torch.bfloat16)
    model.bert.requires_grad_(False)
    teacher = AverageWeights(model)
    assert set(teacher.values()) == {"classifier.weight", "classifier.bias"}
    assert list(teacher.parameters()) == []
    with torch.no_grad():
        model.classifier.bias.add_(1.0)
    for _ in range(3):
        teacher.update(model, decay=0.999)
    # In 16 bits the second and third step of 0.001 would be rounded to others.
    assert torch.allclose(teacher.values()["classifier.bias"], torch.full((2,), 1 - 0.999**3), rtol=1e-3)
    assert teacher.logits(model, some_batch()).dtype == torch.bfloat16


def test_zero_at_the_first_step_without_dropout_and_its_formula_after(tmp_path: Path) -> None:
    trainer: Any = build_trainer("smart", tmp_path, smart_mu=2.0)
    trainer.train()
    values = [entry["loss_bregman"] for entry in trainer.state.log_history if "loss" in entry]
    assert values[0] == pytest.approx(0.0, abs=1e-6) and values[2] > 1e-4
    batch = some_batch()
    parts: dict[str, torch.Tensor] = {}
    trainer.log_parts = lambda **named: parts.update(named)
    trainer.model.train()
    trainer.compute_loss(trainer.model, {**batch, "labels": torch.tensor([0, 1, 0, 1])})
    student, teacher = trainer.model(**batch).logits, trainer.teacher.logits(trainer.model, batch)
    assert parts["bregman"].item() == pytest.approx(2.0 * symmetric_kl(student, teacher).item(), rel=1e-5)
    gradients = torch.autograd.grad(parts["bregman"], list(trainer.model.parameters()), allow_unused=True)
    assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)


def test_follows_faster_in_the_first_tenth_of_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer: Any = build_trainer("smart", tmp_path, smart_mu=1.0, max_steps=20)
    decays: list[float] = []
    monkeypatch.setattr(trainer.teacher, "update", lambda model, decay: decays.append(decay))
    trainer.train()
    assert decays == [0.99] * 2 + [0.999] * 18


@pytest.mark.slow
def test_no_optimizer_group_no_export_and_a_resumed_run_is_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = {"smart_mu": 1.0, "adv_max_norm": 1.0, "max_steps": 4, "save_strategy": "steps"}
    options |= {"save_steps": 2, "optim": "adamw_torch", "learning_rate": 1e-3}
    whole: Any = build_trainer("smart", tmp_path / "whole", model=build_model(dropout=0.1), **options)
    whole.train()
    counted = sum(len(group["params"]) for group in whole.optimizer.param_groups)
    assert counted == len(list(whole.model.parameters()))
    assert all(group.get("maximize", False) is False for group in whole.optimizer.param_groups)
    checkpoint = tmp_path / "whole" / "checkpoint-2"
    assert len(load_file(checkpoint / STATE_FILE)) == counted
    assert not any("robust_aux" in name for name in load_file(checkpoint / "model.safetensors"))
    again: Any = build_trainer("smart", tmp_path / "again", model=build_model(seed=9, dropout=0.1), **options)
    again.train(resume_from_checkpoint=str(checkpoint))
    states = whole.model.state_dict(), again.model.state_dict()
    assert any("robust_aux" in name for name in states[0])
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_adapters_are_averaged_alone(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "value"])
    trainer: Any = build_trainer("smart", tmp_path, model=peft.get_peft_model(build_model(), config), smart_mu=1.0)
    names = set(trainer.teacher.values())
    assert names == {name for name, value in trainer.model.named_parameters() if value.requires_grad}
    trainer.model.eval()
    batch = some_batch()
    assert torch.equal(trainer.teacher.logits(trainer.model, batch), trainer.model(**batch).logits)
    trainer.train()
    trainer.model.eval()
    assert not torch.equal(trainer.teacher.logits(trainer.model, batch), trainer.model(**batch).logits)
