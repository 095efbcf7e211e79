"""Bad characters: each perturbation by hand and over random input, and the search against scipy's."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from attack_parts import attack, examples, victim
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import differential_evolution

from hf_robust.attacks import ATTACKS, Attack, Example, attack_dataset
from hf_robust.attacks.building import with_bug_fixes, with_early_exit, with_protection
from hf_robust.attacks.engine.black_box import BlackBox
from hf_robust.attacks.parts.bad_characters import (
    INTENTIONAL,
    INVISIBLE,
    SWAPPED,
    BadCharacters,
    Deletions,
    Homoglyphs,
    InvisibleCharacters,
    Reorderings,
)
from hf_robust.attacks.parts.differential_evolution import DifferentialEvolution
from hf_robust.words import TEXTATTACK_WORDS, Text, read_protection

NAMES = ("homoglyphs", "invisible_characters", "deletion_characters", "reordering_characters")
KINDS: tuple[type[BadCharacters], ...] = (Homoglyphs, InvisibleCharacters, Deletions, Reorderings)
LETTERS = st.text(st.sampled_from("abco XA!,é的"), min_size=2, max_size=12)
ORIGINAL = {same: letter for letter, found in INTENTIONAL.items() for same in found}
ONE_SWAP = re.compile(SWAPPED.format("([^\u202c-\u202e\u2066-\u2069]+)", "([^\u202c-\u202e\u2066-\u2069]+)"))


def written(source: BadCharacters, columns: tuple[str, ...], *vector: float, **options: Any) -> tuple[str, ...]:
    text = Text(columns, TEXTATTACK_WORDS)
    space = source.space(text, options.pop("opened", set(range(len(text.words)))), **options)
    assert space is not None and len(space.bounds) == len(vector)
    return space.write(vector)


def seen(text: str) -> str:
    """What a reader sees: no zero-width characters, backspaces carried out, exchanged characters in their old order,
    and one shape for characters that look the same."""
    text = "".join(letter for letter in text if letter not in INVISIBLE)
    while (swapped := ONE_SWAP.sub(r"\2\1", text)) != text:
        text = swapped
    shown: list[str] = []
    for letter in text:
        if letter == "\b":
            shown.pop()
        else:
            shown.append(ORIGINAL.get(letter, letter))
    return "".join(shown)


def test_each_perturbation_by_hand() -> None:
    assert len(ORIGINAL) == 78 and INTENTIONAL["a"] == ("\u0430",)
    # The look-alikes of "a, b": "a" alone.
    assert written(Homoglyphs(), ("a, b",), 0.2) == written(Homoglyphs(), ("a, b",), -1.0) == ("\u0430, b",)
    assert written(InvisibleCharacters(), ("ab",), 1.2, 0.9) == ("a\u200cb",)
    assert written(InvisibleCharacters(2), ("ab",), 0, 1, 2, 1) == ("a\u200d\u200bb",)
    assert written(Deletions(), ("ab",), 1, ord("x")) == ("ax\bb",)
    # The second moves by two, whatever its place is.
    assert written(Deletions(2), ("abc",), 2, ord("x"), 0, ord("y")) == ("aby\bx\bc",)
    assert written(Deletions(2), ("abc",), 2, ord("x"), -1, ord("y")) == ("ay\bbx\bc",)
    assert written(Reorderings(), ("abc",), 2) == ("a\u202d\u2066\u202e\u2066c\u2069\u2066b\u2069\u202c\u2069\u202c",)
    assert Reorderings().space(Text(("a",)), {0}) is None and Homoglyphs().space(Text(("tw",)), {0}) is None


@given(st.data(), LETTERS, st.sampled_from(KINDS), st.integers(1, 3))
def test_a_reader_sees_the_clean_text(data: Any, text: str, kind: type[BadCharacters], count: int) -> None:
    space = kind(count).space(Text((text,)), {0, 1, 2, 3, 4, 5, 6, 7})
    if space is None:
        assert not any(letter in INTENTIONAL for letter in text)
        return
    vector = [data.draw(st.floats(low, high)) for low, high in space.bounds]
    (perturbed,) = space.write(vector)
    assert perturbed != text
    assert seen(perturbed) == seen(text)
    added = {Homoglyphs: 0, InvisibleCharacters: 1, Deletions: 2, Reorderings: 10}[kind]
    if kind is not Reorderings:
        assert len(perturbed) == len(text) + count * added
    else:
        assert 0 < len(perturbed) - len(text) <= count * added and (len(perturbed) - len(text)) % added == 0


@given(st.data(), LETTERS, st.sampled_from(KINDS))
def test_closed_columns_and_words_keep_their_characters(data: Any, text: str, kind: type[BadCharacters]) -> None:
    frozen = "frozen cold"
    whole = Text((frozen, f"{text} kept"))
    space = kind(2).space(whole, set(range(2, len(whole.words) - 1)), {0})
    if space is None:
        return
    first, second = space.write([data.draw(st.floats(low, high)) for low, high in space.bounds])
    assert first == frozen
    if kind is Homoglyphs:
        assert second.endswith("kept")


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", ["homoglyphs", "reordering_characters"])
def test_the_search_is_scipys(name: str, count: int) -> None:
    """The same draws, texts and number of queries, with a made-up score of the text instead of a model."""

    def predict(texts: list[str]) -> list[list[float]]:
        shares = [sum(3 * place * ord(letter) % 101 for place, letter in enumerate(text)) % 89 for text in texts]
        return [[1 - 0.005 * share, 0.005 * share] for share in shares]

    which = attack(name, num_bad_characters=count)
    rows = [Example(index, (text,), 0) for index, text in enumerate(("a cold film", "the actor, as ever"))]
    records = attack_dataset(which, BlackBox(predict, outputs="probabilities"), rows, seed=0, progress=False)
    for row, record in zip(rows, records, strict=True):
        space = which.candidates.space(Text(row.texts, which.word_rule), {0, 1, 2, 3})  # type: ignore[attr-defined]
        queries, best, found = 1, np.inf, None

        def energy(vector: Any, space: Any = space) -> float:
            nonlocal queries, best, found
            queries, columns = queries + 1, space.write(vector)
            value = -float(1 - np.float32(predict(list(columns))[0][0]))
            if value <= best:
                best, found = value, columns
            return value

        np.random.seed(row.idx)
        differential_evolution(energy, space.bounds, maxiter=10, popsize=32)
        assert (record.queries, tuple(record.perturbed)) == (queries, found)


def scores(which: Attack, target: Any, rows: list[Example]) -> dict[int, tuple[float, int]]:
    """The score and the number of queries of each attacked example."""
    records = attack_dataset(which, target, rows, seed=0, progress=False)
    return {one.idx: (1 - one.perturbed_score, one.queries) for one in records if one.status != "skipped"}


def test_the_search_beats_random_places() -> None:
    target = victim()
    rows = examples(target, 10, 1, 0)
    which = attack("homoglyphs", num_bad_characters=3, query_budget=150)
    at_random = replace(which, search=DifferentialEvolution(size=50, generations=0))
    searched, drawn = scores(which, target, rows), scores(at_random, target, rows)
    assert all(queries <= 150 for _, queries in searched.values())
    assert {queries for _, queries in drawn.values()} == {150}
    assert np.mean([searched[index][0] - drawn[index][0] for index in drawn]) > 0
    clean = {one.idx: 1 - float(target.probabilities([one.texts])[0, one.label]) for one in rows}
    assert np.mean([drawn[index][0] - clean[index] for index in drawn]) > 0


def test_an_early_exit_and_the_bug_fixes_save_queries() -> None:
    target = victim()
    rows = examples(target, 3, 1, 0)
    which = attack("homoglyphs", num_bad_characters=3, query_budget=200)
    early = scores(with_early_exit(which), target, rows)
    whole = scores(which, target, rows)
    assert all(early[index][1] <= queries for index, (_, queries) in whole.items())
    fixed = with_bug_fixes(attack("homoglyphs"))
    same = replace(with_bug_fixes(attack("homoglyphs")), search=DifferentialEvolution())
    saved = [
        all_queries - queries
        for (_, all_queries), (_, queries) in zip(
            scores(same, target, rows).values(), scores(fixed, target, rows).values(), strict=True
        )
    ]
    assert set(saved) == {2}  # one number, and the best vector once more


def test_protected_spans_stay() -> None:
    target = victim()
    rows = [replace_text(row) for row in examples(target, 4, 1, 0)]
    protection = read_protection(["numbers"])
    assert protection is not None
    for name in ("homoglyphs", "deletion_characters", "reordering_characters"):
        which = with_protection(attack(name, num_bad_characters=2, query_budget=60), protection)
        for record in attack_dataset(which, target, rows, seed=0, progress=False):
            assert "12.50" in record.perturbed[0]


def replace_text(row: Example) -> Example:
    return row._replace(texts=(f"{row.texts[0]} 12.50",))


def test_a_tokenizer_that_drops_the_characters_is_named() -> None:
    target = victim()
    rows = examples(target, 4, 1, 0)
    which = attack("invisible_characters")
    with pytest.raises(ValueError, match="the invisible_characters attack can change nothing: the model's tokenizer"):
        attack_dataset(which, target, rows, seed=0, progress=False)
    with pytest.raises(ValueError, match="the homoglyphs attack can change nothing: no text has a character"):
        attack_dataset(attack("homoglyphs"), target, [Example(0, ("的 的",), 0)], seed=0, progress=False)
    # Without the refusal it is still no failure of the attack: a text without a candidate counts in no rate.
    unchecked = replace(which, needs_candidates=False)
    records = attack_dataset(unchecked, target, rows, seed=0, progress=False)
    assert {one.stop for one in records} <= {"no_candidates", "misclassified"}
    assert {one.stop for one in records} >= {"no_candidates"}


@pytest.mark.parametrize("name", NAMES)
def test_the_count_of_places_reaches_the_attack(name: str) -> None:
    described = attack(name, num_bad_characters=4).describe()
    assert described["candidates"]["count"] == 4
    assert ATTACKS[name].__doc__ and "Boucher" in (ATTACKS[name].__doc__ or "")
    with pytest.raises(ValueError, match="--num_bad_characters must be at least 1, got 0"):
        attack(name, num_bad_characters=0)


def test_pairs_are_perturbed_in_each_open_column() -> None:
    target = victim()
    rows = examples(target, 6, 2, 0)
    which = attack("deletion_characters", num_bad_characters=3, query_budget=100)
    records = attack_dataset(which, target, rows, seed=0, progress=False)
    changed = {
        side
        for one in records
        for side in (0, 1)
        if one.status != "skipped" and one.perturbed[side] != one.original[side]
    }
    assert changed == {0, 1}
    frozen = attack("deletion_characters", num_bad_characters=3, query_budget=100, frozen_columns=frozenset({0}))
    for one in attack_dataset(frozen, target, rows, seed=0, progress=False):
        assert one.perturbed[0] == one.original[0]
