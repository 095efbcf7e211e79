"""Texts with several labels: which methods train them, on which loss, and what the others say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ascent_parts import gradients_of, prepared
from tiny import build_model, build_tokenizer, build_trainer, model_for, review_rows
from torch.nn.functional import binary_cross_entropy_with_logits

from hf_robust.data import TextDataset
from hf_robust.trainers import METHODS
from hf_robust.training.methods import FAMILIES

TRAINED = [name for name in METHODS if METHODS[name].trains_multi_label]
NUM_LABELS = 3


def data(count: int = 16) -> TextDataset:
    rows = [
        {"sentence": row["sentence"], "label": [float(row["label"]), float(index % 3 == 0), 0.0]}
        for index, row in enumerate(review_rows(count))
    ]
    return TextDataset(rows, ("sentence",), build_tokenizer(), max_length=32)


def options(name: str = "normal", **changes: Any) -> dict[str, Any]:
    model = model_for(name, num_labels=NUM_LABELS, problem_type="multi_label_classification")
    return {"model": model, "data": data(), **changes}


def test_all_methods_that_perturb_embeddings_train_several_labels() -> None:
    perturbing = {name for name in METHODS if METHODS[name].family.startswith("perturbed embeddings")}
    assert perturbing < set(TRAINED) and FAMILIES


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_trains_and_evaluates(name: str, tmp_path: Path) -> None:
    trainer = build_trainer(name, tmp_path, **options(name, eval_data=data(8)))
    before = {key: value.clone() for key, value in trainer.model.named_parameters()}
    trainer.train()
    assert any(not torch.equal(before[key], value) for key, value in trainer.model.named_parameters() if key in before)
    rows = [data(8).label(row) for row in range(8)]
    logits = torch.tensor(trainer.predict(data(8)).predictions)  # type: ignore[arg-type]
    expected = binary_cross_entropy_with_logits(logits, torch.tensor(rows))
    assert trainer.evaluate()["eval_loss"] == pytest.approx(expected.item(), abs=1e-5)


@pytest.mark.parametrize("name", [name for name in TRAINED if METHODS[name].zero_strength])
def test_a_method_of_strength_zero_is_plain_training(name: str, tmp_path: Path) -> None:
    zero = dict(METHODS[name].zero_strength or {})
    trainer, batch = prepared(name, tmp_path, **options(**zero))
    normal, _ = prepared("normal", tmp_path, **options())
    loss, gradients = gradients_of(trainer, batch)
    plain, expected = gradients_of(normal, batch)
    assert loss == pytest.approx(plain, abs=1e-6)
    for key, gradient in expected.items():
        assert torch.allclose(gradients[key], gradient, atol=1e-6), key


@pytest.mark.parametrize("name", [name for name in TRAINED if name not in ("normal", "flooding", "r_drop")])
def test_an_adversary_raises_the_loss_of_the_labels(name: str, tmp_path: Path) -> None:
    steps = {} if name in ("fgm", "fgsm") else {"adv_steps": 3}
    trainer = build_trainer(name, tmp_path, **options(**steps), max_steps=2)
    trainer.train()
    entries = [entry for entry in trainer.state.log_history if "loss_increase" in entry]
    assert entries and max(entry["loss_increase"] for entry in entries) > 0


def test_row_losses_are_means_over_the_labels(tmp_path: Path) -> None:
    trainer, batch = prepared("pgd", tmp_path, **options())
    with torch.no_grad():
        outputs = trainer.model(**batch)
    losses = trainer.sample_losses(outputs.logits, batch["labels"])
    expected = binary_cross_entropy_with_logits(outputs.logits, batch["labels"], reduction="none").mean(1)
    assert torch.allclose(losses, expected)
    assert losses.mean().item() == pytest.approx(outputs.loss.item(), abs=1e-6)


@pytest.mark.parametrize("name", [name for name in METHODS if name not in TRAINED])
def test_other_methods_say_so_before_training(name: str, tmp_path: Path) -> None:
    message = f"{name} needs one class for each row, and this model gives a text several labels; use"
    several = {"num_labels": NUM_LABELS, "problem_type": "multi_label_classification"}
    with pytest.raises(ValueError, match=message):
        build_trainer(name, tmp_path, **options(model=model_for(name, **several)))


def test_lists_of_labels_need_a_model_of_several_labels(tmp_path: Path) -> None:
    for problem in (None, "single_label_classification"):
        model = build_model(num_labels=NUM_LABELS, problem_type=problem)
        with pytest.raises(ValueError, match=f"problem_type is {problem}; load it with problem_type='multi_label"):
            build_trainer("normal", tmp_path, model=model, data=data())


@pytest.mark.parametrize(("flag", "value"), [("class_weights", [1.0, 2.0, 1.0]), ("label_smoothing_factor", 0.1)])
def test_weights_and_smoothing_of_classes_are_refused(flag: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag} needs one class for each row"):
        build_trainer("freelb", tmp_path, **options(**{flag: value}))
