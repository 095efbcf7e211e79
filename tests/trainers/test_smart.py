"""SMART against the paper's Algorithm 1 and the code's rule; its radius, targets, dropout and averaged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_trainer
from torch.nn.functional import cross_entropy, log_softmax, softmax

from hf_robust.trainers.smart import SMARTConfig


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


def ascended(trainer: Any, batch: Any, steps: int, move: Any) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """The clean logits, the last perturbation, and the divergences on the way; ``move(delta, gradient)`` steps."""
    clean = logits_at(trainer, batch, torch.zeros(()))
    mask = batch["attention_mask"].unsqueeze(-1).float()
    delta = trainer.embedding_space.noise().normal(batch["input_ids"], batch["attention_mask"], 16) * 1e-5 * mask
    values = []
    for _ in range(steps):
        delta.requires_grad_()
        values.append(both_ways(logits_at(trainer, batch, delta), clean.detach()))
        (gradient,) = torch.autograd.grad(values[-1].sum(), delta)
        delta = mask * move(delta.detach(), gradient)
    return clean, delta, values


def in_the_papers_ball(delta: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """Algorithm 1: g / |g|_inf of each text, a step of eta 0.3, each entry back to within eps 0.5."""
    scaled = torch.stack([own / own.abs().max() for own in gradient])
    return torch.clamp(delta + 0.3 * scaled, -0.5, 0.5)


def on_the_codes_sphere(delta: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """mt-dnn: a raw step, then each token's vector divided by its largest entry; at most 0.5 here."""
    moved = delta + 1e4 * gradient
    return 0.5 * moved / (moved.abs().amax(-1, keepdim=True) + 1e-30)


@pytest.mark.parametrize(
    ("follow", "rate", "move"), [("paper", 0.3, in_the_papers_ball), ("code", 1e4, on_the_codes_sphere)]
)
def test_the_loss_is_its_formula(tmp_path: Path, follow: str, rate: float, move: Any) -> None:
    options = {"smart_lambda": 3.0, "adv_max_norm": 0.5, "adv_steps": 2, "adv_lr": rate}
    trainer = build_trainer("smart", tmp_path, follow=follow, **options)
    batch = first_batch(trainer)
    clean, delta, values = ascended(trainer, batch, 2, move)
    smooth = both_ways(clean, logits_at(trainer, batch, delta)).mean()
    loss, _, parts = loss_parts(trainer, batch)
    # The first gradient is of a difference near rounding, so that the two ways to it agree in three digits.
    assert parts["smoothness"].item() == pytest.approx(3.0 * smooth.item(), rel=2e-2)
    assert loss.item() == pytest.approx(cross_entropy(clean, batch["labels"]).item() + parts["smoothness"].item())
    # What is climbed is the symmetric KL itself.
    assert torch.allclose(climbed(trainer, batch)[1].losses, values[1], rtol=5e-2)


def test_the_default_perturbation_raises_the_term_and_random_signs_of_its_size_do_not(tmp_path: Path) -> None:
    trainer = build_trainer("smart", tmp_path, model=build_model(dropout=0.2))
    batch, means = first_batch(trainer), {}
    trainer.log_values = lambda **named: means.update({name: float(value) for name, value in named.items()})
    trainer.compute_loss(trainer.model, batch)
    trainer.model.eval()
    clean = logits_at(trainer, batch, torch.zeros(()))
    signs = torch.randn(*batch["input_ids"].shape, 16).sign() * trainer.args.adv_max_norm
    random_term = both_ways(clean, logits_at(trainer, batch, signs)).mean().item()
    assert means["loss_smoothness"] > 20 * max(random_term, means["smoothness_start"]) > 0


def test_the_papers_radius_gives_next_to_nothing_and_draws_of_dropout_give_the_same_at_any(tmp_path: Path) -> None:
    values = {}
    for radius in (1e-12, 1e-5, 1e-3):
        for same in (True, False):
            trainer = build_trainer(
                "smart", tmp_path, adv_max_norm=radius, same_dropout=same, model=build_model(dropout=0.3)
            )
            values[radius, same] = loss_parts(trainer, first_batch(trainer))[2]["smoothness"].item()
    assert abs(values[1e-5, True]) < 1e-2 * values[1e-3, True]
    assert values[1e-12, False] == pytest.approx(values[1e-5, False], rel=0.01) and values[1e-12, False] > 1e-3


