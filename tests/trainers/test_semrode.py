"""semrode: which features are compared, with which texts, and by which distance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import build_architecture
from tiny import KINDS, build_model, build_tokenizer, build_trainer
from torch import nn

from hf_robust.losses import coral, mmd, sinkhorn
from hf_robust.training.classifier_features import classifier_features
from hf_robust.views import SampledViews

ALL = {"view_fraction": 1.0}


def first_batch(trainer: Any) -> dict[str, Any]:
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    trainer.model.train()
    batch: dict[str, Any] = trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))
    return batch


def pooled(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = model.bert(input_ids=ids, attention_mask=mask).pooler_output
    return found


def naive_mmd(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    rows = torch.cat([first, second])
    squares = torch.tensor([[((a - b) ** 2).sum().item() for b in rows] for a in rows])
    width = squares.sum() / (len(rows) * (len(rows) - 1)) / 2**2
    kernel = sum(torch.exp(-squares / (width * 2**i)) for i in range(5))
    assert isinstance(kernel, torch.Tensor)
    n = len(first)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - kernel[:n, n:].mean() - kernel[n:, :n].mean()


@pytest.mark.parametrize("distance", ["mmd", "coral", "sinkhorn"])
def test_the_loss_is_the_sheet(distance: str, tmp_path: Path) -> None:
    trainer = build_trainer("semrode", tmp_path, semrode_lambda=0.7, semrode_distance=distance, **ALL)
    batch = first_batch(trainer)
    assert batch["synonym_ok"].tolist() == [1.0] * 8
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    clean = pooled(trainer.model, batch["input_ids"], batch["attention_mask"])
    found = pooled(trainer.model, batch["synonym_input_ids"], batch["synonym_attention_mask"])
    measure = {"mmd": naive_mmd, "coral": coral, "sinkhorn": sinkhorn}[distance]
    task = nn.functional.cross_entropy(outputs.logits, batch["labels"])
    assert torch.allclose(loss, task + 0.7 * measure(clean, found), atol=1e-5)


def test_the_label_of_a_drawn_text_is_its_own(tmp_path: Path) -> None:
    trainer = build_trainer("semrode", tmp_path, semrode_adv_ce=True, semrode_lambda=0.0, **ALL)
    batch = first_batch(trainer)
    source = trainer.train_dataset.sources["synonym"]
    assert isinstance(source, SampledViews)
    labels = {
        build_tokenizer().decode(build_tokenizer()(*view.text.columns)["input_ids"]): view.label
        for view in source.views.pool
    }
    drawn = [build_tokenizer().decode(ids[ids != 0]) for ids in batch["synonym_input_ids"]]
    assert batch["synonym_labels"].tolist() == [labels[text] for text in drawn]
    loss, outputs = trainer.compute_loss(trainer.model, batch, return_outputs=True)
    adversarial = trainer.model(
        input_ids=batch["synonym_input_ids"],
        attention_mask=batch["synonym_attention_mask"],
        labels=batch["synonym_labels"],
    ).loss
    assert torch.allclose(loss, outputs.loss + adversarial, atol=1e-6)


def test_the_texts_are_drawn_anew_and_are_not_the_rows_own(tmp_path: Path) -> None:
    trainer = build_trainer("semrode", tmp_path, **ALL)
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    data = trainer.train_dataset
    epochs = []
    for epoch in range(2):
        data.set_epoch(epoch)
        epochs.append([data[index]["synonym_input_ids"] for index in range(len(data))])
    assert epochs[0] != epochs[1]
    pool = trainer.train_dataset.sources["synonym"].views.pool
    known = [build_tokenizer()(*view.text.columns)["input_ids"] for view in pool]
    assert all(list(ids) in known for ids in epochs[0])
    own = [data.sources["synonym"].views(text, data.dataset.label(i), None) for i, text in _texts(data)]  # type: ignore[arg-type]
    same = [list(ids) == build_tokenizer()(*view.text.columns)["input_ids"] for ids, view in zip(epochs[0], own)]  # noqa: B905
    assert not all(same)


def _texts(data: Any) -> list[tuple[int, Any]]:
    from hf_robust.words import Text

    return [(index, Text(data.dataset.texts(index))) for index in range(len(data))]


@pytest.mark.slow
def test_without_a_found_text_the_term_is_0(tmp_path: Path) -> None:
    weights = []
    for name, options in {"normal": {}, "semrode": {"view_fraction": 0.0}}.items():
        trainer = build_trainer(name, tmp_path / name, **options)
        trainer.train()
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    entries = [entry for entry in trainer.state.log_history if "loss_distance" in entry]
    assert len(entries) == 3 and all(entry["loss_distance"] == 0.0 for entry in entries)


def test_equal_rows_give_0_and_no_nan() -> None:
    rows = torch.ones(4, 3, requires_grad=True)
    value = mmd(rows, rows.detach())
    (gradient,) = torch.autograd.grad(value, rows)
    assert value.item() == 0.0 and gradient.isfinite().all()


def test_diagonals_are_taken_in() -> None:
    first, second = torch.randn(5, 4), torch.randn(6, 4) + 0.5
    assert mmd(first, first).abs().item() < 1e-6
    assert torch.allclose(mmd(first, second), naive_mmd(first, second), atol=1e-5)
    assert mmd(first, second) > 0


@pytest.mark.slow
def test_another_runs_texts_can_be_given(tmp_path: Path) -> None:
    ada = build_trainer("ada", tmp_path / "ada")
    ada.train()
    file = tmp_path / "ada" / "_views" / "synonym-round0.jsonl"
    semrode = build_trainer("semrode", tmp_path / "semrode", view_file=[str(file)])
    first_batch(semrode)
    (drawn,) = semrode.train_dataset.sources.values()
    pool = ada.train_dataset.sources["synonym"].pool
    assert [view.text.columns for view in drawn.views.pool] == [view.text.columns for view in pool] and pool


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_what_the_last_layer_reads(kind: str) -> None:
    model = build_model(kind).eval()
    rows = build_tokenizer()(["a good film", "the plot was bad"], padding=True, return_tensors="pt")
    with classifier_features(model) as features:
        logits = model(**rows).logits
        model(**rows)
    last = model.classifier if isinstance(model.classifier, nn.Linear) else model.classifier.out_proj
    assert len(features) == 2 and features[0].ndim == 2
    assert torch.allclose(last(features[0]), logits, atol=1e-6)


def test_a_classifier_without_one_vector_for_a_text_is_an_error() -> None:
    model = build_model()
    model.classifier = nn.Identity()
    rows = build_tokenizer()(["a good film"], return_tensors="pt")
    with pytest.raises(ValueError, match="no linear layer that classifies one vector"), classifier_features(model):
        model(**rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"semrode_distance": "l2"}, "--semrode_distance must be one of mmd, coral, sinkhorn"),
        ({"semrode_lambda": -1.0}, "--semrode_lambda must be at least 0"),
    ],
)
def test_bad_flags_are_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("semrode", tmp_path, **options)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("semrode", "gpt2", "GPT2ForSequenceClassification has no linear layer that classifies one vector"),
        ("taichi", "funnel", "mean_pool pools one last hidden state for each token.*use no_ctr"),
    ],
)
def test_a_model_that_cannot_be_read_is_refused_before_an_attack_makes_views(
    name: str, kind: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer(name, tmp_path, model=build_architecture(kind))
