"""Words and the tokens they were cut into."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import build_tokenizer

from hf_robust.words import Text, Word, word_token_positions


def overlapping(words, offsets, sequence_ids):
    """The definition, word by word and token by token."""
    return [
        [
            place
            for place, ((start, end), column) in enumerate(zip(offsets, sequence_ids, strict=True))
            if column == word.column and start < word.end and end > word.start and end > start
        ]
        for word in words
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_pieces_of_a_pair(side):
    tokenizer = build_tokenizer()
    tokenizer.padding_side = side
    text = Text(("a splendid, splendid film", "the dreadful picture."))
    encoding = tokenizer(*text.columns, return_offsets_mapping=True, padding="max_length", max_length=20)
    found = word_token_positions(text.words, encoding["offset_mapping"], encoding.sequence_ids(0))
    pieces = [tokenizer.convert_ids_to_tokens([encoding["input_ids"][place] for place in word]) for word in found]
    assert pieces == [["a"], ["splen", "##did"], ["splen", "##did"], ["film"], ["the"]] + [
        ["dread", "##ful"],
        ["pic", "##ture"],
    ]


def test_truncated_words_have_no_tokens():
    tokenizer, text = build_tokenizer(), Text(("good film was splendid",))
    encoding = tokenizer(*text.columns, return_offsets_mapping=True, truncation=True, max_length=4)
    found = word_token_positions(text.words, encoding["offset_mapping"], encoding.sequence_ids(0))
    assert found == [[1], [2], [], []]


@given(st.data())
def test_alignment_is_overlap(data):
    spans = st.lists(st.integers(0, 30), min_size=2, max_size=12, unique=True).map(sorted)
    words, offsets, columns = [], [(0, 0)], [None]
    for column in (0, 1):
        cuts = data.draw(spans)
        words += [Word("w", column, cuts[i], cuts[i + 1]) for i in range(0, len(cuts) - 1, 2)]
        cuts = data.draw(spans)
        offsets += [*zip(cuts, cuts[1:], strict=False), (0, 0)]
        columns += [column] * (len(cuts) - 1) + [None]
    assert word_token_positions(words, offsets, columns) == overlapping(words, offsets, columns)
