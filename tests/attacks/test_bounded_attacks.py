"""Protected spans and the cap on changed words hold for every attack, whatever it searches with."""

import dataclasses
import math
from functools import cache

import pytest
from attack_parts import SYNONYMS, attack, examples, masked_lm, resources, tools, victim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from population_parts import SEMEMES
from tiny import build_model, table

from hf_robust.attacks import ATTACKS, AttackArguments, Example, attack_dataset, build_attacks
from hf_robust.attacks.building import with_bug_fixes, with_max_changed, with_protection
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.constraints import MaxChangedShare, Protected
from hf_robust.attacks.parts.genetic_search import Genetic
from hf_robust.lexicons.sememes import SememeTable
from hf_robust.words import Protection, Text
from hf_robust.words.protected import KINDS

PROTECTION = Protection(tuple(KINDS), ["good film", "Music"])
WORDS = [
    "good",
    "bad",
    "film",
    "plot",
    "warm",
    "was",
    "not",
    "the",
    "very",
    "story",
    "I am",
    "Ann",
    "New York",
    "don't",
]
SPANS = [
    "http://good.com/film",
    "www.bad.org",
    "a.good@film.com",
    "@good",
    "#film",
    "12",
    "£5.50",
    "3 km",
    "9 am",
    "music",
]
TEXTS = st.lists(st.one_of(st.sampled_from(WORDS), st.sampled_from(SPANS)), max_size=8).map(" ".join)
ODD = st.lists(st.sampled_from([*WORDS, *SPANS, ",", ".", "(", "/", "'", "-"]), max_size=6).map("".join)
COLUMNS = st.one_of(st.tuples(TEXTS), st.tuples(TEXTS, TEXTS), st.tuples(ODD))
TABLE = {**SYNONYMS, "film": ["movie", "picture", "2nd"], "plot": ["story", "km", "@bob"], "km": ["film"]}
language_model = cache(masked_lm)
QUIET = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def build(name, **changes):
    models = {"masked_lm": language_model(), "sememes": SememeTable(SEMEMES), **tools(name)}
    made = resources(synonyms=table(TABLE, "synonym"), **models, **changes)
    return dataclasses.replace(ATTACKS[name](made), needs_candidates=False)


def run(which, target, columns):
    label = int(target.probabilities([columns]).argmax())
    (record,) = attack_dataset(which, target, [Example(0, columns, label)], progress=False)
    return record


@pytest.mark.parametrize("better", [False, True])
@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=6, deadline=None, suppress_health_check=QUIET)
@given(columns=COLUMNS, seed=st.integers(0, 3))
def test_protected_spans_are_still_there(target, name, better, columns, seed):
    which = with_protection(build(name, query_budget=60, seed=seed), PROTECTION)
    record = run(with_bug_fixes(which) if better else which, target, columns)
    kept = PROTECTION.strings(Text(columns))
    assert PROTECTION.strings(Text(tuple(record.perturbed))) == kept
    for column, spans in zip(record.perturbed, kept, strict=True):
        start = 0
        for span in spans:
            start = column.index(span, start) + len(span)


@pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ("input_reduction", "gcg")])
@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
@given(columns=COLUMNS, share=st.sampled_from([0.01, 0.1, 0.3, 0.5, 1.0]), seed=st.integers(0, 3))
def test_no_record_changes_more_than_the_cap(target, name, columns, share, seed):
    record = run(with_max_changed(build(name, query_budget=80, seed=seed), share), target, columns)
    assert len(record.changed) <= math.ceil(len(Text(columns).words) * share)


@pytest.mark.parametrize("name", ["textfooler", "genetic", "iga", "pso", "textbugger", "clare"])
def test_the_cap_binds_where_the_attack_would_change_more(target, name):
    rows = examples(target, 12, seed=4)
    free = attack_dataset(build(name, query_budget=300), target, rows, progress=False)
    bound = attack_dataset(with_max_changed(build(name, query_budget=300), 0.01), target, rows, progress=False)
    assert max(len(record.changed) for record in free) > 1 == max(len(record.changed) for record in bound)


