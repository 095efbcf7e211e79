"""Attacks on models that give a text several labels."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import attack, texts, victim
from tiny import build_model, build_tokenizer, review_rows

from hf_robust.attacks import Example, attack_dataset, check_attack, choose_examples
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.losses import SET_LOSSES
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.requests import Scores
from hf_robust.attacks.engine.set_readings import SET_READINGS
from hf_robust.attacks.parts.search import once
from hf_robust.data import TextDataset
from hf_robust.metrics import AttackSummary

NUM_LABELS = 3
PROBABILITY, MARGIN = SET_READINGS["probability"], SET_READINGS["margin"]


def set_victim(num_labels: int = NUM_LABELS, **options: Any) -> Any:
    model = build_model(num_labels=num_labels, problem_type="multi_label_classification", **options)
    return victim(model)


def predicted_examples(target: Any, count: int = 12) -> list[Example]:
    """Texts with the set that is predicted as their label, so that all are attacked."""
    found = texts(count, 1, 0)
    numbers = PROBABILITY.predictions(PROBABILITY.rows(target.score(found)))
    return [Example(index, one, int(number)) for index, (one, number) in enumerate(zip(found, numbers, strict=True))]


def answer(*logits: list[float]) -> Scores:
    rows = torch.tensor(logits)
    return Scores(rows.sigmoid().numpy(), [b""] * len(rows), logits=rows.numpy())


# ---- readings and losses ----


def test_the_confidence_is_that_of_the_label_closest_to_flipping() -> None:
    given = answer([2.0, -1.0, 4.0], [2.0, -0.5, 4.0], [2.0, 1.0, 4.0])
    label = 0b101
    margins = MARGIN.rows(given)
    assert MARGIN.predictions(margins).tolist() == [0b101, 0b101, 0b111]
    assert MARGIN.confidence(margins, label, margins[0]).tolist() == [1.0, 0.5, -1.0]
    rows = PROBABILITY.rows(given)
    assert PROBABILITY.predictions(rows).tolist() == [0b101, 0b101, 0b111]
    expected = torch.tensor([1.0, 0.5, -1.0]).sigmoid().tolist()
    assert PROBABILITY.confidence(rows, label, rows[0]).tolist() == pytest.approx(expected)
    assert MARGIN.label_probability(margins, label).tolist() == pytest.approx(expected)


def test_a_text_is_saturated_if_no_label_can_be_seen_to_move() -> None:
    rows = PROBABILITY.rows(answer([30.0, -30.0, 30.0], [30.0, -30.0, 2.0]))
    assert PROBABILITY.num_saturated(rows) == 1 and MARGIN.num_saturated(rows) is None


def test_gradients_are_of_the_label_closest_to_flipping() -> None:
    logits = torch.tensor([[2.0, -1.0, 4.0], [0.5, -3.0, 2.0]], requires_grad=True)
    labels = torch.tensor([[1, 0, 1], [1, 0, 1]])
    (gradient,) = torch.autograd.grad(SET_LOSSES["margin"](logits, labels), logits)
    assert gradient.tolist() == [[0, 1, 0], [-1, 0, 0]]
    (gradient,) = torch.autograd.grad(SET_LOSSES["probability"](logits, labels), logits)
    sizes = torch.tensor([-1.0, -0.5]).sigmoid().tolist()
    assert gradient[0].tolist() == pytest.approx([0, sizes[0], 0]) and gradient[1, 0].item() == pytest.approx(
        -sizes[1]
    )
    assert torch.equal(SET_LOSSES["odds"](logits, labels), SET_LOSSES["margin"](logits, labels))


# ---- the engine ----


@pytest.mark.parametrize("scores", ["probability", "margin"])
@pytest.mark.parametrize("name", ["synonym", "textfooler", "pwws", "deepwordbug", "hotflip", "a2t", "genetic"])
def test_a_success_is_another_set(name: str, scores: str) -> None:
    target = set_victim()
    chosen = dataclasses.replace(attack(name), scores=scores, query_budget=150)
    wrong = predicted_examples(target)
    wrong[0] = wrong[0]._replace(label=wrong[0].label ^ 0b010)
    records = attack_dataset(chosen, target, wrong, progress=False)
    assert records[0].status == "skipped" and records[0].stop == "misclassified"
    assert {"succeeded"} < {record.status for record in records}
    for record in records[1:]:
        logits = target.score([tuple(record.original), tuple(record.perturbed)]).logits
        before, after = MARGIN.predictions(np.hstack([logits, logits]))
        assert (before, after) == (record.original_prediction, record.perturbed_prediction)
        assert before == record.label and (after != record.label) == (record.status == "succeeded")
        present = [bool(record.label >> label & 1) for label in range(NUM_LABELS)]
        sure = np.where(present, 1, -1) * logits
        smallest = torch.from_numpy(sure.min(1)).sigmoid().tolist()
        assert [record.original_score, record.perturbed_score] == pytest.approx(smallest, abs=1e-5)
    summary = AttackSummary.from_records(records)
    assert summary.num_attacked == len(records) - 1
    assert summary.robust_accuracy == summary.num_failed / len(records)


@pytest.mark.parametrize("scores", ["probability", "margin"])
def test_the_search_finds_a_flip_exactly_if_there_is_one(scores: str) -> None:
    """A search over all swaps of one word, against trying them."""
    target = set_victim()
    chosen = dataclasses.replace(attack("synonym"), search=once, ranking=None, scores=scores)
    wanted, plan, found = predicted_examples(target, 40), Plans().planner(chosen), []
    for record, example in zip(attack_dataset(chosen, target, wanted, progress=False), wanted, strict=True):
        planned = plan(example)
        open_words = chosen.open_words(Draft(planned.text))
        swaps = [(index, new) for index in open_words for new in planned.swaps.get(index, ())]
        swapped = [planned.text.replace({index: new}).columns for index, new in swaps]
        numbers = PROBABILITY.predictions(PROBABILITY.rows(target.score(swapped))) if swapped else np.array([])
        found.append(bool((numbers != example.label).any()))
        assert (record.status == "succeeded") == found[-1]
    assert 0 < sum(found) < len(found)


def test_the_trial_before_a_run_works() -> None:
    target = set_victim()
    for name in ("synonym", "hotflip", "input_reduction"):
        check_attack(attack(name), target, Plans(), predicted_examples(target))


def test_rows_are_chosen_with_the_numbers_of_their_sets() -> None:
    sets = [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    rows = [{"sentence": row["sentence"], "label": sets[index]} for index, row in enumerate(review_rows(2))]
    data = TextDataset(rows, ("sentence",), build_tokenizer(), max_length=32)
    assert [example.label for example in choose_examples(data, 0, 0)] == [0b101, 0]
    assert [one.label for one in choose_examples(rows, 0, 0, text_columns="sentence")] == [0b101, 0]


def test_a_set_that_the_model_cannot_have_is_one_sentence() -> None:
    wrong = [Example(0, texts(1, 1, 0)[0], 0b1000)]
    with pytest.raises(ValueError, match="has label 8, but the model has 3 labels in each set"):
        attack_dataset(attack("synonym"), set_victim(), wrong, progress=False)


def test_more_labels_than_a_number_holds_are_one_sentence() -> None:
    assert set_victim(62).multi_label
    with pytest.raises(ValueError, match="takes up to 62 labels, got 63; leave --attacks out"):
        set_victim(63)
