"""Aims of attacks, and which of their metrics can choose the best checkpoint."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from scripted import record

from hf_robust.metrics import (
    Aim,
    AttackSummary,
    Certificate,
    CertificateSummary,
    aim_of,
    saturation_warning,
    union_of_attacks,
)
from hf_robust.metrics.keys import (
    ATTACK_KEYS,
    CANDIDATE_KEYS,
    CERTIFICATE_KEYS,
    OBSTINATE_KEYS,
    RISE_KEYS,
    SUCCESS_KEYS,
    UNION_KEYS,
    AttackKeys,
    lower_is_better,
)

FICKLE, STAYS, SHORTENS = Aim(), Aim(keeps_prediction=True), Aim(keeps_prediction=True, maximises=True)


@pytest.mark.parametrize(
    ("described", "aim"),
    [
        ({"goal": {"name": "remain", "keeps_prediction": True, "maximises": False}}, STAYS),
        ({"goal": {"name": "any other", "keeps_prediction": False, "maximises": False}}, FICKLE),
        ({"goal": {"name": "misclassify"}}, FICKLE),
        ({"goal": {"name": "remain", "success": "raises"}}, STAYS),
        ({"goal": {"name": "shorten"}}, SHORTENS),
        ({"backend": "textattack", "recipe": "Attack((goal_function): InputReduction())"}, SHORTENS),
        ({"backend": "textattack", "recipe": "Attack((goal_function): UntargetedClassification)"}, FICKLE),
        ({"goal": {"name": "margin", "keeps_prediction": True}}, STAYS),
        ({"goal": {"name": "shorten", "keeps_prediction": True}}, SHORTENS),
        ({}, FICKLE),
    ],
)
def test_aims_of_descriptions_new_and_older(described: dict[str, Any], aim: Aim) -> None:
    assert aim_of(described) == aim


def test_without_a_description_the_numbers_or_the_name_say_it() -> None:
    assert aim_of({}, "mine", {"asr": 0.5, "remains_asr": 0.75}) == STAYS
    assert aim_of({}, "antonym", {"asr": 0.5}) == STAYS
    assert aim_of({}, "synonym", {"asr": 0.5}) == FICKLE
    assert aim_of({"backend": "textattack"}, "input_reduction") == SHORTENS
    # What the card says outweighs the name.
    assert aim_of({"goal": {"name": "misclassify"}}, "antonym") == FICKLE


def records(aim: Aim) -> list[Any]:
    changed = {"changed": [[0, "good", "fine"]], "remains": True if aim.keeps_prediction else None}
    return [record(0, **changed), record(1, "failed", **changed)]


@pytest.mark.parametrize("aim", [FICKLE, STAYS, SHORTENS])
def test_the_keys_are_those_of_the_summary(aim: Aim) -> None:
    measured = set(AttackSummary.from_records(records(aim)).metrics("a"))
    own = {*OBSTINATE_KEYS, *RISE_KEYS} if aim.keeps_prediction else {"robust_accuracy"}
    shared = {*ATTACK_KEYS, *SUCCESS_KEYS, *CANDIDATE_KEYS} - {"robust_accuracy"}
    assert measured == {f"a_{key}" for key in shared | own}
    sure = set(AttackKeys({"a": aim}).always_there())
    assert sure <= measured and not any(key.endswith((*SUCCESS_KEYS, *CANDIDATE_KEYS)) for key in sure)
    assert ("a_robust_accuracy" in sure) == (aim == FICKLE) and ("a_asr" in sure) == (aim != SHORTENS)


@pytest.mark.parametrize("aims", [[FICKLE], [FICKLE, STAYS], [FICKLE, SHORTENS], [FICKLE, FICKLE, STAYS], [STAYS]])
def test_a_union_is_expected_where_there_will_be_one(aims: list[Aim]) -> None:
    named = {f"attack{index}": aim for index, aim in enumerate(aims)}
    union = union_of_attacks({name: records(aim) for name, aim in named.items()})
    expected = {key for key in AttackKeys(named).always_there() if key.startswith("union_")}
    assert expected == (set(union.metrics()) if union else set())
    if union is None:
        fickle = sum(aim == FICKLE for aim in aims)
        said = f"needs at least two attacks that change the prediction, got {fickle}: add one to --attacks"
        assert AttackKeys(named).reason_not_measured("union_robust_accuracy") == said


def test_texts_that_an_attack_brings_along_are_in_no_union() -> None:
    keys = AttackKeys({"synonym": FICKLE, "file_texts": FICKLE}, static=["file_texts"])
    assert not set(keys.always_there()) & set(UNION_KEYS) and "got 1:" in keys.reason_not_measured(
        "union_robust_accuracy"
    )


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("antonym_robust_accuracy", "the antonym attack keeps the prediction: choose antonym_asr"),
        ("input_reduction_asr", "the input_reduction attack succeeds on every correctly classified text"),
        ("pwws_changed_words", "exists only in epochs in which the pwws attack succeeds by changing a word"),
        ("pwws_covered", "exists only if the pwws attack counts its substitutes: choose pwws_asr"),
        ("faster_genetic_asr", "needs its attack: add --attacks faster_genetic"),
        ("vote_accuracy", "needs a vote"),
    ],
)
def test_reason_why_a_metric_cannot_choose(metric: str, said: str) -> None:
    keys = AttackKeys({"pwws": FICKLE, "antonym": STAYS, "input_reduction": SHORTENS})
    assert metric not in keys.always_there() and said in keys.reason_not_measured(
        metric, ["genetic", "faster_genetic"]
    )
    assert keys.reason_not_measured("accuracy") == keys.reason_not_measured("synonm_asr") == ""


def test_only_the_rate_of_a_fickle_attack_misleads() -> None:
    keys = AttackKeys({"synonym": FICKLE, "antonym": STAYS, "input_reduction": SHORTENS})
    assert "an attack success rate of 0. synonym_robust_accuracy counts" in keys.misleads("synonym_asr")
    others = ["synonym_robust_accuracy", "antonym_asr", "antonym_raises_asr", "union_robust_accuracy", "accuracy", ""]
    assert [keys.misleads(metric) for metric in others] == [""] * len(others)


def test_saturated_queries_are_a_share_of_all_or_unknown() -> None:
    found = [record(0, queries=30, saturated=3), record(1, "failed", queries=10, saturated=0)]
    skipped = record(2, "skipped", queries=1, saturated=1)
    summary = AttackSummary.from_records([*found, skipped])
    assert summary.extra["saturated_share"] == 3 / 40 == summary.metrics("a")["a_saturated_share"]
    assert saturation_warning("pwws", summary).startswith("pwws: at 7.5 % of the queries the model's probability was")
    assert "saturated_share" not in AttackSummary.from_records([*found, record(3)]).extra  # an older file
    assert "saturated_share" not in AttackSummary.from_records([skipped]).extra
    few = AttackSummary.from_records([record(0, queries=20, saturated=1)])
    assert few.extra["saturated_share"] == 0.05 and saturation_warning("a", few) == ""
    assert "not which weights are better" in AttackKeys({"a": FICKLE}).reason_not_measured("a_saturated_share")


def test_the_keys_of_certificates_are_those_that_are_logged() -> None:
    found = Certificate(0, 0, 0, [3, 0], 0.9, 0.1, 1, certified=True)
    assert tuple(CertificateSummary.from_certificates([found], 3, 0.1).metrics()) == CERTIFICATE_KEYS


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("eval_pwws_asr", True), ("antonym_remains_asr", True), ("abstained", True), ("eval_mse", True),
        ("eval_loss", True), ("pwws_robust_accuracy", False), ("pwws_queries", False), ("matthews_correlation", False),
        ("eval_certified_accuracy", False), ("pwws_seconds", True),
    ],
)  # fmt: skip
def test_which_way_is_better(metric: str, lower: bool) -> None:
    assert lower_is_better(metric) is lower


def test_candidates_that_were_not_counted_give_no_share() -> None:
    found = [dataclasses.replace(one, num_candidates=0) for one in records(STAYS)]
    assert {"covered", "covered_asr"}.isdisjoint(AttackSummary.from_records(found).extra)
    none = [dataclasses.replace(found[1], stop="no_candidates")]
    assert AttackSummary.from_records(none).extra["covered"] == 0.0
