"""Plans: what is proposed, what is kept on disk, and what a damaged file does."""

import json

import pytest
from attack_parts import TableTagger, attack, resources
from tiny import table

from hf_robust.attacks import ATTACKS, Example, Plans
from hf_robust.attacks.engine.plans import make_plan
from hf_robust.words import UNICODE_WORDS

TEXTS = [("The Good film was BAD, bad.",), ("a good, good plot",), ("music",), ("",)]
ROWS = [Example(i, one, 0) for i, one in enumerate(TEXTS)]


def test_plan_of_a_text_by_hand():
    plan = make_plan(attack("synonym", tagger=None), TEXTS[0])
    assert plan.swaps == {
        1: ("Fine", "Great", "Splendid", "Warm"),
        2: ("movie", "picture", "story"),
        4: ("AWFUL", "DREADFUL", "POOR"),
        5: ("awful", "dreadful", "poor"),
    }  # "was" is a stop word


def test_part_of_speech_with_and_without_the_verb_noun_swap():
    def swaps(name):
        words = {"film": ["was", "good", "plot"], "cold": ["film", "warm"]}
        lexicons = {"synonyms": table(words, "synonym"), "antonyms": table(words, "antonym")}
        for lexicon in lexicons.values():
            lexicon.keeps_part_of_speech = False
        return make_plan(ATTACKS[name](resources(**lexicons)), ("cold film",)).swaps

    assert swaps("synonym") == {0: ("warm",), 1: ("was", "plot")}
    assert swaps("antonym") == {0: ("warm",), 1: ("plot",)}


def test_part_of_speech_is_not_asked_where_the_lexicon_keeps_it():
    tagger = TableTagger()
    parts = resources(tagger=tagger)
    parts.synonyms.keeps_part_of_speech = True
    make_plan(ATTACKS["synonym"](parts), TEXTS[0])
    assert tagger.calls == 0


@pytest.mark.parametrize("word", ["New York", "'quoted", "C++", "well-made-", ""])
def test_substitutes_that_would_move_the_words_are_left_out(word):
    assert not UNICODE_WORDS.is_one_word(word)
    which = attack("synonym", synonyms=table({"film": [word, "movie"]} if word else {"film": ["movie"]}, "synonym"))
    assert make_plan(which, ("film",)).swaps == {0: ("movie",)}


def test_a_plan_is_made_once(tmp_path):
    which, tagger = attack("synonym"), TableTagger()
    which.constraints[3].__dict__["tagger"] = tagger
    plans = Plans(tmp_path)
    first = [plans.get(which, row) for row in ROWS]
    calls = tagger.calls
    assert [plans.get(which, row) for row in ROWS] == first and tagger.calls == calls > 0
    plans.save()
    again = Plans(tmp_path)
    assert [again.get(which, row) for row in ROWS] == first and tagger.calls == calls
    assert [path.name for path in tmp_path.iterdir()] == [f"plans-{which.plan_fingerprint()}.json"]


def test_what_two_processes_wrote_is_joined(tmp_path):
    which = attack("synonym")
    one, two = Plans(tmp_path), Plans(tmp_path)
    one.get(which, ROWS[0])
    two.get(which, ROWS[1])
    one.save()
    two.save()
    (path,) = tmp_path.iterdir()
    assert len(json.loads(json.loads(path.read_text())["plans"])) == 2


@pytest.mark.parametrize("damage", ["torn", "edited", "version", "empty", "list"])
def test_a_damaged_file_is_made_anew_with_a_warning(damage, tmp_path, caplog):
    which, plans = attack("synonym"), Plans(tmp_path)
    expected = plans.get(which, ROWS[0])
    plans.save()
    (path,) = tmp_path.iterdir()
    content = path.read_text()
    path.write_text(
        {
            "torn": content[: len(content) // 2],
            "edited": content.replace("Fine", "Fire"),
            "version": content.replace('"version": 2', '"version": 0'),
            "empty": "",
            "list": "[]",
        }[damage]
    )
    again = Plans(tmp_path)
    assert again.get(which, ROWS[0]) == expected
    assert "made anew" in caplog.text
    again.save()
    assert path.read_text() == content


def test_the_fingerprint_follows_the_lexical_parts_alone():
    plain = attack("synonym")
    same = [attack("synonym", query_budget=9), attack("synonym", antonyms=None)]
    other = [
        attack("synonym", tagger=None),
        attack("synonym", frozen_columns=frozenset({0})),
        attack("synonym", synonyms=table({"good": ["fine"]}, "synonym")),
        attack("antonym"),
    ]
    assert {one.plan_fingerprint() for one in same} == {plain.plan_fingerprint()}
    assert plain.fingerprint() != same[0].fingerprint()
    assert len({plain.plan_fingerprint(), *(one.plan_fingerprint() for one in other)}) == 5
    assert json.loads(json.dumps(plain.describe())) == plain.describe()


def test_another_list_of_stop_words_is_another_plan():
    one, other, same = (
        attack("pwws", stop_words=frozenset(words)) for words in (["the", "film"], ["the", "plot"], ["film", "the"])
    )
    assert one.plan_fingerprint() == same.plan_fingerprint() != other.plan_fingerprint()
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    assert [list(make_plan(which, ("film plot",)).swaps) for which in (one, other)] == [[1], [0]]
