"""Attacks beyond identity: what the flags change, and what they leave alone."""

from dataclasses import replace

import pytest
from attack_parts import WORDS, attack, resources, victim
from tiny import table

from hf_robust.attacks import AttackArguments, Example, attack_dataset, build_attacks
from hf_robust.attacks.constraints import NoStopWords
from hf_robust.attacks.ranking import BY_GRADIENT
from hf_robust.attacks.variants import leaving_early, mended, ranked

ROWS = [Example(i, (" ".join(WORDS[i:] + WORDS[:i]),), 0) for i in range(8)]


@pytest.fixture(scope="module")
def target():
    return victim()


def measured(which, target, rows=ROWS):
    """The records of ``which``, each row under the label that the model gives it."""
    labels = target.probabilities([row.texts for row in rows]).argmax(-1)
    named = [row._replace(label=int(label)) for row, label in zip(rows, labels, strict=True)]
    return attack_dataset(which, target, named, progress=False)


def test_mended_words_without_substitutes_cost_nothing_and_change_nothing(target):
    plain = attack("textfooler")
    whole, fewer = measured(plain, target), measured(replace(plain, ranks_movable_only=True), target)
    assert [one.perturbed for one in whole] == [one.perturbed for one in fewer]
    assert sum(one.queries for one in fewer) < sum(one.queries for one in whole)
    assert mended(plain).ranks_movable_only and not mended(attack("textbugger")).ranks_movable_only


def test_mended_reaches_every_part():
    stop_words = [rule for rule in mended(attack("pwws")).constraints if isinstance(rule, NoStopWords)]
    assert [rule.folds_case for rule in stop_words] == [True]
    assert mended(attack("textbugger")).candidates.sources[-1].distinct
    assert mended(attack("textfooler")).search.follows_words
    for name in ("genetic", "faster_genetic", "iga"):
        assert mended(attack(name)).search.mended and not attack(name).search.mended
    assert mended(attack("checklist")).search == attack("checklist").search


def test_an_attack_that_does_not_rank_or_is_not_greedy_is_left_alone():
    plain = attack("checklist")
    assert ranked(plain, "random") is plain and leaving_early(plain) is plain


def test_random_ranking_asks_nothing_for_the_order(target):
    plain = replace(attack("textfooler"), seed=3)
    order, shuffled = measured(plain, target), measured(ranked(plain, "random"), target)
    assert [one.queries for one in measured(ranked(plain, "random"), target)] == [one.queries for one in shuffled]
    assert sum(one.queries for one in shuffled) < sum(one.queries for one in order)


def test_leaving_early_finds_a_success_wherever_the_whole_search_does_at_no_more_queries():
    many = table({word: [other for other in WORDS if other != word] for word in WORDS}, "synonym")
    plain = attack("textfooler", synonyms=many, tagger=None)
    own = victim()
    whole, early = measured(plain, own), measured(leaving_early(plain), own)
    for one, other in zip(whole, early, strict=True):
        assert one.status == other.status and other.queries <= one.queries
    assert sum(other.queries for other in early) < sum(one.queries for one in whole)


def test_flags_reach_the_variants():
    flags = {"attack_mended": True, "attack_ranking": "random", "attack_early_exit": True, "pos_tagger": "none"}
    args = AttackArguments(attacks=["synonym"], **flags)
    (built,) = build_attacks(args, resources().synonyms, None, ["0", "1"], ["text"]).values()
    described = built.describe()
    assert described["ranking"] == "at_random" and described["search"] == "greedy, early exit 8, follows words"
    assert built.fingerprint() != attack("synonym", tagger=None).fingerprint()


def test_rankings_by_gradient_are_known_as_such():
    for which in (attack("antonym"), attack("a2t"), ranked(attack("pwws"), "gradient")):
        assert which.ranking in BY_GRADIENT
    assert attack("textfooler").ranking not in BY_GRADIENT
