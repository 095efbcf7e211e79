"""IBP: its loss against a naive sum, its schedules, the table that it reads, and what training brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import SYNONYMS, build_model, build_tokenizer, build_trainer, model_for, review_data, table
from torch.nn.functional import cross_entropy
from transformers import AutoModelForSequenceClassification

from hf_robust.attacks import Victim
from hf_robust.certify import Smoothing
from hf_robust.certify.intervals import BOUNDED, IntervalBounds
from hf_robust.certify.swaps import SwapBounds, certify_swaps
from hf_robust.data import TextDataset
from hf_robust.lexicons import TableLexicon
from hf_robust.models import word_tokenizer
from hf_robust.runs import Ranks


def batch_of(trainer: Any) -> dict[str, torch.Tensor]:
    trainer.model.train()
    return dict(next(iter(trainer.get_train_dataloader())))


@pytest.mark.parametrize("kind", BOUNDED)
def test_loss_is_the_weighted_sum_of_the_clean_and_the_worst(kind: str, tmp_path: Path) -> None:
    """The worst logits from boxes by hand: the ids of each position's word and its substitutes."""
    trainer = build_trainer("ibp", tmp_path, model=build_model(kind), ibp_kappa=0.3, ibp_ramp=0.0)
    batch, ids_of = batch_of(trainer), build_tokenizer().convert_tokens_to_ids
    # "splendid", "dreadful" and "picture" are two tokens, and so no vertex of a token.
    near = {
        ids_of(word): [ids_of(new) for new in others if ids_of(new) != build_tokenizer().unk_token_id]
        for word, others in SYNONYMS.items()
    }
    rows = [[[number, *near.get(number, [])] for number in row] for row in batch["input_ids"].tolist()]
    ids = torch.tensor([[(one * 4)[:1] * (4 - len(one)) + one for one in row] for row in rows])
    margins = IntervalBounds(trainer.model)(ids, batch["attention_mask"] != 0, batch["labels"])
    worst = cross_entropy(-margins, batch["labels"])
    clean = cross_entropy(trainer.model(**batch).logits, batch["labels"])
    assert worst > clean
    expected = 0.3 * clean + 0.7 * worst
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("kind", BOUNDED)
def test_at_epsilon_zero_the_worst_loss_is_that_of_normal(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = build_trainer("ibp", tmp_path, model=build_model(kind), ibp_kappa=0.0, label_smoothing_factor=0.1)
    normal = build_trainer("normal", tmp_path, model=build_model(kind), label_smoothing_factor=0.1)
    bounds = IntervalBounds(trainer.model)
    trainer.__dict__["bounds"] = lambda ids, keep, labels, share: bounds(ids, keep, labels, 0.0)
    batch = batch_of(trainer)
    expected = normal.compute_loss(normal.model.train(), dict(batch))
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(expected.item(), abs=1e-6)


def test_epsilon_and_kappa_rise_together_and_then_stay(tmp_path: Path) -> None:
    trainer = build_trainer("ibp", tmp_path, max_steps=6, ibp_ramp=0.5, ibp_kappa=0.2, learning_rate=0.0)
    seen: list[float] = []
    bounds = trainer.bounds
    trainer.__dict__["bounds"] = lambda *parts: seen.append(parts[3]) or bounds(*parts)
    trainer.train()
    assert seen[-6:] == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1])
    entries = [one for one in trainer.state.log_history if "loss" in one]
    assert [one["ibp_epsilon"] for one in entries] == pytest.approx(seen[-6:])
    clean = entries[0]["loss_ce"] / (1 - 0.8 / 3)
    assert entries[3]["loss_ce"] == pytest.approx(0.2 * clean, rel=0.3)  # other texts, equal weights
    assert all(one["loss"] == pytest.approx(one["loss_ce"] + one["loss_worst"], abs=1e-3) for one in entries)
    assert all(0 <= one["certified_in_training"] <= 1 for one in entries)


def word_trainer(words: list[str], folder: Path, synonyms: dict[str, list[str]]) -> Any:
    """A trainer whose words are single tokens, as those of a new LSTM or CNN are."""
    tokenizer = word_tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    data = TextDataset([{"sentence": "a good film", "label": 0}] * 4, ("sentence",), tokenizer, max_length=16)
    model = build_model(BOUNDED[1], vocab_size=len(tokenizer))
    options: dict[str, Any] = {"tokenizer": tokenizer, "data": data, "synonyms": table(synonyms, "synonym")}
    return build_trainer("ibp", folder, model=model, **options)


