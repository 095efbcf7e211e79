"""How much of some texts a source of substitutes can change at all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_robust.metrics.rates import ratio

LITTLE_WORDS, LITTLE_TEXTS = 0.1, 0.4
"""A source is said to cover little below one of these shares. On SST-2, TREC, SMS spam and SNLI the attacks that draw
on WordNet, counter-fitted neighbours or BAT's own tables have substitutes for 17 % of the open words or more and in
half of the texts or more; with the demo's table it is 1 to 6 % of the words and 4 to 45 % of the texts."""
MOST_ROWS = 2000
"""Coverage of a training set is that of so many rows at most."""


@dataclass(frozen=True)
class Coverage:
    """Of ``texts`` texts with ``open_words`` words that may change: the words that have a substitute, and the texts
    with such a word."""

    open_words: int
    covered_words: int
    texts: int
    covered_texts: int

    @classmethod
    def of(cls, counts: Iterable[tuple[int, int]]) -> Coverage:
        """From each text's number of words with a substitute and of open words.

        >>> Coverage.of([(2, 10), (0, 5)]).in_words()
        '13.3 % of the open words (2 of 15) and 1 of 2 texts'
        """
        pairs = list(counts)
        covered, opened = (sum(pair[side] for pair in pairs) for side in (0, 1))
        return cls(opened, covered, len(pairs), sum(pair[0] > 0 for pair in pairs))

    @property
    def is_little(self) -> bool:
        """Whether rates under it say little about other substitutes."""
        return is_little(ratio(self.covered_words, self.open_words), ratio(self.covered_texts, self.texts))

    def in_words(self) -> str:
        """Both shares with what they are of."""
        share = f"{100 * ratio(self.covered_words, self.open_words):.1f} %" if self.open_words else "none"
        words = f"{share} of the open words ({self.covered_words:,} of {self.open_words:,})"
        return f"{words} and {self.covered_texts:,} of {self.texts:,} texts"

    def describe(self) -> dict[str, Any]:
        """What the run card says of it; JSON-ready."""
        words = round(ratio(self.covered_words, self.open_words), 6) if self.open_words else 0.0
        return {"words": words, "open_words": self.open_words, "texts": self.covered_texts, "rows": self.texts}


def is_little(words: float, texts: float) -> bool:
    """Whether these shares of words and texts are below what a table of real size covers."""
    return words < LITTLE_WORDS or texts < LITTLE_TEXTS


def coverage_of_card(described: Mapping[str, Any]) -> Coverage | None:
    """The coverage that a run card notes with a lexicon or an attack; None where it notes none."""
    found = described.get("coverage")
    if not isinstance(found, Mapping):
        return None
    opened, rows = int(found.get("open_words", 0)), int(found.get("rows", 0))
    return Coverage(opened, round(float(found.get("words", 0.0)) * opened), rows, int(found.get("texts", 0)))


def sampled_rows(count: int, most: int = MOST_ROWS) -> list[int]:
    """Row numbers of a sample of at most ``most``, evenly spread: data are often sorted.

    >>> sampled_rows(3, 2), sampled_rows(2, 5)
    ([0, 1], [0, 1])
    """
    size = min(count, most)
    return [number * count // size for number in range(size)]


def texts_covered(result: Mapping[str, Any]) -> tuple[int, int] | None:
    """Of the texts that an attack tried those with at least one substitute, and their number.

    ``result`` holds a summary's numbers, as a history does.
    None where candidates were not counted, or nothing was attacked.

    >>> texts_covered({"covered": 0.36, "num_attacked": 500})
    (180, 500)
    """
    covered, attacked = result.get("covered"), result.get("num_attacked")
    if covered is None or attacked is None or not math.isfinite(covered) or not math.isfinite(attacked):
        return None
    return round(covered * attacked), int(attacked)


def partial_coverage(result: Mapping[str, Any]) -> str:
    """``180 of 500``, the same where it is not all of them; else empty."""
    found = texts_covered(result)
    return "" if found is None or found[0] == found[1] else f"{found[0]:,} of {found[1]:,}"
