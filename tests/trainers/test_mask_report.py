"""FLAT's report on its word mask: words after each epoch, accuracies at the end, warnings about useless masks."""

from __future__ import annotations

import logging
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_trainer, review_data

from hf_robust.modules.mask_rank import leave_one_out_importances, rank_correlation
from hf_robust.runs import read_mask_lines
from hf_robust.training.mask_report import MIN_OCCURRENCES

SPECIAL = {0, 2, 3}


def with_spread_importances(trainer: Any, by: float = 100.0) -> Any:
    """The trainer with importances of words that differ widely."""
    with torch.no_grad():
        trainer.masking.network.score.weight.mul_(by)
    trainer.masking.forget()
    return trainer


def by_hand(trainer: Any) -> dict[str, float]:
    """phi of each word with three occurrences in the training texts: the mean of the maxima over its pieces."""
    data, found = trainer.train_dataset.dataset, defaultdict[str, list[float]](list)
    trainer.model.eval()
    for row in range(len(data)):
        (text,) = data.texts(row)
        encoding = data.tokenizer(text)
        ids = torch.tensor([encoding["input_ids"]])
        masking = trainer.masking
        read = trainer.model.get_input_embeddings() if masking.block is None else masking.block
        phi = masking.network(read(ids)).sigmoid()[0]
        for word in range(encoding.word_ids()[-2] + 1):
            places = [place for place, number in enumerate(encoding.word_ids()) if number == word]
            start, end = encoding.token_to_chars(places[0]).start, encoding.token_to_chars(places[-1]).end
            if text[start:end].isalpha():
                found[text[start:end]].append(phi[places].max().item())
    return {word: statistics.fmean(values) for word, values in found.items() if len(values) >= MIN_OCCURRENCES}


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("mask_input", ["word", "block"])
def test_importances_of_words_by_hand(mask_input: str, side: str, tmp_path: Path) -> None:
    trainer = with_spread_importances(build_trainer("flat", tmp_path, mask_input=mask_input))
    if side == "left" and mask_input == "word":  # BERT's positions count the padding
        trainer.processing_class.padding_side = side
    expected = by_hand(trainer)
    found = trainer.report.word_importances()
    assert len(expected) > 5 and found == pytest.approx(expected, abs=1e-5)
    assert len({round(value, 4) for value in found.values()}) > 3


def test_each_epoch_has_a_line_and_the_log_its_numbers(tmp_path: Path) -> None:
    trainer: Any = build_trainer("flat", tmp_path, max_steps=-1, num_train_epochs=3, mask_learning_rate=1.0)
    trainer.train()
    lines = read_mask_lines(tmp_path)
    assert [line["epoch"] for line in lines] == [1.0, 2.0, 3.0] and lines[0] != lines[2]
    logged = [entry for entry in trainer.state.log_history if "phi_std" in entry]
    assert [(entry["phi_mean"], entry["phi_std"]) for entry in logged] == [
        (line["mean"], line["std"]) for line in lines
    ]
    values = trainer.report.word_importances()
    last = lines[-1]
    assert last["std"] == pytest.approx(statistics.pstdev(values.values()), abs=1e-4)
    assert last["words"] == len(values) and last["texts"] == 16
    ranked = sorted(values, key=lambda word: -values[word])
    assert list(last["top"]) == ranked[:10] and list(last["bottom"]) == ranked[::-1][:10]


def test_accuracies_are_with_the_expected_mask_without_one_and_with_sampled_ones(tmp_path: Path) -> None:
    eval_data = review_data(40, seed=5)
    trainer = with_spread_importances(
        build_trainer("flat", tmp_path, eval_data=eval_data, flat_beta=0.0, max_steps=20)
    )
    trainer.train()
    found = trainer.report.accuracies
    labels = torch.tensor(eval_data.labels)
    expected = torch.tensor(trainer.predict(eval_data).predictions).argmax(-1)
    assert found["accuracy_expected"] == pytest.approx((expected == labels).float().mean().item(), abs=1e-4)
    batch = dict(trainer.processing_class.pad([eval_data[row] for row in range(40)], return_tensors="pt"))
    batch.pop("label")
    trainer.model.eval()
    plain = trainer.model(**batch).logits.argmax(-1)
    assert found["accuracy_none"] == pytest.approx((plain == labels).float().mean().item(), abs=1e-4)
    assert 0.4 < found["accuracy_sampled"] <= 1.0 and found["accuracy_rows"] == 40
    (logged,) = [entry for entry in trainer.state.log_history if "mask_accuracy_none" in entry]
    assert logged["mask_accuracy_expected"] == found["accuracy_expected"]
    assert trainer.measured_in_training()["mask_accuracy_sampled_std"] == found["accuracy_sampled_std"]


