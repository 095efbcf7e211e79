"""Plans: what is proposed, what is kept on disk, and what a damaged file does.

What would end an attack later is found before anything is trained.

The rows that are attacked.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from attack_parts import TableTagger, attack, resources
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_model, build_tokenizer, review_data, table

from hf_robust.attacks import ATTACKS, Example, Plans, Victim, check_attack, choose_examples
from hf_robust.attacks.engine.plans import VERSION, make_plan
from hf_robust.attacks.engine.probe import MAX_QUERIES
from hf_robust.runs import balanced_shares
from hf_robust.words import UNICODE_WORDS


def test_examples_are_seeded_rows_of_the_split() -> None:
    data = review_data(20)
    chosen = choose_examples(data, 5, seed=1)
    assert [example.idx for example in chosen] == sorted({example.idx for example in chosen}) and len(chosen) == 5
    assert chosen == choose_examples(data, 5, seed=1) != choose_examples(data, 5, seed=2)
    assert [example.texts for example in chosen] == [data.texts(example.idx) for example in chosen]
    assert [example.label for example in chosen] == [data.label(example.idx) for example in chosen]
    assert len(choose_examples(data, 0, 1)) == len(choose_examples(data, 99, 1)) == 20


def test_a_missing_dataset_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="--attacks needs rows to attack: add --do_eval"):
        choose_examples(None, 5, seed=1)


def of_lengths(lengths: list[int]) -> list[Example]:
    return [Example(7 * index, ("word " * count, "and"), 0) for index, count in enumerate(lengths)]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 9))
def test_shares_part_the_examples_and_are_balanced(lengths: list[int], ranks: int) -> None:
    examples = of_lengths(lengths)
    shares = balanced_shares(examples, ranks)
    assert len(shares) == ranks and shares == balanced_shares(examples, ranks)
    assert sorted(one.idx for share in shares for one in share) == [one.idx for one in examples]
    assert all(share == sorted(share, key=lambda one: one.idx) for share in shares)
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    costs = [sum(lengths[one.idx // 7] + 1 for one in share) for share in shares]
    assert max(costs) - min(costs) <= max([length + 1 for length in lengths], default=0)


def test_shares_follow_a_given_cost() -> None:
    examples = of_lengths([1, 1, 1, 1])
    costs = {0: 10.0, 7: 6.0, 14: 5.0, 21: 1.0}
    shares = balanced_shares(examples, 2, cost=lambda example: costs[example.idx])
    assert [[one.idx for one in share] for share in shares] == [[0, 21], [7, 14]]
    assert balanced_shares(examples, 1) == [examples]


EXAMPLES = [
    Example(0, ("the film was a good and funny one with a great plot and a great cast",), 0),
    Example(1, ("a good film",), 1),
    Example(2, ("the",), 0),
]
OFFLINE = ["synonym", "antonym", "pwws", "textfooler", "deepwordbug", "textbugger", "hotflip", "gradient_mask"]


@pytest.mark.parametrize("name", OFFLINE)
def test_a_first_text_is_really_attacked_and_nothing_is_left_of_it(name: str) -> None:
    model = build_model(dropout=0.1).train()
    victim = Victim(model, build_tokenizer(), max_length=32)
    before, random_state = {key: value.clone() for key, value in model.state_dict().items()}, torch.get_rng_state()
    check_attack(attack(name), victim, Plans(), EXAMPLES)
    assert 1 < victim.queries <= MAX_QUERIES + 1
    assert model.training and torch.equal(random_state, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_labels_that_are_skipped_do_not_spare_the_model_the_attempt() -> None:
    """The text counts as one of the class that the model says, which may be one that is left out."""
    queries = []
    for skipped in (set(), {0}, {1}):
        victim = Victim(build_model(), build_tokenizer(), max_length=32)
        check_attack(replace(attack("synonym"), skip_labels=frozenset(skipped)), victim, Plans(), EXAMPLES)
        queries.append(victim.queries)
    assert min(queries) > 2


def test_a_tokenizer_without_a_mask_token_is_refused() -> None:
    tokenizer = build_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="the gradient_mask attack cannot run on this model: masking tokens needs a "):
        check_attack(attack("gradient_mask"), Victim(build_model(), tokenizer, max_length=32), Plans(), EXAMPLES)


def test_any_other_failure_is_one_sentence_too() -> None:
    def inference(model: Any, batch: Any) -> Any:
        if torch.is_grad_enabled():
            raise NotImplementedError("no derivative")
        return model(**batch)

    victim = Victim(build_model(), build_tokenizer(), max_length=32, inference=inference)
    check_attack(attack("deepwordbug"), victim, Plans(), EXAMPLES)
    with pytest.raises(
        ValueError, match="failed on a first text with NotImplementedError: no derivative; leave the attack out"
    ):
        check_attack(attack("hotflip"), victim, Plans(), EXAMPLES)


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
    assert [path.name for path in tmp_path.iterdir()] == [f"plans-{which.plan_fingerprint()}.jsonl"]


def test_what_two_processes_wrote_is_joined(tmp_path):
    which = attack("synonym")
    one, two = Plans(tmp_path), Plans(tmp_path)
    one.get(which, ROWS[0])
    two.get(which, ROWS[1])
    one.save()
    two.save()
    (path,) = tmp_path.iterdir()
    header, *lines = map(json.loads, path.read_text().splitlines())
    assert header["version"] == VERSION and len({key for key, _ in lines}) == len(lines) == 2
    both = Plans(tmp_path)
    assert [both.get(which, row) for row in ROWS[:2]] == [one.get(which, ROWS[0]), two.get(which, ROWS[1])]


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
            "version": content.replace(f'"version": {VERSION}', '"version": 0'),
            "empty": "",
            "list": "[]",
        }[damage]
    )
    again = Plans(tmp_path)
    assert again.get(which, ROWS[0]) == expected
    assert "computed again" in caplog.text
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
