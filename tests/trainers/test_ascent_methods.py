"""What every method with an adversary in embedding space keeps, and what none of them takes.

What an ascent leaves behind: no point holds the graph of an earlier one.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ascent_parts import (
    METHODS_HERE,
    STREAMED,
    assert_close,
    assert_same,
    gradients_of,
    points_of,
    prepared,
    rows_of,
    weights_after,
    with_more_padding,
)
from tiny import build_model, build_trainer

from hf_robust.adversary import StepRule, TokenAware, ascend


@pytest.mark.parametrize("name", ["tavat", "adaptive_tavat", "freelb", "pgd"])
@pytest.mark.parametrize("radius", [0.0, 0.5])
def test_more_than_two_steps_train(name: str, radius: float, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, adv_steps=4, adv_max_norm=radius)
    trainer.train()
    assert all(math.isfinite(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry)


def test_a_word_perturbation_has_no_graph_after_a_move() -> None:
    value = torch.rand(2, 3, 4)
    start = TokenAware(value, value * 0.5, torch.ones(2, 3, 1), StepRule(0.1, 0.2), token_step=0.1)
    points = ascend(start, 3)
    point = next(points)
    for _ in range(3):
        assert point.delta.requires_grad and not point.eta.requires_grad
        (gradient,) = torch.autograd.grad(point.offset.pow(3).sum(), point.leaves)
        point = points.send((gradient,))
    assert not point.delta.requires_grad and not point.eta.requires_grad


STEPWISE = [name for name in METHODS_HERE if name not in ("fgm", "fgsm")]
# Options under which a method has something to perturb with that a test can see.
STRONG: dict[str, dict[str, Any]] = {
    name: {"adv_lr": 0.3} if name in ("fgm", "fgsm") else {"adv_steps": 3, "adv_lr": 0.2, "adv_init_mag": 0.3}
    for name in METHODS_HERE
}


@pytest.mark.parametrize("name", METHODS_HERE)
class TestEveryAdversary:
    def test_five_more_pad_tokens_change_nothing(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        first, second = gradients_of(trainer, batch), gradients_of(trainer, with_more_padding(batch))
        if name in ("tavat", "adaptive_tavat"):
            trainer.table._records.clear()
        assert_close(first, second)

    def test_nothing_is_added_at_padding(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        real = batch["attention_mask"].bool()
        for point in points_of(trainer, batch):
            assert not point[~real].any()
        assert point[real].abs().amax(-1).min() > 0

    def test_padding_on_the_left_is_not_perturbed_either(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path, **STRONG[name])
        trainer.processing_class.padding_side = "left"
        trainer.model.train()
        batch = dict(next(iter(trainer.get_train_dataloader())))
        real = batch["attention_mask"].bool()
        assert not real[:, 0].all()
        for point in points_of(trainer, batch):
            assert not point[~real].any()

    def test_special_tokens_stay_where_asked(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, adv_special_tokens=False, **STRONG[name])
        special = (batch["input_ids"] == 2) | (batch["input_ids"] == 3)
        words = batch["attention_mask"].bool() & ~special
        assert special.sum() == 16
        points = points_of(trainer, batch)
        assert all(not point[~words].any() for point in points) and points[-1][words].any(-1).all()
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        assert points_of(trainer, batch)[-1][special].any()

    def test_the_points_of_a_text_do_not_depend_on_other_texts(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        together, alone = points_of(trainer, batch), points_of(trainer, rows_of(batch, 3, 1))
        for first, second in zip(together, alone, strict=True):
            assert torch.allclose(first[[3, 1]], second, atol=1e-5)

    def test_gradients_of_an_earlier_micro_batch_are_added_to(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        _, own = gradients_of(trainer, batch)
        parameters = {k: p for k, p in trainer.model.named_parameters() if "robust_aux" not in k}
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        trainer.compute_loss(trainer.model, dict(batch)).backward()
        for key, parameter in parameters.items():
            assert torch.allclose(parameter.grad, own[key] + 1.0, atol=1e-5), key

    def test_inputs_stay_as_they_were(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        before = {key: value.clone() for key, value in batch.items()}
        given = dict(batch)
        trainer.compute_loss(trainer.model, given)
        assert given.keys() == before.keys() and all(torch.equal(given[key], before[key]) for key in before)
        assert not any(module._forward_hooks for module in trainer.model.modules())

    def test_dropout_and_mode_are_as_they_were(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, model=build_model(dropout=0.1), **STRONG[name])
        gradients_of(trainer, batch)
        assert all(module.training for module in trainer.model.modules())

    def test_perturbed_losses_differ_from_clean_ones(self, name: str, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path, **STRONG[name])
        normal, _ = prepared("normal", tmp_path)
        factor = 2 if name == "fgm" else 1
        assert gradients_of(trainer, batch)[0] > factor * gradients_of(normal, batch)[0] + 1e-3

    # ---- bad input ----

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_loss_that_is_not_finite_is_one_sentence(self, name: str, value: float, tmp_path: Path) -> None:
        trainer, batch = prepared(name, tmp_path)
        with torch.no_grad():
            trainer.model.classifier.weight.fill_(value)
        message = f"{name}: the loss became .* inside the ascent, and every step needs a finite one; lower"
        with pytest.raises(ValueError, match=message):
            gradients_of(trainer, batch)

    def test_several_gpus_in_one_process_are_one_sentence(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trainer = build_trainer(name, tmp_path)
        monkeypatch.setattr(type(trainer.args), "n_gpu", 2)
        message = f"{name} perturbs a whole batch, and DataParallel over 2 GPUs.*; start the script with torchrun"
        with pytest.raises(ValueError, match=message):
            _checked(trainer)

    def test_a_compiled_model_is_one_sentence(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path)
        trainer.args.torch_compile = True
        with pytest.raises(ValueError, match=f"{name} perturbs embeddings by a hook.*; leave --torch_compile out"):
            _checked(trainer)

    def test_deepspeed_takes_no_streamed_passes(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path)
        trainer.is_deepspeed_enabled = True
        if name == "fgm" or name in STREAMED:
            with pytest.raises(ValueError, match=f"{name} backpropagates several times.*DeepSpeed.*; use "):
                _checked(trainer)
        else:
            _checked(trainer)
        if name in STREAMED:
            summing = build_trainer(name, tmp_path, multi_backward="sum")
            summing.is_deepspeed_enabled = True
            _checked(summing)

    def test_reentrant_checkpointing_is_refused_or_runs(self, name: str, tmp_path: Path) -> None:
        options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
        message = f"{name} differentiates by the perturbation alone.*; pass --gradient_checkpointing_kwargs"
        if name == "fgm" or name in STREAMED:
            plain = weights_after(name, tmp_path / "plain", **STRONG[name])
            assert_same(plain, weights_after(name, tmp_path / "saving", **options, **STRONG[name]))
        else:
            with pytest.raises(ValueError, match=message):
                build_trainer(name, tmp_path, **options)
        if name in STREAMED:
            with pytest.raises(ValueError, match=message):
                build_trainer(name, tmp_path, multi_backward="sum", **options)

    def test_special_tokens_need_a_tokenizer(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path, adv_special_tokens=False)
        trainer.processing_class = None
        with pytest.raises(
            ValueError, match=f"{name} .*--adv_special_tokens False.*tokenizer.*; pass processing_class"
        ):
            _checked(trainer)

    def test_a_model_without_embeddings_is_one_sentence(self, name: str, tmp_path: Path) -> None:
        model = build_model()
        model.get_input_embeddings = lambda: None
        with pytest.raises(ValueError, match="BertForSequenceClassification has no word embeddings to perturb"):
            build_trainer(name, tmp_path, model=model)


def _checked(trainer: Any) -> None:
    from hf_robust.training.embedding_space import check_adversary_setup

    check_adversary_setup(trainer, trainer.adversary())


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("adv_steps", 0, "--adv_steps must be at least 1, got 0; use --robust_method normal for training without"),
        ("adv_lr", -0.1, "--adv_lr must be at least 0.0, got -0.1; the ascent goes up the loss."),
        ("adv_init_mag", -0.1, "--adv_init_mag must be at least 0.0, got -0.1; 0 starts at the clean text."),
        ("adv_max_norm", -1.0, "--adv_max_norm must be at least 0.0, got -1.0; 0 means no limit."),
        ("adv_lr", float("nan"), "--adv_lr must be at least 0.0, got nan"),
        ("adv_norm_type", "l1", "--adv_norm_type must be one of l2, linf, sign, token_l2, none, got 'l1'."),
    ],
)
def test_bad_flags_are_one_sentence(name: str, flag: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer(name, tmp_path, **{flag: value})


@pytest.mark.parametrize("name", STREAMED)
def test_an_unknown_way_of_backpropagating_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--multi_backward must be one of stream, sum, got 'once'"):
        build_trainer(name, tmp_path, multi_backward="once")


def test_reentrant_checkpointing_and_an_ascent_pass_before_the_stream(tmp_path: Path) -> None:
    options = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    with pytest.raises(ValueError, match="freelb differentiates by the perturbation alone"):
        weights_after("freelb", tmp_path, include_initial=False, **options)


# ---- steps that are not normalised see every factor on the loss ----

RAW: dict[str, Any] = {"adv_norm_type": "none", "adv_lr": 2.0, "adv_init_mag": 0.3, "adv_steps": 3, "max_steps": 2}


@pytest.mark.parametrize("name", STEPWISE)
@pytest.mark.parametrize("norm", ["l2", "none"])
def test_micro_batches_change_no_step(name: str, norm: str, tmp_path: Path) -> None:
    options = {**RAW, "adv_norm_type": norm, "max_steps": 1, "w_lr": 0.1} if "adaptive" in name else {**RAW}
    options["adv_norm_type"] = norm
    one = weights_after(name, tmp_path / "one", **options)
    options |= {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert_same(one, weights_after(name, tmp_path / "four", **options), tolerance=2e-6)


@pytest.mark.parametrize("options", [{}, {"multi_backward": "sum"}, {"follow": "code"}])
@pytest.mark.parametrize("rows", [(0,), (0, 1, 2)])
def test_raw_steps_follow_the_gradient_of_the_summed_losses(
    options: dict[str, Any], rows: tuple[int, ...], tmp_path: Path
) -> None:
    name = "tavat" if "follow" in options else "freelb"
    raw = {key: value for key, value in RAW.items() if key != "max_steps"}
    if name == "tavat":
        options = {**options, "tavat_norm": "zero", "tavat_token_lr": 0.0, "adv_max_norm": 0.0}
    trainer, batch = prepared(name, tmp_path, **raw, **options)
    pgd, _ = prepared("pgd", tmp_path, **raw)
    batch = rows_of(batch, *rows)
    steps = list(pgd.embedding_space.climb(batch, lambda z: pgd.sample_losses(z, batch["labels"])))
    for found, step in zip(points_of(trainer, batch), steps, strict=True):
        assert torch.allclose(found, step.before.leaves[0], atol=1e-5)


@pytest.mark.parametrize("passes", ["stream", "sum"])
@pytest.mark.parametrize("loss", [{"label_smoothing_factor": 0.2}, {"class_weights": [1.0, 5.0]}])
def test_raw_steps_on_a_weighted_loss_too(passes: str, loss: dict[str, Any], tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, **RAW, **loss, multi_backward=passes)
    assert len(set(batch["labels"].tolist())) == 2
    together = points_of(trainer, batch)
    for row in (0, 1, 2, 3):
        for first, second in zip(together, points_of(trainer, rows_of(batch, row)), strict=True):
            assert torch.allclose(first[row : row + 1], second, atol=1e-5)


# ---- half precision: the loss scales, on the CPU ----


@pytest.mark.parametrize("norm", ["l2", "none"])
@pytest.mark.parametrize("name", ["pgd", "freelb", "tavat", "adaptive_pgd"])
def test_the_scale_of_inner_gradients_changes_nothing(
    name: str, norm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"adv_norm_type": norm, "adv_lr": 0.2, "adv_steps": 3}
    if name in STREAMED:
        options["multi_backward"] = "sum"
    plain, batch = prepared(name, tmp_path, **options)
    scaled, _ = prepared(name, tmp_path, **options)
    scaled.args.fp16 = True
    assert_close(gradients_of(scaled, batch), gradients_of(plain, batch))
    for first, second in zip(points_of(scaled, batch), points_of(plain, batch), strict=True):
        assert torch.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("norm", ["l2", "none"])
def test_streamed_gradients_are_freed_of_the_scaler(norm: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"adv_norm_type": norm, "adv_lr": 0.2, "adv_steps": 3}
    plain, batch = prepared("freelb", tmp_path, **options)
    scaled, _ = prepared("freelb", tmp_path, **options)
    scaled.accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    for first, second in zip(points_of(scaled, batch), points_of(plain, batch), strict=True):
        assert torch.allclose(first, second, atol=1e-5)


def test_an_overflow_of_the_scaled_gradient_keeps_the_point(tmp_path: Path) -> None:
    trainer, batch = prepared("freelb", tmp_path, adv_steps=2)
    trainer.accelerator.scaler = SimpleNamespace(scale=lambda loss: loss * float("inf"), get_scale=lambda: 1.0)
    first, second = points_of(trainer, batch)
    assert torch.equal(first, second)


# ---- memory ----


def _peak(trainer: Any, batch: dict[str, torch.Tensor]) -> int:
    """Most bytes that are saved for a backward pass at any one time of a step."""
    now, peak = 0, 0

    class Held:
        def __init__(self, tensor: torch.Tensor) -> None:
            nonlocal now, peak
            self.tensor, self.size = tensor, tensor.numel() * tensor.element_size()
            now += self.size
            peak = max(peak, now)

        def __del__(self) -> None:
            nonlocal now
            now -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda held: held.tensor):
        trainer.compute_loss(trainer.model, dict(batch)).backward()
    trainer.model.zero_grad()
    return peak


@pytest.mark.parametrize("name", ["freelb", "tavat"])
def test_memory_does_not_grow_with_the_steps_where_passes_are_streamed(name: str, tmp_path: Path) -> None:
    peaks = {}
    for passes in ("stream", "sum"):
        for steps in (2, 6):
            trainer, batch = prepared(name, tmp_path, adv_steps=steps, multi_backward=passes)
            peaks[passes, steps] = _peak(trainer, batch)
    assert peaks["stream", 6] <= 1.05 * peaks["stream", 2]
    assert peaks["sum", 6] >= 2.5 * peaks["sum", 2]
    assert peaks["sum", 2] >= 1.8 * peaks["stream", 2]


@pytest.mark.parametrize(("name", "kept"), [("pgd", 0), ("adaptive_pgd", 1), ("adaptive_tavat", 1)])
def test_memory_does_not_grow_with_the_ascent_but_by_the_increments(name: str, kept: int, tmp_path: Path) -> None:
    peaks = []
    for steps in (2, 6):
        trainer, batch = prepared(name, tmp_path, adv_steps=steps)
        peaks.append(_peak(trainer, batch))
    assert peaks[1] - peaks[0] == kept * 4 * batch["input_ids"].numel() * 16 * 4  # (B, L, E) float32, four more
