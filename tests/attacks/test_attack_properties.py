"""What holds for every recipe on any text: constraints, untouched characters, budgets, and what a status claims."""

import dataclasses
import math

import pytest
from attack_parts import (
    COMMON,
    SEARCHED,
    TAGS,
    all_close,
    examples,
    probabilities_of,
    resources,
    tools,
    victim,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textattack_oracle import edits
from tiny import build_model

from hf_robust.attacks import ATTACKS, Example, Plans, attack_dataset
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts import constraints
from hf_robust.attacks.parts.bad_characters import BadCharacters
from hf_robust.lexicons.sememes import SememeTable
from hf_robust.words import NLTK_STOP_WORDS, STOP_WORDS, coarse_tag

OWN = ["no_repeat", "stop_words"]
EXPECTED = {
    "synonym": [*OWN, "open_columns", "part_of_speech"],
    "antonym": [*OWN, "open_columns", "part_of_speech"],
    "negation": ["open_columns"],
    "textfooler": [*OWN, "open_columns", "part_of_speech"],
    "pwws": OWN,
    "deepwordbug": [*OWN, "max_edit_distance"],
    "textbugger": OWN,
    "a2t": [*OWN, "open_columns", "part_of_speech", "max_modification_rate"],
    "input_reduction": ["no_repeat"],
    "checklist": ["no_repeat"],
    "hotflip": [*OWN, "max_changed_words", "part_of_speech"],
    "gradient_mask": ["last_column"],
    "hlbb": ["stop_words", "part_of_speech", "text_similarity"],
    "paraphrase": ["text_similarity"],
    "viper": [],
    "gcg": [],
}
SEMEMES = {"good": {"adj": ["fine", "great"]}, "film": {"noun": ["movie", "plot"]}, "was": {"verb": ["is"]}}
LETTERS = st.sampled_from(
    ["good", "bad", "film", "plot", "warm", "was", "the", "not", "The", "Good", "FILM", "'tis", "well-made", "GOOD"]
    + [
        "very",
        "and",
        ",",
        "!",
        "\n",
        "🎬",
        "של",
        "\x00",
        "I",
        "a",
        "x_*y",
        "don't",
        "12",
        "I am",
        "it is",
        "Ann",
        "New York",
        "Paris",
        "ﬁlm",
        "İ",
        "ß",
        "e\u0301",
    ]
)
TEXTS = st.one_of(
    st.lists(LETTERS, max_size=9).map(" ".join), st.lists(LETTERS, max_size=5).map("".join), st.text(max_size=25)
)
PAIRS = st.one_of(st.tuples(TEXTS), st.tuples(TEXTS, TEXTS))


def build(name, **changes):
    """The recipe, or a skip where it needs more than the small resources."""
    try:
        which = ATTACKS[name](resources(sememes=SememeTable(SEMEMES), **tools(name), **changes))
    except ValueError as error:
        pytest.skip(str(error))
    return dataclasses.replace(which, needs_candidates=False)


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


@pytest.fixture
def candidates_seen():
    """Every candidate that any search asks for, as (trial, draft before, draft after)."""
    found, original = [], Trial.neighbours

    def watched(trial, draft, indices=None):
        after = yield from original(trial, draft, indices)
        found.extend((trial, draft, one) for one in after)
        return after

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trial, "neighbours", watched)
        yield found


def tag(word):
    return coarse_tag(TAGS.get(word.lower(), "NN"))


def check(rule, trial, before, after):
    """One constraint on one candidate, written anew."""
    for index, new in after.swaps.items():
        old, clean = before.text.tokens[index], trial.text.tokens
        if isinstance(rule, constraints.NoRepeat):
            assert index not in before.modified
            if all(draft.keeps_count for _, draft in steps(None, before)):
                assert old == clean[index]
        if isinstance(rule, constraints.NoStopWords):
            assert not before.text.is_listed(index, rule.words) and old not in rule.words
        if isinstance(rule, constraints.OpenColumns):
            assert before.text.words[index].column not in rule.frozen
        if isinstance(rule, constraints.SamePartOfSpeech):
            swapped = rule.verb_noun_swap and {tag(clean[index]), tag(new)} == {"VERB", "NOUN"}
            assert tag(clean[index]) == tag(new) or swapped
    if isinstance(rule, constraints.MaxEditDistance):
        assert edits(trial.text.joined, after.text.joined) <= rule.maximum
    if isinstance(rule, constraints.MaxModificationRate):
        assert len(after.modified) <= max(math.ceil(len(before.text.words) * rule.rate), rule.minimum)
    if isinstance(rule, constraints.MaxChangedWords):
        old, new = trial.text.tokens, after.text.tokens
        changed = sum(one != other for one, other in zip(old, new, strict=False))
        assert rule.count is None or changed <= rule.count
        assert rule.share is None or changed <= math.ceil(min(len(old), len(new)) * rule.share)


def steps(start, end):
    """The swaps that lead from one draft to another, the last one first."""
    while end is not start and end.parent is not None:
        yield end.parent, end
        end = end.parent


