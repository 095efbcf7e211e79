"""DNE: the summed loss re-derived, SAFER as its limit, and a vote that belongs to a text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, build_trainer, review_data, table
from torch.nn.functional import cross_entropy, pad

from hf_robust.adversary import DIRICHLET_DRAWS, Noise, dirichlet
from hf_robust.attacks import Victim
from hf_robust.trainers import METHODS
from hf_robust.words import Text

CHAIN = {"good": ["fine"], "fine": ["great", "good"], "bad": ["awful", "poor"], "film": ["movie"]}


def first_batch(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.model.train()
    return trainer._prepare_inputs(next(iter(trainer.get_train_dataloader())))


def tokenised(*texts: str) -> dict[str, torch.Tensor]:
    return dict(build_tokenizer()(list(texts), padding=True, return_tensors="pt"))


def mixture(trainer: Any, batch: dict[str, torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """(B, L, E) by the formula, with a loop over the vertices."""
    hull, embed = trainer.neighbours(batch).hull, trainer.model.get_input_embeddings()
    total: Any = 0.0
    for place in range(hull.ids.shape[-1]):
        share = (weights[..., place] * hull.valid[..., place]).unsqueeze(-1)
        total = total + share * embed(torch.where(hull.valid, hull.ids, 0)[..., place])
    return total


def log_weights(trainer: Any, batch: dict[str, torch.Tensor], noise: Noise) -> torch.Tensor:
    found = trainer.neighbours(batch)
    shares = found.hull.valid * torch.where(found.second, trainer.args.dne_decay, 1.0)
    drawn = dirichlet(shares, trainer.args.dne_alpha, noise, batch["input_ids"], batch["attention_mask"])
    return (drawn + 1e-6).log().masked_fill(~found.hull.valid, -1e9)


@pytest.mark.parametrize("multi_backward", ["stream", "sum"])
def test_loss_and_gradient_are_the_sum_over_the_points(multi_backward: str, tmp_path: Path) -> None:
    trainer: Any = build_trainer(
        "dne", tmp_path, synonyms=table(CHAIN, "synonym"), multi_backward=multi_backward, adv_steps=2, adv_lr=3.0
    )
    batch, model = first_batch(trainer), trainer.model
    logits = log_weights(trainer, batch, Noise(0, 0)).requires_grad_()
    expected: Any = 0.0
    for number in range(3):
        mixed = mixture(trainer, batch, logits.softmax(-1))
        outputs = model(inputs_embeds=mixed, attention_mask=batch["attention_mask"]).logits
        loss = cross_entropy(outputs, batch["labels"])
        expected = expected + cross_entropy(
            model(
                inputs_embeds=mixture(trainer, batch, logits.detach().softmax(-1)),
                attention_mask=batch["attention_mask"],
            ).logits,
            batch["labels"],
        )
        if number < 2:
            (gradient,) = torch.autograd.grad(loss, logits)
            step = 3.0 * gradient / gradient.norm(dim=-1, keepdim=True).clamp(min=1e-8)
            logits = (logits + step).detach().requires_grad_()
    naive = torch.autograd.grad(expected, list(model.parameters()))
    model.zero_grad()
    found = trainer.compute_loss(model, batch)
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    for parameter, gradient in zip(model.parameters(), naive, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-4, rtol=1e-3)


def test_the_adversarial_points_raise_the_loss(tmp_path: Path) -> None:
    losses = []
    for length in (0.0, 10.0):
        trainer = build_trainer("dne", tmp_path, adv_lr=length, adv_steps=3)
        losses.append(trainer.compute_loss(trainer.model, first_batch(trainer)).item())
    assert losses[1] > losses[0]


def test_alpha_zero_trains_on_substituted_text(tmp_path: Path) -> None:
    trainer: Any = build_trainer("dne", tmp_path, dne_alpha=0.0, dne_decay=0.0, adv_steps=0)
    batch = first_batch(trainer)
    hull = trainer.neighbours(batch).hull
    weights = dirichlet(hull.valid.float(), 0.0, Noise(0, 0), batch["input_ids"], batch["attention_mask"])
    drawn = hull.ids.gather(-1, weights.argmax(-1, keepdim=True)).squeeze(-1)
    assert not torch.equal(drawn, batch["input_ids"])
    expected = trainer.model(**{**batch, "input_ids": drawn})["loss"].item()
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected, abs=1e-4)


def test_decay_zero_leaves_second_order_neighbours_out(tmp_path: Path) -> None:
    widths = []
    for decay in (0.5, 0.0):
        trainer: Any = build_trainer("dne", tmp_path, synonyms=table(CHAIN, "synonym"), dne_decay=decay)
        widths.append(int(trainer.neighbours(tokenised("good")).hull.valid.sum(-1).max()))
    assert widths == [3, 2]  # good, fine, great; good, fine


def vote(trainer: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    trainer.model.eval()
    with torch.no_grad():
        return trainer.inference(trainer.model, batch)["logits"]


def test_vote_is_the_mean_probability_over_its_mixtures(tmp_path: Path) -> None:
    trainer = build_trainer("dne", tmp_path, dne_votes=3)
    batch = tokenised("a good film.", "bad plot and cold film.")
    expected: Any = 0.0
    found = vote(trainer, batch)
    with torch.no_grad():
        for number in range(3):
            logits = log_weights(trainer, batch, Noise(0, -1, number * DIRICHLET_DRAWS))
            mixed = mixture(trainer, batch, logits.softmax(-1))
            outputs = trainer.model(inputs_embeds=mixed, attention_mask=batch["attention_mask"])
            expected = expected + outputs.logits.softmax(-1) / 3
        clean = trainer.model(**batch).logits.softmax(-1)
    assert torch.allclose(found.exp(), expected, atol=1e-6)
    assert not torch.allclose(found.exp(), clean, atol=1e-3)


def test_vote_belongs_to_the_text(tmp_path: Path) -> None:
    trainer = build_trainer("dne", tmp_path)
    both = tokenised("a good film.", "bad plot and cold film.")
    found = vote(trainer, both)
    assert torch.equal(found, vote(trainer, both))
    assert torch.allclose(found[:1], vote(trainer, tokenised("a good film.")), atol=1e-5)
    padded = {key: pad(value, (0, 3)) for key, value in both.items()}
    assert torch.allclose(found, vote(trainer, padded), atol=1e-5)
    trainer.state.global_step = 5
    assert torch.equal(found, vote(trainer, both))


def test_evaluation_and_prediction_see_the_vote(tmp_path: Path) -> None:
    data = review_data(8)
    trainer = build_trainer("dne", tmp_path, eval_data=data, label_smoothing_factor=0.2)
    batch = trainer.data_collator([data[i] for i in range(8)])
    labels = batch.pop("labels")
    voted = vote(trainer, batch)
    predicted = trainer.predict(data)
    assert torch.allclose(torch.tensor(predicted.predictions), voted, atol=1e-5)
    expected = cross_entropy(voted, labels, label_smoothing=0.2).item()
    assert predicted.metrics["test_loss"] == pytest.approx(expected, abs=1e-5)
    plain = build_trainer("dne", tmp_path, eval_data=data)
    assert plain.evaluate()["eval_loss"] == pytest.approx(cross_entropy(voted, labels).item(), abs=1e-5)


def test_gradients_of_words_are_refused_by_a_vote_and_not_without_one(tmp_path: Path) -> None:
    texts = [Text(("a good film.",))]
    for votes in (2, 0):
        trainer = build_trainer("dne", tmp_path, dne_votes=votes)
        victim = Victim(trainer.model, trainer.processing_class, inference=trainer.inference)
        if votes:
            with pytest.raises(
                ValueError, match="no gradients by word: Bert.* predicts here without looking its input_ids up"
            ):
                victim.saliency(texts)
        else:
            assert (victim.saliency(texts)[0] > 0).all()


def test_evaluation_logs_nothing_into_training(tmp_path: Path) -> None:
    trainer = build_trainer("dne", tmp_path, eval_data=review_data(8))
    trainer.evaluate()
    assert trainer.means.take() == {}


def test_token_types_and_flags_are_tiled_with_the_rows(tmp_path: Path) -> None:
    trainer = build_trainer("dne", tmp_path, model=build_model(), dne_votes=2)
    batch = tokenised("a good film.", "bad plot.")
    types = torch.zeros_like(batch["input_ids"])
    found = vote(trainer, {**batch, "token_type_ids": types, "output_hidden_states": True})
    assert torch.allclose(found, vote(trainer, batch), atol=1e-6)


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("adv_steps", -1, "must be at least 0"),
        ("adv_lr", -1.0, "must be at least 0"),
        ("dne_alpha", -0.1, "must be at least 0"),
        ("dne_decay", 1.5, "must be between 0.0 and 1.0"),
        ("dne_votes", -1, "must be at least 0"),
        ("multi_backward", "both", "must be one of stream, sum"),
    ],
)
def test_bad_values_are_one_sentence(flag: str, value: Any, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"--{flag} {reason}"):
        METHODS["dne"].config(output_dir=str(tmp_path), **{flag: value})


@pytest.mark.parametrize(("votes", "said"), [(3, True), (0, False)])
def test_the_card_says_that_what_is_published_does_not_vote(votes: int, said: bool, tmp_path: Path) -> None:
    trainer = build_trainer("dne", tmp_path, dne_votes=votes)
    trainer.create_model_card()
    trainer.create_model_card()
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert card.count("measured with a vote of 3") == card.count("## The published model") == int(said)
