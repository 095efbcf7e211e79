"""Chance level in closed form, and one warning if the loss is near chance after a fifth of the steps."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model, build_tokenizer, build_trainer, model_for, review_data, review_rows

from hf_robust.trainers import METHODS
from hf_robust.training.leaving_chance import ChanceComparison, NearChanceWarning, chance_comparison, compare_to_chance

# Terms that the loss contains only with another flag.
ASKED_FOR = {"loss_bregman", "loss_adversarial"}


def at_chance() -> Any:
    """A classifier that gives all texts nearly the same logits."""
    model = build_model()
    model.classifier.weight.data *= 1e-4
    torch.nn.init.zeros_(model.classifier.bias)
    return model


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "almost nothing of the task" in record.message]


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, logger="hf_robust")


counts = st.lists(st.integers(1, 40), min_size=2, max_size=5)


@given(counts, st.data())
def test_no_single_answer_is_better_than_chance_and_the_weighted_frequencies_reach_it(
    counts: list[int], data: st.DataObject
) -> None:
    weights = data.draw(st.lists(st.floats(0.1, 10.0), min_size=len(counts), max_size=len(counts)))
    other = data.draw(st.lists(st.floats(-5.0, 5.0), min_size=len(counts), max_size=len(counts)))
    labels = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    shares = torch.tensor([count * weight for count, weight in zip(counts, weights, strict=True)])
    best = chance_comparison((shares / shares.sum()).log().expand(len(labels), -1), labels, weights)
    assert best.loss == pytest.approx(best.chance, abs=1e-5)
    assert chance_comparison(torch.tensor(other).expand(len(labels), -1), labels, weights).loss >= best.chance - 1e-5
    assert best.chance <= math.log(len(counts)) + 1e-6


def test_chance_is_the_logarithm_of_the_number_of_even_classes_and_less_of_uneven_ones() -> None:
    assert chance_comparison(torch.zeros(6, 3), torch.tensor([0, 1, 2] * 2)).chance == pytest.approx(math.log(3))
    uneven = chance_comparison(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]))
    assert uneven.chance == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))
    assert uneven.loss == pytest.approx(math.log(2))


@pytest.mark.parametrize(("loss", "nothing"), [(0.951, True), (0.949, False), (3.0, True)])
def test_within_five_percent_of_chance_is_nothing(loss: float, nothing: bool) -> None:
    assert ChanceComparison(loss, 1.0, 256).near_chance is nothing
    assert not ChanceComparison(loss, 0.0, 256).near_chance


@pytest.mark.slow_but("bat_triplet")
@pytest.mark.parametrize("name", METHODS)
class TestEveryMethod:
    def test_it_is_said_once_after_a_fifth(
        self, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "hf_robust.training.leaving_chance.compare_to_chance", lambda trainer: ChanceComparison(0.69, 0.693, 16)
        )
        build_trainer(name, tmp_path, max_steps=10, learning_rate=0.0, save_strategy="no").train()
        (said,) = [one for one in warnings(caplog) if one.startswith(f"{name}: ")]
        assert (
            "after 2 of 10 steps the task loss on 16 clean training texts is 0.690, and a constant prediction" in said
        )

    def test_the_flags_to_lower_are_its_own_and_what_they_weigh_is_logged(self, name: str, tmp_path: Path) -> None:
        trainer = build_trainer(name, tmp_path)
        trainer.train()
        logged = set().union(*trainer.state.log_history)
        assert set(trainer.weakened_by) - ASKED_FOR <= logged
        shared = METHODS["normal"].config.__dataclass_fields__
        assert set(trainer.weakened_by.values()) <= set(trainer.config.__dataclass_fields__) - set(shared)

    def test_asking_changes_no_weight(self, name: str, tmp_path: Path) -> None:
        found = []
        for asked in (True, False):
            trainer = build_trainer(name, tmp_path / str(asked), model=model_for(name, dropout=0.1))
            if not asked:
                trainer.remove_callback(NearChanceWarning)
            trainer.train()
            found.append(trainer.model.state_dict())
        assert all(torch.equal(value, found[1][key]) for key, value in found[0].items())


def test_what_is_measured_is_the_models_loss_on_the_training_texts(tmp_path: Path) -> None:
    trainer = build_trainer("bat_triplet", tmp_path, model=build_model(dropout=0.1), label_smoothing_factor=0.3)
    trainer.model.train()
    found = compare_to_chance(trainer)
    rows = [row["sentence"] for row in review_rows(16)]
    batch = build_tokenizer()(rows, padding=True, return_tensors="pt")
    assert trainer.model.training
    logits = trainer.model.eval()(**batch).logits.detach()
    labels = torch.tensor([row["label"] for row in review_rows(16)])
    assert found is not None and found.rows == 16
    assert found.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), abs=1e-5)
    assert found.chance == pytest.approx(math.log(2))


@pytest.mark.slow
def test_a_model_that_learns_is_not_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = build_trainer("normal", tmp_path, max_steps=150, optim="adamw_torch", learning_rate=3e-3)
    first.train()
    assert compare_to_chance(first).loss < 0.5  # type: ignore[union-attr]
    caplog.clear()
    build_trainer("bat_triplet", tmp_path, model=first.model, max_steps=10).train()
    assert not warnings(caplog)


@pytest.mark.slow
def test_the_warning_names_sizes_and_flags(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"max_steps": 10, "learning_rate": 0.0, "bat_lambda": 20.0}
    build_trainer("bat_triplet", tmp_path, model=at_chance(), **options).train()
    build_trainer("bat_triplet", tmp_path, model=at_chance(), contrastive_warmup=0.3, **options).train()
    build_trainer("pgd", tmp_path, model=at_chance(), max_steps=10, learning_rate=0.0).train()
    build_trainer("normal", tmp_path, model=at_chance(), max_steps=10, learning_rate=0.0).train()
    plain, warmed, pgd, normal = warnings(caplog)
    assert "loss_task 0.693, loss_triplet 0." in plain
    assert plain.endswith(
        "lower --bat_lambda (now 20.0) or let the weight rise slowly (--contrastive_warmup 0.5) or train for more "
        "steps."
    )
    assert "--contrastive_warmup" not in warmed
    assert "perturbation_norm 0." in pgd and "lower --adv_lr (now 0.03)" in pgd
    assert normal.endswith("If the loss does not fall, train for more steps, or at another --learning_rate.")


def test_a_weight_of_0_is_not_to_be_lowered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    build_trainer("bat_triplet", tmp_path, model=at_chance(), max_steps=10, learning_rate=0.0, bat_lambda=0.0).train()
    (said,) = warnings(caplog)
    assert "lower" not in said


def test_a_run_that_goes_on_from_later_is_not_warned_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    options: dict[str, Any] = {"max_steps": 10, "learning_rate": 0.0, "save_strategy": "steps", "save_steps": 5}
    build_trainer("normal", tmp_path, model=at_chance(), **options).train()
    assert len(warnings(caplog)) == 1
    build_trainer("normal", tmp_path, model=at_chance(), **options).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-5")
    )
    assert len(warnings(caplog)) == 1


def test_tasks_without_one_class_for_each_row_are_not_asked_about(tmp_path: Path) -> None:
    rows = [{"sentence": "a good film", "label": 0.5}, {"sentence": "a bad plot", "label": -0.5}]
    regression = build_trainer("normal", tmp_path, model=build_model(num_labels=1), data=review_data(rows=rows))
    assert compare_to_chance(regression) is None
    several = build_model(problem_type="multi_label_classification")
    rows = [{"sentence": "a good film", "label": [1.0, 0.0]}, {"sentence": "a bad plot", "label": [1.0, 1.0]}]
    assert compare_to_chance(build_trainer("normal", tmp_path, model=several, data=review_data(rows=rows))) is None


def test_rows_that_hold_more_than_the_model_takes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{**build_tokenizer()(row["sentence"]), "labels": row["label"], **row} for row in review_rows(16)]
    found = compare_to_chance(build_trainer("normal", tmp_path, data=datasets.Dataset.from_list(rows)))
    assert found == compare_to_chance(build_trainer("normal", tmp_path))
