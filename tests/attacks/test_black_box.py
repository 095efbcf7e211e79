"""A function of texts as the victim: what it may return, and that it gives what its model gives."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import SEARCHED, attack, examples, victim
from tiny import build_model

from hf_robust.attacks import attack_dataset
from hf_robust.attacks.engine.black_box import BlackBox

TEXTS = [("a good film",), ("bad",), ("a good film",), ("the music was warm and very good",)]
BY_GRADIENT = [name for name in SEARCHED if attack(name).needs_gradient]


def by_length(texts: list[Any]) -> np.ndarray:
    """Probabilities of two classes from the number of characters."""
    second = np.array([len("".join(text)) % 10 / 10 + 0.05 for text in texts])
    return np.stack([1 - second, second], axis=1)


def test_texts_are_asked_once_longest_first_in_batches() -> None:
    calls: list[list[str]] = []
    box = BlackBox(lambda texts: calls.append(texts) or by_length(texts), batch_size=2)
    scores = box.score(TEXTS)
    assert calls == [["the music was warm and very good", "a good film"], ["bad"]]
    assert scores.probabilities.tolist() == by_length(["".join(text) for text in TEXTS]).astype(np.float32).tolist()
    assert (box.queries, box.forwarded, box.forwards) == (4, 3, 2)
    assert scores.sequences[0] == scores.sequences[2] and len(set(scores.sequences)) == 3


def test_pairs_are_tuples_and_no_text_is_no_call() -> None:
    box = BlackBox(by_length)
    assert box.score([]).probabilities.shape == (0, 0)
    asked: list[Any] = []
    BlackBox(lambda texts: asked.extend(texts) or by_length(texts)).score([("a", "b")])
    assert asked == [("a", "b")]


def test_logits_become_probabilities_and_probabilities_logits() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
    by_logits = BlackBox(lambda texts: logits).score([("a",), ("b",)])
    assert by_logits.probabilities.tolist() == logits.softmax(-1).tolist()
    by_probabilities = BlackBox(lambda texts: logits.softmax(-1).tolist()).score([("a",), ("b",)])
    # Up to a constant of each row.
    difference = by_probabilities.logits - logits.numpy()
    np.testing.assert_allclose(difference, difference[:, :1].repeat(3, axis=1), atol=1e-6)
    certain = BlackBox(lambda texts: [[1.0, 0.0]]).score([("a",)])
    assert np.isfinite(certain.logits).all() and certain.probabilities.tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (["good", "bad"], "returned the label good, and its classes are unknown: give the names of all its classes"),
        ([1, 0], "returned the label 1, and its classes are unknown"),
        ([{"label": "good"}, {"label": "bad"}], r"returned objects of shape \[2\] for 2 texts"),
        ([0.2, 0.7], r"returned one number for each text; .* of two classes return \[1 - p, p\]"),
        ([[0.2], [0.7]], r"returned numbers of shape \[2, 1\] for 2 texts"),
        ([[0.2, 0.8]], r"returned numbers of shape \[1, 2\] for 2 texts"),
        ([[0.2, 0.8], [0.1]], "returned rows of different lengths"),
        ([["a", "b"], ["a", "b"]], r"returned texts of shape \[2, 2\]"),
        ([[0.2, 0.8], [np.nan, 0.5]], "returned scores that are not finite"),
        ([[0.2, 0.9], [0.7, 0.1]], r"returned numbers in \[0, 1\] whose sum is not 1, such as \[0.2, 0.9\]"),
    ],
)
def test_an_answer_that_is_no_scores_is_one_sentence(answer: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        BlackBox(lambda texts: answer).score([("a",), ("b",)])


@pytest.mark.parametrize(
    ("names", "count", "labels", "ids"),
    [
        ((), 3, [2, 0, 1], [2, 0, 1]),
        (("bad", "good"), None, ["good", "bad"], [1, 0]),
        (("bad", "good"), None, [1, 0], [1, 0]),
        (("bad", "good"), None, np.array([True, False]), [1, 0]),
        # Classes that are named by numbers have these names, not these places.
        (("2", "1"), None, [1, 2], [1, 0]),
        (("bad", "good"), None, np.array(["good", "bad"], dtype=object), [1, 0]),
        ((), 2, torch.tensor([1, 0]), [1, 0]),
    ],
)
def test_a_label_is_a_name_or_a_number(names: Any, count: int | None, labels: Any, ids: list[int]) -> None:
    box = BlackBox(lambda texts: labels, num_classes=count)
    box.class_names = names
    assert not box.labels_only
    scores = box.score([(str(row),) for row in range(len(ids))])
    assert box.labels_only and box.describe()["outputs"] == "labels"
    assert scores.logits is None and scores.probabilities.argmax(-1).tolist() == ids
    assert scores.probabilities.sum(-1).tolist() == [1.0] * len(ids)


def test_labels_that_are_no_class_and_answers_of_another_kind_are_one_sentence() -> None:
    answers: list[Any] = [[1], ["fair"], [3], [[0.5, 0.5]]]
    box = BlackBox(lambda texts: answers.pop(0))
    box.find_classes = lambda: ("bad", "good")
    assert box.score([("a",)]).probabilities.tolist() == [[0, 1]]
    for sentence in (
        "returned the label fair, and its classes are bad, good: give the names of all its classes by --class_names",
        "returned the label 3, and its classes are bad, good",
        "returned scores and no labels: return the same kind for every text",
    ):
        with pytest.raises(ValueError, match=sentence):
            box.score([("b",)])
    with pytest.raises(ValueError, match="returned labels and no logits"):
        BlackBox(lambda texts: [1], outputs="logits").score([("a",)])


@pytest.mark.parametrize("name", ["synonym", "textfooler"])
def test_an_attack_by_scores_is_refused_where_there_are_labels_alone(name: str, target: Any) -> None:
    box = BlackBox(lambda texts: [0] * len(texts), num_classes=3)
    with pytest.raises(
        ValueError, match=f"the {name} attack climbs scores, and the victim gives labels alone: use an"
    ):
        attack_dataset(attack(name), box, examples(target, 2), progress=False)


def test_later_answers_are_of_the_kind_and_classes_of_the_first() -> None:
    answers = [[[0.5, 0.5]], [[2.0, -1.0]], [[0.2, 0.3, 0.5]]]
    box = BlackBox(lambda texts: answers.pop(0))
    box.score([("a",)])
    with pytest.raises(ValueError, match=r'probabilities at first, and later \[2, -1\].* say outputs="logits"'):
        box.score([("b",)])
    with pytest.raises(ValueError, match="scores of 3 classes and has 2"):
        box.score([("c",)])
    assert BlackBox(lambda texts: [[0.2, 0.9]], outputs="logits").score([("a",)]).logits.tolist() == [
        pytest.approx([0.2, 0.9])
    ]


def test_a_call_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    failures = [ConnectionError("reset"), ConnectionError("reset")]

    def flaky(texts: list[str]) -> Any:
        if failures:
            raise failures.pop()
        return by_length(texts)

    box = BlackBox(flaky, retries=2)
    assert box.score(TEXTS).probabilities.shape == (4, 2) and waits == [0.5, 1.0] and box.retried == 2
    failures = [ConnectionError("reset")] * 3
    with pytest.raises(ValueError, match="the victim failed 3 times on 3 texts with ConnectionError: reset"):
        BlackBox(flaky, retries=2).score(TEXTS)


def test_the_rate_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    box = BlackBox(by_length, rate=4, batch_size=2)
    for number in range(10):
        box.score([(f"text {number}",), (f"another text {number}",)])
    # The last two texts may go out when the time of the 18 before is over.
    assert now[0] == pytest.approx(100 + 18 / 4)


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"retries": -1}, {"rate": 0}])
def test_settings_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"--victim_{next(iter(option))} must be"):
        BlackBox(by_length, **option)


def test_random_states_are_seeded_and_restored() -> None:
    box = BlackBox(lambda texts: torch.rand(len(texts), 2) * 9)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    drawn = []
    for _ in range(2):
        with box.measuring(3):
            drawn.append(box.score(TEXTS).logits.tolist())
    assert drawn[0] == drawn[1]
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == np.random.get_state()[1].tolist()


@pytest.fixture(scope="module")
def target() -> Any:
    return victim(build_model(num_labels=3, seed=1))


def asked_text_by_text(target: Any, softmax: bool) -> BlackBox:
    """The model of a victim as a function that runs one text at a time."""

    def predict(texts: list[Any]) -> Any:
        rows = []
        for text in texts:
            batch = target.tokenizer(*([text] if isinstance(text, str) else text), return_tensors="pt")
            with torch.no_grad():
                rows.append(target.model.eval()(**batch).logits[0])
        logits = torch.stack(rows)
        return logits.softmax(-1) if softmax else logits

    return BlackBox(predict)


@pytest.mark.parametrize("softmax", [False, True], ids=["logits", "probabilities"])
@pytest.mark.parametrize("name", [name for name in SEARCHED if name not in BY_GRADIENT])
def test_a_function_gives_what_its_model_gives(name: str, softmax: bool, target: Any) -> None:
    measured = attack(name)
    shown = examples(target, 12)
    expected = attack_dataset(measured, target, shown, progress=False)
    records = attack_dataset(measured, asked_text_by_text(target, softmax), shown, progress=False)
    for record, other in zip(records, expected, strict=True):
        assert record.near_ties or (record.status, record.perturbed, record.queries, record.stop) == (
            other.status,
            other.perturbed,
            other.queries,
            other.stop,
        )
        assert record.original_score == pytest.approx(other.original_score, abs=1e-5)


@pytest.mark.parametrize("name", BY_GRADIENT)
def test_an_attack_by_gradient_is_refused(name: str, target: Any) -> None:
    with pytest.raises(ValueError, match="needs gradients, and the victim gives only scores; use attacks that need"):
        attack_dataset(attack(name), asked_text_by_text(target, True), examples(target, 2), progress=False)
