"""Targeted attacks: what they reach, which rows they leave out, and what they refuse."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from attack_parts import all_texts, attack, close, examples, logits_of, victim
from tiny import build_model

from hf_robust.attacks import AttackArguments, attack_dataset, build_attacks, check_attack, examples_of
from hf_robust.attacks.building import with_target
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.reading import ByMargin
from hf_robust.attacks.engine.requests import Flips, NewSuffix, SuffixSwaps
from hf_robust.attacks.labels_and_columns import resolve_target
from hf_robust.attacks.parts.goals import LabelPredictions, LowerProbability, Target
from hf_robust.words import Text

LABELS = ("bad", "fair", "good")
TARGET = 1


def three_classes():
    return victim(build_model(num_labels=3))


def targeted(name="pwws", scores="probability", target=TARGET, **changes):
    return replace(attack(name, **changes), goal=Target(target, LABELS[target]), scores=scores)


@pytest.mark.parametrize("scores", ["probability", "margin"])
@pytest.mark.parametrize("name", ["pwws", "deepwordbug", "synonym"])
def test_a_success_is_the_target(name, scores):
    target, which = three_classes(), targeted(name, scores)
    rows = examples(target, 60)
    mine = examples_of(which, rows)
    assert mine == [row for row in rows if row.label != TARGET] and 0 < len(mine) < len(rows)
    records = attack_dataset(which, target, mine, progress=False)
    assert {record.status for record in records} == {"succeeded", "failed", "skipped"}
    for record in records:
        assert (record.status == "succeeded") == (record.stop == "success")
        if record.status == "succeeded":
            assert record.perturbed_prediction == TARGET == logits_of(target, tuple(record.perturbed)).argmax()
        if record.status == "skipped":
            assert record.stop == "misclassified"


def test_the_target_is_harder_than_any_wrong_label():
    target = three_classes()
    rows = [row for row in examples(target, 80) if row.label != TARGET]
    any_label = attack_dataset(attack("pwws"), target, rows, progress=False)
    one_label = attack_dataset(targeted(), target, rows, progress=False)
    wins = [sum(record.status == "succeeded" for record in records) for records in (any_label, one_label)]
    assert 0 < wins[1] < wins[0]


BRIEF = {"gcg": {"query_budget": 300}, "paraphrase": {"min_similarity": 0.0}}


def sure_of_three_classes():
    """With logits times five, so that probabilities of 0.7 are common."""
    target = three_classes()
    with torch.no_grad():
        for parameter in target.model.classifier.parameters():
            parameter.mul_(5)
    return target


@pytest.mark.parametrize("name", ["kuleshov", "hlbb", "gcg", "viper", "paraphrase", "hotflip"])
def test_attacks_with_goals_or_searches_of_their_own_reach_the_target(name):
    target, plain = sure_of_three_classes(), attack(name, **BRIEF.get(name, {}))
    if name == "gcg":
        plain = replace(plain, candidates=replace(plain.candidates, length=5, batch=24, top=8))
    rows = [row for row in examples(target, 80) if row.label != TARGET]
    which = with_target(plain, Target(TARGET, LABELS[TARGET]))
    options = {"progress": False, "check_candidates": False}
    any_label, one_label = (attack_dataset(each, target, rows, **options) for each in (plain, which))
    won = [record for record in one_label if record.status == "succeeded"]
    assert won and {record.perturbed_prediction for record in won} == {TARGET}
    assert all(logits_of(target, tuple(record.perturbed)).argmax() == TARGET for record in won)
    # Of three classes the attack without a target also ends at the third one.
    found = {record.perturbed_prediction for record in any_label if record.status == "succeeded"}
    assert not found <= {TARGET} and [record.perturbed for record in any_label] != [one.perturbed for one in one_label]


def test_kuleshov_keeps_its_threshold():
    goal = with_target(attack("kuleshov"), Target(TARGET, "fair")).goal
    assert isinstance(attack("kuleshov").goal, LowerProbability) and goal == Target(TARGET, "fair", 0.7)
    probability = np.array([0.9, 0.7, 0.69, 0.9])
    predicted = np.array([True, True, True, False])
    assert goal.reached(LabelPredictions(probability, probability, predicted, probability)).tolist() == [1, 1, 0, 0]
    assert goal.describe()["threshold"] == 0.7 and "threshold" not in Target(TARGET, "fair").describe()


def test_candidates_by_gradient_are_those_of_the_target():
    # The one-hot gradient of the target's margin, one text alone.
    target, text = three_classes(), ("the film was good",)
    rest = [label for label in range(3) if label != TARGET]
    encoding = target.tokenizer(*text, return_tensors="pt")
    embeddings = target.model.get_input_embeddings()
    ids = encoding.pop("input_ids")
    leaf = embeddings(ids).detach().requires_grad_()
    logits = target.model.eval()(inputs_embeds=leaf, **encoding).logits[0]
    (logits[TARGET] - logits[rest].max()).backward()
    (flips,) = target.flips([Flips(Text(text), (3,), 5)], "margin", TARGET)
    for flip in flips:
        new = target.tokenizer.convert_tokens_to_ids(flip.word)
        step = embeddings.weight[new] - embeddings.weight[ids[0, 4]]
        assert flip.estimate == pytest.approx((step @ leaf.grad[0, 4]).item(), abs=1e-5)
    (plain,) = target.flips([Flips(Text(text), (3,), 5)], "margin")
    assert [flip.word for flip in flips] != [flip.word for flip in plain]
    (suffix,) = target.new_suffixes([NewSuffix(text, 0, 4)])
    drawn = [
        target.suffix_swaps([SuffixSwaps(suffix, 60, 4, np.random.RandomState(0))], "margin", label)[0]
        for label in (TARGET, None)
    ]
    rises = []
    for swaps in drawn:
        scores = torch.stack([logits_of(target, swap.columns) for swap in swaps])
        rises.append(float((scores[:, TARGET] - scores[:, rest].max(1).values).mean()))
    assert rises[0] > rises[1]


def test_one_swap_that_reaches_the_target_is_found():
    # A text of one word has no other way than one swap, so the search must find what brute force finds.
    target, which = three_classes(), targeted("synonym")
    rows = [row for row in examples(target, 200) if row.label != TARGET and len(row.texts[0].split()) == 1]
    found = {record.idx: record for record in attack_dataset(which, target, rows, progress=False)}
    reachable = [any(logits_of(target, text).argmax() == TARGET for text in all_texts(which, row)) for row in rows]
    attacked = [found[row.idx].status != "skipped" for row in rows]
    won = [found[row.idx].status == "succeeded" for row in rows]
    assert won == [both and each for both, each in zip(reachable, attacked, strict=True)]


def test_of_two_labels_the_target_is_the_other_one(caplog):
    target = victim()
    rows = [row for row in examples(target, 60) if row.label == 0]
    which = replace(attack("pwws"), goal=Target(1, "good"))
    plain, aimed = (attack_dataset(each, target, rows, progress=False) for each in (attack("pwws"), which))
    assert [(record.status, record.perturbed, record.queries) for record in plain] == [
        (record.status, record.perturbed, record.queries) for record in aimed
    ]
    args = AttackArguments(attacks=["synonym"], attack_target="good", lexicon="builtin", pos_tagger="none")
    with caplog.at_level(logging.WARNING):
        build_attacks(args, None, None, ["bad", "good"], ["sentence"])
    assert "of two labels every success is the other one" in caplog.text and "rows of bad alone" in caplog.text


def test_the_margin_of_a_target_rises_from_one_to_two():
    reading = ByMargin()
    logits = np.array([[3.0, 1.0, 0.0], [2.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]], dtype=np.float32)
    rows = np.hstack([np.zeros_like(logits), logits])
    assert reading.confidence(rows, 1, rows[0]).tolist() == [1.0, 1.5, 2.0, 2.5]
    assert reading.confidence(rows, 0, rows[0]).tolist() == [1.0, 0.5, 0.0, -0.5]


def test_names_and_labels():
    args = AttackArguments(attacks=["deepwordbug", "file:x.csv"], attack_target="not good")
    assert args.names == ["deepwordbug_to_not_good"] and AttackArguments(attacks=["pwws"]).names == ["pwws"]
    flags = {"attacks": ["synonym"], "lexicon": "builtin", "pos_tagger": "none"}
    built = build_attacks(AttackArguments(**flags, attack_target="Fair"), None, None, LABELS, ["sentence"])
    goal = built["synonym_to_Fair"].describe()["goal"]
    assert (goal["name"], goal["target"], goal["label"]) == ("target", 1, "fair")
    plain = build_attacks(AttackArguments(**flags), None, None, LABELS, ["sentence"])["synonym"]
    assert plain.fingerprint() != built["synonym_to_Fair"].fingerprint()
    assert resolve_target("2", LABELS) == 2 and resolve_target("LABEL_1", ["LABEL_0", "LABEL_1"]) == 1
    assert resolve_target("1", ["5", "1"]) == 1  # a name goes before a number


@pytest.mark.parametrize("name", ["great", "3", "-1", ""])
def test_an_unknown_label_is_one_sentence(name):
    with pytest.raises(ValueError, match="is no label of this task; its labels are bad, fair, good"):
        resolve_target(name, LABELS)


def test_goals_without_a_target_are_refused():
    for name in ("antonym", "input_reduction"):
        with pytest.raises(ValueError, match=f"--attack_target good names a prediction to reach, and {name} keeps"):
            AttackArguments(attacks=[name], attack_target="good")
    with pytest.raises(ValueError, match="--attack_target is for --attack_backend native"):
        AttackArguments(attacks=["pwws"], attack_target="good", attack_backend="textattack")


def test_rows_of_the_target_alone_are_refused():
    target = three_classes()
    with pytest.raises(ValueError, match="--attack_target fair: every row to attack has this label"):
        check_attack(targeted(), target, Plans(), [])


def test_a_record_does_not_depend_on_its_batch():
    target = three_classes()
    rows = examples_of(targeted(), examples(target, 20))
    together = attack_dataset(targeted(), target, rows, progress=False)
    for row, record in zip(rows, together, strict=True):
        alone = attack_dataset(targeted(), target, [row], progress=False, live=1, check_candidates=False)
        assert close(alone[0], record)
