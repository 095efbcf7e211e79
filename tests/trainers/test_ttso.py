"""ttso: its loss against a naive one, and what a temperature in training does to the logits."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_trainer

from hf_robust.trainers.ttso import entropies


def one_batch(trainer: Any) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    trainer.model.train()
    return batch


@pytest.mark.parametrize(("temperature", "alpha"), [(10.0, 0.0), (0.5, 0.0), (20.0, 0.5), (1.0, 3.0)])
def test_the_loss_is_that_of_the_formula(temperature: float, alpha: float, tmp_path: Path) -> None:
    trainer = build_trainer("ttso", tmp_path, ttso_temperature=temperature, ttso_alpha=alpha)
    batch = one_batch(trainer)
    losses = []
    for logits, label in zip(trainer.model(**batch).logits.tolist(), batch["labels"].tolist(), strict=True):
        shares = [math.exp(value) / sum(map(math.exp, logits)) for value in logits]
        divisor = temperature - alpha * sum(share * math.log(share) for share in shares)
        scaled = [math.exp(value / divisor) for value in logits]
        losses.append(-math.log(scaled[label] / sum(scaled)))
    expected = sum(losses) / len(losses)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_entropies_at_the_ends() -> None:
    found = entropies(torch.tensor([[0.0, 0.0, 0.0], [200.0, 0.0, 0.0]]))
    assert found.tolist() == pytest.approx([math.log(3), 0.0], abs=1e-6)


def test_the_gradient_flows_through_the_temperature(tmp_path: Path) -> None:
    trainer = build_trainer("ttso", tmp_path, ttso_temperature=1.0, ttso_alpha=2.0)
    batch = one_batch(trainer)
    logits = trainer.model(**batch).logits.detach().requires_grad_()

    def gradient(temperatures: torch.Tensor) -> torch.Tensor:
        loss = trainer.sample_losses(logits / temperatures.unsqueeze(-1), batch["labels"]).mean()
        return torch.autograd.grad(loss, logits)[0]

    through, constant = gradient(1 + 2 * entropies(logits)), gradient((1 + 2 * entropies(logits)).detach())
    assert not torch.allclose(through, constant, atol=1e-4)
    head = trainer.model.classifier.bias
    bias_gradient = torch.autograd.grad(trainer.compute_loss(trainer.model, batch), head)[0]
    assert torch.allclose(bias_gradient, through.sum(0), atol=1e-6)


def test_label_smoothing_and_class_weights_are_those_of_the_task_loss(tmp_path: Path) -> None:
    for options in ({"label_smoothing_factor": 0.2}, {"class_weights": [1.0, 3.0]}):
        plain = build_trainer("normal", tmp_path, **options)
        batch = one_batch(plain)
        # At a temperature so near 1 that only the formula can differ.
        near = build_trainer("ttso", tmp_path, ttso_temperature=1 + 1e-6, **options)
        expected = plain.compute_loss(plain.model, batch).item()
        assert near.compute_loss(near.model.train(), batch).item() == pytest.approx(expected, rel=1e-4)


def test_logits_grow_with_the_temperature_and_evaluation_reads_them_as_they_are(tmp_path: Path) -> None:
    def mean_margin(name: str, **options: Any) -> float:
        settings = {"optim": "adamw_torch", "learning_rate": 0.01, "max_steps": 60, **options}
        trainer = build_trainer(name, tmp_path, **settings)
        trainer.train()
        batch = one_batch(trainer)
        trainer.model.eval()
        logits = trainer.inference(trainer.model, batch)["logits"].detach()
        assert torch.equal(logits, trainer.model(**batch).logits)
        return float((logits[:, 0] - logits[:, 1]).abs().mean())

    assert mean_margin("ttso") > 1.5 * mean_margin("normal")


def test_a_temperature_of_zero_is_refused(tmp_path: Path) -> None:
    for given in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"--ttso_temperature must be above 0, got {given:g}; 1 is ordinary"):
            build_trainer("ttso", tmp_path, ttso_temperature=given)
