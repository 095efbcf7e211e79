"""adv_iter: when the model in training is attacked, and that each round replaces the one before."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted
from tiny import build_model, build_trainer, dense_synonyms, review_data
from torch.nn.functional import cross_entropy
from transformers import TrainerCallback

from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.trainers.adv_iter import RoundArguments
from hf_robust.training.text_views import planned_epochs, union_rows
from hf_robust.views import Refresh


def rounds(folder: Path, epochs: int, **options: Any) -> list[int]:
    """The epochs before which views are made."""
    args = RoundArguments(output_dir=str(folder), report_to="none", use_cpu=True, robust_method="adv_iter", **options)
    policy: Refresh = args.rounds(epochs)
    return [epoch for epoch in range(epochs) if policy.due(epoch)]


def test_the_rounds_of_flat_and_of_its_readme(tmp_path: Path) -> None:
    assert rounds(tmp_path, 30) == [7, 14, 21]  # 3 to 5
    assert rounds(tmp_path, 30, n_rounds=2) == [10, 20]
    assert rounds(tmp_path, 30, n_rounds=3, clean_epochs=9, epochs_per_round=10) == [9, 19, 29]
    assert rounds(tmp_path, 30, n_rounds=5) == [5, 10, 15, 20, 25]
    assert rounds(tmp_path, 3, clean_epochs=0, n_rounds=1) == [0]
    assert rounds(tmp_path, 3, n_rounds=0) == []


def test_a_first_round_after_the_last_epoch_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="first attacks after 3 clean epochs, and the run has 3; raise --num_train"):
        rounds(tmp_path, 3, clean_epochs=3)
    with pytest.raises(ValueError, match="after 1 clean epochs, and the run has 1"):
        build_trainer("adv_iter", tmp_path, max_steps=2, clean_epochs=1)


def test_rounds_that_do_not_fit_are_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert rounds(tmp_path, 30) and rounds(tmp_path, 30, follow="code") and not caplog.text
        assert rounds(tmp_path, 4, clean_epochs=2, epochs_per_round=1, n_rounds=5) == [2, 3]
    assert "Only 2 of --n_rounds 5 fit into the 4 epochs of the run." in caplog.text


@pytest.mark.parametrize(
    ("options", "flag"),
    [({"n_rounds": -1}, "n_rounds"), ({"clean_epochs": -1}, "clean_epochs"), ({"epochs_per_round": 0}, "epochs_per")],
)
def test_wrong_flags_are_one_sentence(options: dict[str, int], flag: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag}"):
        build_trainer("adv_iter", tmp_path, **options)


def test_a_victim_has_no_effect(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--view_victim some/model has no effect here: adv_iter attacks the model in"):
        build_trainer("adv_iter", tmp_path, view_victim="some/model")


@pytest.mark.parametrize("kind", ["hf_robust_lstm", "hf_robust_cnn", "bert"])
@pytest.mark.parametrize("name", ["adv_iter", "flat"])
@pytest.mark.parametrize("views", [0.0, 1.0])
def test_the_code_takes_the_softmax_of_its_lstm_and_cnn_twice(
    name: str, kind: str, views: float, tmp_path: Path
) -> None:
    """Their models put out probabilities, which ``CrossEntropyLoss`` takes for logits; BERT's puts out logits."""
    options: dict[str, Any] = {"view_fraction": views, "synonyms": dense_synonyms()}
    if name == "flat":  # the mask keeps all
        options |= {"mask_bias": 50.0, "flat_beta": 0.0, "flat_gamma": 0.0, "mask_input": "word"}
    found = {}
    for follow in ("paper", "code"):
        trainer = build_trainer(name, tmp_path / follow, model=build_model(kind), follow=follow, **options)
        trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)  # attacks
        trainer.model.train()
        batch = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
        _, rows = union_rows(trainer, batch)
        labels = rows["labels"]
        found[follow] = trainer.compute_loss(trainer.model, batch)
        logits = trainer.model(**{key: rows[key] for key in ("input_ids", "attention_mask")}).logits
        if follow == "code" and kind != "bert":
            logits = logits.softmax(-1)
        expected = cross_entropy(logits, labels, reduction="sum") / (8 * (1.0 + trainer.view_share))
        assert found[follow].item() == pytest.approx(expected.item(), rel=1e-5)
        parameters = [value for key, value in trainer.model.named_parameters() if AUXILIARY_ATTRIBUTE not in key]
        gradients = [torch.autograd.grad(loss, parameters, allow_unused=True) for loss in (found[follow], expected)]
        for one, other in zip(*gradients, strict=True):
            assert (one is None) == (other is None) and (one is None or torch.allclose(one, other, atol=1e-6))
        trainer.model.eval()
        assert not trainer.model.classifier._forward_hooks  # what evaluation and attacks see are logits
    assert kind == "bert" or found["paper"].item() != found["code"].item()


class Epochs(TrainerCallback):
    """The number of views at the begin of each epoch, and whose they are."""

    def __init__(self) -> None:
        self.shares: list[float] = []
        self.trainer: Any = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step % 2 == 0:
            self.shares.append(self.trainer.view_share)


@pytest.mark.slow
def test_refresh_happens_at_the_configured_epochs_and_replaces(tmp_path: Path) -> None:
    class Fewer(Scripted):
        def run(self, *args: Any) -> Any:
            done = len(self.attacked) // 16
            self.statuses = {number: "failed" for number in range(16) if number >= 8 >> done}
            yield from super().run(*args)

    watch = Epochs()
    options: dict[str, Any] = {"clean_epochs": 1, "n_rounds": 2, "epochs_per_round": 2}
    # The statuses change from round to round, the attack's description must not.
    attack = Fewer()
    attack.describe = lambda: {"name": "fewer"}  # type: ignore[method-assign]
    trainer = build_trainer(
        "adv_iter", tmp_path, attacks={"fewer": attack}, max_steps=14, callbacks=[watch], **options
    )
    watch.trainer = trainer
    trainer.train()
    assert watch.shares == [0, 8 / 16, 8 / 16, 4 / 16, 4 / 16, 4 / 16, 4 / 16]
    assert [(one["round"], one["epoch"], one["found"]) for one in trainer.generation.rounds] == [(0, 1, 8), (1, 3, 4)]
    assert len({one["victim"] for one in trainer.generation.rounds}) == 2  # the model as it was then


@given(
    st.integers(1, 40), st.integers(1, 8), st.integers(1, 3), st.booleans(), st.integers(0, 30), st.floats(0.1, 4.0)
)
@settings(max_examples=100, deadline=None)
def test_planned_epochs_are_those_of_the_trainer(
    rows: int, batch: int, accumulation: int, drop_last: bool, steps: int, epochs: float
) -> None:
    """A walk over batches, as the loader and the Trainer make them."""

    class Args:
        max_steps, num_train_epochs, dataloader_drop_last = steps, epochs, drop_last
        train_batch_size, gradient_accumulation_steps, world_size = batch, accumulation, 1

    class Given:
        args, train_dataset = Args, review_data(4).labels * 10

    Given.train_dataset = Given.train_dataset[:rows]
    sizes = [len(range(start, min(start + batch, rows))) for start in range(0, rows, batch)]
    sizes = [size for size in sizes if size == batch or not drop_last]
    updates = max(1, math.ceil(len(sizes) / accumulation))
    if steps == 0:
        expected = math.ceil(epochs)
    else:
        expected, done = 0, 0
        while done < steps:
            done, expected = done + updates, expected + 1
    assert planned_epochs(Given) == expected  # type: ignore[arg-type]
