"""ASCC: the loss re-derived with torch's Adam, its reductions, and what the ascent leaves alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from hf_robust.trainers import METHODS
from hf_robust.trainers.ascc import ASCCConfig


def first_batch(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.model.train()
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def naive_losses(trainer: Any, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clean loss, divergence and loss at the mixture, through ``inputs_embeds`` and torch's own Adam."""
    model, args = trainer.model, trainer.args
    hull, embed = trainer.neighbours(batch).hull, model.get_input_embeddings()
    ids, mask = batch["input_ids"], batch["attention_mask"]
    noise = trainer.embedding_space.noise().normal(ids, mask, hull.ids.shape[-1])
    leaf = (noise * args.adv_init_mag).requires_grad_()
    adam = torch.optim.Adam([leaf], lr=args.adv_lr, weight_decay=2e-5)

    def mixture() -> tuple[torch.Tensor, torch.Tensor]:
        masked = leaf.masked_fill(~hull.valid, -999.0)
        entropy = -(masked.softmax(-1) * masked.log_softmax(-1)).sum(-1)
        vertices = embed(torch.where(hull.valid, hull.ids, 0)) * hull.valid.unsqueeze(-1)
        mean_entropy = (entropy * mask).sum(1) / mask.sum(1)
        return (masked.softmax(-1).unsqueeze(-1) * vertices).sum(-2), mean_entropy

    clean = model(input_ids=ids, attention_mask=mask).logits
    for _ in range(args.adv_steps):
        mixed, entropy = mixture()
        moved = model(inputs_embeds=mixed, attention_mask=mask).logits
        divergence = kl_div(log_softmax(moved, -1), clean.detach().softmax(-1), reduction="sum")
        leaf.grad = torch.autograd.grad(-divergence + args.ascc_alpha * entropy.sum(), leaf)[0]
        adam.step()
    moved = model(inputs_embeds=mixture()[0], attention_mask=mask).logits
    divergence = kl_div(log_softmax(moved, -1), clean.softmax(-1), reduction="batchmean")
    return cross_entropy(clean, batch["labels"]), divergence, cross_entropy(moved, batch["labels"])


@pytest.mark.parametrize("ascc_weight", [0.0, 0.5])
def test_loss_equals_a_naive_derivation(ascc_weight: float, tmp_path: Path) -> None:
    trainer: Any = build_trainer("ascc", tmp_path, ascc_weight=ascc_weight, adv_steps=3)
    batch = first_batch(trainer)
    clean, divergence, adversarial = naive_losses(trainer, batch)
    loss = trainer.compute_loss(trainer.model, batch)
    expected = clean + 4.0 * divergence + ascc_weight * adversarial
    assert divergence.item() > 1e-3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    parameters = list(trainer.model.parameters())
    for found, naive in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(found, naive, atol=1e-4, rtol=1e-3)


def test_without_neighbours_the_divergence_is_zero(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path, max_neighbours=1, max_steps=1)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert entry["loss_kl"] == 0.0 and entry["perturbation_norm"] == 0.0
    assert entry["loss"] == pytest.approx(entry["loss_ce"], abs=1e-4)


@pytest.mark.slow
def test_shared_dropout_masks_leave_no_divergence_where_nothing_moves(tmp_path: Path) -> None:
    found = []
    for same in (True, False):
        options: dict[str, Any] = {"same_dropout": same, "max_neighbours": 1, "max_steps": 1}
        trainer = build_trainer("ascc", tmp_path, model=build_model(dropout=0.3), **options)
        trainer.train()
        found.append(trainer.state.log_history[0]["loss_kl"])
    assert found[0] == pytest.approx(0.0, abs=1e-6) and found[1] > 1e-3


def test_the_cross_entropy_at_the_mixture_may_stand_alone(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path, ascc_beta=0.0, ascc_weight=1.0, max_steps=1)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert "loss_kl" not in entry
    assert entry["loss"] == pytest.approx(entry["loss_ce"] + entry["loss_adversarial"], abs=1e-3)


@pytest.mark.slow
def test_a_larger_alpha_leaves_sparser_weights(tmp_path: Path) -> None:
    entropies = []
    for alpha in (0.0, 10.0):
        trainer = build_trainer("ascc", tmp_path, max_steps=1, ascc_alpha=alpha)
        trainer.train()
        entropies.append(trainer.state.log_history[0]["weight_entropy"])
    assert entropies[1] < entropies[0]


@pytest.mark.slow
def test_the_ascent_raises_the_divergence(tmp_path: Path) -> None:
    found = []
    for rate in (0.0, 1.0):
        trainer = build_trainer("ascc", tmp_path, max_steps=1, adv_lr=rate, ascc_alpha=0.0)
        trainer.train()
        found.append(trainer.state.log_history[0]["loss_kl"])
    assert found[1] > found[0]


def test_the_ascent_leaves_gradients_as_they_are(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path)
    batch = first_batch(trainer)
    for parameter in trainer.model.parameters():
        parameter.grad = torch.full_like(parameter, 7.0)
    trainer.compute_loss(trainer.model, batch)
    assert all(parameter.grad.eq(7.0).all() for parameter in trainer.model.parameters())


def test_padding_changes_nothing(tmp_path: Path) -> None:
    trainer = build_trainer("ascc", tmp_path)
    batch = first_batch(trainer)
    padded = {
        key: value if key == "labels" else torch.nn.functional.pad(value, (0, 5)) for key, value in batch.items()
    }
    losses = [trainer.compute_loss(trainer.model, one).item() for one in (batch, padded)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


@pytest.mark.parametrize(("follow", "ascent"), [("paper", True), ("code", False)])
def test_the_codes_ascent_has_no_dropout_and_training_has(tmp_path: Path, follow: str, ascent: bool) -> None:
    trainer = build_trainer("ascc", tmp_path, model=build_model(dropout=0.5), follow=follow, adv_steps=2)
    modes: list[bool] = []
    trainer.model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    trainer.compute_loss(trainer.model, first_batch(trainer))
    assert modes == [True, ascent, ascent, True] and trainer.model.training


def test_the_code_takes_ten_steps_and_an_alpha_of_15(tmp_path: Path) -> None:
    def read(**given: Any) -> tuple[Any, ...]:
        args = ASCCConfig(output_dir=str(tmp_path), **given)
        return args.adv_steps, args.ascc_alpha

    assert read() == (5, 10.0) and read(follow="code") == (10, 15.0)
    assert read(follow="code", ascc_alpha=3.0) == (10, 3.0)


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("adv_init_mag", 0.0, "above 0, got 0.0.*start from noise"),
        ("adv_steps", 0, "at least 1"),
        ("ascc_alpha", -1.0, "at least 0"),
        ("ascc_beta", -1.0, "at least 0"),
        ("ascc_weight", -1.0, "at least 0"),
        ("max_neighbours", 0, "at least 1"),
    ],
)
def test_bad_values_are_one_sentence(flag: str, value: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag} must be {reason}"):
        METHODS["ascc"].config(output_dir=str(tmp_path), **{flag: value})