def choices_in_training(trainer: Any, text: str) -> list[list[int]]:
    hull = trainer.neighbours(trainer.processing_class(text, return_tensors="pt")).hull
    return [ids[valid].tolist() for ids, valid in zip(hull.ids[0], hull.valid[0], strict=True)]


def test_substitutes_outside_the_vocabulary_are_its_unknown_token(tmp_path: Path) -> None:
    trainer = word_trainer(["good", "bad", "film", "."], tmp_path, {"good": ["fine", "bad"], "film": ["movie"]})
    assert choices_in_training(trainer, "good film.") == [[2], [5, 1, 6], [7, 1], [8], [3]]


def test_training_has_the_boxes_of_the_certificate(tmp_path: Path) -> None:
    """The table of tokens and the table of words agree, capitals and unknown words included."""
    trainer = word_trainer([*SYNONYMS, "fine", "movie", "was", "the", "a", "."], tmp_path, SYNONYMS)
    bounds = SwapBounds(trainer.model, trainer.processing_class, None, Smoothing(TableLexicon(SYNONYMS)))
    for text in ("Good film was bad.", "the plot was a COLD movie."):
        certified = bounds.choices((text,))
        assert certified and list(map(set, choices_in_training(trainer, text))) == list(map(set, certified))


def certified_share(model: Any, tokenizer: Any, data: Any) -> tuple[float, float]:
    """Accuracy and certified accuracy on the rows of a data set."""
    victim = Victim(model, tokenizer, max_length=32)
    examples = [(row, data.texts(row), data.label(row)) for row in range(len(data))]
    with victim.measuring():
        found, _ = certify_swaps(victim, examples, Smoothing(TableLexicon(TOKENS)), Ranks())
    correct = sum(one.prediction == one.label for one in found)
    return correct / len(found), sum(one.certified for one in found) / len(found)


TOKENS = {
    "good": ["fine", "great", "music", "with"],
    "warm": ["tender", "very", "ending"],
    "bad": ["awful", "poor", "actor", "and"],
    "cold": ["chilly", "story", "the"],
}
"""Substitutes that the words alone do not tell apart, so that plain training does not withstand them."""


@pytest.mark.parametrize("kind", BOUNDED)
def test_training_certifies_what_plain_training_does_not(kind: str, tmp_path: Path) -> None:
    shares, trained = {}, {}
    data, held_out = review_data(64), review_data(32, seed=9)
    for name in ("normal", "ibp"):
        options: dict[str, Any] = {"ibp_kappa": 0.2, "ibp_ramp": 0.3} if name == "ibp" else {}
        trainer = build_trainer(
            name, tmp_path / name, model=model_for("ibp") if kind == BOUNDED[0] else build_model(kind), data=data,
            synonyms=table(TOKENS, "synonym"), max_steps=120, learning_rate=0.02, optim="adamw_torch", **options,
        )  # fmt: skip
        trainer.train()
        trained[name] = trainer
        shares[name] = certified_share(trainer.model, trainer.processing_class, held_out)
    assert shares["normal"][0] > 0.9 and shares["ibp"][0] > 0.8  # robustness costs accuracy
    assert shares["ibp"][1] > shares["normal"][1] + 0.3
    trained["ibp"].save_model(str(tmp_path / "saved"))
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert certified_share(again, trained["ibp"].processing_class, held_out) == shares["ibp"]


def test_what_makes_no_sense_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="--ibp_kappa must be between 0.0 and 1.0, got 1.5; it is a share of the loss"
    ):
        build_trainer("ibp", tmp_path, ibp_kappa=1.5)
    with pytest.raises(ValueError, match="--ibp_ramp must be between 0.0 and 1.0, got -1"):
        build_trainer("ibp", tmp_path, ibp_ramp=-1.0)
    message = (
        "ibp trains models of the types hf_robust_lstm and hf_robust_cnn, and this one is of type bert: give such"
    )
    with pytest.raises(ValueError, match=message):
        build_trainer("ibp", tmp_path, model=build_model())
    with pytest.raises(ValueError, match="has no synonyms for the open words of 16 training texts"):
        build_trainer("ibp", tmp_path, synonyms=table({"other": ["words"]}, "synonym"))
