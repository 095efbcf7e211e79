"""Genetic searches and particle swarm: TextAttack's outcomes, whatever the order; no success that is none."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
from attack_parts import all_close, examples, probabilities_of, victim
from population_parts import (
    NAMES,
    SETTINGS,
    STOP_WORDS,
    SWARMS,
    SYNONYMS,
    ToyLanguageModel,
    ToyVictim,
    attack,
    in_setting,
    key,
    outcome,
    resources,
    rows,
    small,
    stored,
)
from tiny import table

from hf_robust.attacks import ATTACKS, Example, Resources, attack_dataset
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts import population as shared
from hf_robust.attacks.parts.candidates import FromLexicon
from hf_robust.attacks.parts.constraints import MaxChangedWords
from hf_robust.attacks.parts.genetic_search import Genetic, ImprovedGenetic
from hf_robust.attacks.parts.levy_swarm import LevySwarm
from hf_robust.attacks.parts.particle_swarm import ParticleSwarm
from hf_robust.words import Text


def measure(which: Any, target: Any, examples: list[Example], **options: Any) -> list[Any]:
    return attack_dataset(which, target, examples, progress=False, check_candidates=False, **options)


def trial_of(which: Any, example: Example) -> Trial:
    return Trial(which, example, make_plan(which, example.texts))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", NAMES)
def test_outcomes_equal_textattacks(name: str, setting: tuple[int, bool, int | None, bool]) -> None:
    which, examples = in_setting(name, setting)
    found = [outcome(record) for record in measure(which, ToyVictim(), examples)]
    assert found == stored()[key(name, setting)]


@pytest.mark.parametrize("name", NAMES)
def test_neither_order_nor_company_nor_repetition_changes_a_result(name: str) -> None:
    which, examples = attack(name), rows(15, 2, seed=3)
    expected = measure(which, ToyVictim(), examples)
    assert measure(which, ToyVictim(), examples[::-1], live=1) == expected
    assert measure(which, ToyVictim(), examples, live=4) == expected
    assert [*measure(which, ToyVictim(), examples[:7]), *measure(which, ToyVictim(), examples[7:])] == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_what_is_drawn(name: str) -> None:
    examples = rows(15, 2, seed=3)
    found = [
        [outcome(record) for record in measure(attack(name, seed=seed), ToyVictim(), examples)] for seed in range(3)
    ]
    assert found[0] != found[1] != found[2]


@pytest.mark.parametrize("name", NAMES)
def test_a_real_model_is_fooled_as_the_record_says(name: str) -> None:
    target = victim()
    which, chosen = attack(name, seed=1), examples(target, 15)
    records = measure(which, target, chosen)
    for record in records:
        probabilities = probabilities_of(target, tuple(record.perturbed))
        assert (probabilities.argmax() != record.label) == (
            record.status == "succeeded" or record.stop == "misclassified"
        )
        assert record.perturbed_score == pytest.approx(probabilities[record.label], abs=1e-5)
    assert {record.status for record in records} == {"succeeded", "failed", "skipped"}
    # The noise of other batches may decide only where it was said that it might.
    again = measure(which, victim(target.model, token_budget=1), chosen)
    sure = [pair for pair in zip(records, again, strict=True) if not any(record.near_ties for record in pair)]
    assert all_close(*zip(*sure, strict=True)) and len(sure) > 5


def space(which: Any, name: str, example: Example) -> set[tuple[str, ...]]:
    """All texts of the search space, constraints on whole texts left out."""
    text = Text(example.texts)
    found: list[set[str]] = []
    for index, word in enumerate(text.tokens):
        reached, new = {word}, {word}
        open_words = which.open_words(Draft(text))
        while new and index in open_words:
            made = {swap for one in new for swap in SYNONYMS.get(one, ())} if name != "pso" else set()
            if name == "pso":
                made = set(make_plan(which, example.texts).swaps.get(index, ()))
            new = {swap for swap in made if swap not in STOP_WORDS} - reached
            reached |= new
            if name not in ("iga", "leap"):
                break
        found.append(reached)
    return {
        text.replace({index: new for index, new in enumerate(words) if new != text.tokens[index]}).columns
        for words in itertools.product(*found)
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_text_is_in_the_search_space_and_no_success_is_claimed_without(name: str) -> None:
    toy = ToyVictim()
    which = attack(name, language_model=None, word_vectors=None)
    cases = [text for text in ("good film", "bad plot was", "music warm cold", "fine actor and poor")]
    fooled = 0
    for index, text in enumerate(cases):
        example = Example(index, (text,), toy.prediction((text,)))
        target = ToyVictim()
        (record,) = measure(which, target, [example])
        allowed = space(which, name, example)
        assert set(target.asked) <= allowed and tuple(record.perturbed) in allowed
        possible = any(toy.prediction(columns) != example.label for columns in allowed)
        assert possible or record.status == "failed"
        assert (record.status == "succeeded") == (toy.prediction(tuple(record.perturbed)) != example.label)
        assert record.queries >= len(set(target.asked))
        fooled += record.status == "succeeded"
    assert fooled


def test_mended_iga_finds_every_text_of_one_swap() -> None:
    for example in rows(20, seed=7):
        which = attack("iga", small("iga", mended=True), word_vectors=None)
        trial, toy = trial_of(which, example), ToyVictim()
        swaps = ((index, new) for index, all_new in trial.plan.swaps.items() for new in all_new)
        one = any(toy.prediction(trial.text.replace(dict([swap])).columns) != example.label for swap in swaps)
        (record,) = measure(which, toy, [example])
        assert record.status == "succeeded" or not one or toy.prediction(example.texts) != example.label


@pytest.mark.parametrize("budget", [1, 2, 5, 13, 60])
@pytest.mark.parametrize("mended", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_budget_is_never_exceeded_and_ends_the_search(name: str, mended: bool, budget: int) -> None:
    search = small(name, mended=mended)
    for record in measure(attack(name, search, query_budget=budget), ToyVictim(), rows(15, 2)):
        assert record.queries <= budget and record.stop in ("success", "budget", "exhausted", "misclassified")
        assert record.stop != "budget" or record.queries == budget
        if record.status == "failed" and (mended or name not in SWARMS):
            assert record.perturbed_score <= record.original_score


@pytest.mark.parametrize("name", NAMES)
def test_time_ends_the_search_with_the_best_so_far(name: str) -> None:
    records = measure(attack(name, time_limit=1e-12), ToyVictim(), rows(15, 2))
    assert {record.stop for record in records} <= {"time", "success", "misclassified", "no_candidates"}
    assert any(record.stop == "time" for record in records)
    for record in records:
        assert record.queries < 100 and record.perturbed_score <= record.original_score


@pytest.mark.parametrize("name", NAMES)
def test_checked_texts_keep_every_constraint(name: str) -> None:
    which = attack(name, small(name, True))
    which = dataclasses.replace(which, constraints=[*which.constraints, MaxChangedWords(share=0.2)])
    limit = which.constraints[-1]
    for example in rows(15, 2, seed=4):
        target = ToyVictim()
        (record,) = measure(which, target, [example])
        clean = Text(example.texts)
        for columns in {*target.asked, tuple(record.perturbed)}:
            assert limit._allows(Draft(clean), Draft(Text(columns)))
            frozen = [(old, new) for old, new in zip(clean.tokens, Text(columns).tokens, strict=True) if old != new]
            assert not any(old in STOP_WORDS for old, _ in frozen)


def test_unchecked_children_may_change_more_words_than_a_swap_may() -> None:
    asked = set()
    for example in rows(15, 2, seed=4):
        target = ToyVictim()
        measure(attack("genetic"), target, [example])
        asked |= {(example.texts, columns) for columns in target.asked}
    limit = MaxChangedWords(share=0.2)
    assert not all(limit._allows(Draft(Text(old)), Draft(Text(new))) for old, new in asked)


@pytest.mark.parametrize(
    ("name", "search", "expected"),
    [
        ("genetic", Genetic(12, 5), 1 + 5 * 11),
        ("genetic", Genetic(12, 5, give_up=True), 1),
        ("iga", ImprovedGenetic(12, 5), 1 + 5 * 3),
        ("iga", ImprovedGenetic(2, 5), 1 + 5 * 1),
        ("pso", ParticleSwarm(12, 5), 1 + 5 * 12),
        ("leap", LevySwarm(12, 5), 1 + 5 * 12),
    ],
)
@pytest.mark.parametrize("budget", [None, 7])
def test_a_text_without_candidates_is_asked_as_often_as_there_are_children(
    name: str, search: Any, expected: int, budget: int | None
) -> None:
    class Unplanned(FromLexicon):
        planned = False

    example = Example(0, ("the and with very",), ToyVictim().prediction(("the and with very",)))
    which = attack(name, search, query_budget=budget)
    for source in (which.candidates, Unplanned(table(SYNONYMS, "synonym"))):
        (record,) = measure(dataclasses.replace(which, candidates=source), ToyVictim(), [example])
        assert record.queries == (expected if budget is None else min(expected, budget))
        assert record.status == "failed" and record.perturbed == list(example.texts)


@pytest.mark.parametrize("name", NAMES)
def test_a_text_without_words_ends_at_once(name: str) -> None:
    (record,) = measure(attack(name), ToyVictim(), [Example(0, ("...",), ToyVictim().prediction(("...",)))])
    assert (record.status, record.stop, record.queries) == ("failed", "no_candidates", 1)


def test_swaps_that_make_two_words_are_left_out() -> None:
    which = attack("genetic", synonyms=table({"film": ["motion picture", "movie"], "good": ["very fine"]}, "synonym"))
    example = Example(0, ("good film",), ToyVictim().prediction(("good film",)))
    target = ToyVictim()
    measure(dataclasses.replace(which, constraints=[]), target, [example])
    assert set(target.asked) == {("good film",), ("good movie",)}


def test_draws_are_numpys() -> None:
    trial = trial_of(attack("genetic"), rows(1)[0])
    reference = np.random.RandomState(trial.attack.seed + trial.example.idx)
    for chances in ([0.2, 0.0, 0.5, 0.3], np.float32([0.25, 0.75]), [1.0]):
        assert shared.draw(trial, chances, 50).tolist() == reference.choice(len(chances), 50, p=chances).tolist()
    assert trial.near_ties == 0
    shared.draw(trial, [0.5, 0.5], 10, noise=0.5)
    assert trial.near_ties == 10


def test_a_mixed_text_counts_as_changed_where_its_words_come_from_changed_ones() -> None:
    clean = Draft(Text(("good bad film",)))
    first, second = clean.swap(0, "fine"), clean.swap(0, "fine").swap(2, "movie")
    child = shared.mix(first, second, [0, 2], all_chosen=False)
    assert child.text.columns == ("fine bad movie",) and child.modified == {0, 2} and child.last_modified == {2}
    back = shared.mix(second, clean, [0, 1], all_chosen=True)
    assert back.text.columns == ("good bad movie",) and back.modified == {2} and back.last_modified == {0}


def test_strong_parents_are_preferred_only_when_mended() -> None:
    from hf_robust.attacks.engine.trial import Evaluation
    from hf_robust.attacks.parts.genetic_search import Genome, Member

    genome = Genome(Draft(Text(("a",))), np.ones(1))
    members = [Member(genome, Evaluation(np.zeros(2), b"", score, False)) for score in (0.1, 0.9)]
    weak, strong = Genetic(mended=False)._chances(members)
    assert weak / strong == pytest.approx(np.exp(0.8 / 0.3), rel=1e-5)
    weak, strong = Genetic(mended=True)._chances(members)
    assert strong / weak == pytest.approx(np.exp(0.8 / 0.3), rel=1e-5)


def test_recipes_name_every_part_and_leave_out_what_is_not_given() -> None:
    def parts(name: str, **changes: Any) -> list[str]:
        which = ATTACKS[name](resources(name, **changes))
        return [rule["name"] for rule in which.describe()["constraints"]]

    words = ["no_repeat", "stop_words", "open_columns", "max_changed_words"]
    given = {"language_model": ToyLanguageModel()}
    assert parts("genetic", **given) == [*words, "word_distance", "likeliest_swaps"]
    assert parts("faster_genetic", **given) == [*words, "word_distance", "max_likelihood_drop"]
    assert parts("iga", **given) == ["stop_words", "max_changed_words", "word_distance"]
    assert parts("genetic", word_vectors=None) == words
    assert parts("pso") == words[:3]
    assert parts("leap") == ["max_modification_rate", "stop_words"]
    searches = [ATTACKS[name](resources(name)).search for name in NAMES]
    swarms = [ParticleSwarm(60, 20), LevySwarm(60, 20)]
    assert searches == [Genetic(60, 20), Genetic(60, 40), ImprovedGenetic(60, 20), *swarms]


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_in_the_fingerprint(name: str) -> None:
    which = attack(name)
    prints = {dataclasses.replace(which, search=small(name, **one)).fingerprint() for one in ({}, {"mended": True})}
    assert len(prints) == 2
    if name not in SWARMS:
        assert attack(name, word_vectors=None).fingerprint() != which.fingerprint()


def test_missing_resources_are_named() -> None:
    for name in ("genetic", "faster_genetic", "iga"):
        with pytest.raises(ValueError, match=f"the {name} attack needs a synonym lexicon, got none; pass --lexicon"):
            ATTACKS[name](Resources(stop_words=STOP_WORDS))
        with pytest.raises(ValueError, match="stop words"):
            ATTACKS[name](Resources(synonyms=table(SYNONYMS, "synonym")))


@pytest.mark.parametrize("make", [Genetic, ImprovedGenetic, ParticleSwarm, LevySwarm])
def test_wrong_sizes_are_refused(make: Any) -> None:
    with pytest.raises(ValueError, match="got 0 and 5|got 0, 5 and"):
        make(0, 5)
    with pytest.raises(ValueError, match="-1"):
        make(5, -1)


def test_the_clean_texts_neighbours_are_found_once_for_each_word(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    inner = shared.neighbours

    def watched(trial: Trial, draft: Draft, indices: Any = None) -> Any:
        if draft is trial.clean and indices is not None:
            asked.append((trial.example.idx, *indices))
        return (yield from inner(trial, draft, indices))

    which, examples = attack("genetic"), rows(6, 2, seed=3)
    expected = measure(which, ToyVictim(), examples)
    monkeypatch.setattr(shared, "neighbours", watched)
    assert measure(which, ToyVictim(), examples) == expected
    assert asked and len(asked) == len(set(asked))

    class Drawing(FromLexicon):
        planned = False

    drawing = dataclasses.replace(which, candidates=Drawing(table(SYNONYMS, "synonym"), k=8, distinct=False))
    asked.clear()
    measure(drawing, ToyVictim(), examples)
    assert len(asked) > len(set(asked))