@pytest.mark.slow
def test_looking_at_the_mask_changes_nothing_of_the_training(tmp_path: Path) -> None:
    weights = []
    for watched in (True, False):
        trainer: Any = build_trainer("flat", tmp_path / str(watched), eval_data=review_data(8), max_steps=4)
        if not watched:
            trainer.remove_callback(trainer.report)
        trainer.train()
        weights.append((trainer.model.state_dict(), torch.rand(2)))
    (first, drawn), (second, again) = weights
    assert all(torch.equal(value, second[name]) for name, value in first.items()) and torch.equal(drawn, again)


@pytest.mark.parametrize("by", [0.0, 100.0])
def test_a_mask_that_tells_no_words_apart_is_a_warning(
    by: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = with_spread_importances(build_trainer("flat", tmp_path, learning_rate=1e-6, mask_learning_rate=1e-6), by)
    with caplog.at_level(logging.WARNING, logger="hf_robust"):
        trainer.train()
    warned = [one for one in caplog.messages if "keeps all words equally often" in one]
    assert bool(warned) is (by == 0.0)
    assert all("not FLAT" in one and "--flat_beta" in one for one in warned)


def linear_logits(weights: dict[str, float]) -> Any:
    """A model of two classes that adds up its words' weights."""

    def logits(texts: Any) -> torch.Tensor:
        sums = [sum(weights.get(word, 0.0) for word in columns[0].split()) for columns in texts]
        return torch.tensor([[-0.5 * total, 0.5 * total] for total in sums])

    return logits


def test_a_words_own_importance_is_what_leaving_it_out_changes() -> None:
    weights = {"good": 2.0, "bad": -3.0, "the": 0.1}
    texts = [("the good film",), ("the bad film",), ("good good the film",)]
    found = leave_one_out_importances(linear_logits(weights), texts, min_occurrences=2)
    assert found == pytest.approx({"good": 2.0, "the": 0.1, "film": 0.0}, abs=1e-5)  # "bad" stands there once


def test_a_model_that_looks_at_no_word_has_no_importances() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]]))
    found = leave_one_out_importances(lambda texts: logits.repeat(len(texts), 1), [("the good film",)], 1)
    assert set(found) == {"the", "good", "film"} and set(found.values()) == {0.0}


def test_the_rank_correlation_is_over_the_words_that_both_know() -> None:
    own = {"good": 2.0, "bad": 3.0, "the": 0.1, "film": 0.2, "unseen": 9.0}
    assert rank_correlation({"good": 0.6, "bad": 0.9, "the": 0.1, "film": 0.2, "other": 0.5}, own) == (1.0, 4)
    assert rank_correlation({"good": 0.1, "bad": 0.0, "the": 0.9, "film": 0.5}, own).correlation == pytest.approx(-1.0)
    assert math.isnan(rank_correlation({"good": 0.5, "bad": 0.5}, own).correlation)


def test_the_rank_at_the_end_of_training_is_of_the_model_without_its_mask(tmp_path: Path) -> None:
    trainer = with_spread_importances(build_trainer("flat", tmp_path, max_steps=2))
    trainer.train()
    data = trainer.train_dataset.dataset

    def logits(texts: Any) -> torch.Tensor:
        rows = [trainer.model.eval()(**trainer.processing_class(*one, return_tensors="pt")).logits for one in texts]
        return torch.cat(rows).detach()

    own = leave_one_out_importances(logits, [data.texts(row) for row in range(len(data))], MIN_OCCURRENCES)
    expected = rank_correlation(trainer.report.word_importances(), own)
    found = trainer.measured_in_training()
    assert found["phi_rank"] == pytest.approx(expected.correlation, abs=1e-3)
    assert found["phi_rank_words"] == expected.words > 5
    assert [entry["phi_rank"] for entry in trainer.state.log_history if "phi_rank" in entry] == [found["phi_rank"]]


@pytest.mark.slow
def test_a_resumed_run_replaces_the_lines_of_what_it_trains_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": -1, "save_strategy": "epoch", "mask_learning_rate": 1.0}
    whole: Any = build_trainer("flat", tmp_path, num_train_epochs=3, **options)
    whole.train()
    lines = read_mask_lines(tmp_path)
    again: Any = build_trainer("flat", tmp_path, num_train_epochs=3, **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert read_mask_lines(tmp_path) == lines
    anew: Any = build_trainer("flat", tmp_path, num_train_epochs=1, **options)
    anew.train()
    assert len(read_mask_lines(tmp_path)) == 1
