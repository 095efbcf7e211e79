"""Coverage: counted as by hand, over open words alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SYNONYMS, table

from hf_robust.lexicons import TableLexicon, lexicon_coverage, unknown_words
from hf_robust.lexicons.coverage import KNOWN_SHARE, LARGE_TABLE
from hf_robust.metrics import Coverage
from hf_robust.words import Text

WORDS = st.lists(st.sampled_from(["good", "Bad", "film", "the", "unheard", ","]), max_size=6).map(" ".join)


@given(st.lists(st.tuples(WORDS, WORDS), max_size=5))
@settings(max_examples=60, deadline=None)
def test_counts_are_those_of_a_plain_loop(pairs: list[tuple[str, str]]) -> None:
    lexicon, texts = table(SYNONYMS, "synonym"), [Text(pair) for pair in pairs]
    has = [[word.lower() in SYNONYMS for word in text.tokens] for text in texts]
    expected = Coverage(sum(map(len, has)), sum(map(sum, has)), len(texts), sum(map(any, has)))
    assert lexicon_coverage(lexicon, texts) == expected
    every = lexicon_coverage(lexicon, texts, open_words=lambda text: range(len(text.words)))
    assert every == expected


def test_closed_words_do_not_count() -> None:
    texts = [Text(("good film",)), Text(("the good",))]
    found = lexicon_coverage(table(SYNONYMS, "synonym"), texts, open_words=lambda text: {0})
    assert found == Coverage(open_words=2, covered_words=1, texts=2, covered_texts=1)


def test_nothing_is_covered_where_there_is_nothing() -> None:
    empty = lexicon_coverage(table(SYNONYMS, "synonym"), [])
    assert empty == Coverage(0, 0, 0, 0) and "none of the open words" in empty.in_words()


def large_table(known: list[str], relation: str = "synonym") -> TableLexicon:
    words = [*known, *(f"word{number}" for number in range(LARGE_TABLE))]
    return TableLexicon({word: ["other"] for word in words}, relation=relation, source="a large table")


def test_a_large_table_that_lacks_most_content_words_is_of_another_language() -> None:
    # "an", "the" and "12" do not count.
    columns = [("Der Zug kam an, 12 mal und spät",), ("the good film",)]
    words = ["der", "zug", "kam", "mal", "und", "spät", "good", "film"]
    enough = round(KNOWN_SHARE * len(words) + 0.5)
    assert unknown_words(large_table(words[:enough]), columns) == ""
    sentence = unknown_words(large_table(words[: enough - 1]), columns)
    assert sentence.startswith(f"a large table knows only {enough - 1} of {len(words)} words of 2 texts")
    assert "(--language)" in sentence


def test_a_small_table_and_antonyms_say_nothing_of_the_language() -> None:
    columns = [("Der Zug kam spät",)]
    assert unknown_words(large_table([]), columns) != "" == unknown_words(large_table([], "antonym"), columns)
    assert (
        unknown_words(table(SYNONYMS, "synonym"), columns) == ""
        and unknown_words(large_table([]), [("12, the",)]) == ""
    )
