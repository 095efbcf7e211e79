"""ada: the loss on clean texts and those that fooled a plain model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted
from tiny import build_model, build_trainer, review_data
from torch import Tensor, nn

from hf_robust.training.text_views import union_loss


@torch.no_grad()
def naive_union(trainer: Any, batch: dict[str, Tensor], weight: float) -> float:
    """Row by row, each through the model on its own."""
    args = trainer.args
    class_weights = args.class_weights or [1.0, 1.0]

    def one(prefix: str, row: int) -> float:
        length = int(batch[f"{prefix}attention_mask"][row].sum())
        ids = batch[f"{prefix}input_ids"][row : row + 1, :length]
        scores = trainer.model(input_ids=ids).logits[0].log_softmax(-1)
        hard = -class_weights[label] * scores[label]
        even = -sum(own * score for own, score in zip(class_weights, scores, strict=True)) / 2
        smoothing = args.label_smoothing_factor
        return float((1 - smoothing) * hard + smoothing * even)

    total = divisor = 0.0
    for row in range(len(batch["labels"])):
        label = int(batch["labels"][row])
        total += one("", row)
        divisor += class_weights[label]
        for view in trainer.view_names:
            label = int(batch[f"{view}_labels"][row])
            total += weight * one(f"{view}_", row) if batch[f"{view}_ok"][row] else 0.0
    return total / (divisor * (1 + trainer.view_share))


def generated(folder: Path, **options: Any) -> Any:
    """A trainer whose views stand as before the first epoch; dropout is off."""
    trainer = build_trainer("ada", folder, **{"view_fraction": 1.0, **options})
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    trainer.model.train()
    return trainer


STATUSES = {number: "failed" for number in range(16) if number % 3}
TWO = {"first": Scripted(STATUSES, name="first"), "second": Scripted({0: "failed", 5: "failed"}, name="second")}
LOSSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "smoothed": {"label_smoothing_factor": 0.2},
    "weighted": {"class_weights": [1.0, 5.0]},
    "both": {"label_smoothing_factor": 0.2, "class_weights": [1.0, 5.0]},
}


@pytest.fixture(scope="module", params=LOSSES)
def trainer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return generated(tmp_path_factory.mktemp("ada"), attacks=TWO, **LOSSES[request.param])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=8, max_size=8), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=12, deadline=None)
def test_the_loss_is_a_sum_over_rows(trainer: Any, ok: list[tuple[bool, bool]], weight: float) -> None:
    batch = next(iter(trainer.get_train_dataloader()))
    for place, view in enumerate(trainer.view_names):
        batch[f"{view}_ok"] = torch.tensor([float(one[place]) for one in ok])
    loss, _ = union_loss(trainer, trainer.model, batch, weight)
    assert loss.item() == pytest.approx(naive_union(trainer, batch, weight), abs=1e-5)


def test_a_batch_without_a_view_is_the_task_loss_up_to_the_rows(trainer: Any) -> None:
    batch = next(iter(trainer.get_train_dataloader()))
    for view in trainer.view_names:
        batch[f"{view}_ok"] = torch.zeros(8)
    loss, _ = union_loss(trainer, trainer.model, batch)
    main = {key: batch[key] for key in ("input_ids", "attention_mask", "labels")}
    assert torch.equal(loss, trainer.task_loss(trainer.model, main)[0] / (1 + trainer.view_share))


def test_the_batches_of_an_epoch_have_the_mean_of_all_rows(tmp_path: Path) -> None:
    trainer = generated(tmp_path, attacks=TWO)
    losses = [union_loss(trainer, trainer.model, batch)[0].item() for batch in trainer.get_train_dataloader()]
    rows = [trainer.train_dataset[number] for number in range(16)]
    all_rows = [(row["input_ids"], row["label"]) for row in rows]
    for view in trainer.view_names:
        all_rows += [(row[f"{view}_input_ids"], row[f"{view}_labels"]) for row in rows if row[f"{view}_ok"]]
    assert len(all_rows) == 16 + 6 + 14 and trainer.view_share == 20 / 16
    each = [
        nn.functional.cross_entropy(trainer.model(input_ids=torch.tensor([ids])).logits, torch.tensor([label]))
        for ids, label in all_rows
    ]
    assert sum(losses) / len(losses) == pytest.approx(float(torch.stack(each).mean()), abs=1e-6)


def trained(name: str, folder: Path, **options: Any) -> dict[str, Tensor]:
    trainer = build_trainer(name, folder, model=build_model(dropout=0.1), max_steps=4, **options)
    trainer.train()
    return dict(trainer.model.state_dict())


@pytest.mark.slow
def test_no_rows_equals_normal_and_sizes_are_kept(tmp_path: Path) -> None:
    normal = trained("normal", tmp_path / "normal")
    none = trained("ada", tmp_path / "none", view_fraction=0.0)
    assert all(torch.equal(value, none[name]) for name, value in normal.items())
    half = build_trainer("ada", tmp_path / "half", attacks=TWO, view_fraction=0.5, max_steps=1)
    half.train()
    assert [one["attempts"] for one in half.generation.rounds] == [8, 8]
    ok = [[half.train_dataset[number][f"{view}_ok"] for view in ("first", "second")] for number in range(16)]
    found = {one["view"]: one["found"] for one in half.generation.rounds}
    assert [sum(column) for column in zip(*ok, strict=True)] == [found["first"], found["second"]]
    assert half.view_share == sum(found.values()) / 16


def test_unused_columns_are_removed_and_views_are_not(tmp_path: Path) -> None:
    trainer = generated(tmp_path, attacks={"first": Scripted(STATUSES)}, data=review_data(16))
    assert trainer.args.remove_unused_columns
    batch = next(iter(trainer.get_train_dataloader()))
    assert set(batch) == {
        *("input_ids", "attention_mask", "labels"),
        *(f"first_{column}" for column in ("input_ids", "attention_mask", "labels", "ok")),
    }
