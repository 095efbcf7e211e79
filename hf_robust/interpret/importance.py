"""Global word importance: does it depend on the meaning of words or on their frequency?

Chen and Ji, AAAI 2022 (FLAT), compare the importance phi of each word type with its frequency in the training texts,
with the number of its replacements by attacks, and with the importance of its synonyms.
"""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hf_robust.lexicons import Lexicon
from hf_robust.metrics import AttackRecord
from hf_robust.words import UNICODE_WORDS, Text, WordRule


def read_importances(path: str | Path) -> dict[str, float]:
    """Read ``{"word": phi, ...}`` from a JSON file; keys are words or tokens.

    Raises:
        ValueError: there is no such file, it has another form, or a number is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f'--importances {path} is not a file; give a JSON file of {{"word": importance}}.')
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f'--importances {path} is not JSON ({error}); give {{"word": importance}}.') from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f'--importances {path} must be a JSON object {{"word": importance}} with at least one word.')
    for word, value in content.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(
                f"--importances {path}: the importance of {word!r} must be a finite number, got {value!r}."
            )
    return {word: float(value) for word, value in content.items()}


Columns = Iterable[str]


def word_frequency(texts: Iterable[Columns], cased: bool = False, rule: WordRule = UNICODE_WORDS) -> Counter[str]:
    """Count each word by ``rule``, in lower case unless ``cased``, in texts of one or two columns.

    >>> word_frequency([("A good, good film",)])
    Counter({'good': 2, 'a': 1, 'film': 1})
    """
    words = (word for columns in texts for word in Text(tuple(columns), rule).tokens)
    return Counter(words if cased else map(str.lower, words))


def substitution_frequency(
    changes: Iterable[tuple[Columns, Columns]], cased: bool = False, rule: WordRule = UNICODE_WORDS
) -> Counter[str]:
    """Count each word on either side of a replacement, from texts ``(before, after)`` or parts of them.

    A deletion counts only the old word, an insertion only the new one; words that stay are not counted.
    """
    counts: Counter[str] = Counter()
    for before, after in changes:
        old, new = (word_frequency([side], cased, rule) for side in (before, after))
        counts += (old - new) + (new - old)
    return counts


def replaced_words(records: Iterable[AttackRecord]) -> Iterator[tuple[Columns, Columns]]:
    """Old and new words of each replacement in successful attacks."""
    for record in records:
        if record.status == "succeeded":
            yield from (((old,), (new,)) for _, old, new in record.changed)


@dataclass(frozen=True)
class Correlation:
    """Pearson's r over ``words`` word types; nan for fewer than two, or if one side is constant."""

    r: float
    words: int


def frequency_correlation(importances: Mapping[str, float], counts: Mapping[str, int]) -> Correlation:
    """Pearson correlation of importance and count over the words with an importance and a positive count."""
    from scipy.stats import pearsonr

    shared = sorted(word for word in importances if counts.get(word, 0) > 0)
    first, second = [importances[word] for word in shared], [float(counts[word]) for word in shared]
    if len(set(first)) < 2 or len(set(second)) < 2:
        return Correlation(math.nan, len(shared))
    return Correlation(float(pearsonr(first, second).statistic), len(shared))


@dataclass(frozen=True)
class SynonymSpread:
    """Mean and population variance of ``|phi(word) - phi(synonym)|`` over ``pairs`` of a word and a synonym.

    ``random_mean`` and ``random_variance`` are the control with shuffled synonyms. Synonyms have similar importances
    only if the mean is below that of the control. All are nan if no word has a synonym of known importance.
    """

    mean: float
    variance: float
    random_mean: float
    random_variance: float
    words: int
    pairs: int


def synonym_spread(
    importances: Mapping[str, float], synonyms: Lexicon, num_words: int = 1000, num_synonyms: int = 10, seed: int = 0
) -> SynonymSpread:
    """Spread of the importances of synonyms, and of random pairs of words as a control.

    Args:
        importances: phi by word type.
        synonyms: lexicon of synonyms.
        num_words: number of words to draw from those with a synonym of known importance.
        num_synonyms: maximum number of synonyms of each word.
        seed: seed of the drawn words and of the shuffled synonyms.

    Raises:
        ValueError: a number is below 1.
    """
    if num_words < 1 or num_synonyms < 1:
        raise ValueError(f"a spread needs words and synonyms, got num_words {num_words}, num_synonyms {num_synonyms}.")
    known = {
        word: [other.lower() for other in synonyms(word) if other.lower() in importances][:num_synonyms]
        for word in sorted(importances)
    }
    candidates = [word for word, others in known.items() if others]
    chosen, rng = candidates, random.Random(seed)
    if len(candidates) > num_words:
        chosen = sorted(rng.sample(candidates, num_words))
    pairs = [(importances[word], importances[other]) for word in chosen for other in known[word]]
    if not pairs:
        return SynonymSpread(math.nan, math.nan, math.nan, math.nan, 0, 0)
    first, second = np.array(pairs).T
    gaps, control = np.abs(first - second), np.abs(first - rng.sample(list(second), len(second)))
    (mean, variance), (random_mean, random_variance) = ((float(x.mean()), float(x.var())) for x in (gaps, control))
    return SynonymSpread(mean, variance, random_mean, random_variance, len(chosen), len(pairs))
