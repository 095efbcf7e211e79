"""Answers shared between attacks: the same results and queries, with fewer passes of the model."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from attack_parts import attack, examples, texts, victim
from tiny import build_model

from hf_robust.attacks import attack_dataset
from hf_robust.attacks.engine import answers
from hf_robust.attacks.engine.answers import SharedAnswers
from hf_robust.attacks.engine.black_box import BlackBox

LISTED = ("textbugger", "textfooler", "deepwordbug", "pwws")


def measured(target: Any, rows: Any, shared: bool) -> list[Any]:
    """Records of all attacks, one after another."""
    with target.answers.kept() if shared else nullcontext():
        return [attack_dataset(attack(name), target, rows, progress=False) for name in LISTED]


@pytest.mark.parametrize("labels", [2, 3])
def test_attacks_share_answers_and_nothing_else_changes(labels: int) -> None:
    model = build_model(num_labels=labels, seed=3)
    rows = examples(victim(model), 20)
    alone, together = victim(model), victim(model)
    apart, joined = measured(alone, rows, shared=False), measured(together, rows, shared=True)
    for one, other in zip(apart, joined, strict=True):
        for before, after in zip(one, other, strict=True):
            assert (before.status, before.perturbed, before.queries) == (after.status, after.perturbed, after.queries)
            assert before.perturbed_score == pytest.approx(after.perturbed_score, abs=2e-6)
    assert together.queries == alone.queries and alone.answers.recalled == 0
    assert together.forwarded + together.answers.recalled == alone.forwarded
    # Each clean text is asked once instead of once by each attack, and more than these are shared.
    assert together.answers.recalled > len(rows) * (len(LISTED) - 1)


def test_the_same_attack_again_asks_the_model_nothing() -> None:
    target = victim(build_model(seed=3))
    rows = examples(target, 10)
    with target.answers.kept():
        first = attack_dataset(attack("textfooler"), target, rows, progress=False)
        forwards, forwarded = target.forwards, target.forwarded
        with target.answers.kept():  # an inner context keeps on, and its end drops nothing
            again = attack_dataset(attack("textfooler"), target, rows, progress=False)
        target.score([rows[0].texts])
    assert again == first and (target.forwards, target.forwarded) == (forwards, forwarded)


def test_answers_are_dropped_with_the_context_since_weights_may_change() -> None:
    model = build_model(seed=3)
    target, found = victim(model), texts(5)
    with target.answers.kept():
        before = target.score(found)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    with target.answers.kept():
        after = target.score(found)
        again = target.score(found)
    assert not np.allclose(before.probabilities, after.probabilities)
    assert np.array_equal(after.logits, again.logits) and np.array_equal(after.probabilities, again.probabilities)
    assert again.sequences == after.sequences


def test_one_attack_alone_keeps_nothing() -> None:
    target = victim(build_model(seed=3))
    with target.answers.kept(several=False):
        target.score(texts(5))
        target.score(texts(5))
    assert target.answers.recalled == 0


def test_a_full_store_keeps_the_first_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 3)
    store, keys, rows = SharedAnswers(), [bytes([number]) for number in range(5)], np.arange(10.0).reshape(5, 2)
    with store.kept():
        store.keep(keys[:2], rows[:2])
        store.keep(keys[2:], rows[2:])
        store.keep([b"x"], rows[:1])
        assert [key in store for key in (*keys, b"x")] == [True] * 3 + [False] * 3
        found = store.recall([keys[2], keys[0]])
    assert found.dtype == rows.dtype and found.tolist() == [[4.0, 5.0], [0.0, 1.0]] and store.recalled == 2
    assert keys[0] not in store


def test_a_full_store_changes_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(seed=3)
    rows = examples(victim(model), 10)
    whole = measured(victim(model), rows, shared=True)
    monkeypatch.setattr(answers, "MOST_ANSWERS", 20)
    target = victim(model)
    few = measured(target, rows, shared=True)
    assert 0 < target.answers.recalled
    for before, after in zip(chain.from_iterable(whole), chain.from_iterable(few), strict=True):
        assert (before.status, before.perturbed, before.queries) == (after.status, after.perturbed, after.queries)


@pytest.mark.parametrize("kind", ["probabilities", "logits", "labels"])
def test_a_function_is_not_asked_again(kind: str) -> None:
    asked: list[str] = []

    def predict(batch: list[str]) -> Any:
        asked.extend(batch)
        seconds = np.array([len(text) % 7 / 7 for text in batch])
        rows = np.stack([1 - seconds, seconds], axis=1)
        return {"probabilities": rows, "logits": rows * 9 - 3, "labels": rows.argmax(-1)}[kind]

    found = [*texts(6), *texts(6)]
    target = BlackBox(predict, batch_size=4, num_classes=2)
    plain = BlackBox(predict, batch_size=4, num_classes=2).score(found)
    distinct = len(set(found))
    asked.clear()
    with target.answers.kept():
        scores = target.score(found[:3])
        scores = target.score(found)
        again = target.score(found[::-1])
    assert sorted(asked) == sorted({text for (text,) in found})
    assert (target.forwarded, target.queries) == (distinct, 3 + 2 * len(found))
    assert target.answers.recalled == len(set(found[:3])) + distinct
    assert np.array_equal(scores.probabilities, plain.probabilities) and scores.sequences == plain.sequences
    assert np.array_equal(again.probabilities, scores.probabilities[::-1])
    if kind != "labels":
        assert np.array_equal(scores.logits, plain.logits)
