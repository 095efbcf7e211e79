"""Splits a table into two parts without common pairs, one for training and one for attacks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

SplitBy = Literal["substitutes", "words"]
Table = dict[str, list[str]]
_Pair = tuple[str, str]


class Halves(NamedTuple):
    """Two tables, and the number of pairs (word, substitute) of the original table that are in neither."""

    train: Table
    held_out: Table
    left_out: int


def split_table(
    table: Mapping[str, Sequence[str]], share: float = 0.5, seed: int = 0, by: SplitBy = "substitutes"
) -> Halves:
    """Divide a table so that no pair of a word and a substitute is in both halves.

    A pair and its reverse stay together: if training uses ``a -> b``, then ``b -> a`` is no unseen substitution.
    Inflected forms with the same Porter stems (1980) stay together too: ``walks -> strolls`` is not unseen after
    ``walk -> stroll``. Stems of irregular forms ("woke") differ. Rows keep the order of their substitutes. The result
    depends only on the table, the seed and the share, not on the order of the rows.

    Args:
        share: share for ``train`` of the unordered pairs of stems, or of the stems.
        by: ``substitutes`` divides the pairs, so that both halves contain most words, with different substitutes.
            ``words`` divides the words, so that no word occurs in both halves, as word or as substitute; pairs of
            words from different halves are in neither.

    Raises:
        ValueError: there are fewer than two words, ``share`` is out of range, or a half would be empty.
    """
    if by not in get_args(SplitBy):
        raise ValueError(f"--by must be one of {', '.join(get_args(SplitBy))}, got {by!r}.")
    if not 0 < share < 1:
        raise ValueError(f"--share must lie between 0 and 1, got {share:g}; 0.5 makes halves.")
    pairs = [(word, other) for word, others in table.items() for other in others]
    if len(table) < 2 or not pairs:
        raise ValueError(
            f"a table of {len(table)} word{'s' * (len(table) != 1)} cannot be divided; give a table with substitutes "
            "for at least two words."
        )
    sides = _by_substitutes(pairs, share, seed) if by == "substitutes" else _by_words(pairs, share, seed)
    halves = Halves(_rows(table, sides, True), _rows(table, sides, False), list(sides.values()).count(None))
    for name, half in (("train", halves.train), ("held_out", halves.held_out)):
        if not half:
            raise ValueError(
                f"no pair would be left in {name}: the table has {len(pairs)} pairs; give a larger table, another "
                "--share or --seed, or --by substitutes."
            )
    return halves


def _by_substitutes(pairs: Sequence[_Pair], share: float, seed: int) -> dict[_Pair, bool | None]:
    stems = _stems(pairs)
    units = {pair: tuple(sorted(stems[word] for word in pair)) for pair in pairs}
    train = _sample(set(units.values()), share, seed)
    return {pair: unit in train for pair, unit in units.items()}


def _by_words(pairs: Sequence[_Pair], share: float, seed: int) -> dict[_Pair, bool | None]:
    stems = _stems(pairs)
    train = _sample({(stem,) for stem in stems.values()}, share, seed)
    sides: dict[_Pair, bool | None] = {}
    for pair in pairs:
        first, second = ((stems[word],) in train for word in pair)
        sides[pair] = first if first == second else None
    return sides


def _sample(units: set[tuple[str, ...]], share: float, seed: int) -> set[tuple[str, ...]]:
    """A random sample of this share of the units, at least one and not all; independent of their order."""
    count = min(max(round(share * len(units)), 1), len(units) - 1)
    return set(random.Random(seed).sample(sorted(units), count))


def _stems(pairs: Sequence[_Pair]) -> dict[str, str]:
    """The case-folded stem of each word."""
    from nltk.stem.porter import PorterStemmer

    stemmer = PorterStemmer()
    return {word: stemmer.stem(word.strip().casefold()) for word in {word for pair in pairs for word in pair}}


def _rows(table: Mapping[str, Sequence[str]], sides: Mapping[_Pair, bool | None], wanted: bool) -> Table:
    rows = {word: [other for other in others if sides[word, other] is wanted] for word, others in table.items()}
    return {word: others for word, others in rows.items() if others}
