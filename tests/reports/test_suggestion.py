"""Which methods `hf-robust suggest` names, and what it says where there is no evidence."""

from __future__ import annotations

import dataclasses
import json

import pytest

from benchmarks.study.evidence import as_json
from benchmarks.study.evidence import evidence as evidence_of_study
from hf_robust.reports.suggestion import (
    TRY_YOURSELF,
    Evidence,
    Measured,
    Task,
    differences,
    front_table,
    load_evidence,
    nearest,
    read_evidence,
    suggestion,
)
from hf_robust.trainers import METHODS

TASK = Task(1, 2, 5000, 20.0, "bert", 4_000_000)
NONE = (0.0, 0.0, 0.0)


def measured(name: str, accuracy: float, robust: float, cost: float | None, **more: object) -> Measured:
    values = {"near_chance": False, "accuracy_gain": NONE, "robust_gains": {"textfooler": (3.0, 1.0, 5.0)}, **more}
    return Measured(name, 1, cost=cost, accuracy=accuracy, robust_accuracy=robust, **values)  # type: ignore[arg-type]


def evidence(*methods: Measured, task: Task = TASK, name: str = "toy") -> Evidence:
    return Evidence(name, f"{name} title", task, "textfooler", 200, methods)


NORMAL = measured("normal", 90.0, 10.0, 1.0)
TOY = evidence(
    NORMAL,
    measured("fgm", 90.0, 15.0, 2.0),
    measured("pgd", 89.0, 14.0, 4.0),
    measured("adv_iter", 88.0, 30.0, 9.0),
    measured("flat", 95.0, 90.0, 0.5, near_chance=True),
    measured("a2t", 91.0, 31.0, None),
)


def test_the_front_has_what_no_method_beats_in_accuracy_robustness_and_cost() -> None:
    """`pgd` is beaten by `fgm`, `flat` learnt nothing, and `a2t`, of unknown cost, counts as the dearest."""
    assert [method.name for method in TOY.front()] == ["normal", "fgm", "adv_iter", "a2t"]


@pytest.mark.parametrize(
    ("most_cost", "expected"), [(0.5, []), (1.0, ["normal"]), (2.0, ["normal", "fgm"]), (8.9, ["normal", "fgm"])]
)
def test_a_limit_of_the_cost_leaves_out_what_is_dearer_or_unknown(most_cost: float, expected: list[str]) -> None:
    assert [method.name for method in TOY.front(most_cost)] == expected
    assert "Dearer, or of unknown cost: " in suggestion(TASK, [TOY], most_cost)


def test_obstinate_errors_keep_a_method_on_the_front() -> None:
    worse = measured("bat_triplet", 80.0, 5.0, 3.0, obstinate_accuracy=60.0, obstinate_gain=(40.0, 35.0, 45.0))
    normal = dataclasses.replace(NORMAL, obstinate_accuracy=20.0, obstinate_gain=NONE)
    assert [method.name for method in evidence(normal, worse).front()] == ["normal", "bat_triplet"]
    assert "under `antonym`" in front_table(evidence(normal, worse))
    assert [
        method.name for method in evidence(normal, dataclasses.replace(worse, obstinate_accuracy=None)).front()
    ] == ["normal"]
    assert "antonym" not in front_table(TOY)
    unknown = dataclasses.replace(normal, obstinate_accuracy=None)  # then it compares nothing
    assert [method.name for method in evidence(unknown, worse).front()] == ["normal"]


def test_differences_are_named_in_words() -> None:
    assert differences(TASK, TASK) == []
    other = Task(1, 6, 100_000, 200.0, "gpt2", 110_000_000)
    assert differences(other, TASK) == [
        "6 classes, measured with 2",
        "100,000 training rows, measured with 5,000",
        "200 words in a row, measured with 20",
        "110,000,000 parameters, measured with 4,000,000",
        "the architecture gpt2, measured with bert",
    ]
    assert differences(Task(1, 2, None, 20.0), TASK) == []


def test_the_most_similar_experiment_is_shown_and_others_on_the_same_task_too() -> None:
    longer = dataclasses.replace(TOY, name="longer", title="longer", task=dataclasses.replace(TASK, words=500.0))
    twin = dataclasses.replace(TOY, name="twin")
    assert [entry.name for entry in nearest(TASK, [longer, TOY, twin])] == ["toy", "twin", "longer"]
    text = suggestion(TASK, [longer, TOY, twin])
    assert "(toy)" in text and "(twin)" in text and "(longer)" not in text
    assert "may not hold" not in text
    assert "It may not hold for you: 20 words in a row, measured with 500." in suggestion(TASK, [longer])


@pytest.mark.parametrize("size", [5_000_000, 109_488_002, None])
def test_a_word_model_is_the_last_evidence_for_a_pretrained_one(size: int | None) -> None:
    """A CNN on the same texts has fewer differences than BERT on longer ones, and says less of MPNet."""
    words = dataclasses.replace(TOY, name="cnn", task=dataclasses.replace(TASK, architecture="hf_robust_cnn"))
    longer = dataclasses.replace(TOY, name="longer", task=dataclasses.replace(TASK, words=500.0))
    mpnet = dataclasses.replace(TASK, architecture="mpnet", parameters=size)
    assert [entry.name for entry in nearest(mpnet, [words, longer])] == ["longer", "cnn"]
    lstm = dataclasses.replace(TASK, architecture="hf_robust_lstm", parameters=size)
    assert [entry.name for entry in nearest(lstm, [longer, words])] == ["cnn", "longer"]
    unknown = dataclasses.replace(TASK, architecture=None)
    assert [entry.name for entry in nearest(unknown, [longer, words])] == ["cnn", "longer"]


def test_it_says_when_there_is_no_evidence() -> None:
    pairs = dataclasses.replace(TASK, columns=2)
    assert suggestion(pairs, [TOY]).endswith(f"There is no evidence for pairs of texts. {TRY_YOURSELF}")
    large = Task(1, 2, 1_000_000, 300.0, "llama", 8_000_000_000)
    assert "This is no evidence for your task: " in suggestion(large, [TOY])
    sizes = {399_000_000: "It may not hold for you", 401_000_000: "This is no evidence for your task"}
    for parameters, sentence in sizes.items():
        assert sentence in suggestion(dataclasses.replace(TASK, parameters=parameters), [TOY])


def test_claims_that_did_not_survive_are_named() -> None:
    text = suggestion(TASK, [dataclasses.replace(TOY, failed_claims={"C4": ["a: -1.0 [-2.0, -0.1]", "b"]})])
    assert text.endswith("The papers' recommendation did not survive here (C4): a: -1.0 [-2.0, -0.1]; b.")


def test_the_shipped_evidence_is_that_of_the_committed_runs() -> None:
    """Run `python -m benchmarks.study.evidence` after new runs or measured costs."""
    shipped = load_evidence()
    assert shipped == read_evidence(json.dumps(as_json(evidence_of_study())))
    assert len(shipped) >= 14
    for entry in shipped:
        assert entry.methods[0].name == "normal"
        assert {method.name for method in entry.methods} <= METHODS.keys()
        assert entry.front(), entry.name
