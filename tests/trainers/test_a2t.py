"""a2t: clean epochs first, then as many successes as are wanted, with a weight of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import Scripted
from test_adv_iter import Epochs
from tiny import build_trainer, review_data

from hf_robust.trainers import METHODS
from hf_robust.views import AttackedViews

STATUSES = {number: "failed" for number in range(16) if number % 2}


def test_A2T_1_a_fifth_of_the_rows_after_one_clean_epoch_by_default(tmp_path: Path) -> None:
    args = METHODS["a2t"].config(output_dir=str(tmp_path), report_to="none", use_cpu=True)
    assert (args.clean_epochs, args.epochs_per_round, args.num_train_adv_examples) == (1, 1, 0.2)
    assert (args.view_attacks, args.view_query_budget, args.view_fraction) == (["a2t"], 200, 1.0)


@pytest.mark.parametrize(("wanted", "expected"), [(0.2, 3), (1.0, 16), (5.0, 5), (0.0, 0), (10_000.0, 10_000)])
def test_A2T_1_shares_and_numbers(wanted: float, expected: int, tmp_path: Path) -> None:
    trainer = build_trainer("a2t", tmp_path, num_train_adv_examples=wanted)
    (source,) = trainer.generation.sources.values()
    assert isinstance(source.make, AttackedViews)
    assert (source.make.wanted, source.make.attempts) == (expected, 16) and source.victim == "model"


@pytest.mark.parametrize(
    ("clean", "every", "shares"), [(1, 1, [0, 3, 3, 3]), (2, 2, [0, 0, 3, 3]), (0, 3, [3, 3, 3, 3])]
)
def test_no_adversarial_rows_before_the_clean_epochs_end(
    clean: int, every: int, shares: list[int], tmp_path: Path
) -> None:
    watch, attack = Epochs(), Scripted(STATUSES)
    options = {"clean_epochs": clean, "epochs_per_round": every, "num_train_adv_examples": 3}
    trainer = build_trainer("a2t", tmp_path, attacks={"scripted": attack}, callbacks=[watch], max_steps=8, **options)
    watch.trainer = trainer
    trainer.train()
    assert watch.shares == [share / 16 for share in shares]
    assert [one["epoch"] for one in trainer.generation.rounds] == list(range(clean, 4, every))
    orders = [attack.attacked[start : start + 16] for start in range(0, len(attack.attacked), 16)]
    assert len(orders) == len(trainer.generation.rounds)
    assert len({tuple(order) for order in orders}) == len(orders)  # a fresh order each time


def test_A2T_5_adversarial_rows_keep_their_label(tmp_path: Path) -> None:
    trainer = build_trainer("a2t", tmp_path, attacks={"scripted": Scripted(STATUSES)})
    trainer.train()
    rows = [trainer.train_dataset[number] for number in range(16)]
    assert [row["scripted_labels"] for row in rows] == [row["label"] for row in rows] == review_data(16).labels
    assert sum(row["scripted_ok"] for row in rows) == 8


def gradients(trainer: Any, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, list(trainer.model.parameters())))


def test_alpha_0_is_the_clean_gradient_up_to_the_rows_and_alpha_is_linear(tmp_path: Path) -> None:
    found = {}
    for alpha in (0.0, 1.0, 3.0):
        attacks = {"scripted": Scripted(STATUSES)}
        trainer = build_trainer("a2t", tmp_path / str(alpha), attacks=attacks, a2t_alpha=alpha)
        trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
        trainer.model.train()
        batch = next(iter(trainer.get_train_dataloader()))
        found[alpha] = gradients(trainer, trainer.compute_loss(trainer.model, batch))
    main = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    clean = gradients(trainer, trainer.task_loss(trainer.model, main)[0])
    for zero, one, three, plain in zip(*found.values(), clean, strict=True):
        # The divisor counts the adversarial rows whatever alpha is: half as many as there are clean ones.
        assert torch.allclose(zero * 1.5, plain, atol=1e-6)
        assert torch.allclose(three - zero, 3 * (one - zero), atol=1e-5)


def test_wrong_flags_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--view_victim some/model has no effect: a2t attacks the model in training"):
        build_trainer("a2t", tmp_path, view_victim="some/model")
    with pytest.raises(ValueError, match="a2t first attacks after 2 clean epochs, and the run has 2; raise --num"):
        build_trainer("a2t", tmp_path, clean_epochs=2)
    for flag, value in {"a2t_alpha": -1.0, "epochs_per_round": 0, "num_train_adv_examples": -0.1}.items():
        with pytest.raises(ValueError, match=f"--{flag}"):
            build_trainer("a2t", tmp_path, **{flag: value})
