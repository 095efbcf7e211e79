"""The model card's statement on the base model, for cards written by the Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tiny import NO_DATA, build_model, build_trainer, review_data
from transformers import AutoModelForSequenceClassification

SIZE = "bert, 0.0071 M weights"


def card_of(folder: Path, model: Any) -> str:
    trainer = build_trainer("normal", folder, model=model, data=review_data(8), max_steps=1)
    trainer.train()
    trainer.create_model_card()
    return (folder / "README.md").read_text()


def test_a_new_model_was_trained_from_scratch(tmp_path: Path) -> None:
    assert "\nThis model was trained from scratch on an unknown dataset." in card_of(tmp_path, build_model())


def test_a_local_checkpoint_is_named_with_its_type_and_size(tmp_path: Path) -> None:
    build_model().save_pretrained(tmp_path / "first" / "mine")
    text = card_of(tmp_path / "out", AutoModelForSequenceClassification.from_pretrained(tmp_path / "first" / "mine"))
    assert f"\nThis model was fine-tuned from a local checkpoint (`mine`: {SIZE}) on an unknown dataset." in text
    assert "from scratch" not in text and str(tmp_path) not in text


def test_the_trainers_statement_on_a_hub_id_stays(tmp_path: Path) -> None:
    model = build_model()
    model.config._name_or_path = "org/model"
    text = card_of(tmp_path, model)
    assert "fine-tuned version of [org/model](https://huggingface.co/org/model) on" in text and "local" not in text


@pytest.mark.parametrize(
    ("start", "name"),
    [("mine", "`mine`"), ("org/model", "[org/model](https://huggingface.co/org/model)"), ("", "new")],
)
def test_an_evaluated_model_is_named_without_hyperparameters(start: str, name: str, tmp_path: Path) -> None:
    model = build_model()
    model.config._name_or_path = start
    if start == "mine":
        model.save_pretrained(tmp_path / start)
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / start)
    trainer = build_trainer("normal", tmp_path / "out", model=model, data=NO_DATA, eval_data=review_data(8))
    trainer.evaluate()
    trainer.create_model_card()
    text = (tmp_path / "out" / "README.md").read_text()
    assert f"\nThis model is {name} ({SIZE}). It was not trained further, and evaluated on an unknown dataset." in text
    assert "- eval_loss: " in text and "\n## Framework versions\n" in text
    assert "hyperparameters" not in text and "learning_rate" not in text and "Training procedure" not in text
    assert "fine-tuned" not in text and "from scratch" not in text and str(tmp_path) not in text


def test_an_adapter_of_a_local_checkpoint_publishes_no_folder(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    build_model().save_pretrained(tmp_path / "base")
    base = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base")
    lora = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    adapted, data = peft.get_peft_model(base, lora), review_data(8)
    trainer = build_trainer("normal", tmp_path / "out", model=adapted, data=data, max_steps=1)
    trainer.train()
    trainer.save_model()  # PEFT's card, which names the folder
    trainer.create_model_card()
    text = (tmp_path / "out" / "README.md").read_text()
    assert (
        "fine-tuned from a local checkpoint (`base`: bert, 0.0071 M weights, and 0.00016 M in the adapter) on" in text
    )
    assert str(tmp_path) not in text and ModelCard(text).data.base_model is None
