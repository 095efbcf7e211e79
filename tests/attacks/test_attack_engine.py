"""The engine gives what one text at a time gives, whatever the batches, and leaves no trace."""

import dataclasses
import itertools
import random

import numpy as np
import pytest
import torch
from attack_parts import (
    ANTONYMS,
    NAIVE,
    SEARCHED,
    SYNONYMS,
    WORDS,
    Naive,
    all_close,
    all_texts,
    attack,
    examples,
    margin_of,
    probabilities_of,
    resources,
    victim,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import build_model, table

from hf_robust.attacks import (
    ATTACKS,
    Example,
    Plans,
    Resources,
    attack_dataset,
    log_coverage,
    require_candidates,
    table_coverage,
)
from hf_robust.attacks.building import with_protection
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.lexicons import TableLexicon
from hf_robust.metrics import Coverage
from hf_robust.words import Protection, Text

SETTINGS = [
    ("synonym", {}),
    ("synonym", {"tagger": None, "frozen_columns": frozenset({1})}),
    ("antonym", {}),
    ("antonym", {"antonym_success": "remains", "skip_labels": frozenset({0})}),
    ("negation", {}),
    ("negation", {"negation_official_count": True}),
]


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def measure(which, target, rows, **options):
    return attack_dataset(which, target, rows, progress=False, **options)


@pytest.mark.slow_but("margin")
@pytest.mark.parametrize("scores", ["margin", "probability"])
@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(("name", "changes"), SETTINGS)
def test_equals_one_text_at_a_time(name, changes, columns, scores, target):
    rows = examples(target, 40, columns)
    which = dataclasses.replace(attack(name, **changes), scores=scores)
    records = measure(which, target, rows)
    assert [record.idx for record in records] == [row.idx for row in rows]
    for record, row in zip(records, rows, strict=True):
        expected = Naive(which, target, row).run()
        assert {key: getattr(record, key) for key in expected} == expected
        assert record.original == list(row.texts) and record.label == row.label
        before, after = probabilities_of(target, row.texts), probabilities_of(target, tuple(record.perturbed))
        assert record.original_score == pytest.approx(before[row.label], abs=1e-5)
        assert record.perturbed_score == pytest.approx(after[row.label], abs=1e-5)
        assert (record.original_prediction, record.perturbed_prediction) == (before.argmax(), after.argmax())
    assert {"succeeded", "skipped"} <= {record.status for record in records}


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("name", NAIVE)
def test_a_query_budget_truncates_and_ends_the_search(name, budget, target):
    rows = examples(target, 20, seed=1)
    which = attack(name, query_budget=budget)
    for record, row in zip(measure(which, target, rows), rows, strict=True):
        expected = Naive(which, target, row).run()
        assert {key: getattr(record, key) for key in expected} == expected
        assert record.queries <= budget


@pytest.mark.parametrize("name", SEARCHED)
def test_batches_live_examples_and_order_change_nothing(name, target):
    rows, which = examples(target, 30, 2, seed=2), attack(name)
    expected = measure(which, target, rows)
    for token_budget, live, order in [(1, 3, 1), (40, 256, -1), (4096, 1, -1)]:
        other = victim(target.model, token_budget=token_budget)
        again = measure(which, other, rows[::order], live=live)
        assert all_close(again, expected)


def test_queries_are_counted_as_asked_and_sequences_forwarded_once():
    rows_seen = []
    model = build_model()
    target = victim(model)
    rows = examples(target, 30)
    model.register_forward_pre_hook(
        lambda module, args, kwargs: rows_seen.extend(map(tuple, kwargs["input_ids"].tolist())), with_kwargs=True
    )
    target.queries = 0
    records = measure(attack("synonym"), target, rows)
    assert sum(record.queries for record in records) > target.queries  # what was asked before is answered from memory
    assert len(rows_seen) < target.queries  # the same tokens in one round go through once


def test_equal_tokens_have_equal_scores_and_are_no_rise():
    target = victim()
    # "FINE" and "fine" are one sequence to an uncased tokenizer.
    probabilities = target.probabilities([("a FINE film",), ("a fine film",), ("a film",)])
    assert np.array_equal(probabilities[0], probabilities[1]) and not np.array_equal(
        probabilities[0], probabilities[2]
    )
    which = ATTACKS["synonym"](Resources(synonyms=table({"film": ["Film", "FILM", "f\u00eflm"]}, "synonym")))
    label = int(target.probabilities([("cold film",)]).argmax())
    (record,) = measure(which, target, [Example(0, ("cold film",), label)])
    assert (record.status, record.stop, record.perturbed, record.changed) == ("failed", "exhausted", ["cold film"], [])
    assert record.num_candidates == 1  # matched to lower case, two of the three are the word itself


def test_the_attack_leaves_no_trace():
    model = build_model(dropout=0.5)
    model.train()
    frozen = model.bert.encoder.layer[0]
    frozen.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    target = victim(model)
    rows = examples(target, 10)
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    for name in SEARCHED:
        measure(attack(name), target, rows)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(states[0], torch.get_rng_state()) and states[1] == random.getstate()
    assert np.array_equal(states[2], np.random.get_state()[1])
    assert not model.bert.embeddings.word_embeddings._forward_hooks


def test_a_prediction_that_draws_is_reproducible():
    def noisy(model, batch):
        logits = model(**batch).logits
        return logits + 0.3 * torch.randn_like(logits)

    target = victim(inference=noisy)
    rows = examples(victim(target.model), 20)
    first, again, other = (measure(attack("synonym"), target, rows, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", ["synonym", "antonym", "negation", "textfooler", "pwws", "a2t"])
def test_a_second_epoch_asks_neither_lexicon_nor_tagger(name):
    calls = []

    class Counted(TableLexicon):
        def __call__(self, word):
            calls.append(word)
            return super().__call__(word)

    parts = resources(synonyms=Counted(SYNONYMS), antonyms=Counted(ANTONYMS, relation="antonym"))
    which, plans, target = ATTACKS[name](parts), Plans(), victim()
    rows = examples(target, 20)
    measure(which, target, rows, plans=plans)
    assert calls or parts.tagger.calls or parts.thesaurus.calls
    calls.clear()
    parts.tagger.calls = parts.thesaurus.calls = 0
    # Another model visits other words, but none that the plan does not have.
    measure(which, victim(build_model(seed=7)), rows, plans=plans)
    assert (calls, parts.tagger.calls, parts.thesaurus.calls) == ([], 0, 0)


THREE = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(THREE, min_size=8, max_size=8, unique=True))
def test_searches_against_every_text_of_three_words(target, texts):
    labels = target.probabilities([(one,) for one in texts]).argmax(-1)
    rows = [Example(i, (one,), int(label)) for i, (one, label) in enumerate(zip(texts, labels, strict=True))]
    for name, changes in [
        ("synonym", {}),
        ("antonym", {}),
        ("antonym", {"antonym_success": "remains"}),
        ("negation", {}),
        ("textfooler", {}),
        ("pwws", {}),
        ("a2t", {}),
    ]:
        which = dataclasses.replace(attack(name, **changes), needs_candidates=False)
        for record, row in zip(measure(which, target, rows), rows, strict=True):
            reachable = all_texts(which, row)
            after = [probabilities_of(target, columns) for columns in reachable]
            stays = [p.argmax() == row.label for p in after]
            assert record.status == "failed" or tuple(record.perturbed) in reachable
            if not which.goal.keeps_prediction:
                # Greedy search may miss a text, but never claims one that is not there; with one word it misses none.
                assert record.status == "failed" or not all(stays)
                assert (record.perturbed_prediction != row.label) == (record.status == "succeeded")
                if len(make_plan(which, row.texts).swaps) == 1:
                    assert (record.status == "succeeded") != all(stays)
                continue
            margin = margin_of(target, row.texts, row.label)
            raises = [margin_of(target, columns, row.label) > margin + 1e-5 for columns in reachable]
            wins = stays if which.goal.success == "remains" else np.logical_and(stays, raises)
            assert (record.status == "succeeded") == any(wins)
            assert record.remains == any(stays)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(THREE, min_size=8, max_size=8, unique=True))
def test_input_reduction_against_every_deletion_of_three_words(target, texts):
    labels = target.probabilities([(one,) for one in texts]).argmax(-1)
    rows = [Example(i, (one,), int(label)) for i, (one, label) in enumerate(zip(texts, labels, strict=True))]
    which = dataclasses.replace(attack("input_reduction"), needs_candidates=False)
    for record, row in zip(measure(which, target, rows), rows, strict=True):
        words = Text(row.texts).tokens
        reachable = {}
        for kept in itertools.chain.from_iterable(itertools.combinations(range(len(words)), n) for n in range(1, 4)):
            text = " ".join(words[index] for index in kept)
            reachable[text] = probabilities_of(target, (text,)).argmax() == row.label
        assert reachable[record.perturbed[0].strip()] and record.status == "succeeded"
        assert len(record.perturbed[0].split()) >= min(len(text.split()) for text, stays in reachable.items() if stays)
        single = [len(text.split()) for text, stays in reachable.items() if stays]
        assert len(words) - 1 not in single or len(record.perturbed[0].split()) < len(words)


@pytest.mark.parametrize("name", SEARCHED)
def test_unusual_texts(name):
    target = victim()
    odd = ["", " ", "...", "good", "🎬🎬 good", "שלום good עולם", "a\x00b\x07 good\r\n", "'-_*@", "good" * 500]
    odd.append(" ".join(["good bad very"] * 3400))  # 10,200 words, of which the tokenizer sees 62
    labels = target.probabilities([(one,) for one in odd]).argmax(-1)
    rows = [Example(i, (one,), int(label)) for i, (one, label) in enumerate(zip(odd, labels, strict=True))]
    # No text here has a verb or a negation.
    which = dataclasses.replace(attack(name, query_budget=50), needs_candidates=name != "negation")
    records = measure(which, target, rows)
    by_text = {record.original[0]: record for record in records}
    for empty in ("", " ", "...", "'-_*@"):
        status = "succeeded" if attack(name).goal.maximises else "failed"
        assert (by_text[empty].status, by_text[empty].stop) == (status, "no_candidates")
        assert (by_text[empty].num_candidates, by_text[empty].queries) == (0, 1)
    assert all(record.queries <= 50 for record in records)


def test_no_admissible_antonym_fails_but_none_anywhere_is_an_error():
    target, which = victim(), attack("antonym")
    label = int(target.probabilities([("the and",)]).argmax())
    bare = Example(0, ("the and",), label)
    covered = Example(1, ("good",), int(target.probabilities([("good",)]).argmax()))
    records = measure(which, target, [bare, covered])
    assert (records[0].status, records[0].stop, records[0].num_candidates) == ("failed", "no_candidates", 0)
    assert records[0].remains is False
    with pytest.raises(
        ValueError, match="no open word of 1 texts has an admissible substitute in a table .*--antonym_lexicon"
    ):
        measure(which, target, [bare])
    assert len(measure(which, target, [bare], check_candidates=False)) == 1
    require_candidates(which, Plans(), [bare, covered], None)
    assert measure(which, target, []) == []


@pytest.mark.parametrize("name", ["synonym", "textfooler", "pwws", "a2t", "negation"])
def test_no_attack_that_can_change_nothing_is_run(name):
    target = victim()
    rows = [Example(0, ("这部电影很好",), 0), Example(1, ("无聊 的 故事",), 1)]
    with pytest.raises(ValueError, match=f"the {name} attack can change nothing: no open word of 2 texts") as caught:
        measure(attack(name), target, rows)
    assert ("--lexicon" in str(caught.value)) == (name not in ("pwws", "negation"))
    # What the model proposes is not known beforehand: there is then no rate.
    assert len(measure(attack("deepwordbug"), target, rows)) == 2


def test_coverage_counts_the_words_that_the_attack_may_change():
    which, rows = attack("synonym"), [Example(0, ("the good old film",), 0), Example(1, ("old and older",), 0)]
    found = table_coverage(which, Plans(), rows, None)
    assert found == Coverage(open_words=5, covered_words=2, texts=2, covered_texts=1)
    closed = with_protection(which, Protection((), ["film"]))
    assert table_coverage(closed, Plans(), rows, None) == Coverage(4, 1, 2, 1)
    assert table_coverage(which, Plans(), rows, None, max_examples=1) == Coverage(3, 2, 1, 1)
    # The part of textbugger that is a table; what has no table has no coverage.
    assert table_coverage(attack("textbugger"), Plans(), rows, None).covered_words == 2
    assert [table_coverage(attack(name), Plans(), rows, None) for name in ("deepwordbug", "negation")] == [None, None]
    left_out = dataclasses.replace(which, skip_labels=frozenset({0}))
    assert table_coverage(left_out, Plans(), rows, None).texts == 0


def test_little_coverage_is_a_warning(caplog):
    which, rows = (
        attack("synonym"),
        [Example(0, ("the good old film",), 0), *(Example(n, ("old",), 0) for n in (1, 2))],
    )
    with caplog.at_level("INFO"):
        log_coverage(which, table_coverage(which, Plans(), rows[:1], None))
        log_coverage(which, table_coverage(which, Plans(), rows, None))
    said = [(one.levelname, one.getMessage()) for one in caplog.records]
    assert said[0] == (
        "INFO",
        "synonym attack: a table in memory has substitutes for 66.7 % of the open words (2 of 3) and 1 of 1 texts.",
    )
    assert (
        said[1][0] == "WARNING" and "1 of 3 texts: its rate says little; give a larger table (--lexicon" in said[1][1]
    )


def test_skip_labels_come_before_everything_else():
    target = victim()
    label = int(target.probabilities([("good",)]).argmax())
    which = attack("antonym", skip_labels=frozenset({label}))
    (record,) = measure(which, target, [Example(0, ("good",), label)])
    assert (record.status, record.stop, record.queries, record.remains) == ("skipped", "skip_label", 1, False)
    wrong = Example(0, ("good",), 1 - label)
    (record,) = measure(which, target, [wrong])
    assert (record.status, record.stop) == ("skipped", "misclassified")


def test_raises_is_the_stricter_success(target):
    rows = examples(target, 60, seed=3)
    raises = measure(attack("antonym"), target, rows)
    remains = measure(attack("antonym", antonym_success="remains"), target, rows)
    for strict, loose in zip(raises, remains, strict=True):
        assert loose.status == "succeeded" or strict.status != "succeeded"
        assert strict.remains == loose.remains == (loose.status == "succeeded")
        before, after = (margin_of(target, tuple(text), strict.label) for text in (strict.original, strict.perturbed))
        assert strict.status != "succeeded" or after > before
    assert sum(r.status == "succeeded" for r in raises) < sum(r.status == "succeeded" for r in remains)


def test_no_column_is_frozen_by_its_name(target):
    which = attack("synonym", tagger=None)
    assert {Text(("good", "bad")).words[i].column for i in make_plan(which, ("good", "bad")).swaps} == {0, 1}
    assert which.describe()["frozen_columns"] == []
    frozen = attack("synonym", tagger=None, frozen_columns=frozenset({0}))
    assert [i for i in make_plan(frozen, ("good", "bad")).swaps] == [1]


def test_wrong_input_is_one_sentence():
    target = victim()
    which = attack("synonym")
    with pytest.raises(ValueError, match="its own idx, but 3 occurs twice"):
        measure(which, target, [Example(3, ("a",), 0), Example(3, ("b",), 0)])
    for label in (-1, 2):
        with pytest.raises(ValueError, match=f"label {label}, but the model has 2 classes"):
            measure(which, target, [Example(0, ("a",), label)])
    with pytest.raises(ValueError, match="one or two columns, got 3"):
        measure(which, target, [Example(0, ("good", "b", "c"), 0)])
    with pytest.raises(ValueError, match="synonym attack needs a synonym lexicon, got none; pass --lexicon"):
        ATTACKS["synonym"](Resources())
    with pytest.raises(ValueError, match="--antonym_lexicon"):
        ATTACKS["antonym"](Resources())
    with pytest.raises(ValueError, match="--pos_tagger nltk instead of none"):
        ATTACKS["negation"](Resources())
    with pytest.raises(ValueError, match="--attack_query_budget must be at least 1"):
        attack("synonym", query_budget=0)
    with pytest.raises(ValueError, match="needs a ranking"):
        measure(dataclasses.replace(which, ranking=None), target, examples(target, 10))
