"""Coverage: counted as by hand, over open words alone."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SYNONYMS, table

from hf_robust.lexicons import lexicon_coverage
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
