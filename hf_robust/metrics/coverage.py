"""Coverage: the share of words and texts for which a source of substitutes has a substitute."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_robust.metrics.rates import ratio

LITTLE_WORDS, LITTLE_TEXTS = 0.1, 0.4
"""Coverage is little below one of these shares. On SST-2, TREC, SMS spam and SNLI the attacks with WordNet,
counter-fitted neighbours or BAT's own tables cover at least 17 % of the open words and half of the texts; the table of
the demo covers 1 to 6 % of the words and 4 to 45 % of the texts."""
MOST_ROWS = 2000
"""Maximum number of rows of a training set over which coverage is measured."""


@dataclass(frozen=True)
class Coverage:
    """Numbers of words that may change and of texts, and how many of each are covered.

    ``covered_words`` have a substitute; ``covered_texts`` have at least one such word.
    """

    open_words: int
    covered_words: int
    texts: int
    covered_texts: int

    @classmethod
    def of(cls, counts: Iterable[tuple[int, int]]) -> Coverage:
        """Coverage from each text's (number of words with a substitute, number of open words).

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
        """Both shares with their counts, as text."""
        share = f"{100 * ratio(self.covered_words, self.open_words):.1f} %" if self.open_words else "none"
        words = f"{share} of the open words ({self.covered_words:,} of {self.open_words:,})"
        return f"{words} and {self.covered_texts:,} of {self.texts:,} texts"

    def describe(self) -> dict[str, Any]:
        """The entry of the run card, JSON-ready."""
        words = round(ratio(self.covered_words, self.open_words), 6) if self.open_words else 0.0
        return {"words": words, "open_words": self.open_words, "texts": self.covered_texts, "rows": self.texts}


def is_little(words: float, texts: float) -> bool:
    """Whether one of these shares of words and texts is below its limit."""
    return words < LITTLE_WORDS or texts < LITTLE_TEXTS


def coverage_of_card(described: Mapping[str, Any]) -> Coverage | None:
    """Coverage in the run card's description of a lexicon or an attack; None if it has none."""
    noted = described.get("coverage")
    if not isinstance(noted, Mapping):
        return None
    opened, rows = int(noted.get("open_words", 0)), int(noted.get("rows", 0))
    return Coverage(opened, round(float(noted.get("words", 0.0)) * opened), rows, int(noted.get("texts", 0)))


def sampled_rows(count: int, most: int = MOST_ROWS) -> list[int]:
    """Row numbers of a sample of at most ``most`` rows, evenly spread, since data are often sorted.

    >>> sampled_rows(3, 2), sampled_rows(2, 5)
    ([0, 1], [0, 1])
    """
    size = min(count, most)
    return [number * count // size for number in range(size)]


def texts_covered(result: Mapping[str, Any]) -> tuple[int, int] | None:
    """Number of attacked texts with at least one substitute, and number of attacked texts.

    ``result`` holds the numbers of an attack from a history. None if candidates were not counted or no text was
    attacked.

    >>> texts_covered({"covered": 0.36, "num_attacked": 500})
    (180, 500)
    """
    covered, attacked = result.get("covered"), result.get("num_attacked")
    if covered is None or attacked is None or not math.isfinite(covered) or not math.isfinite(attacked):
        return None
    return round(covered * attacked), int(attacked)


def partial_coverage(result: Mapping[str, Any]) -> str:
    """`texts_covered` as text, ``180 of 500``; empty if all texts are covered or nothing is known."""
    counts = texts_covered(result)
    return "" if counts is None or counts[0] == counts[1] else f"{counts[0]:,} of {counts[1]:,}"
