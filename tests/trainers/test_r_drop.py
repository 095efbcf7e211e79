"""r_drop: its loss against a naive one, its control, and models without dropout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import build_architecture
from tiny import build_model, build_trainer
from torch import nn

from hf_robust.trainers.r_drop import RDropTrainer


def one_batch(trainer: Any) -> dict[str, torch.Tensor]:
    batch: dict[str, torch.Tensor] = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    trainer.model.train()
    return batch


def naive(trainer: Any, batch: dict[str, torch.Tensor], alpha: float, code: bool) -> float:
    """Row by row, with the two passes of the step under the same seed."""
    torch.manual_seed(3)
    first, second = (trainer.model(**batch).logits.double().softmax(-1) for _ in range(2))
    rows = []
    for p, q, label in zip(first, second, batch["labels"], strict=True):
        divergence = sum((a * (a / b).log() + b * (b / a).log()).item() for a, b in zip(p, q, strict=True))
        ce = -p[label].log().item(), -q[label].log().item()
        rows.append((0.5 * ce[0], alpha * divergence / 2) if code else (sum(ce), alpha * divergence / 2))
    losses, divergences = (sum(values) for values in zip(*rows, strict=True))
    return losses / len(rows) + (divergences if code else divergences / len(rows))


@pytest.mark.parametrize("follow", ["paper", "code"])
@pytest.mark.parametrize("alpha", [0.3, 4.0])
def test_the_loss_is_that_of_the_formula(follow: str, alpha: float, tmp_path: Path) -> None:
    trainer = build_trainer("r_drop", tmp_path, model=build_model(dropout=0.3), follow=follow, r_drop_alpha=alpha)
    batch = one_batch(trainer)
    expected = naive(trainer, batch, alpha, follow == "code")
    torch.manual_seed(3)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, rel=1e-5)


def test_the_log_says_how_large_the_terms_are_and_the_default_is_the_papers(tmp_path: Path) -> None:
    trainer = build_trainer("r_drop", tmp_path, model=build_model(dropout=0.3))
    assert trainer.args.r_drop_alpha == 1.0
    trainer.train()
    for entry in trainer.state.log_history[:-1]:
        assert entry["loss"] == pytest.approx(entry["loss_ce"] + entry["loss_divergence"], abs=1e-4)
        assert entry["loss_divergence"] > 0


def test_training_brings_the_two_draws_together(tmp_path: Path) -> None:
    """Against the control of as many passes: the same two draws of dropout, without their divergence."""

    class TwoDraws(RDropTrainer):
        def _divergence(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            return 0 * super()._divergence(first, second)

    def divergence_after(method: Any) -> float:
        trainer = build_trainer(
            method, tmp_path, model=build_model(dropout=0.2), r_drop_alpha=5.0, max_steps=40, learning_rate=0.05
        )
        trainer.train()
        batch = one_batch(trainer)
        draws = [RDropTrainer._divergence(trainer, *two_passes(trainer.model, batch)) for _ in range(20)]
        return float(torch.stack(draws).mean())

    assert divergence_after("r_drop") < 0.7 * divergence_after(TwoDraws)


def two_passes(model: nn.Module, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(**batch).logits for _ in range(2)]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [("bert", "attention_probs_dropout_prob or hidden_dropout_prob"), ("llama", "attention_dropout")],
)
class TestModelsWithoutDropout:
    def test_are_refused_before_training(self, kind: str, fields: str, tmp_path: Path) -> None:
        trainer = build_trainer("r_drop", tmp_path, model=build_architecture(kind))
        message = f"^r_drop compares two draws of dropout, and {kind}For.* so that it has no dropout; set {fields} of"
        with pytest.raises(ValueError, match=re.compile(message, re.IGNORECASE)):
            trainer.train()
        assert trainer.state.global_step == 0 and not trainer.state.log_history

    def test_are_trained_without_a_second_draw_with_dropout_or_with_adapters(
        self, kind: str, fields: str, tmp_path: Path
    ) -> None:
        models = {
            "alone": (build_architecture(kind), {"r_drop_alpha": 0.0}),
            "dropout": (build_architecture(kind, dropout=0.1), {}),
            # At the first step an adapter adds nothing, so that its dropout changes no prediction.
            "adapters": (adapted(build_architecture(kind)), {"learning_rate": 0.5}),
        }
        for name, (model, options) in models.items():
            trainer = build_trainer("r_drop", tmp_path / name, model=model, **options)
            trainer.train()
            divergences = [entry.get("loss_divergence") for entry in trainer.state.log_history[:-1]]
            assert divergences == [None] * 3 if name == "alone" else divergences[-1] > 0


def adapted(model: nn.Module) -> nn.Module:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, lora_alpha=16, lora_dropout=0.3, target_modules="all-linear")
    return peft.get_peft_model(model, config)


def test_equal_draws_in_the_middle_of_training_end_nothing(tmp_path: Path) -> None:
    """Rounded logits of a certain model can be equal in a batch."""
    trainer = build_trainer("r_drop", tmp_path)
    logits = torch.tensor([[1.0, 2.0]])
    trainer._divergence(logits, logits + torch.tensor([0.5, 0.0]))
    assert trainer._divergence(logits, logits).item() == 0
