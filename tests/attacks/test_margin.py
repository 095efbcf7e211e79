"""Scores by the margin of the logits: what they are, and that a rescaled model is attacked just as before."""

from __future__ import annotations

import copy
import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import examples, tools, victim
from attack_parts import resources as parts
from hypothesis import given, settings
from hypothesis import strategies as st
from population_parts import SWARMS, small
from population_parts import resources as population
from tiny import build_model

from hf_robust.attacks import ATTACKS, Attack, Victim, attack_dataset
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.attacks.engine.losses import LOSSES
from hf_robust.attacks.engine.reading import READINGS
from hf_robust.attacks.engine.requests import Scores
from hf_robust.attacks.parts.goals import LabelPredictions, Misclassify, Remain, Shorten
from hf_robust.metrics import AttackRecord, AttackSummary
from hf_robust.words import Text

MARGIN, PROBABILITY = READINGS["margin"], READINGS["probability"]
POPULATIONS = ("genetic", "faster_genetic", "iga", "pso", "leap")
MASKED_LM = ("bae", "bert_attack", "clare")
SCALE_FREE = [name for name in ATTACKS if name != "kuleshov"]
"""All but kuleshov, whose goal is a probability."""


def answer(*logits: list[float]) -> Scores:
    rows = torch.tensor(logits, dtype=torch.float32)
    return Scores(rows.softmax(-1).numpy(), [b""] * len(rows), logits=rows.numpy())


def label_predictions(reading: Any, scores: Scores, label: int) -> LabelPredictions:
    """By the first row as the clean text."""
    rows = reading.rows(scores)
    confidence = reading.confidence(rows, label, rows[0])
    probability = reading.label_probability(rows, label)
    return LabelPredictions(confidence, reading.share(confidence), reading.predictions(rows) == label, probability)


def test_confidences_and_scores_by_hand() -> None:
    """Margins of class 0 over the highest other one: 4, 2, 0, -1."""
    found = label_predictions(MARGIN, answer([5, 1, 0], [3, 0, 1], [2, 2, 1], [0, -2, 1]), 0)
    assert found.confidence.tolist() == [1, 0.5, 0, -0.25] and found.confidence.dtype == np.float64
    assert found.is_predicted.tolist() == [True, True, True, False]  # a tie goes to the lowest class
    assert found.share[:3].tolist() == [1 / 2, 0.5 / 1.5, 0]
    sizes = [Shorten().size(Text((one,))) for one in ("a b c d", "a b", "a", "b")]
    assert Misclassify().scores(found, sizes, 4).tolist() == [0, 0.5, 1, 1.25]
    assert Misclassify().reached(found).tolist() == [False, False, False, True]
    kept = Remain().scores(found, sizes, 4)
    assert kept[:2].tolist() == [1, 0.5] and 0 < kept[2] < 1e-300 and kept[3] == 0
    expected = [1 / 8, 2 / 4 + 1 / 3 / 4, 3 / 4, 0]
    assert Shorten().scores(found, sizes, 4).tolist() == pytest.approx(expected)


def test_probabilities_are_read_as_before() -> None:
    found = label_predictions(PROBABILITY, answer([0, 0], [20, 0]), 0)
    assert found.confidence.dtype == np.float32 and found.confidence.tolist() == [0.5, 1.0]
    assert found.share is found.confidence and Misclassify().scores(found, [], 0).tolist() == [0.5, 0.0]


def test_a_margin_goes_on_where_the_probability_is_flat() -> None:
    sure = answer([200, 0], [190, 0], [210, 0])
    assert len(set(label_predictions(PROBABILITY, sure, 0).confidence.tolist())) == 1
    assert label_predictions(MARGIN, sure, 0).confidence.tolist() == pytest.approx([1, 0.95, 1.05])
    rows = PROBABILITY.rows(answer([200, 0], [0, 15], [0, 13], [0, 0]))
    assert PROBABILITY.num_saturated(rows) == 2 and MARGIN.num_saturated(MARGIN.rows(sure)) is None


@pytest.mark.parametrize("clean", [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
def test_a_clean_text_on_the_border_has_a_unit_all_the_same(clean: list[float]) -> None:
    found = label_predictions(MARGIN, answer(clean, [2, 1, 1], [0, 1, 1]), 0)
    assert found.confidence.tolist() == [1, 2, 0]
    assert np.isfinite(MARGIN.noise(0, MARGIN.rows(answer(clean))[0]))


def test_a_vote_has_the_margin_of_its_shares() -> None:
    shares = Scores(np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]], dtype=np.float32), [b""] * 3)
    assert label_predictions(MARGIN, shares, 0).confidence.tolist() == [1, 0, -1]
    assert MARGIN.probabilities(MARGIN.rows(shares)).tolist() == shares.probabilities.tolist()


def test_two_classes_rise_and_fall_with_the_probability() -> None:
    logits = np.random.RandomState(0).normal(size=(50, 2))
    by_margin, by_probability = (
        label_predictions(one, answer(*logits.tolist()), 0).confidence for one in (MARGIN, PROBABILITY)
    )
    assert (by_margin.argsort() == by_probability.argsort()).all() or by_margin[0] < 0


