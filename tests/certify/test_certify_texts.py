"""Voting on many texts: what is asked, how a run that was killed goes on, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from hf_robust.certify import CertifySettings, Smoothing, certify_key, certify_texts
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import Certificate
from hf_robust.runs import read_certificates
from hf_robust.words import Text

TABLE = {"good": ["fine", "great"], "fine": ["good", "great"], "great": ["good", "fine"], "bad": ["poor"]}
TEXTS = [("good film",), ("bad good film",), ("a film",), ("great great fine bad",), ("good film",), ("",)]
LABELS = [0, 1, 0, 1, 1, 0]
SETTINGS = CertifySettings(votes=60)


class Hashing:
    """A classifier without any reason, which counts what it is asked; it fails at its ``fails``-th request."""

    def __init__(self, num_labels: int = 2, fails: int = 0) -> None:
        self.num_labels, self.fails = num_labels, fails
        self.asked: list[list[tuple[str, ...]]] = []

    def __call__(self, texts: Sequence[tuple[str, ...]]) -> np.ndarray:
        self.asked.append(list(texts))
        if len(self.asked) == self.fails:
            raise KeyboardInterrupt
        return np.array([hashlib.sha256(repr(one).encode()).digest()[0] % self.num_labels for one in texts])

    @property
    def number(self) -> int:
        return sum(map(len, self.asked))


def smoothing(table: dict[str, list[str]] = TABLE, seed: int = 0) -> Smoothing:
    return Smoothing(TableLexicon(table), seed)


def certify(predict: Hashing, journal: Path | None = None, batch: int = 4096) -> list[Certificate]:
    return certify_texts(
        predict, TEXTS, LABELS, smoothing(), SETTINGS,
        num_labels=2, ids=[10, 20, 30, 40, 50, 60], journal=journal, progress=False, batch=batch,
    )  # fmt: skip


def test_votes_are_those_of_a_loop_over_draws() -> None:
    found = certify(Hashing())
    assert [one.idx for one in found] == [10, 20, 30, 40, 50, 60]
    for text, label, one in zip(TEXTS, LABELS, found, strict=True):
        drawn = [smoothing().sample(Text(text), number).columns for number in range(60)]
        ids = Hashing()(drawn).tolist()
        assert (one.label, one.votes) == (label, [ids.count(0), ids.count(1)])
        assert one.slack == pytest.approx(1 - (0.5 if "bad" in text[0] else 1.0))


def test_equal_draws_are_asked_once_and_counted_as_often_as_drawn() -> None:
    predict = Hashing()
    found = certify(predict)
    distinct = {smoothing().sample(Text(text), number).columns for text in TEXTS for number in range(60)}
    assert len(predict.asked) == 1 and sorted(predict.asked[0]) == sorted(distinct)
    assert all(sum(one.votes) == 60 for one in found)
    # No word of the table: one forward is the whole vote.
    assert predict.asked[0].count(("a film",)) == 1 and max(found[2].votes) == 60
    assert found[2].certified == (found[2].prediction == LABELS[2])


@pytest.mark.parametrize("batch", [1, 3, 7, 50])
def test_the_batch_changes_nothing_but_the_requests(batch: int) -> None:
    predict = Hashing()
    assert certify(predict, batch=batch) == certify(Hashing())
    assert max(map(len, predict.asked)) <= batch
    assert all(len(set(asked)) == len(asked) for asked in predict.asked)


def test_an_empty_table_certifies_what_the_plain_model_predicts_right() -> None:
    predict, classes = Hashing(), Hashing()(TEXTS)
    found = certify_texts(predict, TEXTS, LABELS, smoothing({}), SETTINGS, num_labels=2, progress=False)
    assert [one.certified for one in found] == [bool(one) for one in classes == np.array(LABELS)]
    assert [one.prediction for one in found] == classes.tolist()
    assert [(one.slack, one.radius) for one in found if one.certified] == [(0, 0)] * sum(classes == np.array(LABELS))
    assert predict.number == len(set(TEXTS))


def test_a_constant_classifier_is_certified_everywhere_on_its_class() -> None:
    table = {
        word: [other for other in ("good", "fine", "great") if other != word] for word in ("good", "fine", "great")
    }
    for chosen in (CertifySettings(votes=20), CertifySettings(votes=20, rule="margin")):
        found = certify_texts(
            lambda texts: np.ones(len(texts), dtype=int), TEXTS, LABELS, smoothing(table), chosen,
            num_labels=3, progress=False,
        )  # fmt: skip
        assert [one.certified for one in found] == [label == 1 for label in LABELS]
        assert [one.radius for one in found] == [None, 1, None, 3, 1, None]


def test_a_run_that_was_killed_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    whole, journal = certify(Hashing(), batch=4), tmp_path / "deep" / "journal.jsonl"
    with pytest.raises(KeyboardInterrupt):
        certify(Hashing(fails=5), journal, batch=4)
    kept = read_certificates(journal)
    assert [one.idx for one in kept] == [10, 20]
    with journal.open("a") as file:
        file.write('{"idx": 40, "label": 1, "vot')
    predict = Hashing()
    assert certify(predict, journal, batch=4) == whole
    asked = {columns for part in predict.asked for columns in part}
    assert ("bad good film",) not in asked and ("great great fine bad",) in asked
    assert sorted(read_certificates(journal), key=lambda one: one.idx) == whole
    again = Hashing()
    assert certify(again, journal) == whole and again.number == 0


def test_a_journal_of_other_texts_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    certify(Hashing(), journal)
    for labels, votes in (([1] * 6, 60), (LABELS, 61)):
        with pytest.raises(ValueError, match="holds another label or other votes for example 10"):
            certify_texts(
                Hashing(), TEXTS, labels, smoothing(), CertifySettings(votes=votes),
                num_labels=2, ids=[10, 20, 30, 40, 50, 60], journal=journal, progress=False,
            )  # fmt: skip


def test_the_key_follows_all_that_decides_a_certificate() -> None:
    def key(model="m", ids=range(6), texts=TEXTS, labels=LABELS, source=None, settings=SETTINGS) -> str:
        examples = list(zip(ids, texts, labels, strict=True))
        return certify_key(model, examples, source or smoothing(), settings)

    others = [
        key(model="n"),
        key(texts=[*TEXTS[:-1], ("x",)]),
        key(labels=[0] * 6),
        key(ids=[1, 0, 2, 3, 4, 5]),
        key(source=smoothing(seed=1)),
        key(source=smoothing({"good": ["fine"]})),
        key(source=Smoothing(TableLexicon(TABLE), 0, TableLexicon({"good": ["fine"]}))),
        key(settings=CertifySettings(votes=61)),
        key(settings=CertifySettings(votes=60, rule="margin")),
        key(settings=CertifySettings(votes=60, bound="hoeffding")),
        key(settings=CertifySettings(votes=60, alpha=0.02)),
    ]
    assert len({key(), *others}) == 12 and key() == key(source=smoothing()) and len(key()) == 24


@pytest.mark.parametrize(
    ("predicted", "message"),
    [
        (lambda texts: np.full(len(texts), 0.3), "one class id below 2 for each of .* got float64"),
        (lambda texts: np.zeros((len(texts), 2), dtype=int), "regression or multi-label model has no such"),
        (lambda texts: np.full(len(texts), 2), "one class id below 2"),
        (lambda texts: np.array([0]), "for each of"),
    ],
)
def test_predictions_that_are_no_classes_are_refused(predicted: Hashing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        certify(predicted)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"labels": [0, 1, 0, 1, 1, 2]}, "example 5 has label 2, but the model has 2 classes"),
        ({"labels": [0, 1]}, "each text needs a label and an idx, got 6 texts, 2 labels and 6 idx"),
        ({"ids": [1, 1, 2, 3, 4, 5]}, "its own idx, but one occurs twice"),
        ({"num_labels": 1}, "at least 2 classes, got 1"),
    ],
)
def test_bad_inputs_are_one_sentence(given: dict[str, object], message: str) -> None:
    values = {"labels": LABELS, "num_labels": 2, **given}
    with pytest.raises(ValueError, match=message):
        certify_texts(Hashing(), TEXTS, smoothing=smoothing(), settings=SETTINGS, progress=False, **values)
