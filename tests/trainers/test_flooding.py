"""flooding and flooding_x: the level's effect, and how the level is measured."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import build_model, build_trainer, review_data
from torch import nn

from hf_robust.losses import flooded
from hf_robust.trainers.pgd import PGDTrainer
from hf_robust.training import flood_level
from hf_robust.training.flood_level import PlainEpoch, accordance, chosen_epoch, last_layer_and_head, model_copy


def trained(name: Any, folder: Path, **options: Any) -> Any:
    trainer = build_trainer(name, folder, **options)
    trainer.train()
    return trainer


def state(trainer: Any) -> dict[str, torch.Tensor]:
    return {k: v.detach().clone() for k, v in trainer.model.state_dict().items() if "robust_aux" not in k}


def assert_equal(first: Any, second: Any) -> None:
    for key, value in state(first).items():
        assert torch.equal(value, state(second)[key]), key


class FloodedPgd(PGDTrainer):
    """Flooding around another method's loss."""

    level = 0.0

    def compute_loss(self, model: nn.Module, inputs: Any, return_outputs: bool = False, **kwargs: Any) -> Any:
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        loss = flooded(loss, self.level)
        return (loss, outputs) if return_outputs else loss


def test_it_wraps_the_loss_of_another_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = build_model().state_dict()
    plain = trained("pgd", tmp_path, max_steps=1)
    assert_equal(trained(FloodedPgd, tmp_path, max_steps=1), plain)
    monkeypatch.setattr(FloodedPgd, "level", 1e3)
    up = trained(FloodedPgd, tmp_path, max_steps=1)
    for key, value in state(plain).items():
        assert torch.allclose(state(up)[key] - start[key], start[key] - value, atol=1e-6), key
    assert up.state.log_history[0]["loss"] == plain.state.log_history[0]["loss"]


def test_the_log_says_that_splitting_a_batch_matters(tmp_path: Path, caplog: Any) -> None:
    trainer = trained("flooding", tmp_path, flood_level=0.7, gradient_accumulation_steps=2, logging_steps=3)
    assert "flooding takes means over each micro-batch" in caplog.text
    (share,) = [entry["flood_below"] for entry in trainer.state.log_history if "loss" in entry]
    assert 0.0 < share < 1.0 and round(share * 6, 6).is_integer()


def test_and_5_the_log_and_the_evaluation_show_the_plain_loss(tmp_path: Path) -> None:
    data = review_data(12)
    low, high = (
        trained("flooding", tmp_path, flood_level=level, max_steps=1, eval_data=data, learning_rate=0.0)
        for level in (0.0, 5.0)
    )
    assert low.state.log_history[0]["loss"] == high.state.log_history[0]["loss"] < 5.0
    assert low.evaluate()["eval_loss"] == high.evaluate()["eval_loss"]


@pytest.mark.slow
def test_training_stays_at_the_level(tmp_path: Path) -> None:
    options = {"max_steps": 120, "learning_rate": 0.05, "logging_steps": 40}
    last = [
        trained("flooding", tmp_path, flood_level=level, **options).state.log_history[-2]["loss"]
        for level in (0.0, 0.4)
    ]
    assert last[0] < 0.2 < last[1] < 0.6