# ---- gradients ----


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_against_automatic_differentiation_in_double_precision(classes: int) -> None:
    logits = (3 * torch.randn(20, classes, generator=torch.Generator().manual_seed(0))).requires_grad_()
    labels = torch.arange(20) % classes
    found = {name: torch.autograd.grad(loss(logits, labels), logits)[0] for name, loss in LOSSES.items()}
    p = logits.detach().double().softmax(-1)[torch.arange(20), labels, None]
    # The cross-entropy's gradient is that of the odds, times 1 - p of the label.
    assert torch.allclose(found["probability"].double(), (1 - p) * found["odds"].double(), atol=1e-6)
    assert (found["odds"].sum(-1).abs() < 1e-5).all() and (found["margin"].sum(-1) == 0).all()
    assert (found["margin"][torch.arange(20), labels] == -1).all()
    if classes == 2:
        assert torch.allclose(found["odds"], found["margin"], atol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_gradients_do_not_vanish_where_the_model_is_certain(classes: int) -> None:
    target, sure = (scaled(classes, scale) for scale in (1.0, 4096.0))
    texts = [Text(one.texts) for one in examples(target, 6)]
    for loss in ("margin", "odds"):
        assert all(one.max() > 0 for one in sure.saliency(texts, loss=loss))
    for one, other in zip(target.saliency(texts, loss="margin"), sure.saliency(texts, loss="margin"), strict=True):
        assert (4096 * one == other).all()
    assert any(one.max() == 0 for one in sure.saliency(texts))


# ---- a rescaled model ----


@cache
def model(classes: int) -> Any:
    return build_model(num_labels=classes, seed=3)


def scaled(classes: int, scale: float) -> Victim:
    """The model with its last layer multiplied."""
    copied = copy.deepcopy(model(classes))
    with torch.no_grad():
        copied.classifier.weight *= scale
        copied.classifier.bias *= scale
    return victim(copied)


def by_margin(name: str, **changes: Any) -> Attack:
    """A recipe, with a small search where it has a population; after "mended" without TextAttack's defects."""
    kind, _, name = name.rpartition(" ")
    if name in POPULATIONS:
        few = {"size" if name in SWARMS else "population": 6, "iterations": 2}
        which = ATTACKS[name](population(name))
        which = dataclasses.replace(which, search=dataclasses.replace(small(name), **few))
    else:
        which = ATTACKS[name](parts(**tools(name)))
    which = with_bug_fixes(which) if kind else which
    return dataclasses.replace(which, scores="margin", needs_candidates=False, **changes)


def outcomes(which: Attack, target: Victim, rows: Any) -> list[AttackRecord]:
    return attack_dataset(which, target, rows, progress=False)


def outcome_of(record: AttackRecord) -> list[Any]:
    return [record.status, record.stop, record.perturbed, record.queries, record.remains, record.raised]


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", [*SCALE_FREE, *(f"mended {name}" for name in ("pwws", *POPULATIONS))])
def test_a_rescaled_model_is_attacked_as_before(name: str, classes: int) -> None:
    which, rows = by_margin(name, query_budget=100), examples(scaled(classes, 1.0), 10, seed=classes)
    expected = outcomes(which, scaled(classes, 1.0), rows)
    assert any(record.status != "skipped" for record in expected)

    @settings(max_examples=2, deadline=None)
    @given(st.floats(-3, 3), st.integers(-9, 9))
    def check(power: float, two: int) -> None:
        # A power of two changes nothing at all; another factor rounds each logit anew, which may decide a near tie.
        assert list(map(outcome_of, outcomes(which, scaled(classes, 2.0**two), rows))) == list(
            map(outcome_of, expected)
        )
        for one, other in zip(outcomes(which, scaled(classes, 10.0**power), rows), expected, strict=True):
            assert one.near_ties or other.near_ties or outcome_of(one) == outcome_of(other)

    check()
    assert sum(record.near_ties > 0 for record in expected) <= 2


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in MASKED_LM])
def test_saturated_queries_are_counted_as_queries_are(name: str) -> None:
    """Those that are answered from memory, or counted without asking as TextAttack does, too."""
    which = dataclasses.replace(by_margin(name, query_budget=100), scores="probability")
    plain, sure = scaled(2, 1.0), scaled(2, 2.0**24)
    rows = examples(plain, 6, seed=1)
    assert all(record.saturated == 0 for record in outcomes(which, plain, rows))
    assert all(record.saturated == record.queries for record in outcomes(which, sure, rows))


def test_a_certain_model_looks_robust_by_probability() -> None:
    """What the margin is for: the same predictions, and hardly a search that finds anything."""
    plain, sure = scaled(2, 1.0), scaled(2, 1024.0)
    rows = examples(plain, 60, seed=1)
    rates = {}
    for scores in ("probability", "margin"):
        which = dataclasses.replace(by_margin("textfooler"), scores=scores)
        rates[scores] = [AttackSummary.from_records(outcomes(which, one, rows)) for one in (plain, sure)]
    before, after = rates["probability"]
    assert after.robust_accuracy > before.robust_accuracy and after.extra["accuracy"] == before.extra["accuracy"]
    assert before.extra["saturated_share"] == 0 and after.extra["saturated_share"] > 0.9
    assert rates["margin"][0].robust_accuracy == rates["margin"][1].robust_accuracy == before.robust_accuracy
    assert all("saturated_share" not in one.extra for one in rates["margin"])


def test_what_raises_by_the_margin_is_counted_where_both_probabilities_are_one() -> None:
    sure = scaled(2, 2.0**20)
    found = AttackSummary.from_records(outcomes(by_margin("antonym"), sure, examples(sure, 60, seed=1)))
    assert found.extra["median_rise"] == 0
    assert found.extra["raises_asr"] == found.asr > 0
