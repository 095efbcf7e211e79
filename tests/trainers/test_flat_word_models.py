"""FLAT on the LSTM and the CNN: Eq. 4 on word vectors that stay, without attention.

Rounds of attacks: each draws its examples anew, and only checkpoints that saw one can be the best.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted import Scripted
from tiny import build_model, build_tokenizer, build_trainer, review_data, table
from transformers import AutoModelForSequenceClassification

from hf_robust.adversary import Noise
from hf_robust.attacks import ATTACKS, Resources
from hf_robust.modules.word_mask import draw
from hf_robust.modules.word_masking import WordMasking

pytestmark = pytest.mark.slow

ROUNDS: dict[str, Any] = {"clean_epochs": 1, "n_rounds": 3, "epochs_per_round": 1, "view_fraction": 0.25}
EPOCHS: dict[str, Any] = {"max_steps": 8, "save_strategy": "steps", "save_steps": 2}  # two steps an epoch


def drawn(name: str, folder: Path, *, resume: Path | None = None, **options: Any) -> list[list[int]]:
    """Which rows each round of a run attacks."""
    attack = Scripted()
    trainer = build_trainer(name, folder, attacks={"scripted": attack}, **{**ROUNDS, **EPOCHS, **options})
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return [attack.attacked[start : start + 4] for start in range(0, len(attack.attacked), 4)]


@pytest.mark.parametrize("name", ["adv_iter", "flat"])
def test_each_round_draws_its_examples_anew_and_by_the_seed(name: str, tmp_path: Path) -> None:
    found = drawn(name, tmp_path / "one")
    assert [len(set(rows)) for rows in found] == [4, 4, 4]
    assert len({tuple(rows) for rows in found}) == 3
    assert found == drawn(name, tmp_path / "two")
    assert found != drawn(name, tmp_path / "three", seed=1)
    # A first round is that of methods with one round: what was cached for them stays good.
    assert found[0] == sorted(random.Random(0).sample(range(16), 4))


@pytest.mark.parametrize("name", ["adv_iter", "flat"])
def test_a_resumed_run_draws_what_the_whole_one_drew(name: str, tmp_path: Path) -> None:
    whole = drawn(name, tmp_path / "whole")
    for step, left in ((2, 3), (4, 2), (6, 1)):
        resume = tmp_path / "whole" / f"checkpoint-{step}"
        views = {path.name for path in (tmp_path / "whole" / "_views").iterdir()}
        for path in (tmp_path / "whole" / "_views").iterdir():  # those of later steps are as if never made
            if int(path.stem[-1]) >= 3 - left:
                path.rename(path.with_suffix(".kept"))
        assert drawn(name, tmp_path / f"again-{step}", resume=resume) == whole[3 - left :]
        for path in (tmp_path / "whole" / "_views").glob("*.kept"):
            path.rename(path.with_suffix(".jsonl"))
        assert {path.name for path in (tmp_path / "whole" / "_views").iterdir()} == views


def test_a_later_round_that_could_change_nothing_is_refused_before_training(tmp_path: Path) -> None:
    """One text a round: the first has a synonym, and one of the later ones has none."""
    first, *later = (random.Random(seed).sample(range(16), 1)[0] for seed in (0, "0:1", "0:2"))
    assert first not in later
    rows = [{"sentence": "a good film." if row == first else "zz.", "label": row % 2} for row in range(16)]
    attack = ATTACKS["synonym"](Resources(synonyms=table({"good": ["fine"]}, "synonym")))
    trainer = build_trainer(
        "adv_iter", tmp_path, attacks={"synonym": attack}, data=review_data(rows=rows),
        **{**ROUNDS, "view_fraction": 1 / 16}, max_steps=8,
    )  # fmt: skip
    with pytest.raises(ValueError, match="the synonym attack can change nothing: no open word of 1 texts"):
        trainer.train()
    assert trainer.state.global_step == 0


class Falling:
    """An accuracy that falls from one evaluation to the next, so that the first that counts is the best."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, prediction: Any) -> dict[str, float]:
        self.asked += 1
        return {"accuracy": 1.0 - 0.1 * self.asked}


BEST: dict[str, Any] = {
    "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "metric_for_best_model": "accuracy",
    "greater_is_better": True, "save_total_limit": 1, "mask_learning_rate": 1.0,
}  # fmt: skip


def best_run(name: str, folder: Path, **options: Any) -> Any:
    settings = {**ROUNDS, **EPOCHS, **BEST, "compute_metrics": Falling(), **options}
    if name != "flat":
        settings.pop("mask_learning_rate")
    return build_trainer(name, folder, eval_data=review_data(8, seed=3), **settings)