@pytest.mark.parametrize(("method", "level"), [("flooding", -0.1), ("flooding_x", "-0.1"), ("flooding_x", "high")])
def test_a_bad_level_is_one_sentence(method: str, level: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--flood_level must be .*got"):
        build_trainer(method, tmp_path, flood_level=level)


# ---- the level of flooding_x ----


def test_accordance_is_the_mean_cosine_of_all_pairs() -> None:
    gradients = torch.randn(5, 7, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 6).unsqueeze(1)
    pairs = [torch.cosine_similarity(gradients[i], gradients[j], dim=0) for i in range(5) for j in range(i)]
    assert accordance(gradients).item() == pytest.approx(torch.stack(pairs).mean().item(), abs=1e-6)
    assert accordance(torch.eye(3)).item() == pytest.approx(0.0, abs=1e-7)
    # A gradient of zeros agrees with none.
    assert accordance([torch.zeros(2), torch.ones(2)]).item() == 0.0


@pytest.mark.parametrize(("values", "index"), [((0.5, -0.1, -0.9), 1), ((0.5, 0.0), 1), ((0.5, 0.1, 0.3), 1)])
def test_the_first_epoch_without_accordance_else_the_smallest(values: tuple[float, ...], index: int) -> None:
    assert chosen_epoch([PlainEpoch(1.0, value) for value in values]) == index


@pytest.mark.parametrize("kind", ["bert", "electra", "deberta-v2", "distilbert", "albert"])
def test_the_last_layer_and_the_head_are_compared(kind: str) -> None:
    model = build_model(kind)
    late = {id(parameter) for parameter in last_layer_and_head(model)}
    names = [name for name, parameter in model.named_parameters() if id(parameter) in late]
    assert any("classifier" in name for name in names)
    assert not any("embeddings" in name and "rel_embeddings" not in name for name in names)
    if kind != "albert":  # whose layers share their weights
        assert any(".1." in name for name in names) and not any(".0." in name for name in names)


def test_without_layers_all_trainable_parameters_are_compared() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    assert last_layer_and_head(model) == list(model[1].parameters())


@pytest.mark.slow
@pytest.mark.parametrize("splits", [1, 2])
def test_a_measured_level_gives_the_run_that_the_same_number_gives(splits: int, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "max_steps": 4,
        "optim": "adamw_torch",
        "learning_rate": 1e-2,
        "per_device_train_batch_size": 8 // splits,
        "gradient_accumulation_steps": splits,
    }
    auto = trained("flooding_x", tmp_path / "auto", model=build_model(dropout=0.1), **settings)
    report = json.loads((tmp_path / "auto" / "flood_level.json").read_text())
    assert report["level"] == auto.flood_level and report["epochs"][0]["epoch"] == 1
    assert report["level"] == report["epochs"][report["chosen_epoch"] - 1]["loss"]
    fixed = trained(
        "flooding_x", tmp_path / "fixed", model=build_model(dropout=0.1), flood_level=str(report["level"]), **settings
    )
    assert_equal(auto, fixed)
    assert [entry["loss"] for entry in auto.state.log_history if "loss" in entry] == [
        entry["loss"] for entry in fixed.state.log_history if "loss" in entry
    ]
    assert [path.name for path in (tmp_path / "auto").iterdir()] == ["flood_level.json"]


@pytest.mark.slow
def test_the_plain_run_is_normal_fine_tuning_up_to_the_end_of_accordance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    normal = trained("normal", tmp_path / "normal", max_steps=6)
    steps = [entry["loss"] for entry in normal.state.log_history if "loss" in entry]
    trainer: Any = build_trainer("flooding_x", tmp_path, max_steps=6)
    epochs = flood_level.measure(trainer)
    assert [epoch.loss for epoch in epochs] == [
        pytest.approx(sum(steps[i : i + 2]) / 2, abs=1e-6) for i in range(0, 2 * len(epochs), 2)
    ]
    assert len(epochs) == 3 and all(-1.0 <= epoch.accordance <= 1.0 for epoch in epochs)
    monkeypatch.setattr(flood_level, "accordance", lambda gradients: torch.tensor(-0.5))
    assert [epoch.accordance for epoch in flood_level.measure(trainer)] == [-0.5]


@pytest.mark.slow
def test_less_than_one_epoch_is_measured_once(tmp_path: Path) -> None:
    trainer = trained("flooding_x", tmp_path, max_steps=1)
    report = json.loads((tmp_path / "flood_level.json").read_text())
    assert len(report["epochs"]) == 1
    assert trainer.flood_level == pytest.approx(trainer.state.log_history[0]["loss"], abs=1e-6)


@pytest.mark.slow
def test_every_generator_and_the_weights_are_as_before_the_measurement(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flooding_x", tmp_path, model=build_model(dropout=0.1))
    before = state(trainer), torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    flood_level.measure(trainer)
    assert all(torch.equal(value, before[0][key]) for key, value in state(trainer).items())
    assert torch.equal(torch.get_rng_state(), before[1]) and random.getstate() == before[2]
    assert np.array_equal(np.random.get_state()[1], before[3])
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


@pytest.mark.slow
def test_the_copy_has_no_hooks_and_the_model_keeps_its_own(tmp_path: Path) -> None:
    calls: list[str] = []
    model = build_model()
    model.register_forward_pre_hook(lambda *_: calls.append("model"))
    model.bert.encoder.register_forward_hook(lambda *_: calls.append("encoder"))
    trainer: Any = build_trainer("flooding_x", tmp_path, model=model)
    flood_level.measure(trainer)
    assert calls == []
    model(torch.ones(1, 3, dtype=torch.long))
    assert calls == ["model", "encoder"]
    assert not any("robust_aux" in name for name, _ in model_copy(trainer).named_modules())


@pytest.mark.slow
def test_the_level_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    first = trained("flooding_x", folder, save_strategy="steps", save_steps=1)
    measured: list[float] = []
    original = flood_level.measure
    monkeypatch.setattr(flood_level, "measure", lambda trainer: measured.append(1) or original(trainer))
    again = build_trainer("flooding_x", tmp_path / "elsewhere")
    again.train(resume_from_checkpoint=str(folder / "checkpoint-1"))
    assert again.flood_level == first.flood_level and measured == []  # from the checkpoint
    assert trained("flooding_x", folder).flood_level == first.flood_level and measured == []  # from the file
    for change in ({"learning_rate": 0.2}, {"model": build_model(seed=5)}, {"data": review_data(24)}):
        trained("flooding_x", folder, **change)
        assert measured.pop() == 1, change


@pytest.mark.slow
def test_an_epoch_of_one_batch_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="--flood_level auto compares.*found 1 of them.*--per_device_train_batch_size"
    ):
        trained("flooding_x", tmp_path, data=review_data(8))


@pytest.mark.slow
def test_a_loss_before_the_measurement_is_one_sentence(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flooding_x", tmp_path)
    with pytest.raises(ValueError, match="flooding_x has no level yet.*call train"):
        trainer.compute_loss(trainer.model, next(iter(trainer.get_train_dataloader())))
    assert trained("flooding_x", tmp_path, bf16=True).flood_level > 0
