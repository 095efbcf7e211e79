"""Generated views: their schedule, the views of an attack's results, and the rows that get them."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Scripted
from tiny import build_model, build_tokenizer, dense_synonyms, pair_rows, review_data, review_rows, table

from hf_robust.attacks import ATTACKS, Example, Resources, Victim, choose_examples
from hf_robust.data import TextDataset
from hf_robust.views import (
    AttackedViews,
    GeneratedViews,
    GenerationContext,
    Refresh,
    SampledViews,
    View,
    ViewedDataset,
    assign_to_rows,
)
from hf_robust.views.attacked import MIN_CHUNK, word_pairs
from hf_robust.words import UNICODE_WORDS, Text

# ---- when ----

bounds = st.none() | st.integers(0, 4)


@given(st.integers(0, 6), st.none() | st.integers(1, 4), bounds)
@settings(max_examples=200, deadline=None)
def test_refresh_is_a_walk_over_the_epochs(first: int, every: int | None, rounds: int | None) -> None:
    policy, newest, due_next = Refresh(first, every, rounds), None, first
    for epoch in range(20):
        done = 0 if newest is None else newest + 1
        due = epoch == due_next and (rounds is None or done < rounds)
        if due:
            newest = done
            due_next = None if every is None else epoch + every
        assert (policy.due(epoch), policy.newest(epoch)) == (due, newest)


# ---- look-up ----

EXAMPLES = [Example(3, ("good film",), 1), Example(5, ("bad plot",), 0), Example(8, ("good film",), 0)]


def view(text: str, ok: bool = True, **known: Any) -> View:
    return View(Text((text,)), ok, (), **known)


def test_a_row_has_the_view_of_its_own_text_and_label() -> None:
    source, rng = GeneratedViews(make=None), random.Random(0)  # type: ignore[arg-type]
    assert source(Text(("good film",)), 1, rng) == View(Text(("good film",)), False, ())
    source.fill({3: view("fine film"), 5: view("poor plot", ok=False)}, EXAMPLES)
    assert source(Text(("good film",)), 1, rng) == view("fine film")
    assert source(Text(("good film",)), 0, rng) == View(Text(("good film",)), False, ())  # idx 8 has none
    assert source.share == 1 / 3 and source.pool == [view("fine film")._replace(label=1)]
    source.fill({8: view("great film")}, EXAMPLES)
    assert source(Text(("good film",)), 1, rng).ok is False  # the former views are gone
    assert source.share == 1 / 3


def test_rows_that_are_alike_share_a_view_and_each_counts() -> None:
    twins = [Example(number, ("good film",), 1) for number in range(3)] + [Example(3, ("bad",), 0)]
    source = GeneratedViews(make=None)  # type: ignore[arg-type]
    source.fill({0: view("one"), 2: view("two")}, twins)
    assert source(Text(("good film",)), 1, random.Random(0)) == view("two")
    assert source.share == 3 / 4 and source.pool == [view("two")._replace(label=1)]


def test_drawn_from_is_uniform_over_the_pool_and_the_row_itself_where_there_is_none() -> None:
    source = GeneratedViews(make=None)  # type: ignore[arg-type]
    drawn, rng = SampledViews(source), random.Random(0)
    assert drawn(Text(("x",)), 0, rng) == View(Text(("x",)), False, ())
    source.fill({3: view("a"), 5: view("b"), 8: view("c", ok=False)}, EXAMPLES)
    counts = [drawn(Text(("x",)), 0, rng).text.columns[0] for _ in range(2000)]
    assert set(counts) == {"a", "b"} and abs(counts.count("a") - 1000) < 90  # four standard deviations


@given(st.integers(0, 12), st.integers(1, 8), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_spread_gives_each_view_a_row_of_its_own_and_its_own_label(made: int, rows: int, seed: int) -> None:
    source = [Example(number, (f"eval {number}",), number % 3) for number in range(made)]
    train = [Example(number, (f"train {number}",), 0) for number in range(rows)]
    views = [(one.idx, view(f"view {one.idx}", ok=one.idx % 4 != 0, pairs=((0, 0),))) for one in source]
    carried = assign_to_rows(views, source, train, seed)
    usable = sum(one.ok for _, one in views)
    assert len(carried) == min(usable, rows) and set(carried) <= {one.idx for one in train}
    numbers = [int(one.text.columns[0].split()[1]) for one in carried.values()]
    assert len(set(numbers)) == len(numbers)
    assert all(
        one.ok and one.label == number % 3 and not one.pairs
        for one, number in zip(carried.values(), numbers, strict=True)
    )
    assert assign_to_rows(views, source, train, seed) == carried


# ---- views of an attack's results ----


@pytest.fixture(scope="module")
def victim() -> Victim:
    return Victim(build_model(), build_tokenizer(), max_length=32)


@pytest.fixture
def place(tmp_path: Path) -> GenerationContext:
    return GenerationContext(tmp_path)


def test_A2T_5_successes_alone_become_views_with_the_label_of_their_row(
    victim: Victim, place: GenerationContext
) -> None:
    examples = choose_examples(review_data(9), 0, 0)
    attack = Scripted({number: ("succeeded", "failed", "skipped")[number % 3] for number in range(9)})
    made = AttackedViews(attack)(victim, examples, place)
    assert [idx for idx, _ in made] == [0, 3, 6] and made.attempts == 9
    texts = [tuple(f"{text} very" for text in examples[idx].texts) for idx, _ in made]
    assert [one.text.columns for _, one in made] == texts
    assert all(one.ok and one.label is None for _, one in made)
    probabilities = victim.probabilities(texts)
    for (_, one), row in zip(made, probabilities, strict=True):
        assert one.soft == pytest.approx(row.tolist(), abs=1e-6)


def test_the_views_of_a_real_attack_are_misclassified_and_name_the_words_that_differ(
    victim: Victim, place: GenerationContext
) -> None:
    examples = choose_examples(review_data(16), 0, 0)
    attack = replace(ATTACKS["synonym"](Resources(synonyms=dense_synonyms())), skip_misclassified=False)
    made = AttackedViews(attack)(victim, examples, place)
    assert made
    for idx, one in made:
        before, after = Text(examples[idx].texts).tokens, one.text.tokens
        assert int(victim.probabilities([one.text.columns])[0].argmax()) != examples[idx].label
        assert [number for number in range(len(before)) if before[number] != after[number]] == sorted(one.changed)
        assert one.pairs == tuple((number, number) for number in sorted(one.changed))


@pytest.mark.parametrize(("wanted", "attempts"), [(3, None), (None, 5), (100, 10), (0, None), (4, 70), (80, 70)])
def test_A2T_1_wanted_and_attempts_bound_the_search(
    wanted: int | None, attempts: int | None, victim: Victim, place: GenerationContext
) -> None:
    examples = choose_examples(review_data(150), 0, 0)
    attack = Scripted({number: "failed" for number in range(150) if number % 3})
    made = AttackedViews(attack, wanted=wanted, attempts=attempts)(victim, examples, place)
    most = 150 if attempts is None else attempts
    assert len(attack.attacked) == len(set(attack.attacked)) == made.attempts <= most
    successes = [idx for idx, _ in made]
    assert all(idx % 3 == 0 for idx in successes)
    if wanted is not None and wanted > 0 and len(successes) == wanted:
        assert made.attempts <= max(wanted * 3, MIN_CHUNK) + MIN_CHUNK  # the attack stops after enough successes
    elif wanted != 0:
        assert made.attempts == most and len(successes) == sum(idx % 3 == 0 for idx in attack.attacked)
    else:
        assert made.attempts == 0 and not successes


def test_the_order_is_drawn_by_seed_and_weights(victim: Victim, tmp_path: Path) -> None:
    examples = choose_examples(review_data(40), 0, 0)

    def chosen(seed: int, weights: int) -> list[int]:
        attack, model = Scripted(), build_model(seed=weights)
        own = Victim(model, build_tokenizer(), max_length=32)
        AttackedViews(attack, attempts=10, seed=seed)(own, examples, GenerationContext(tmp_path / f"{seed}{weights}"))
        return attack.attacked

    first = chosen(0, 0)
    assert set(chosen(0, 0) or first) == set(first)
    assert set(chosen(1, 0)) != set(first) != set(chosen(0, 1))


def test_a_last_chunk_without_any_candidate_does_not_end_the_search(
    victim: Victim, place: GenerationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random.Random, "shuffle", lambda *_: None)  # the row without candidates comes last, alone
    rows = [{"sentence": f"the film was good {number}", "label": 0} for number in range(MIN_CHUNK)]
    examples = choose_examples(review_data(rows=[*rows, {"sentence": "nothing here", "label": 1}]), 0, 0)
    attack = ATTACKS["synonym"](Resources(synonyms=table({"good": ["fine"]}, "synonym"), query_budget=1))
    attack = replace(attack, needs_candidates=True)
    made = AttackedViews(attack, wanted=1)(victim, examples, place)
    assert not made and made.attempts == MIN_CHUNK + 1
    with pytest.raises(ValueError, match="can change nothing: no open word of 1 texts .*; give a table"):
        AttackedViews(attack)(victim, examples[-1:], place)


# ---- pairs of words in both texts ----

WORDS = ["good", "film", "story", "plot"]
news = st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)


@given(st.lists(st.none() | news, min_size=1, max_size=8), st.integers(0, 7), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_pairs_after_deletions_and_insertions(swaps: list[str | None], cut: int, rng: random.Random) -> None:
    """Each word contains its number, so that the words of the split view can be found again."""
    old = [f"w{number}" for number in range(len(swaps))]
    changed = [[number, old[number], new] for number, new in enumerate(swaps) if new is not None]
    pieces = [[old[number]] if new is None else new.split() for number, new in enumerate(swaps)]
    columns = tuple(" ".join(word for piece in part for word in piece) for part in (pieces[:cut], pieces[cut:]))
    expected, position = [], 0
    for number, piece in enumerate(pieces):
        if swaps[number] is not None and len(piece) == 1:
            expected.append((number, position))
        position += len(piece)
    rng.shuffle(changed)
    assert word_pairs(changed, UNICODE_WORDS) == tuple(expected)
    tokens = Text(columns).tokens
    assert all(tokens[second] == swaps[first] for first, second in expected)


# ---- rows of a data set ----


def viewed(one: View, rows: list[dict[str, Any]], tokenizer: Any = None, **options: Any) -> ViewedDataset:
    source = GeneratedViews(make=None, extras=("labels", "soft", "words"))  # type: ignore[arg-type]
    columns = ("sentence",) if "sentence" in rows[0] else ("sentence1", "sentence2")
    settings = {"max_length": 32, **options}
    data = TextDataset(rows, columns, tokenizer or build_tokenizer(), **settings)
    source.fill({0: one}, choose_examples(data, 0, 0))
    return ViewedDataset(data, {"adv": source}, seed=0, mask_token_id=4, num_labels=3)


def words_at(row: dict[str, Any], prefix: str, numbers: str) -> dict[int, list[str]]:
    """Changed word -> its tokens."""
    tokens = build_tokenizer().convert_ids_to_tokens(row[f"{prefix}input_ids"])
    assert len(tokens) == len(row[numbers])
    found: dict[int, list[str]] = {}
    for token, number in zip(tokens, row[numbers], strict=True):
        if number:
            found.setdefault(number, []).append(token)
    return found


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("padding", [False, "max_length"])
def test_words_of_two_pieces_are_aligned(side: str, padding: Any) -> None:
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    rows = [{"sentence": "the picture was very good", "label": 1}]
    # "very" is deleted, so "good" is word 4 here and word 3 there; "picture" and "splendid" are two pieces each.
    one = View(Text(("the film was splendid",)), True, (1, 3, 4), pairs=((1, 1), (4, 3)))
    row = viewed(one, rows, tokenizer, padding=padding)[0]
    assert words_at(row, "", "adv_main_words") == {1: ["pic", "##ture"], 2: ["good"]}
    assert words_at(row, "adv_", "adv_words") == {1: ["film"], 2: ["splen", "##did"]}


def test_both_sentences_of_a_pair() -> None:
    rows = [{"sentence1": "the film was good", "sentence2": "a picture", "label": 2}]
    one = View(Text(("the film was splendid", "a movie")), True, (3, 5), pairs=((3, 3), (5, 5)))
    row = viewed(one, rows)[0]
    assert words_at(row, "", "adv_main_words") == {1: ["good"], 2: ["pic", "##ture"]}
    assert words_at(row, "adv_", "adv_words") == {1: ["splen", "##did"], 2: ["movie"]}


def test_a_word_cut_off_on_either_side_has_no_pair() -> None:
    rows = [{"sentence": "the good film was warm", "label": 0}]
    one = View(Text(("the splendid film was tender",)), True, (1, 4), pairs=((1, 1), (4, 4)))
    assert words_at(viewed(one, rows, max_length=32)[0], "", "adv_main_words") == {1: ["good"], 2: ["warm"]}
    row = viewed(one, rows, max_length=7)[0]  # five tokens: the view ends before "tender"
    assert words_at(row, "", "adv_main_words") == {1: ["good"]}
    assert words_at(row, "adv_", "adv_words") == {1: ["splen", "##did"]}


def test_a_slow_tokenizer_is_refused_where_words_are_aligned() -> None:
    class Slow:
        is_fast = False

        def __init__(self) -> None:
            self.own = build_tokenizer()

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.own(*args, **kwargs)

    one = View(Text(("the movie",)), True, (1,), pairs=((1, 1),))
    with pytest.raises(ValueError, match="aligning words with tokens needs a fast tokenizer, got Slow; load it with"):
        viewed(one, [{"sentence": "the film", "label": 0}], Slow())[0]


def test_labels_and_soft_labels_of_views() -> None:
    rows = review_rows(1)  # label 0
    text = Text(("movie",))
    cases = {
        View(text, True, ()): (0, [1.0, 0.0, 0.0]),
        View(text, True, (), label=2): (2, [0.0, 0.0, 1.0]),
        View(text, True, (), soft=(0.2, 0.5, 0.3)): (0, [0.2, 0.5, 0.3]),
        View(text, True, (), label=1, soft=(0.2, 0.5, 0.3)): (1, [0.2, 0.5, 0.3]),
    }
    for one, (label, soft) in cases.items():
        row = viewed(one, rows)[0]
        assert (row["adv_labels"], row["adv_soft"], row["label"]) == (label, soft, 0)


@pytest.mark.parametrize("padding", [False, "max_length"])
def test_masked_positions_change_exactly_their_ids(padding: Any) -> None:
    rows = [{"sentence": "the good film", "label": 0}]
    plain = viewed(View(Text(("the good film",)), True, ()), rows, padding=padding)[0]
    masked = viewed(View(Text(("the good film",)), True, (), masked=(2,)), rows, padding=padding)[0]
    before, after = plain["adv_input_ids"], masked["adv_input_ids"]
    assert [place for place, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]] == [2]
    assert after[2] == 4 and masked["input_ids"] == plain["input_ids"]


def test_pairs_of_two_sentences_travel_with_their_rows() -> None:
    rows = pair_rows(6)
    data = TextDataset(rows, ("sentence1", "sentence2"), build_tokenizer(), max_length=40)
    source = GeneratedViews(make=None)  # type: ignore[arg-type]
    views = {number: View(Text((f"film {number}", "plot")), True, ()) for number in (1, 4)}
    source.fill(views, choose_examples(data, 0, 0))
    found = ViewedDataset(data, {"adv": source}, seed=0)
    assert [found[number]["adv_ok"] for number in range(6)] == [0, 1, 0, 0, 1, 0]
    assert found[4]["adv_input_ids"] == data.encode(("film 4", "plot"))["input_ids"]
    assert found[0]["adv_input_ids"] == found[0]["input_ids"]


def test_no_examples_no_views(victim: Victim, place: GenerationContext) -> None:
    made = AttackedViews(Scripted())(victim, [], place)
    assert made == [] and made.attempts == 0
