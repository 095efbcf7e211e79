"""A table in two halves without a pair in common: one to train with, one to attack with."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

By = Literal["substitutes", "words"]
Table = dict[str, list[str]]
_Pair = tuple[str, str]


class Halves(NamedTuple):
    """Two tables, and how many pairs (word, substitute) of the whole are in neither."""

    train: Table
    held_out: Table
    left_out: int


def split_table(
    table: Mapping[str, Sequence[str]], share: float = 0.5, seed: int = 0, by: By = "substitutes"
) -> Halves:
    """Divide a table so that no pair of a word and a substitute is in both halves.

    A pair and its reverse stay together: where ``a -> b`` is trained on, ``b -> a`` is no unseen substitution. So do
    its inflections, by Porter's stems (1980): ``walks -> strolls`` is no unseen one after ``walk -> stroll``; stems of
    irregular words ("woke") differ. Rows keep the order of their substitutes. The same table, seed and share give the
    same halves, in whatever order its rows stand.

    Args:
        share: of the unordered pairs of stems, or of the stems, for ``train``.
        by: ``substitutes`` divides the pairs, so that both halves know most words, with other substitutes;
            ``words`` divides the words, so that no word occurs in both halves, as word or as substitute; pairs of a
            word here and a word there are in neither.

    Raises:
        ValueError: there are fewer than two words, ``share`` is no share, or a half would be empty.
    """
    if by not in get_args(By):
        raise ValueError(f"--by must be one of {', '.join(get_args(By))}, got {by!r}.")
    if not 0 < share < 1:
        raise ValueError(f"--share must lie between 0 and 1, got {share:g}; 0.5 makes halves.")
    pairs = [(word, other) for word, others in table.items() for other in others]
    if len(table) < 2 or not pairs:
        raise ValueError(
            f"a table of {len(table)} word{'s' * (len(table) != 1)} cannot be divided; give one with substitutes for "
            "at least two words."
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
    train = _drawn(set(units.values()), share, seed)
    return {pair: unit in train for pair, unit in units.items()}


def _by_words(pairs: Sequence[_Pair], share: float, seed: int) -> dict[_Pair, bool | None]:
    stems = _stems(pairs)
    train = _drawn({(stem,) for stem in stems.values()}, share, seed)
    sides: dict[_Pair, bool | None] = {}
    for pair in pairs:
        first, second = ((stems[word],) in train for word in pair)
        sides[pair] = first if first == second else None
    return sides


def _drawn(units: set[tuple[str, ...]], share: float, seed: int) -> set[tuple[str, ...]]:
    """This share of the units, at least one and not all, whatever order they came in."""
    count = min(max(round(share * len(units)), 1), len(units) - 1)
    return set(random.Random(seed).sample(sorted(units), count))


def _stems(pairs: Sequence[_Pair]) -> dict[str, str]:
    """The stem of each word, without its case."""
    from nltk.stem.porter import PorterStemmer

    stemmer = PorterStemmer()
    return {word: stemmer.stem(word.strip().casefold()) for word in {word for pair in pairs for word in pair}}


def _rows(table: Mapping[str, Sequence[str]], sides: Mapping[_Pair, bool | None], wanted: bool) -> Table:
    rows = {word: [other for other in others if sides[word, other] is wanted] for word, others in table.items()}
    return {word: others for word, others in rows.items() if others}
