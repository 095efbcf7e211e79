"""Where an attack ends: time, budget, nothing to change; and what it refuses."""

import dataclasses
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from attack_parts import SEARCHED, all_close, attack, examples, probabilities_of, victim
from tiny import build_model

from hf_robust.attacks import Example, Plans, Victim, attack_dataset
from hf_robust.attacks.engine import scheduler


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


@pytest.fixture
def clock(monkeypatch):
    """Every request to the victim takes one second."""
    ticks = count()
    monkeypatch.setattr(scheduler, "time", SimpleNamespace(perf_counter=lambda: float(next(ticks))))


def measure(which, target, rows, **options):
    return attack_dataset(dataclasses.replace(which, needs_candidates=False), target, rows, progress=False, **options)


@pytest.mark.parametrize("name", SEARCHED)
@pytest.mark.parametrize("seconds", [0.5, 2.5, 4.5])
def test_a_time_limit_ends_the_search_with_the_best_so_far(name, seconds, target, clock):
    rows = examples(target, 14, seed=6)
    free = measure(attack(name), target, rows, live=1)
    for record, whole in zip(measure(attack(name, time_limit=seconds), target, rows, live=1), free, strict=True):
        after = probabilities_of(target, tuple(record.perturbed))
        assert record.perturbed_score == pytest.approx(after[record.label], abs=1e-5)
        if record.stop != "time":
            assert record == whole
            continue
        assert record.queries <= whole.queries
        maximises = attack(name).goal.maximises
        assert record.status == ("succeeded" if maximises else "failed")
        # As many queries without a clock lead to the same text.
        (budgeted,) = measure(attack(name, query_budget=record.queries), target, [rows[free.index(whole)]])
        assert (budgeted.perturbed, budgeted.queries) == (record.perturbed, record.queries)
    with pytest.raises(ValueError, match="--attack_time_limit must be above 0 seconds, got 0"):
        attack(name, time_limit=0)


def test_a_time_limit_stops_after_as_many_requests(target, clock):
    rows = examples(target, 20, seed=7)
    records = measure(attack("textfooler", time_limit=2.5), target, rows, live=1)
    stopped = [record for record in records if record.stop == "time"]
    assert stopped and all(record.queries > 2 for record in stopped)
    again = measure(attack("textfooler", time_limit=1e9), target, rows, live=1)
    assert "time" not in {record.stop for record in again}


@pytest.mark.parametrize("name", SEARCHED)
def test_a_text_without_any_admissible_word_fails(name, target):
    which = attack(name, frozen_columns=frozenset({0}))
    # Stop words bind swaps, not deletions.
    closed = [] if name == "input_reduction" else [("good bad film was", "the and")]
    for one in (*closed, ("good film", ""), ("", "...")):
        label = int(target.probabilities([one]).argmax())
        (record,) = measure(which, target, [Example(0, one, label)])
        assert (record.stop, record.changed, record.perturbed) == ("no_candidates", [], list(one))
        assert record.num_candidates == 0 and record.queries == 1
        assert record.status == ("succeeded" if which.goal.maximises else "failed")


@pytest.mark.parametrize("name", SEARCHED)
def test_plans_kept_in_memory_or_on_disk_change_nothing(name, target, tmp_path):
    rows, which = examples(target, 15, 2, seed=8), attack(name)
    expected = measure(which, target, rows)
    kept = Plans(tmp_path)
    for plans in (kept, kept, Plans(tmp_path), Plans(tmp_path)):
        assert all_close(measure(which, target, rows, plans=plans), expected)
    for path in tmp_path.glob("plans-*.jsonl"):
        path.write_text(path.read_text()[:-20])
    assert all_close(measure(which, target, rows, plans=Plans(tmp_path)), expected)


@pytest.mark.parametrize("name", SEARCHED)
def test_a_model_that_answers_nan_is_refused(name):
    model = build_model()
    target = victim(model)
    rows = examples(target, 5)
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="logits are not finite, so it cannot be attacked; its training diverged"):
        measure(attack(name), target, rows)


