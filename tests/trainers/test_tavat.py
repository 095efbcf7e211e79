"""tavat against a re-derivation that keeps all graphs, its table, reductions and traps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import (
    assert_close,
    assert_same,
    forwards_of,
    gradient_at,
    gradients_of,
    loss_at,
    naive_gradients,
    points_of,
    prepared,
    rows_of,
    start_of,
    weights_after,
    with_more_padding,
)
from tiny import build_model, build_trainer
from torch import Tensor

from hf_robust.trainers.tavat import TAVATConfig

STRONG: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.3, "adv_init_mag": 0.5, "adv_max_norm": 1.2}


def naive_points(trainer: Any, batch: dict[str, Tensor], token_step: float) -> list[tuple[Tensor, Tensor]]:
    """(delta, eta) of each pass, row by row and token by token."""
    mask = batch["attention_mask"].bool()
    eta = torch.zeros_like(start_of(trainer, batch))
    for row in range(len(eta)):
        for place in range(int(mask[row].sum())):
            eta[row, place] = trainer.table.table[batch["input_ids"][row, place]]
        eta[row] /= eta[row].norm()
    points = [(start_of(trainer, batch), eta)]
    for _ in range(trainer.args.adv_steps - 1):
        delta, eta = (part.clone() for part in points[-1])
        gradient = gradient_at(trainer, batch, delta + eta)
        for row in range(len(delta)):
            delta[row] += trainer.args.adv_lr * gradient[row] / gradient[row].norm()
            length = int(mask[row].sum())
            for place in range(length):
                eta[row, place] += token_step * gradient[row, place] / gradient[row, place].norm()
            sizes = [float(eta[row, place].norm()) for place in range(length)]
            for place in range(length):
                eta[row, place] *= sizes[place] / max(sizes)
            size, radius = (delta[row] + eta[row]).norm(), trainer.args.adv_max_norm
            if radius and size > radius:
                delta[row] *= radius / size
                eta[row] *= radius / size
        points.append((delta, eta))
    return points


@pytest.mark.parametrize("follow", ["paper", "code"])
@pytest.mark.parametrize("passes", ["stream", "sum"])
@pytest.mark.parametrize("token_step", [None, 0.7])
def test_loss_and_gradients_equal_the_naive_ones(
    follow: str, passes: str, token_step: float | None, tmp_path: Path
) -> None:
    options = {**STRONG, "follow": follow, "tavat_norm": "sample", "multi_backward": passes}
    options["tavat_token_lr"] = token_step
    trainer, batch = prepared("tavat", tmp_path, **options)
    points = naive_points(trainer, batch, 0.3 if token_step is None else token_step)
    loss = sum(loss_at(trainer, batch, delta + eta) for delta, eta in points) / (3 if follow == "paper" else 1)
    assert_close(gradients_of(trainer, batch), naive_gradients(trainer, loss))
    assert forwards_of(trainer, batch) == 3


@pytest.mark.parametrize("radius", [0.0, 0.4])
def test_reduction_without_word_perturbations_it_is_freelb(radius: float, tmp_path: Path) -> None:
    options = {**STRONG, "adv_max_norm": radius, "same_dropout": False}
    freelb = weights_after("freelb", tmp_path / "freelb", model=build_model(dropout=0.1), **options)
    options |= {"tavat_norm": "zero", "tavat_token_lr": 0.0, "model": build_model(dropout=0.1)}
    assert_same(freelb, weights_after("tavat", tmp_path / "tavat", **options))


def test_each_text_starts_at_norm_one_over_its_real_tokens(tmp_path: Path) -> None:
    trainer, batch = prepared("tavat", tmp_path)
    mask = batch["attention_mask"].unsqueeze(-1).float()
    eta = trainer.table.look_up(batch["input_ids"], mask, "sample")
    assert torch.allclose(eta.flatten(1).norm(dim=1), torch.ones(8)) and not (eta * (1 - mask)).any()
    wide = with_more_padding(batch)
    again = trainer.table.look_up(wide["input_ids"], wide["attention_mask"].unsqueeze(-1).float(), "sample")
    assert torch.allclose(again[:, :-5], eta) and not again[:, -5:].any()
    alone = trainer.table.look_up(batch["input_ids"][:1], mask[:1], "sample")
    assert torch.allclose(alone, eta[:1])


def test_batch_is_the_codes_reading(tmp_path: Path) -> None:
    trainer, batch = prepared("tavat", tmp_path, tavat_norm="batch")
    mask = batch["attention_mask"].unsqueeze(-1).float()
    eta = trainer.table.look_up(batch["input_ids"], mask, "batch")
    rows = trainer.table.table[batch["input_ids"]]
    assert torch.allclose(eta, rows / rows.norm()) and (eta * (1 - mask)).any()
    plain = trainer.table.look_up(batch["input_ids"], mask, "none")
    assert torch.equal(plain, rows * mask)


# ---- the table ----

IDS = torch.tensor([[2, 9, 11, 9, 3], [2, 9, 3, 0, 0]])
MASK = (IDS != 0).long()


def remembered(trainer: Any, eta: Tensor, ids: Tensor = IDS, mask: Tensor = MASK) -> None:
    batch = {"input_ids": ids, "attention_mask": mask}
    point = trainer.table.start(trainer, batch)
    trainer.table.remember(batch, type(point)(point.delta, eta, point.mask, point.rule, point.token_step))


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_a_steps_mean_is_remembered_and_in_the_code_its_sum_is_added(follow: str, tmp_path: Path) -> None:
    trainer, _ = prepared("tavat", tmp_path, follow=follow)
    before = trainer.table.table.clone()
    eta = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0))
    remembered(trainer, eta)
    assert torch.equal(trainer.table.table, before)  # written when the step ends
    trainer.table.write()
    occurrences = {2: [eta[0, 0], eta[1, 0]], 9: [eta[0, 1], eta[0, 3], eta[1, 1]], 11: [eta[0, 2]]}
    occurrences[3] = [eta[0, 4], eta[1, 2]]
    for word in range(64):
        found = occurrences.get(word, [])
        expected = {
            "paper": torch.stack(found).mean(0) if found else before[word],
            "code": before[word] + (torch.stack(found).sum(0) if found else 0.0),
        }[follow]
        assert torch.allclose(trainer.table.table[word], expected, atol=1e-6), word
    after = trainer.table.table.clone()
    trainer.table.write()
    assert torch.equal(trainer.table.table, after)  # and once only


def test_a_word_twice_gets_one_row_and_both_places_start_from_it(tmp_path: Path) -> None:
    trainer, _ = prepared("tavat", tmp_path)
    eta = trainer.table.look_up(IDS, MASK.unsqueeze(-1).float(), "sample")
    assert torch.equal(eta[0, 1], eta[0, 3]) and not torch.equal(eta[0, 1], eta[0, 2])


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_two_micro_batches_equal_one_batch(follow: str, tmp_path: Path) -> None:
    options = {"tavat_norm": "sample", **STRONG, "follow": follow, "max_steps": 2}
    one = build_trainer("tavat", tmp_path / "one", **options)
    two = build_trainer(
        "tavat", tmp_path / "two", per_device_train_batch_size=4, gradient_accumulation_steps=2, **options
    )
    for trainer in (one, two):
        trainer.train()
    assert torch.allclose(one.table.table, two.table.table, atol=1e-5)
    assert not torch.equal(one.table.table, build_trainer("tavat", tmp_path, **options).table.table)


def test_accumulating_makes_frequent_words_grow_and_the_mean_does_not(tmp_path: Path) -> None:
    sizes = {}
    for follow in ("paper", "code"):
        trainer = build_trainer("tavat", tmp_path, follow=follow, tavat_norm="sample", max_steps=12)
        trainer.train()
        sizes[follow] = trainer.table.table.norm(dim=1).max().item()
    assert sizes["paper"] <= 1.0 < sizes["code"]


@pytest.mark.parametrize("follow", ["paper", "code"])
def test_only_the_batchs_norm_makes_a_loss_that_splitting_changes(
    follow: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = build_trainer("tavat", tmp_path, follow=follow, gradient_accumulation_steps=2)
    assert trainer.batch_relative is (follow == "code")
    assert ("tavat takes means over each micro-batch" in caplog.text) is (follow == "code")


def test_the_codes_start_is_normed_over_the_whole_batch_and_a_given_norm_wins(tmp_path: Path) -> None:
    def read(**given: Any) -> str | None:
        return TAVATConfig(output_dir=str(tmp_path), **given).tavat_norm

    assert read() == "sample" and read(follow="code") == "batch" and read(follow="code", tavat_norm="none") == "none"


@pytest.mark.parametrize("kind", ["albert", "electra"])
def test_the_table_has_the_width_of_the_look_up(kind: str, tmp_path: Path) -> None:
    assert build_trainer("tavat", tmp_path, model=build_model(kind)).table.table.shape == (64, 8)


def test_the_table_starts_uniform_within_mag_over_root_e(tmp_path: Path) -> None:
    table = build_trainer("tavat", tmp_path, adv_init_mag=0.4).table.table
    assert table.abs().max() <= 0.4 / 4 and table.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.1)
    assert torch.equal(table, build_trainer("tavat", tmp_path, adv_init_mag=0.4).table.table)
    assert not torch.equal(table, build_trainer("tavat", tmp_path, adv_init_mag=0.4, seed=1).table.table)


def test_the_table_is_saved_resumed_and_not_exported(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 1}
    first = build_trainer("tavat", tmp_path / "first", max_steps=2, **options)
    first.train()
    second = build_trainer("tavat", tmp_path / "second", max_steps=2, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "first" / "checkpoint-1"))
    assert torch.equal(first.table.table, second.table.table)
    third = build_trainer("tavat", tmp_path / "third")
    third._load_from_checkpoint(str(tmp_path / "first" / "checkpoint-2"))
    assert torch.equal(first.table.table, third.table.table)
    first.save_model(str(tmp_path / "export"))
    assert not (tmp_path / "export" / "robust_state.safetensors").exists()
    assert first.table.table.grad is None and not list(first.table.parameters())


def test_padding_is_never_written(tmp_path: Path) -> None:
    trainer = build_trainer("tavat", tmp_path)
    before = trainer.table.table[0].clone()
    trainer.train()
    assert torch.equal(trainer.table.table[0], before)


def test_the_start_without_the_table_is_noise_alone(tmp_path: Path) -> None:
    trainer, batch = prepared("tavat", tmp_path, tavat_norm="zero")
    assert torch.allclose(points_of(trainer, batch)[0], start_of(trainer, batch))


def test_other_rows_change_nothing(tmp_path: Path) -> None:
    trainer, batch = prepared("tavat", tmp_path, **STRONG)
    together, alone = points_of(trainer, batch), points_of(trainer, rows_of(batch, 0))
    for first, second in zip(together, alone, strict=True):
        assert torch.allclose(first[:1], second, atol=1e-5)


@pytest.mark.parametrize("name", ["tavat", "adaptive_tavat"])
@pytest.mark.parametrize("norm", ["linf", "sign", "token_l2"])
def test_other_norms_have_no_joint_radius_and_are_refused(name: str, norm: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--adv_norm_type must be l2 or none for {name}.*, got '{norm}'"):
        build_trainer(name, tmp_path, adv_norm_type=norm)


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("tavat_norm", "text", "--tavat_norm must be one of sample, magnitude, batch, none, zero, got 'text'"),
        ("tavat_token_lr", -1.0, "--tavat_token_lr must be at least 0.0, got -1.0; 0 keeps the words' perturbation"),
    ],
)
def test_bad_flags_are_one_sentence(flag: str, value: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("tavat", tmp_path, **{flag: value})


@pytest.mark.parametrize("name", ["tavat", "adaptive_tavat"])
def test_a_start_of_norm_1_is_brought_to_the_radius(name: str, tmp_path: Path) -> None:
    trainer, batch = prepared(name, tmp_path, adv_max_norm=0.5, tavat_norm="sample")
    table = trainer.table
    sizes = table.start(trainer, batch).offset.flatten(1).norm(dim=1)
    assert sizes.max() <= 0.5 + 1e-6 and sizes.min() > 0.4  # the remembered part alone has norm 1


def test_adaptive_tavat_starts_inside_the_radius_whatever_the_table_remembers(tmp_path: Path) -> None:
    trainer, batch = prepared("adaptive_tavat", tmp_path)
    radius, magnitude = trainer.args.adv_max_norm, trainer.args.adv_init_mag
    for factor in (1.0, 1000.0):
        trainer.table.table *= factor
        start = trainer.table.start(trainer, batch)
        assert torch.allclose(start.eta.flatten(1).norm(dim=1), torch.tensor(magnitude), atol=1e-6)
        assert (start.offset.flatten(1).norm(dim=1) <= 2 * magnitude).all() and 2 * magnitude < radius


def test_without_the_initial_point_the_average_is_over_1_to_k(tmp_path: Path) -> None:
    options: dict[str, Any] = {"adv_steps": 3, "adv_lr": 0.1}
    usual, batch = prepared("tavat", tmp_path, **{**options, "adv_steps": 4})
    later, _ = prepared("tavat", tmp_path, **options, include_initial=False)
    assert forwards_of(later, batch) == forwards_of(usual, batch) == 4
    for found, wanted in zip(points_of(later, batch), points_of(usual, batch)[1:], strict=True):
        assert torch.allclose(found, wanted, atol=1e-6)
