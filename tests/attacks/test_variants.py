"""Attacks beyond identity with TextAttack: what each option changes, and what it leaves alone."""

import dataclasses

import numpy as np
import pytest
from attack_parts import SYNONYMS, attack, examples, probabilities_of, victim
from tiny import build_model, table

from hf_robust.attacks import ATTACKS, AttackArguments, Example, Plans, Resources, attack_dataset, build_attacks
from hf_robust.attacks.building import with_bug_fixes, with_early_exit, with_ranking
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.parts.ranking import BY_GRADIENT, at_random, by_gradient
from hf_robust.attacks.parts.search import Beam, Greedy
from hf_robust.lexicons.sememes import SememeTable
from hf_robust.words import TEXTATTACK_WORDS, UNICODE_WORDS, Text

WORDS = frozenset({"the", "and", "with"})


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def run(which, target, rows, **options):
    return attack_dataset(which, target, rows, progress=False, **options)


def test_a_mended_attack_asks_only_words_that_can_move(target):
    # In lower case, as stop words are: their case is the next test's.
    rows = [row._replace(texts=tuple(map(str.lower, row.texts))) for row in examples(target, 30)]
    single = table({word: [new for new in found if " " not in new] for word, found in SYNONYMS.items()}, "synonym")
    plain = dataclasses.replace(attack("textfooler", synonyms=single), scores="margin")
    better = with_bug_fixes(attack("textfooler", synonyms=single))
    first, second = run(plain, target, rows), run(better, target, rows)
    for one, other, row in zip(first, second, rows, strict=True):
        assert (one.status, one.perturbed) == (other.status, other.perturbed)
        if one.status != "skipped":
            text = Text(row.texts)
            open_words = len(plain.open_words(Draft(text)))
            movable = len(better.open_words(Draft(text)) & set(_swaps(better, row)))
            assert one.queries - other.queries == open_words - movable
    assert sum(one.queries for one in second) < sum(one.queries for one in first)


def _swaps(which, row):
    from hf_robust.attacks.engine.plans import make_plan

    return make_plan(which, row.texts).swaps


def test_a_mended_attack_compares_stop_words_without_case_and_asks_equal_substitutes_once():
    lexicon = table({"good": ["fine", "FINE", "two words"], "the": ["a"]}, "synonym")
    plain = ATTACKS["textfooler"](Resources(synonyms=lexicon))
    assert [which.open_words(draft_of(which, "The good film")) for which in (plain, with_bug_fixes(plain))] == [
        {0, 1, 2},
        {1, 2},
    ]
    row = Example(0, ("The good film",), 0)
    assert _swaps(plain, row)[1] == ("fine", "fine", "two words") and _swaps(with_bug_fixes(plain), row)[1] == (
        "fine",
    )


def draft_of(which, *columns):
    return Draft(Text(columns, which.word_rule))


OWN_WORDS = ("synonym", "antonym", "negation", "gradient_mask", "hlbb", "paraphrase", "viper", "gcg")


@pytest.mark.parametrize("name", ATTACKS)
def test_recipes_identical_with_textattack_keep_its_words_unless_mended(name, tmp_path):
    which = attack(name, stop_words=WORDS, sememes=SememeTable({}))
    own = name in OWN_WORDS
    assert which.word_rule is (UNICODE_WORDS if own else TEXTATTACK_WORDS)
    assert with_bug_fixes(which).word_rule is UNICODE_WORDS
    assert which.describe()["word_rule"] == which.word_rule.name
    assert make_plan(which, ("don’t",)).text.tokens == (["don’t"] if own else ["don", "t"])
    assert make_plan(with_bug_fixes(which), ("don’t",)).text.tokens == ["don’t"]
    if not own:
        other = dataclasses.replace(which, word_rule=UNICODE_WORDS)
        assert which.fingerprint() != other.fingerprint() and which.plan_fingerprint() != other.plan_fingerprint()


def test_plans_on_disk_are_by_the_rule(tmp_path):
    plain = attack("textfooler", synonyms=table({"re": ["sos"], "great": ["good"]}, "synonym"), tagger=None)
    row = Example(0, ("they 're great",), 0)
    for _ in range(2):
        plans = Plans(tmp_path)
        assert plans.get(plain, row).swaps == {1: ("sos",), 2: ("good",)}
        assert plans.get(with_bug_fixes(plain), row).swaps == {2: ("good",)}
        plans.save()


@pytest.mark.parametrize("name", ["textfooler", "gradient_mask", "synonym"])
def test_a_record_names_the_rule_of_its_words(name, target):
    text = "don’t miss the good, good film"
    label = int(target.probabilities([(text,)]).argmax())
    (record,) = run(attack(name), target, [Example(0, (text,), label)])
    assert record.word_rule == ("textattack" if name == "textfooler" else "unicode")
    tokens = record.text(record.original).tokens
    assert record.changed and all(tokens[index] == old for index, old, _ in record.changed)


