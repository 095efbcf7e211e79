"""TextAttack's greedy recipes against an oracle that takes one text at a time."""

import pytest
from attack_parts import SYNONYMS, examples, resources, victim
from textattack_oracle import RECIPES, Oracle, edits, put, split, words_of
from tiny import build_model, table

from hf_robust.attacks import ATTACKS, attack_dataset
from hf_robust.words import TEXTATTACK_WORDS, Text, match_case

# The substitute of two words has no counterpart among TextAttack's neighbours; two that their case makes equal have.
SINGLE = {**SYNONYMS, "music": ["actor", "music", "Film"], "film": ["movie", "Movie", "picture", "was", "Story"]}


@pytest.fixture(scope="module")
def target():
    return victim(build_model(num_labels=3))


def parts(**changes):
    lexicon = table(SINGLE, "synonym")
    lexicon.keeps_part_of_speech = False
    return resources(**{"synonyms": lexicon, "seed": 5, **changes})


def compare(name, parts_of_attack, target, rows):
    records = attack_dataset(ATTACKS[name](parts_of_attack), target, rows, progress=False)
    for record, row in zip(records, rows, strict=True):
        expected = Oracle(name, parts_of_attack, target, row).run()
        assert {key: getattr(record, key) for key in expected} == expected
    return records


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_equals_one_text_at_a_time(name, columns, target):
    records = compare(name, parts(), target, examples(target, 40, columns, seed=4))
    assert {"succeeded", "skipped"} <= {record.status for record in records}
    assert {record.status for record in records} >= ({"failed"} if name != "input_reduction" else set())
    assert any(len(record.changed) > 1 for record in records)


@pytest.mark.parametrize("name", RECIPES)
def test_equals_the_oracle_without_a_tagger_and_with_a_frozen_column(name, target):
    rows = examples(target, 20, 2, seed=5)
    for record in compare(name, parts(tagger=None, frozen_columns=frozenset({0}), seed=9), target, rows):
        assert record.perturbed[0] == record.original[0]


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8, 13, 30])
@pytest.mark.parametrize("name", RECIPES)
def test_equals_the_oracle_on_a_query_budget(name, budget, target):
    rows = examples(target, 12, seed=1)
    records = compare(name, parts(query_budget=budget), target, rows)
    assert all(record.queries <= budget for record in records)


def test_the_oracles_own_words_are_the_packages():
    for text in ("A -good- film, it's 'well-made'!", "", "...", "a_b @x* 2nd", "Ünï×code ˗ok", "new\nline"):
        own = Text((text,), TEXTATTACK_WORDS)
        assert words_of(text) == own.tokens
        for index in range(len(split(text))):
            assert put(text, index, "[UNK]") == own.replace({index: "[UNK]"}).columns[0]
            assert put(text, index, "") == own.delete(index).columns[0]
    assert (edits("kitten", "sitting"), edits("", "abc"), edits("abc", "abc")) == (3, 3, 0)
    assert match_case("fine", "Good") == "Fine"
