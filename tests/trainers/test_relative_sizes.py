"""``--adv_relative`` in every method that has it, and perturbations that 16 bits round away."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import assert_close, gradients_of, prepared, weights_after, with_more_padding
from tiny import build_model, build_trainer

from hf_robust.trainers import METHODS
from hf_robust.training.adversary_arguments import EmbeddingSpaceArguments

NAMES = [name for name in METHODS if issubclass(METHODS[name].config, EmbeddingSpaceArguments)]
# TRADES and SMART start at a noise that rounding must not decide about.
NOISE = {"trades": 0.1, "smart": 0.01}
SCALE = 4.0
"""A power of two, so that scaling rounds nothing."""


def strong(name: str) -> dict[str, Any]:
    if name in ("fgm", "fgsm"):
        return {"adv_lr": 0.1, "adv_relative": True}
    radius = {"adv_max_norm": 0.1} if name == "smart" else {}
    return {"adv_steps": 2, "adv_lr": 0.1, "adv_init_mag": NOISE.get(name, 0.1), "adv_relative": True, **radius}


def scaled_model() -> Any:
    """A model with larger embeddings that computes the same, since its first layer norm removes their scale."""
    model = build_model()
    block = model.bert.embeddings
    with torch.no_grad():
        for layer in (block.word_embeddings, block.position_embeddings, block.token_type_embeddings):
            layer.weight.mul_(SCALE)
    block.LayerNorm.eps *= SCALE**2
    return model


def logged(trainer: Any) -> dict[str, float]:
    return trainer.means.current()


def test_every_method_with_sizes_in_units_of_embeddings_has_the_flag() -> None:
    with_sizes = {name for name in METHODS if "adv_lr" in METHODS[name].config.__dataclass_fields__}
    # These two move mixture weights, which have no unit.
    assert with_sizes - set(NAMES) == {"ascc", "dne"}


@pytest.mark.parametrize("name", NAMES)
def test_larger_embeddings_get_a_larger_perturbation_and_train_the_same(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, **strong(name))
    scaled, _ = prepared(name, tmp_path, model=scaled_model(), **strong(name))
    loss, gradients = gradients_of(trainer, batch)
    other, others = gradients_of(scaled, batch)
    assert loss == other
    for key, gradient in gradients.items():
        factor = SCALE if "embeddings" in key and "LayerNorm" not in key else 1.0
        assert torch.equal(gradient, others[key] * factor), key
    first, second = logged(trainer), logged(scaled)
    assert first["perturbation_norm"] > 0
    assert second["perturbation_norm"] == pytest.approx(SCALE * first["perturbation_norm"], rel=1e-5)
    assert second["embedding_unit"] == pytest.approx(SCALE * first["embedding_unit"], rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_padding_changes_nothing(name: str, tmp_path: Path) -> None:
    if name in ("infobert",):
        options = {**strong(name), **METHODS[name].row_wise}
    else:
        options = strong(name)
    trainer, batch = prepared(name, tmp_path, **options)
    first, second = gradients_of(trainer, batch), gradients_of(trainer, with_more_padding(batch))
    assert_close(first, second, tolerance=1e-5)


def test_the_log_has_the_mean_norm_of_a_token(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **strong("pgd"))
    gradients_of(trainer, batch)
    norms = trainer.model.get_input_embeddings()(batch["input_ids"]).norm(dim=-1)
    assert logged(trainer)["embedding_unit"] == pytest.approx(norms[batch["attention_mask"].bool()].mean().item())
    absolute, _ = prepared("pgd", tmp_path)
    gradients_of(absolute, batch)
    assert "embedding_unit" not in logged(absolute)


def test_it_equals_absolute_sizes_of_that_many_units(tmp_path: Path) -> None:
    """With one batch the unit is one number, by which absolute sizes can be multiplied."""
    trainer, batch = prepared("pgd", tmp_path, **strong("pgd"), adv_max_norm=0.15)
    relative = gradients_of(trainer, batch)
    unit = logged(trainer)["embedding_unit"]
    sizes = {"adv_lr": 0.1 * unit, "adv_init_mag": 0.1 * unit, "adv_max_norm": 0.15 * unit}
    absolute, _ = prepared("pgd", tmp_path, adv_steps=2, **sizes)
    assert_close(relative, gradients_of(absolute, batch), tolerance=1e-5)


def test_a_split_batch_is_said_to_change_the_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        build_trainer("freelb", tmp_path, gradient_accumulation_steps=2)
        assert "micro-batch" not in caplog.text
        build_trainer("freelb", tmp_path, gradient_accumulation_steps=2, adv_relative=True)
    assert "freelb takes means over each micro-batch" in caplog.text
    assert "with --adv_relative False it does not" in caplog.text


# ---- 16 bits ----

PRINTED = {"adv_lr": 1e-3, "adv_max_norm": 1e-5}


@pytest.mark.slow
def test_a_perturbation_that_autocast_rounds_away_is_refused_in_the_first_step(tmp_path: Path) -> None:
    weights_after("smart", tmp_path / "32", **PRINTED)
    message = (
        r"smart: bfloat16 rounds the perturbation \(cosine 0\.\d\d between .* left, and 0\.5 is needed\); train in "
        "float32, or perturb more"
    )
    with pytest.raises(ValueError, match=message):
        weights_after("smart", tmp_path / "16", bf16=True, **PRINTED)


@pytest.mark.slow
def test_a_model_of_16_bits_is_refused_too_or_trains(tmp_path: Path) -> None:
    model = build_model().to(torch.bfloat16)
    with pytest.raises(ValueError, match="smart: bfloat16 rounds the perturbation"):
        weights_after("smart", tmp_path / "small", model=model, **PRINTED)
    trainer = build_trainer("pgd", tmp_path / "large", model=build_model().to(torch.bfloat16), adv_lr=0.3)
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "perturbation_cosine" in entry]
    assert len(entries) == 3 and all(entry["perturbation_cosine"] > 0.95 for entry in entries)


@pytest.mark.slow
def test_relative_sizes_are_the_way_out_for_large_embeddings(tmp_path: Path) -> None:
    def large() -> Any:
        model = build_model()
        with torch.no_grad():
            model.get_input_embeddings().weight.mul_(100)
        return model.to(torch.bfloat16)

    with pytest.raises(ValueError, match="freelb: bfloat16 rounds .*--adv_relative gives sizes in units"):
        weights_after("freelb", tmp_path / "absolute", model=large(), adv_steps=2)
    weights_after("freelb", tmp_path / "relative", model=large(), adv_steps=2, adv_relative=True)


@pytest.mark.slow
def test_a_rounding_that_can_be_seen_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        weights_after("freelb", tmp_path / "clear", bf16=True, adv_init_mag=0.3, adv_lr=0.3)
        assert "rounds the perturbation" not in caplog.text
        weights_after("smart", tmp_path / "coarse", bf16=True, adv_max_norm=5e-4)
    assert caplog.text.count("smart: bfloat16 rounds the perturbation") == 1
