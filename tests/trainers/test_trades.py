"""TRADES against a naive re-derivation, and what its passes share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer
from torch.nn.functional import kl_div, log_softmax, softmax

from hf_robust.trainers.trades import TRADESConfig


def first_batch(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.model.train()
    batch: dict[str, torch.Tensor] = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    return batch


def loss_parts(trainer: Any, batch: Any) -> tuple[torch.Tensor, Any, dict[str, torch.Tensor]]:
    """The loss, the outputs and the named parts with their graphs."""
    parts: dict[str, torch.Tensor] = {}
    trainer.log_parts = lambda **named: parts.update(named)
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    return loss, outputs, parts


def logits_at(trainer: Any, batch: Any, offset: torch.Tensor) -> torch.Tensor:
    """The model's logits with ``offset`` added to its word embeddings, by a hook of this test."""
    layer = trainer.model.get_input_embeddings()
    handle = layer.register_forward_hook(lambda module, inputs, output: output + offset)
    logits: torch.Tensor = trainer.model(**{k: v for k, v in batch.items() if k != "labels"}).logits
    handle.remove()
    return logits


def test_the_loss_is_its_formula(tmp_path: Path) -> None:
    trainer = build_trainer("trades", tmp_path, trades_lambda=2.0, adv_steps=3, adv_lr=0.3, adv_max_norm=0.5)
    batch = first_batch(trainer)
    clean = logits_at(trainer, batch, torch.zeros(()))
    mask = batch["attention_mask"].unsqueeze(-1).float()
    delta = trainer.embedding_space.noise().normal(batch["input_ids"], batch["attention_mask"], 16) * 0.001 * mask
    for _ in range(3):
        delta.requires_grad_()
        target = softmax(clean, -1).detach()
        divergence = kl_div(log_softmax(logits_at(trainer, batch, delta), -1), target, reduction="sum")
        (gradient,) = torch.autograd.grad(divergence, delta)
        delta = delta.detach() + 0.3 * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1)
        delta = delta * (0.5 / delta.flatten(1).norm(dim=1)).clamp(max=1.0).view(-1, 1, 1)
    adversarial = logits_at(trainer, batch, delta)
    ce = torch.nn.functional.cross_entropy(clean, batch["labels"])
    forwards = (softmax(clean, -1) * (log_softmax(clean, -1) - log_softmax(adversarial, -1))).sum(-1).mean()
    backwards = (softmax(adversarial, -1) * (log_softmax(adversarial, -1) - log_softmax(clean, -1))).sum(-1).mean()
    loss, _, parts = loss_parts(trainer, batch)
    assert loss.item() == pytest.approx((ce + 2.0 * forwards).item(), rel=1e-5)
    assert parts["kl"].item() == pytest.approx(2.0 * forwards.item(), rel=1e-4)
    assert abs(forwards.item() - backwards.item()) > 1e-4, "the order must tell here"


def test_the_outer_loss_has_a_gradient_through_the_clean_prediction(tmp_path: Path) -> None:
    trainer = build_trainer("trades", tmp_path, trades_lambda=1.0, adv_lr=1.0)
    _, outputs, parts = loss_parts(trainer, first_batch(trainer))
    (gradient,) = torch.autograd.grad(parts["kl"], outputs["logits"], retain_graph=True)
    p = softmax(outputs["logits"], -1)
    assert gradient.abs().max() > 1e-3
    assert torch.allclose(gradient.sum(-1), torch.zeros(len(p)), atol=1e-6)


def test_zero_where_the_model_ignores_its_embeddings(tmp_path: Path) -> None:
    model = build_model()
    torch.nn.init.zeros_(model.classifier.weight)
    trainer = build_trainer("trades", tmp_path, model=model)
    assert loss_parts(trainer, first_batch(trainer))[2]["kl"].item() == 0.0


def test_only_the_ascent_runs_without_dropout(tmp_path: Path) -> None:
    trainer = build_trainer("trades", tmp_path, adv_steps=2)
    batch, modes = first_batch(trainer), []
    trainer.model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    trainer.compute_loss(trainer.model, batch)
    assert modes == [True, False, False, True]


def test_a_text_has_one_perturbation_whatever_its_batch(tmp_path: Path) -> None:
    trainer = build_trainer("trades", tmp_path, adv_norm_type="l2")
    batch = first_batch(trainer)
    seen: list[Any] = []
    worst = trainer.embedding_space.worst
    trainer.embedding_space.worst = lambda *a, **o: seen.append(worst(*a, **o)) or seen[-1]  # type: ignore[method-assign,func-returns-value]
    trainer.compute_loss(trainer.model, batch)
    trainer.compute_loss(trainer.model, {key: value[:2] for key, value in batch.items()})
    assert torch.allclose(seen[0].offset[:2], seen[1].offset, atol=1e-5)


def test_shared_dropout_makes_the_divergence_0_at_the_clean_text(tmp_path: Path) -> None:
    values = {}
    for same in (True, False):
        model = build_model(dropout=0.3)
        trainer = build_trainer("trades", tmp_path, model=model, same_dropout=same, adv_init_mag=1e-30, adv_lr=0.0)
        values[same] = loss_parts(trainer, first_batch(trainer))[2]["kl"].item()
    assert abs(values[True]) < 1e-7 and values[False] > 1e-3


def test_weight_0_equals_normal_with_dropout_too(tmp_path: Path) -> None:
    states = []
    for name, options in {"normal": {}, "trades": {"trades_lambda": 0.0}}.items():
        trainer = build_trainer(name, tmp_path / name, model=build_model(dropout=0.2), **options)
        trainer.train()
        states.append(trainer.model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_start_without_noise_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--adv_init_mag must be above 0.*got 0.*leave the flag"):
        TRADESConfig(output_dir=str(tmp_path), adv_init_mag=0.0)


def test_a_negative_weight_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--trades_lambda must be at least 0.0, got -1"):
        TRADESConfig(output_dir=str(tmp_path), trades_lambda=-1.0)