@pytest.mark.parametrize("name", ["adv_iter", "flat"])
def test_the_best_checkpoint_saw_a_round(name: str, tmp_path: Path) -> None:
    trainer = best_run(name, tmp_path)
    trainer.train()
    evaluated = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    assert evaluated == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert (trainer.state.best_global_step, trainer.state.best_metric) == (4, pytest.approx(0.8))
    # What is measured, saved and left in training are that checkpoint.
    best = tmp_path / "checkpoint-4"
    trainer.save_model(str(tmp_path / "final"))
    given = dict(build_tokenizer()(["a good film.", "bad plot and cold music."], padding=True, return_tensors="pt"))
    trainer.model.eval()
    with torch.no_grad():
        own = trainer.inference(trainer.model, given).logits
        for folder in (best, tmp_path / "final"):
            saved = AutoModelForSequenceClassification.from_pretrained(folder).eval()
            assert torch.equal(saved(**given).logits, own), folder
    losses = {entry["step"]: entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry}
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[4], abs=1e-6)


def test_clean_epochs_alone_leave_the_best_of_them(tmp_path: Path) -> None:
    trainer = best_run("adv_iter", tmp_path, n_rounds=0)
    trainer.train()
    assert trainer.state.best_global_step == 2


@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_resumed_run_has_the_same_best_checkpoint(step: int, tmp_path: Path) -> None:
    whole = best_run("flat", tmp_path, save_total_limit=None)
    whole.train()
    falling = Falling()
    falling.asked = step // 2
    again = best_run("flat", tmp_path, save_total_limit=None, compute_metrics=falling)
    again.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
    assert again.state.best_global_step == whole.state.best_global_step == 4
    for name, value in whole.model.state_dict().items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, again.model.state_dict()[name]), name


KINDS = ("hf_robust_lstm", "hf_robust_cnn")
every_kind = pytest.mark.parametrize("kind", KINDS)
TEXTS = ["a splendid film.", "bad plot and cold music with a very bad ending."]


def batch_of(side: str) -> dict[str, torch.Tensor]:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    return dict(tokenizer(TEXTS, padding=True, return_tensors="pt"))


@pytest.mark.parametrize("side", ["right", "left"])
@every_kind
def test_a_training_pass_reads_the_drawn_words_in_their_places(kind: str, side: str, tmp_path: Path) -> None:
    """x' = r x (Eq. 4): a word that is drawn out is a zero vector, and neither it nor padding changes its place."""
    trainer: Any = build_trainer("flat", tmp_path, model=build_model(kind))
    mask: WordMasking = trainer.masking
    batch, noise, given = batch_of(side), Noise(3, 7), []
    with mask.sampled(noise):
        mask.model.register_forward_pre_hook(lambda m, a, k: given.append(k), with_kwargs=True)
        found = mask.model(**batch)["logits"]
    ids, real = batch["input_ids"], batch["attention_mask"]
    embedded = mask.model.get_input_embeddings()(ids)
    keep = draw(mask.network(embedded), ids, real, noise).round()
    keep = torch.where(torch.isin(ids, torch.tensor([0, 2, 3])), 1.0, keep)
    assert 0.0 < keep[real.bool()].mean() < 1.0
    assert torch.equal(given[-1]["attention_mask"], real)
    expected = mask.model(inputs_embeds=embedded * keep.unsqueeze(-1), attention_mask=real)["logits"]
    assert torch.allclose(found, expected, atol=1e-6)
    unpadded = mask.model(
        inputs_embeds=(embedded * keep.unsqueeze(-1))[0:1][:, real[0].bool()],
        attention_mask=torch.ones(1, int(real[0].sum())),
    )
    assert torch.allclose(found[:1], unpadded["logits"], atol=1e-6)


@every_kind
def test_word_vectors_that_stay_are_saved_times_their_importance(kind: str, tmp_path: Path) -> None:
    model = build_model(kind)
    table = model.get_input_embeddings().requires_grad_(False).weight
    start = table.clone()
    trainer: Any = build_trainer(
        "flat", tmp_path / "whole", model=model, max_steps=4, mask_learning_rate=1.0, save_strategy="steps",
        save_steps=2, optim="adamw_torch", learning_rate=5e-3, clean_epochs=1,
    )  # fmt: skip
    trainer.train()
    phi = trainer.masking.importances()
    assert torch.equal(table, start) and phi.std() > 0.1
    trainer.save_model(str(tmp_path / "saved"))
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert torch.equal(saved.get_input_embeddings().weight, start * phi.unsqueeze(1))
    trainer.model.eval()
    batch = batch_of("right")
    assert torch.equal(saved(**batch).logits, trainer.inference(trainer.model, batch).logits)
    # A resumed run has them as they were, not times their importance once more.
    other = build_model(kind, seed=9)
    other.get_input_embeddings().requires_grad_(False)
    again: Any = build_trainer(
        "flat", tmp_path / "again", model=other, max_steps=4, mask_learning_rate=1.0, optim="adamw_torch",
        learning_rate=5e-3, clean_epochs=1,
    )  # fmt: skip
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    assert torch.equal(other.get_input_embeddings().weight, start)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