def test_a_mended_search_follows_the_words_it_ranked():
    draft = Draft(Text(("a good old film",))).swap(1, "go od")
    assert [draft.place_of(index) for index in range(4)] == [0, 1, 3, 4]
    shorter = draft.swap(0, "")
    assert [shorter.place_of(index) for index in range(4)] == [None, 0, 2, 3]
    assert with_bug_fixes(attack("textbugger", stop_words=WORDS)).search == Greedy(follows_words=True)


def test_input_reduction_mended_deletes_the_word_that_was_ranked(target):
    rows = examples(target, 20)
    for record in run(with_bug_fixes(attack("input_reduction", stop_words=WORDS)), target, rows):
        assert record.status == "skipped" or record.perturbed_prediction == record.label
        assert len(Text(tuple(record.perturbed)).words) <= len(Text(tuple(record.original)).words)


@pytest.mark.parametrize(("name", "ranking"), [("gradient", by_gradient), ("random", at_random)])
def test_another_ranking_spends_no_query_on_it(name, ranking, target):
    rows = examples(target, 30)
    which = with_ranking(attack("textfooler"), name)
    assert which.ranking is ranking and which.describe()["ranking"] == ranking.__name__
    for record, plain in zip(run(which, target, rows), run(attack("textfooler"), target, rows), strict=True):
        if plain.stop == "exhausted" and not plain.changed and record.stop == "exhausted" and not record.changed:
            text = Draft(plain.text(plain.original))
            assert plain.queries - record.queries == len(which.open_words(text))
    assert run(which, target, rows[::-1]) == run(which, target, rows) or name == "gradient"
    no_ranking = dataclasses.replace(attack("textfooler"), ranking=None, search=Beam(1))
    assert with_ranking(no_ranking, name) is no_ranking


def test_leaving_a_word_early_never_asks_more_and_its_successes_are_real(target):
    lexicon = table({"good": [f"w{i}" for i in range(20)] + ["bad"], "film": [f"v{i}" for i in range(20)]}, "synonym")
    plain = ATTACKS["textfooler"](Resources(synonyms=lexicon))
    early = with_early_exit(plain)
    assert early.search == Greedy(early_exit=8) and early.describe()["search"] == "greedy, early exit 8"
    rows = examples(target, 40)
    for one, other in zip(run(plain, target, rows), run(early, target, rows), strict=True):
        if len(other.changed) <= 1:  # later words may be visited from another text
            assert other.queries <= one.queries and one.status == other.status
        if other.status == "succeeded":
            assert probabilities_of(target, tuple(other.perturbed)).argmax() != other.label
    assert with_early_exit(attack("negation")).search is attack("negation").search


def test_warm_start_replays_what_succeeded_and_says_so(target):
    rows, which = examples(target, 40), attack("textfooler")
    first = run(which, target, rows)
    found = {one.idx: tuple(one.perturbed) for one in first if one.status == "succeeded"}
    warm = run(which, target, rows, replayed=found)
    for before, after in zip(first, warm, strict=True):
        if before.status == "succeeded":
            assert (after.status, after.stop, after.queries) == ("succeeded", "warm_start", 2)
            assert after.perturbed == before.perturbed and after.changed == before.changed
        else:
            assert after == before
    stale = {idx: rows[0].texts for idx in found}  # texts that fool nobody: one query more, then the search
    again = run(which, target, rows, replayed=stale)
    for before, after in zip(first, again, strict=True):
        assert (before.status, before.stop, before.perturbed) == (after.status, after.stop, after.perturbed) or (
            after.stop == "warm_start"
        )


def test_flags_reach_the_variants():
    flags = {"attack_ranking": "random", "attack_early_exit": True, "attack_fixed": True, "attack_time_limit": 2.5}
    args = AttackArguments(attacks=["synonym"], pos_tagger="none", **flags)
    (which,) = build_attacks(args, table({"good": ["fine"]}, "synonym"), None, ["0", "1"], ["sentence"]).values()
    assert which.ranking is at_random and which.search == Greedy(early_exit=8, follows_words=True)
    assert which.time_limit == 2.5
    plain = AttackArguments(attacks=["synonym"], pos_tagger="none")
    (other,) = build_attacks(plain, table({"good": ["fine"]}, "synonym"), None, ["0", "1"], ["sentence"]).values()
    assert other.search == Greedy() and len({which.fingerprint(), other.fingerprint()}) == 2
    assert np.isclose(which.time_limit, 2.5)


def test_mended_reaches_every_part():
    assert with_bug_fixes(attack("textbugger")).candidates.sources[-1].distinct
    for name in ("genetic", "faster_genetic", "iga"):
        assert with_bug_fixes(attack(name)).search.mended and not attack(name).search.mended
    assert with_bug_fixes(attack("checklist")).search == attack("checklist").search


def test_rankings_by_gradient_are_known_as_such():
    for which in (attack("antonym"), attack("a2t"), with_ranking(attack("pwws"), "gradient")):
        assert which.ranking in BY_GRADIENT
    assert attack("textfooler").ranking not in BY_GRADIENT
