"""Aligns words with token positions."""

from __future__ import annotations

from collections.abc import Sequence

from hf_robust.words.word_rules import Word


def word_token_positions(
    words: Sequence[Word], offsets: Sequence[tuple[int, int]], sequence_ids: Sequence[int | None]
) -> list[list[int]]:
    """For each word, the positions of the tokens that overlap its span.

    Args:
        words: words as in ``Text.words``, sorted by column and position.
        offsets: character span of every token in its column (a fast tokenizer's ``offset_mapping``).
        sequence_ids: column of every token, None for special tokens and padding (``encoding.sequence_ids(i)``).

    Returns:
        One ascending list per word; empty if truncation removed the word. A token that overlaps two words is in both
        lists.
    """
    tokens = [
        (column, start, end, position)
        for position, ((start, end), column) in enumerate(zip(offsets, sequence_ids, strict=True))
        if column is not None and end > start
    ]
    tokens.sort()
    positions_by_word: list[list[int]] = []
    first = 0
    for word in words:
        # Words and tokens are both sorted, so a token that ends before this word overlaps no later word.
        while first < len(tokens) and (tokens[first][0], tokens[first][2]) <= (word.column, word.start):
            first += 1
        positions = []
        for column, start, end, position in tokens[first:]:
            if (column, start) >= (word.column, word.end):
                break
            if column == word.column and end > word.start:
                positions.append(position)
        positions_by_word.append(sorted(positions))
    return positions_by_word
