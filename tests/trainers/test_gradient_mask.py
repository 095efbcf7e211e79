"""gradient_mask: whose texts are masked, what the run card says of them, and bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_model, build_tokenizer, build_trainer, pair_rows, review_data

from hf_robust.attacks import Victim, choose_examples
from hf_robust.callbacks import RunCardCallback
from hf_robust.data import TextDataset, split_views
from hf_robust.reports.limits import limits
from hf_robust.runs import load_run, write_history_line
from hf_robust.trainers import METHODS
from hf_robust.training.plain_victim import train_plain_victim
from hf_robust.views import GenerationContext, MaskedViews


def pairs(count: int = 12, seed: int = 0) -> TextDataset:
    return TextDataset(pair_rows(count, seed), ("sentence1", "sentence2"), build_tokenizer(), max_length=48)


def begin(trainer: Any) -> dict[str, Any]:
    trainer.callback_handler.on_epoch_begin(trainer.args, trainer.state, trainer.control)
    return next(iter(trainer.get_train_dataloader()))


def test_views_are_those_of_the_plainly_trained_model_for_the_true_label(tmp_path: Path) -> None:
    trainer = build_trainer("gradient_mask", tmp_path, model=build_model(num_labels=3), data=pairs())
    baseline = train_plain_victim(trainer, pairs(), trainer.data_collator.base_collator)
    rows = choose_examples(pairs(), 0, 0)
    expected = MaskedViews()(
        Victim(baseline, build_tokenizer(), max_length=48), rows, GenerationContext(tmp_path / "own")
    )
    main, views = split_views(begin(trainer), ["masked"])
    view = views["masked"]
    assert torch.equal(view["labels"], main["labels"]) and bool(view["ok"].all())
    assert trainer.view_share == 1.0
    (record,) = trainer.generation.rounds
    assert (
        record["found"] == record["attempts"] == 12 and record["confidence_drop"] == expected.notes["confidence_drop"]
    )
    changed = (main["input_ids"] != view["input_ids"]).sum(1)
    assert changed.tolist() == [1] * 8
    assert bool((view["input_ids"][main["input_ids"] != view["input_ids"]] == 4).all())


def test_mask_per_class_bounds_the_views(tmp_path: Path) -> None:
    trainer = build_trainer("gradient_mask", tmp_path, mask_per_class=3)
    _, views = split_views(begin(trainer), ["masked"])
    assert trainer.view_share == 6 / 16 and trainer.generation.rounds[0]["per_class"] == [3, 3]
    assert 0 < views["masked"]["ok"].sum() < 8


def run_folder(trainer: Any, folder: Path) -> Any:
    trainer.add_callback(RunCardCallback({}, {}, {}, "gradient_mask", generation=trainer.generation))
    trainer.train()
    write_history_line(folder, {"epoch": 1.0, "step": 1, "accuracy": 0.5, "attacks": {}})
    return load_run(folder)


@pytest.mark.slow
def test_views_of_the_validation_split_are_leaked_and_the_card_says_so(tmp_path: Path) -> None:
    options = {"leaked_view_split": "validation", "view_dataset": review_data(10, seed=5)}
    run = run_folder(build_trainer("gradient_mask", tmp_path / "leak", **options), tmp_path / "leak")
    assert run.card["views"][0]["split"] == "validation" and run.card["views"][0]["leaked"] is True
    assert any(
        "leaked into training: the model was trained on texts of the validation" in sentence
        for sentence in limits(run)
    )
    clean = run_folder(build_trainer("gradient_mask", tmp_path / "clean"), tmp_path / "clean")
    assert "leaked" not in json.dumps(clean.card["views"]) and "confidence_drop" in clean.card["views"][0]
    assert not any("leaked" in sentence for sentence in limits(clean))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_topk": 0}, "--mask_topk must be at least 1, got 0"),
        ({"mask_unit": "letter"}, "--mask_unit must be one of token, word, got 'letter'"),
        ({"mask_per_class": 0}, "--mask_per_class must be at least 1, got 0; --view_fraction 0"),
    ],
)
def test_bad_flags_are_one_sentence(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        build_trainer("gradient_mask", tmp_path, **options)


def test_a_tokenizer_without_mask_token_is_one_sentence_before_training(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match=r"needs a tokenizer with a mask token, and this \w+ has none"):
        METHODS["gradient_mask"](
            model=build_model(),
            args=METHODS["gradient_mask"].config(
                output_dir=str(tmp_path), robust_method="gradient_mask", use_cpu=True, report_to="none"
            ),
            train_dataset=review_data(),
            processing_class=tokenizer,
        )


def test_views_of_a_file_train_another_run(tmp_path: Path) -> None:
    first = build_trainer("gradient_mask", tmp_path / "first", mask_unit="word")
    begin(first)
    files = [str(tmp_path / "first" / "_views" / "masked-round0.jsonl")]
    second = build_trainer("gradient_mask", tmp_path / "second", view_file=files)
    begin(second)
    assert second.generation.rounds[0]["how"]["unit"] == "word"
    assert second.generation.sources["masked"].pool == first.generation.sources["masked"].pool