def check_bytes(before, after):
    """Outside the swapped words every character stays, but for one space beside a deleted word."""
    if len(after.swaps) != 1 or after.similarity is not None:
        return  # a paraphrase is written anew
    ((index, new),) = after.swaps.items()
    word, columns = before.text.words[index], list(before.text.columns)
    column = columns[word.column]
    left, right = column[: word.start], column[word.end :]
    made = after.text.columns[word.column]
    assert made in ({left + new + right} if new else {left + right, left[:-1] + right, left + right[1:]})
    assert len(column) - len(made) in ({len(word.text) - len(new)} if new else {len(word.text), len(word.text) + 1})
    columns[word.column] = made
    assert after.text.columns == tuple(columns)


def check_suffix(record):
    """Strings were added behind one word, and no other character but the spaces beside them."""
    added = [new for index, old, new in record.changed if old == ""]
    assert len(added) == len(record.changed) and len({index for index, *_ in record.changed}) <= 1
    differ = [pair for pair in zip(record.original, record.perturbed, strict=True) if pair[0] != pair[1]]
    assert len(differ) == bool(added)
    for before, after in differ:
        start = next((place for place, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before))
        rest = before[start:]
        assert after.startswith(before[:start]) and after.endswith(rest)
        assert after[start : len(after) - len(rest)].split() == added


def follow(which, record, text):
    """The text after the record's steps, which is the record's text unless all candidates were scored at once."""
    one_each = all(len(text.rule.split(new)) == 1 for _, _, new in record.changed)
    if one_each:
        assert all(text.tokens[index] == old != new for index, old, new in record.changed)
        text = text.replace({index: new for index, _, new in record.changed})
    else:
        for index, old, new in record.changed:
            assert text.tokens[index] == old
            text = text.replace({index: new}) if new else text.delete(index)
    if which.search.__name__ != "once":
        assert list(text.columns) == record.perturbed
    return text


def check_record(which, record, target):
    """The record's steps lead to its text, and its status says what the model says of that text."""
    text = record.text(record.original)
    if which.name == "gcg":
        check_suffix(record)
        text = text.like(record.perturbed)
    elif which.name == "paraphrase":
        assert all(text.tokens[index] == old != new for index, old, new in record.changed)
        text = text.like(record.perturbed)
    elif not isinstance(which.candidates, BadCharacters):  # their characters may stand between words
        text = follow(which, record, text)
    after = probabilities_of(target, tuple(record.perturbed))
    assert record.perturbed_score == pytest.approx(after[record.label], abs=1e-5)
    close = sorted(after)[-1] - sorted(after)[-2] < 1e-5
    kept = close or after.argmax() == record.label
    if not which.goal.keeps_prediction:
        assert close or (after.argmax() != record.label) == (record.status == "succeeded")
    elif record.status == "succeeded":
        assert kept
        assert not which.goal.maximises or len(text.words) <= len(record.text(record.original).words)
        # Of more than two classes the margin may rise where the probability, which the record holds, falls.
        as_probability = which.scores == "probability" or len(after) == 2
        if as_probability and getattr(which.goal, "success", "") == "raises":
            assert record.perturbed_score > record.original_score
    else:
        assert record.perturbed == record.original or close or after.argmax() != record.label
    assert which.query_budget is None or record.queries <= which.query_budget


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(columns=PAIRS, frozen=st.booleans(), budget=st.sampled_from([None, None, 4, 15]), seed=st.integers(0, 3))
def test_no_constraint_is_ever_violated(target, candidates_seen, name, columns, frozen, budget, seed):
    budget = 40 if budget is None and name not in SEARCHED else budget
    closed = frozenset({0}) if frozen and len(columns) == 2 else frozenset()
    which = build(name, frozen_columns=closed, query_budget=budget, seed=seed)
    label = int(target.probabilities([columns]).argmax())
    candidates_seen.clear()
    (record,) = attack_dataset(which, target, [Example(0, columns, label)], progress=False)
    for trial, start, end in candidates_seen:
        for before, after in steps(start, end):
            for rule in which.constraints:
                check(rule, trial, before, after)
            check_bytes(before, after)
    check_record(which, record, target)
    assert all(record.perturbed[column] == record.original[column] for column in closed)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in SEARCHED])
def test_batches_order_and_plans_change_nothing(name, target, tmp_path):
    which, rows = build(name, query_budget=60, seed=2), examples(target, 8, seed=9)
    expected = attack_dataset(which, target, rows, progress=False)
    for budget, live, order, plans in [(1, 3, 1, None), (40, 256, -1, Plans(tmp_path)), (4096, 1, 1, Plans(tmp_path))]:
        other = victim(target.model, token_budget=budget)
        again = attack_dataset(which, other, rows[::order], live=live, plans=plans, progress=False)
        assert all_close(again, expected)


@pytest.mark.parametrize("name", ATTACKS)
def test_each_recipe_has_the_constraints_of_its_paper(name):
    rules = build(name).describe()["constraints"]
    if name in EXPECTED:
        assert [rule["name"] for rule in rules] == EXPECTED[name]
    counts = [rule["count"] for rule in rules if rule["name"] == "stop_words"]
    assert set(counts) <= ({len(NLTK_STOP_WORDS)} if name == "antonym" else {len(STOP_WORDS), len(COMMON)})
    frozen = build(name, frozen_columns=frozenset({1}))
    assert frozen.frozen_columns == {1}