@pytest.mark.parametrize("radius", [1e-5, 1.0])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_codes_tokens_end_at_the_radius(tmp_path: Path, radius: float, steps: int) -> None:
    trainer = build_trainer("smart", tmp_path, follow="code", adv_max_norm=radius, adv_steps=steps)
    batch = first_batch(trainer)
    sizes = climbed(trainer, batch)[-1].after.offset.abs().amax(-1)
    real = batch["attention_mask"].bool()
    assert not real.all() and torch.allclose(sizes[real], torch.tensor(radius), rtol=0.1)
    assert (sizes[~real] == 0).all()


def test_the_codes_steps_stay_at_the_noise_where_dropout_is_shared(tmp_path: Path) -> None:
    cosine = {}
    for rate in (1e-3, 1e3):
        trainer = build_trainer("smart", tmp_path, follow="code", adv_lr=rate, same_dropout=True)
        batch = first_batch(trainer)
        (step,) = climbed(trainer, batch)
        real = batch["attention_mask"].bool()
        pair = step.before.offset.detach()[real], step.after.offset[real]
        cosine[rate] = torch.nn.functional.cosine_similarity(*pair, dim=-1).mean().item()
    assert cosine[1e-3] > 0.999 and cosine[1e3] < 0.5


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_targets_are_constants_in_the_code(tmp_path: Path, follow: str) -> None:
    trainer = build_trainer("smart", tmp_path, adv_max_norm=1.0, follow=follow)
    batch = first_batch(trainer)
    offset = climbed(trainer, batch)[-1].after.offset
    _, outputs, parts = loss_parts(trainer, batch)
    (gradient,) = torch.autograd.grad(parts["smoothness"], outputs["logits"], retain_graph=True)
    adversarial = logits_at(trainer, batch, offset)
    difference = (softmax(outputs["logits"], -1) - softmax(adversarial, -1)) / len(adversarial)
    assert torch.allclose(gradient, difference, atol=1e-4) is (follow == "code")


def test_shared_dropout_makes_the_divergence_0_at_the_clean_text(tmp_path: Path) -> None:
    values = {}
    for same in (True, False):
        options: dict[str, Any] = {"same_dropout": same, "adv_init_mag": 1e-15, "adv_max_norm": 1e-15}
        trainer = build_trainer("smart", tmp_path, model=build_model(dropout=0.3), **options)
        batch = first_batch(trainer)
        climb = climbed(trainer, batch)[0].losses.mean().item()
        values[same] = climb, loss_parts(trainer, batch)[2]["smoothness"].item()
    assert max(map(abs, values[True])) < 1e-6 and min(values[False]) > 1e-3


def test_readings_fill_in_what_is_not_given(tmp_path: Path) -> None:
    def read(**given: Any) -> tuple[Any, ...]:
        args = SMARTConfig(output_dir=str(tmp_path), **given)
        return args.adv_lr, args.adv_max_norm, args.same_dropout

    assert read() == (0.1, 1e-3, True) and read(follow="code") == (1e-5, 1.0, False)
    assert read(follow="code", adv_max_norm=0.5, same_dropout=True) == (1e-5, 0.5, True)
    with pytest.raises(ValueError, match="--follow must be one of paper, code, got 'both'"):
        read(follow="both")


def test_forwards_and_their_modes(tmp_path: Path) -> None:
    trainer = build_trainer("smart", tmp_path, adv_steps=2, smart_mu=1.0)
    batch, modes = first_batch(trainer), []
    trainer.model.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    trainer.compute_loss(trainer.model, batch)
    assert modes == [True, True, True, True, False]
    assert all(module.training for module in trainer.model.modules())


def test_weight_0_equals_normal_with_dropout_too(tmp_path: Path) -> None:
    states = []
    for name, options in {"normal": {}, "smart": {"smart_lambda": 0.0}}.items():
        trainer = build_trainer(name, tmp_path / name, model=build_model(dropout=0.2), **options)
        trainer.train()
        states.append(trainer.model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_flags_that_would_do_nothing_are_not_there() -> None:
    fields = SMARTConfig.__dataclass_fields__
    assert not {"adv_norm_type", "multi_backward"} & set(fields)
    assert "detach_targets" not in fields


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("adv_init_mag", 0.0, r"--adv_init_mag must be above 0.*got 0"),
        ("adv_max_norm", -1.0, r"--adv_max_norm must be above 0, got -1; 1e-5 is"),
        ("adv_max_norm", 0.0, r"--adv_max_norm must be above 0, got 0; .* --smart_lambda 0 leaves the term out"),
        ("smart_lambda", -1.0, r"--smart_lambda must be at least 0.0"),
        ("smart_mu", -1.0, r"--smart_mu must be at least 0.0"),
    ],
)
def test_bad_flags_are_one_sentence(tmp_path: Path, flag: str, value: float, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SMARTConfig(output_dir=str(tmp_path), **{flag: value})
