"""Draws and overlaps: one table for both, sound for every table, by enumeration of a small language."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_robust.certify import Smoothing, certified_radius, swap_shifts
from hf_robust.lexicons import PerturbationSets, TableLexicon, equal_draws, load_lexicon, substitution_sets
from hf_robust.metrics import Coverage
from hf_robust.words import Protection, Text

Columns = tuple[str, ...]
Classifier = Callable[[str], int]


def smoothing(table: dict[str, list[str]], seed: int = 0, neighbours: dict[str, list[str]] | None = None) -> Smoothing:
    return Smoothing(TableLexicon(table), seed, None if neighbours is None else TableLexicon(neighbours))


def shares(source: Smoothing, text: Text, classify: Classifier, num_labels: int) -> list[float]:
    """The exact share of each class over all draws of ``text``."""
    found = [0.0] * num_labels
    closed = source.protection.closed(text) if source.protection else ()
    words = enumerate(text.tokens)
    options = [[word] if index in closed else equal_draws(source.lexicon, word) for index, word in words]
    for drawn in itertools.product(*options):
        found[classify(" ".join(drawn))] += 1 / math.prod(map(len, options))
    return found


def attacked(source: Smoothing, text: Text, most: int) -> Iterator[tuple[int, Text]]:
    """Every text that differs from ``text`` by swaps of at most ``most`` words, and how many."""
    options = [[word, *source.neighbours(word)] for word in text.tokens]
    for words in itertools.product(*options):
        swapped = sum(new != old for new, old in zip(words, text.tokens, strict=True))
        if swapped <= most:
            yield swapped, Text((" ".join(words),))


# ---- draws ----


def test_a_draw_depends_on_seed_text_and_number_alone() -> None:
    table = {"good": ["fine", "great", "nice"], "film": ["movie", "picture"]}
    text = Text(("a good film, a Good film",))
    drawn = [smoothing(table).sample(text, number) for number in range(200)]
    again = smoothing(table)
    assert [again.sample(text, number) for number in reversed(range(200))] == drawn[::-1]
    assert len(set(drawn)) > 50
    assert [smoothing(table, 1).sample(text, number) for number in range(200)] != drawn
    other = Text(("a good film, a Good film.",))
    assert [smoothing(table).sample(other, number).columns[0][:-1] for number in range(200)] != drawn


def test_draws_are_uniform_over_the_word_and_its_substitutes() -> None:
    source, text = smoothing({"good": ["fine", "FINE", "nice"]}), Text(("good",))
    counts = Counter(source.sample(text, number).columns[0] for number in range(4000))
    # "fine" and "FINE" are the same string in the case of "good", so it is drawn twice as often.
    assert equal_draws(source.lexicon, "good") == ["good", "fine", "fine", "nice"]
    assert set(counts) == {"good", "fine", "nice"}
    for word, share in (("good", 0.25), ("fine", 0.5), ("nice", 0.25)):
        assert counts[word] / 4000 == pytest.approx(share, abs=0.03)


def test_both_columns_of_a_pair_are_drawn() -> None:
    source = smoothing({"good": ["fine"], "bad": ["poor"]})
    drawn = {source.sample(Text(("good", "bad")), number).columns for number in range(60)}
    assert drawn == set(itertools.product(("good", "fine"), ("bad", "poor")))


# ---- overlaps ----


def test_the_overlap_of_equal_sets_is_the_papers_share() -> None:
    table = {"a": ["b", "c"], "b": ["a", "c"], "c": ["a", "d"], "d": ["c", "e"], "e": ["d", "c"]}
    found = smoothing(table)
    # P_a = P_b = {a, b, c}; P_c = {a, c, d} shares two of three with each.
    assert found.overlap("b") == pytest.approx(2 / 3)
    assert found.overlap("a") == pytest.approx(2 / 3)
    assert found.slacks(Text(("b unknown a",))) == [pytest.approx(1 / 3), 0.0, pytest.approx(1 / 3)]
    assert found.changeable(Text(("b unknown a",))) == [0, 2]


def test_whole_components_cost_nothing() -> None:
    parts = PerturbationSets(
        sets={word: ["a", "b", "c"] for word in "abc"}, neighbours={"a": ["b"], "b": ["a", "c"], "c": ["b"]},
        divided=frozenset(),
    )  # fmt: skip
    text = Text(("a b c",))
    assert smoothing(parts.table()).slacks(text) == [0, 0, 0]
    narrow = smoothing(parts.table(), neighbours=parts.neighbours)
    assert narrow.slacks(text) == [0, 0, 0] and narrow.changeable(text) == [0, 1, 2]


def test_an_attacker_of_fewer_words_than_the_vote_costs_less() -> None:
    # A chain whose sets were cut: w and its own neighbours only.
    cut = {"a": ["b", "c"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c", "b"]}
    near = {"a": ["b"], "b": ["a", "c"], "c": ["b", "d"], "d": ["c"]}
    wide, narrow = smoothing(cut), smoothing(cut, neighbours=near)
    assert wide.overlap("a") == pytest.approx(2 / 3) and narrow.overlap("a") == 1
    assert all(narrow.overlap(word) >= wide.overlap(word) for word in cut)
    assert "neighbours" in narrow.describe() and "neighbours" not in wide.describe()
    assert narrow.fingerprint() != wide.fingerprint() != smoothing(cut, 1).fingerprint()


def test_the_papers_denominator_certifies_what_enumeration_contradicts() -> None:
    others = [f"x{number}" for number in range(8)]
    source = smoothing({"w": ["v"], "v": ["w", *others]})
    own, larger = ({word, *source.lexicon(word)} for word in ("w", "v"))
    papers = len(own & larger) / len(own)

    def classify(text: str) -> int:
        return int(text in ("w", "v"))

    lower = shares(source, Text(("w",)), classify, 2)[1]
    assert papers == 1 and certified_radius(lower, 0, swap_shifts([papers]), "half") == 1
    assert shares(source, Text(("v",)), classify, 2)[1] == pytest.approx(0.2)
    assert source.overlap("w") == pytest.approx(0.2)
    assert certified_radius(lower, 0, swap_shifts([source.overlap("w")]), "half") == 0


def test_a_substitute_of_other_words_than_one_shares_nothing() -> None:
    assert smoothing({"town": ["New York", "city"]}).overlap("town") == 0
    assert smoothing({"it": ["'it"]}).overlap("it") == 0
    assert smoothing({"cafe": ["cafe\u0301s"]}).overlap("cafe") == 1 / 2
    assert smoothing({"town": ["well-built", "city"]}).overlap("town") == pytest.approx(1 / 3)


vocabulary = "abc"
tables = st.dictionaries(
    st.sampled_from(vocabulary), st.lists(st.sampled_from(vocabulary), unique=True, max_size=2), max_size=3
)


@given(
    tables,
    st.none() | tables,
    st.lists(st.sampled_from(vocabulary), min_size=1, max_size=3),
    st.integers(2, 3).flatmap(lambda k: st.lists(st.integers(0, k - 1), min_size=39, max_size=39)),
    st.sampled_from(("half", "margin")),
)
@settings(max_examples=80, deadline=None)
def test_no_enumerated_attack_contradicts_a_certificate(
    table: dict[str, list[str]], near: dict[str, list[str]] | None, words: list[str], classes: list[int], rule: str
) -> None:
    source, text, num_labels = smoothing(table, 0, near), Text((" ".join(words),)), max(*classes, 1) + 1
    language = [" ".join(one) for length in (1, 2, 3) for one in itertools.product(vocabulary, repeat=length)]
    classify = dict(zip(language, classes, strict=True)).__getitem__
    clean = shares(source, text, classify, num_labels)
    overlaps = [source.overlap(text.tokens[place]) for place in source.changeable(text)]
    for label in range(num_labels):
        rival = max(share for other, share in enumerate(clean) if other != label)
        radius = certified_radius(clean[label], rival, swap_shifts(overlaps), rule)
        costs = sorted(1 - overlap for overlap in overlaps)[::-1]
        for swapped, changed in attacked(source, text, len(words)):
            now = shares(source, changed, classify, num_labels)
            most = 1 - math.prod(1 - cost for cost in costs[:swapped])
            assert all(abs(new - old) <= most + 1e-9 for new, old in zip(now, clean, strict=True))
            if radius is not None and swapped <= radius:
                assert now[label] >= max(now) - 1e-9


PROTECTED = Protection((), ["b", "c a"])


@given(
    tables,
    st.lists(st.sampled_from(vocabulary), min_size=1, max_size=4),
    st.lists(st.integers(0, 1), min_size=120, max_size=120),
)
@settings(max_examples=80, deadline=None)
def test_a_certificate_holds_against_every_attack_that_leaves_protected_spans_alone(
    table: dict[str, list[str]], words: list[str], classes: list[int]
) -> None:
    source, text = Smoothing(TableLexicon(table), protection=PROTECTED), Text((" ".join(words),))
    language = [" ".join(one) for length in range(1, 5) for one in itertools.product(vocabulary, repeat=length)]
    classify = dict(zip(language, classes, strict=True)).__getitem__
    closed = PROTECTED.closed(text)
    assert not closed & {*source.changeable(text)}
    assert all(slack == 0 for index, slack in enumerate(source.slacks(text)) if index in closed)
    clean = shares(source, text, classify, 2)
    costs = sorted(source.slacks(text))[::-1]
    for swapped, changed in attacked(source, text, len(words)):
        if PROTECTED.strings(changed) == PROTECTED.strings(text) and PROTECTED.closed(changed) == closed:
            now = shares(source, changed, classify, 2)
            most = 1 - math.prod(1 - cost for cost in costs[:swapped])
            assert all(abs(new - old) <= most + 1e-9 for new, old in zip(now, clean, strict=True))


def test_protected_words_are_neither_drawn_nor_attacked() -> None:
    table, text = {"good": ["fine", "nice"], "film": ["movie"]}, Text(("good film, good plot",))
    free = Smoothing(TableLexicon(table))
    source = Smoothing(TableLexicon(table), protection=Protection((), ["film"]))
    drawn = {source.sample(text, number).tokens[1] for number in range(50)}
    assert drawn == {"film"} and source.changeable(text) == [0, 2] and free.changeable(text) == [0, 1, 2]
    assert source.fingerprint() != free.fingerprint()
    assert source.describe()["protected"] == source.protection.describe() and "protected" not in free.describe()
    nothing = Smoothing(TableLexicon(table), protection=Protection((), ["good", "film"]))
    assert not nothing.varies(text) and set(nothing.draws(text, 9)) == {text.columns}
    assert free.coverage([text]) == Coverage(4, 3, 1, 1) and source.coverage([text]) == Coverage(3, 2, 1, 1)


# ---- one table, one tokenisation ----


def test_sampling_and_certificate_share_table_case_and_tokenisation() -> None:
    table = {"good": ["fine"], "fine": ["good"], "i": ["you"], "you": ["i"], "iphone": ["phone"], "phone": ["iphone"]}
    source = smoothing(table)
    text = Text(("It's -GOOD-!!! (Good) film...",))
    assert source.changeable(text) == [1, 2]
    assert source.slacks(text) == [0, 0, 0, 0]
    drawn = {source.sample(text, number).columns[0] for number in range(50)}
    assert drawn == {f"It's -{one}-!!! ({two}) film..." for one in ("GOOD", "FINE") for two in ("Good", "Fine")}
    # "you" takes the place of "I", and gives back "i": one of two strings is shared. So with "iPhone".
    assert source.overlap("I") == source.overlap("iPhone") == pytest.approx(1 / 2)
    assert source.overlap("i") == 1


def test_a_word_that_the_table_lacks_is_never_replaced_and_costs_nothing() -> None:
    source, text = smoothing({"good": ["fine"]}), Text(("unheard of",))
    assert {source.sample(text, number) for number in range(20)} == {text}
    assert source.slacks(text) == [0, 0] and source.changeable(text) == [] and not source.varies(text)


def test_punctuation_is_no_word() -> None:
    source = smoothing({"good": ["fine"], "": ["nothing"]})
    for empty in ("", "...", "- ' --", "?!"):
        text = Text((empty,))
        assert source.slacks(text) == [] and source.sample(text, 0) == text and not source.varies(text)
    assert source.sample(Text(("... good -",)), 0).columns[0] in ("... good -", "... fine -")


def test_a_pickled_table_is_not_opened() -> None:
    with pytest.raises(ValueError, match="not opened because unpickling runs code"):
        load_lexicon("perturbation_constraint_pca0.8_100.pkl")


def test_a_table_that_certifies_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a table in memory is empty"):
        smoothing({}).require_effect([Text(("good",))])
    with pytest.raises(ValueError, match="has no word of the 2 texts"):
        smoothing({"good": ["fine"]}).require_effect([Text(("bad",)), Text(("",))])
    smoothing({"good": ["fine"]}).require_effect([Text(("bad",)), Text(("Good",))])


PIECES = ["do", "did", "n't", "'t", "'re", "they", "not", "'s", "can", "’s"]


@given(
    st.dictionaries(st.sampled_from(PIECES), st.lists(st.sampled_from(PIECES), max_size=3, unique=True), max_size=5),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_the_overlap_of_texts_with_contractions_is_that_of_their_draws(
    table: dict[str, list[str]], words: list[str]
) -> None:
    """Whatever word an attacker swaps, the two votes share at least what the certificate says: parts of contractions
    have no substitutes by what stands beside them, and no swap may change that."""
    source, text = smoothing(table), Text((" ".join(words),))
    for index in source.changeable(text):
        for new in text.substitutes(index, source.lexicon):
            other = text.replace({index: new})
            first, second = (substitution_sets(source.lexicon, one) for one in (text, other))
            assert [i for i in first if i != index] == [i for i in second if i != index]
            assert all(first[i] == second[i] for i in first if i != index)
            a, b = ([one.tokens[index], *sets.get(index, ())] for one, sets in ((text, first), (other, second)))
            shared = sum(min(a.count(w) / len(a), b.count(w) / len(b)) for w in {*a, *b})
            assert shared >= source.overlap(text.tokens[index]) - 1e-9


def test_parts_of_a_contraction_are_not_drawn_and_cost_nothing() -> None:
    table = {"do": ["doing"], "don": ["donated"], "re": ["sos"], "'re": ["'sos"], "they": ["these"], "ca": ["wo"]}
    source = smoothing(table)
    text = Text(("they 're here , do n't , don 't , don’t , ca n't",))
    assert source.changeable(text) == [0] and source.slacks(text) == [pytest.approx(1 / 2)] + [0] * 9
    assert {source.sample(text, number).columns[0].split(" ", 1)[1] for number in range(30)} == {
        "'re here , do n't , don 't , don’t , ca n't"
    }


def test_the_rule_of_the_words_is_part_of_what_a_certificate_is_about() -> None:
    source = smoothing({"good": ["fine"]})
    assert source.describe()["word_rule"] == "unicode" and "unicode" in source.fingerprint()