def test_the_cap_rounds_up_as_textattack_does_and_no_further():
    for words, share, limit in [(10, 0.1, 1), (11, 0.1, 2), (100, 0.07, 7), (10, 0.3, 3), (1, 0.01, 1), (0, 0.5, 0)]:
        assert MaxChangedShare(share).limit(Draft(Text((" ".join(["good"] * words),)))) == limit


def test_a_word_that_becomes_two_is_one_change():
    rule, clean = MaxChangedShare(0.25), Draft(Text(("a good old film",)))
    one = clean.swap(1, "go od")
    assert len(one.changes(clean.text)) == 1 and rule.opens(clean) == {0, 1, 2, 3} and rule.opens(one) == {1, 2}
    two = one.swap(4, "movie")

    def admitted(drafts):
        steps = rule.keeps(clean, clean, drafts)
        with pytest.raises(StopIteration) as end:
            next(steps)
        return end.value.value

    assert admitted([one, two]) == [one] and admitted([clean.swap(1, "")]) and admitted([clean.swap(1, "very good")])


def test_a_recipes_smaller_limit_holds_too(target):
    which = with_max_changed(build("hotflip", query_budget=60), 1.0)
    for row in examples(target, 6, seed=2):
        assert len(run(which, target, row.texts).changed) <= 2


def test_texts_that_are_crossed_are_checked():
    for name in ("genetic", "faster_genetic", "iga"):
        assert not build(name).search.check_children
        for bound in (with_max_changed(build(name), 0.3), with_protection(build(name), PROTECTION)):
            assert isinstance(bound.search, Genetic) and bound.search.check_children


def test_a_text_of_an_earlier_run_is_not_replayed_past_the_bounds(target):
    rows = examples(target, 40)
    which = attack("textfooler")
    first = attack_dataset(which, target, rows, progress=False)
    found = {one.idx: tuple(one.perturbed) for one in first if one.status == "succeeded"}
    bound = {one.idx for one in first if one.status == "succeeded" and len(one.changed) > 1}
    assert bound
    again = attack_dataset(with_max_changed(which, 0.01), target, rows, progress=False, replayed=found)
    assert all((one.stop == "warm_start") == (one.idx in found and one.idx not in bound) for one in again)
    words = Protection((), ["good", "bad"])
    closed = attack_dataset(with_protection(which, words), target, rows, progress=False, replayed=found)
    assert not any({old.lower() for _, old, _ in one.changed} & {"good", "bad"} for one in closed)
    assert any({old.lower() for _, old, _ in one.changed} & {"good", "bad"} for one in first)


def test_what_is_no_swap_of_words_has_no_cap():
    with pytest.raises(ValueError, match="--attack_max_changed 0.3 does not go with the gcg attack, which adds a suf"):
        with_max_changed(attack("gcg"), 0.3)
    with pytest.raises(ValueError, match="--attack_max_changed 0.3 does not go with the input_reduction attack"):
        with_max_changed(attack("input_reduction"), 0.3)
    for share in (0, -0.1, 1.5):
        with pytest.raises(ValueError, match="must be above 0 and at most 1"):
            AttackArguments(attack_max_changed=share)


def test_the_flags_reach_every_attack_and_its_fingerprint(tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("Acme\n")
    lexicon = table({"good": ["fine"]}, "synonym")

    def built(**flags):
        args = AttackArguments(attacks=["synonym"], pos_tagger="none", **flags)
        return build_attacks(args, lexicon, None, ["0", "1"], ["sentence"])["synonym"]

    plain, both = built(), built(protect=["urls", f"word:{file}"], attack_max_changed=0.3)
    names = [type(rule) for rule in both.constraints[:2]]
    assert names == [Protected, MaxChangedShare] and both.constraints[2:] == plain.constraints
    described = both.describe()["constraints"][:2]
    assert described[0].items() >= {"name": "protected", "kinds": ["urls"], "words": 1, "source": str(file)}.items()
    assert described[1] == {"name": "max_changed_share", "share": 0.3}
    same = built(protect=["urls", f"word:{file}"], attack_max_changed=0.3).fingerprint()
    file.write_text("Other\n")
    other = built(protect=["urls", f"word:{file}"], attack_max_changed=0.3).fingerprint()
    assert same == both.fingerprint() and len({plain.fingerprint(), same, other}) == 3
    with pytest.raises(ValueError, match="--protect accepts urls, .* got links"):
        AttackArguments(protect=["links"])
