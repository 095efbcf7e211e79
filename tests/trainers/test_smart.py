"""SMART against a naive re-derivation; its radius, its targets, its dropout and its averaged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer
from torch.nn.functional import cross_entropy, log_softmax, softmax

from hf_robust.trainers.smart import SmartConfig


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


def climbed(trainer: Any, batch: Any) -> list[Any]:
    """The steps of the ascent that one training step takes."""
    steps: list[Any] = []
    climb = trainer.embedding_space.climb

    def watched(*args: Any, **options: Any) -> Any:
        for step in climb(*args, **options):
            steps.append(step)
            yield step

    trainer.embedding_space.climb = watched
    trainer.compute_loss(trainer.model, batch)
    return steps


def logits_at(trainer: Any, batch: Any, offset: torch.Tensor) -> torch.Tensor:
    """The model's logits with ``offset`` added to its word embeddings, by a hook of this test."""
    layer = trainer.model.get_input_embeddings()
    handle = layer.register_forward_hook(lambda module, inputs, output: output + offset)
    logits: torch.Tensor = trainer.model(**{k: v for k, v in batch.items() if k != "labels"}).logits
    handle.remove()
    return logits


def both_ways(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """(B,) symmetric KL as (p - q) (log p - log q)."""
    gap = log_softmax(first, -1) - log_softmax(second, -1)
    return ((softmax(first, -1) - softmax(second, -1)) * gap).sum(-1)


def test_the_loss_is_its_formula(tmp_path: Path) -> None:
    trainer = build_trainer("smart", tmp_path, smart_lambda=3.0, smart_radius=0.5, adv_steps=2, adv_lr=1e4)
    batch = first_batch(trainer)
    clean = logits_at(trainer, batch, torch.zeros(()))
    mask = batch["attention_mask"].unsqueeze(-1).float()
    delta = trainer.embedding_space.noise().normal(batch["input_ids"], batch["attention_mask"], 16) * 1e-5 * mask
    values = []
    for _ in range(2):
        delta.requires_grad_()
        divergences = both_ways(logits_at(trainer, batch, delta), clean.detach())
        values.append(divergences)
        (gradient,) = torch.autograd.grad(divergences.sum(), delta)
        moved = delta.detach() + 1e4 * gradient
        delta = mask * 0.5 * moved / (moved.abs().amax(-1, keepdim=True) + 1e-30)
    smooth = both_ways(clean, logits_at(trainer, batch, delta)).mean()
    loss, _, parts = loss_parts(trainer, batch)
    # The first gradient is of a difference near rounding, so that the two ways to it agree in three digits.
    assert parts["smoothness"].item() == pytest.approx(3.0 * smooth.item(), rel=2e-2)
    assert loss.item() == pytest.approx(cross_entropy(clean, batch["labels"]).item() + parts["smoothness"].item())
    # SMART-2: what is climbed is the symmetric KL itself.
    assert torch.allclose(climbed(trainer, batch)[1].losses, values[1], rtol=5e-2)


@pytest.mark.parametrize("radius", [1e-5, 1.0])
@pytest.mark.parametrize("steps", [1, 3])
def test_SMART_1_every_token_ends_at_the_radius(tmp_path: Path, radius: float, steps: int) -> None:
    trainer = build_trainer("smart", tmp_path, smart_radius=radius, adv_steps=steps)
    batch = first_batch(trainer)
    sizes = climbed(trainer, batch)[-1].after.offset.abs().amax(-1)
    real = batch["attention_mask"].bool()
    assert not real.all() and torch.allclose(sizes[real], torch.tensor(radius), rtol=0.1)
    assert (sizes[~real] == 0).all()


def test_SMART_1_the_papers_radius_gives_no_more_than_rounding(tmp_path: Path) -> None:
    values = {}
    for radius in (1e-5, 1.0):
        trainer = build_trainer("smart", tmp_path, smart_radius=radius)
        values[radius] = loss_parts(trainer, first_batch(trainer))[2]["smoothness"].item()
    assert abs(values[1e-5]) < 1e-6 < 1e-2 < values[1.0]


def test_published_steps_stay_at_the_noise_where_dropout_is_shared(tmp_path: Path) -> None:
    cosine = {}
    for rate in (1e-3, 1e3):
        trainer = build_trainer("smart", tmp_path, smart_radius=1.0, adv_lr=rate, same_dropout=True)
        batch = first_batch(trainer)
        (step,) = climbed(trainer, batch)
        real = batch["attention_mask"].bool()
        pair = step.before.offset.detach()[real], step.after.offset[real]
        cosine[rate] = torch.nn.functional.cosine_similarity(*pair, dim=-1).mean().item()
    assert cosine[1e-3] > 0.999 and cosine[1e3] < 0.5


@pytest.mark.parametrize("detach", [True, False])
def test_SMART_3_targets_are_constants_unless_asked(tmp_path: Path, detach: bool) -> None:
    trainer = build_trainer("smart", tmp_path, smart_radius=1.0, detach_targets=detach)
    batch = first_batch(trainer)
    offset = climbed(trainer, batch)[-1].after.offset
    _, outputs, parts = loss_parts(trainer, batch)
    (gradient,) = torch.autograd.grad(parts["smoothness"], outputs["logits"], retain_graph=True)
    adversarial = logits_at(trainer, batch, offset)
    difference = (softmax(outputs["logits"], -1) - softmax(adversarial, -1)) / len(adversarial)
    assert torch.allclose(gradient, difference, atol=1e-4) is detach


def test_SMART_5_X18_shared_dropout_makes_the_divergence_0_at_the_clean_text(tmp_path: Path) -> None:
    values = {}
    for same in (True, False):
        options: dict[str, Any] = {"same_dropout": same, "adv_init_mag": 1e-15, "smart_radius": 0.0}
        trainer = build_trainer("smart", tmp_path, model=build_model(dropout=0.3), **options)
        batch = first_batch(trainer)
        climb = climbed(trainer, batch)[0].losses.mean().item()
        values[same] = climb, loss_parts(trainer, batch)[2]["smoothness"].item()
    assert max(map(abs, values[True])) < 1e-6 and min(values[False]) > 1e-3


@pytest.mark.parametrize("eval_mode", [True, False])
def test_forwards_and_their_modes(tmp_path: Path, eval_mode: bool) -> None:
    trainer = build_trainer("smart", tmp_path, adv_steps=2, ascent_eval_mode=eval_mode, use_bregman=True)
    batch, modes = first_batch(trainer), []
    trainer.model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    trainer.compute_loss(trainer.model, batch)
    assert modes == [True, not eval_mode, not eval_mode, True, False]
    assert all(module.training for module in trainer.model.modules())


def test_weight_0_equals_normal_with_dropout_too(tmp_path: Path) -> None:
    states = []
    for name, options in {"normal": {}, "smart": {"smart_lambda": 0.0}}.items():
        trainer = build_trainer(name, tmp_path / name, model=build_model(dropout=0.2), **options)
        trainer.train()
        states.append(trainer.model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_flags_that_would_do_nothing_are_not_there() -> None:
    fields = SmartConfig.__dataclass_fields__
    assert not {"adv_max_norm", "adv_norm_type", "multi_backward"} & set(fields)
    assert fields["smart_radius"].default == fields["adv_init_mag"].default == 1e-5


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("adv_init_mag", 0.0, r"--adv_init_mag must be above 0.*got 0"),
        ("smart_radius", -1.0, r"--smart_radius must be at least 0.0, got -1.0; 1e-5 is"),
        ("smart_lambda", -1.0, r"--smart_lambda must be at least 0.0"),
        ("smart_mu", -1.0, r"--smart_mu must be at least 0.0"),
        ("teacher_decay", 1.5, r"--teacher_decay must be between 0.0 and 1.0, got 1.5"),
        ("teacher_decay_early", -0.1, r"--teacher_decay_early must be between"),
    ],
)
def test_R15_bad_flags_are_one_sentence(tmp_path: Path, flag: str, value: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SmartConfig(output_dir=str(tmp_path), **{flag: value})