def test_one_that_answers_nan_to_some_texts_is_refused_when_it_does(target):
    def sometimes(model, batch):
        logits = model(**batch).logits
        return logits if target.forwards < 3 else logits * float("nan")

    target = victim(inference=sometimes)
    rows = [Example(0, ("good film",), int(target.probabilities([("good film",)]).argmax()))]
    with pytest.raises(ValueError, match="logits are not finite"):
        measure(attack("deepwordbug"), target, rows)


def test_a_single_class_and_regression_are_refused():
    with pytest.raises(ValueError, match="got a regression model"):
        victim(build_model(num_labels=1))
    # One output that the configuration does not tell of.
    target = victim(inference=lambda model, batch: model(**batch).logits[:, :1])
    for name in SEARCHED:
        with pytest.raises(ValueError, match="got a model with one output; leave --attacks out"):
            measure(attack(name), target, [Example(0, ("good film",), 0)])


class Slow:
    """A tokenizer of words, without the alignment of a fast one."""

    is_fast, pad_token_id, padding_side, model_max_length = False, 0, "right", 64

    def __call__(self, texts, pairs=None, truncation=True, max_length=None, **options):
        assert not options.get("return_offsets_mapping")
        joined = texts if pairs is None else map(" ".join, zip(texts, pairs, strict=True))
        rows = [[2, *(5 + len(word) * 7 % 40 for word in one.split()), 3][:max_length] for one in joined]
        return {"input_ids": rows, "attention_mask": [[1] * len(row) for row in rows]}


@pytest.mark.parametrize("name", SEARCHED)
def test_a_tokenizer_without_fast_alignment(name):
    target = Victim(build_model(), Slow())
    columns = ("good bad film was warm and I'm 12 Paris", "the plot")
    rows = [Example(0, columns, int(target.probabilities([columns]).argmax()))]
    ranking = getattr(attack(name).ranking, "__name__", None)
    if name == "hotflip" or (ranking and ranking.startswith("by_gradient")):
        with pytest.raises(ValueError, match="ing words by gradient needs a fast tokenizer, got Slow"):
            measure(attack(name), target, rows)
        return
    (record,) = measure(attack(name), target, rows)
    assert record.queries > 1 and record.stop in ("success", "exhausted"), name


def test_ten_thousand_words_without_a_budget(target):
    # One open word: the search is whole, and no text is made for the words that are closed.
    columns = ("the and " * 5000 + "good",)
    for name in ("textfooler", "pwws", "a2t", "textbugger", "deepwordbug"):
        label = int(target.probabilities([columns]).argmax())
        (record,) = measure(attack(name), target, [Example(0, columns, label)])
        # The tokenizer sees 62 words, so nothing that is done to the last one shows.
        assert record.status == "failed" and record.stop == "exhausted" and record.changed == []
        assert record.queries > 1


def test_examples_wait_while_others_remember_much(monkeypatch, target):
    rows, which = examples(target, 20), attack("textfooler")
    expected = attack_dataset(which, target, rows, progress=False)
    live: list[int] = []
    score = type(target).score
    monkeypatch.setattr("hf_robust.attacks.engine.scheduler.MAX_REMEMBERED", 1)
    monkeypatch.setattr(type(target), "score", lambda self, texts: live.append(len(texts)) or score(self, texts))
    target.queries = 0
    assert all_close(attack_dataset(which, target, rows, progress=False), expected)
    assert live[0] == len(rows)  # none remembers anything yet
    monkeypatch.setattr("hf_robust.attacks.engine.scheduler.MAX_LIVE", 4)
    live.clear()
    assert all_close(attack_dataset(which, target, rows, progress=False, live=4), expected)
    assert live[0] == 4 and live[1] <= max(record.queries for record in expected) * 4
