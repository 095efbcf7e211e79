"""Global word importance against word counts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from interpret.interpret_parts import record
from tiny import table

from hf_robust.interpret import (
    frequency_correlation,
    read_importances,
    replaced_words,
    substitution_frequency,
    synonym_spread,
    word_frequency,
)


def test_both_sides_of_each_replacement_are_counted() -> None:
    records = [
        record("a good film", "a fine movie", [[1, "good", "fine"], [2, "film", "movie"]]),
        record("Good", "fine", [[0, "Good", "fine"]]),
        record("bad", "poor", [[0, "bad", "poor"]], "failed"),
        record("a film", "a", [[1, "film", ""]]),
        record("a film", "a very film", [[0, "a", "a very"]]),
    ]
    found = substitution_frequency(replaced_words(records))
    assert found == {"good": 2, "fine": 2, "film": 2, "movie": 1, "very": 1}
    cased = substitution_frequency(replaced_words(records), cased=True)
    assert cased == {"good": 1, "Good": 1, "fine": 2, "film": 2, "movie": 1, "very": 1}


def test_words_are_counted_in_lower_case_unless_it_matters() -> None:
    texts = [("A good, GOOD film",), ("a", "film")]
    assert word_frequency(texts) == {"a": 2, "good": 2, "film": 2}
    assert word_frequency(texts, cased=True) == {"A": 1, "a": 1, "good": 1, "GOOD": 1, "film": 2}


def test_correlation_is_pearsons_over_shared_words() -> None:
    phi = {"a": 0.1, "b": 0.5, "c": 0.9, "unseen": 7.0, "never": 5.0}
    counts = {"a": 10, "b": 3, "c": 4, "other": 99, "never": 0}
    found = frequency_correlation(phi, counts)
    assert found.words == 3 and found.r == pytest.approx(np.corrcoef([0.1, 0.5, 0.9], [10, 3, 4])[0, 1])
    assert math.isnan(frequency_correlation({"a": 1.0}, {"a": 2}).r)
    assert math.isnan(frequency_correlation({"a": 1.0, "b": 2.0}, {"a": 2, "b": 2}).r)


def test_spread_within_synonyms() -> None:
    phi = {"good": 0.5, "fine": 0.4, "great": 0.9, "bad": 0.2, "alone": 1.0}
    lexicon = table({"good": ["fine", "splendid", "great"], "bad": ["awful"], "Fine": ["Good"]}, "synonym")
    found = synonym_spread(phi, lexicon)
    gaps = [0.1, 0.4, 0.1]  # good: fine, great; fine: good; "splendid" and "awful" are not known
    assert (found.words, found.pairs) == (2, 3)
    assert found.mean == pytest.approx(np.mean(gaps)) and found.variance == pytest.approx(np.var(gaps))
    first = synonym_spread(phi, lexicon, num_words=1, num_synonyms=1)
    assert (first.words, first.pairs) == (1, 1) and first == synonym_spread(phi, lexicon, 1, 1)
    assert math.isnan(synonym_spread({"alone": 1.0}, lexicon).variance)
    with pytest.raises(ValueError, match="got num_words 0"):
        synonym_spread(phi, lexicon, num_words=0)


def test_spread_of_synonyms_against_that_of_shuffled_pairs() -> None:
    """Synonyms of equal importance have no spread; shuffled ones have the spread of two random draws."""
    groups = [[f"word{group}of{number}" for number in range(20)] for group in range(30)]
    phi = {word: group / 29 for group, words in enumerate(groups) for word in words}
    lexicon = table(
        {word: [other for other in words if other != word] for words in groups for word in words}, "synonym"
    )
    found = synonym_spread(phi, lexicon)
    assert found.mean == found.variance == 0.0 and found.pairs == 6000
    values = np.arange(30) / 29
    gaps = np.abs(values[:, None] - values)
    assert found.random_mean == pytest.approx(gaps.mean(), rel=0.05)
    assert found.random_variance == pytest.approx(gaps.var(), rel=0.1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "must be a JSON object"),
        ("{}", "with at least one word"),
        ("{", "is not JSON"),
        ('{"good": "high"}', "importance of 'good' must be a finite number, got 'high'"),
        ('{"good": NaN}', "must be a finite number, got nan"),
        ('{"good": true}', "must be a finite number, got True"),
    ],
)
def test_files_that_hold_no_importances(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "word_importances.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_importances(path)


def test_importances_are_read(tmp_path: Path) -> None:
    path = tmp_path / "word_importances.json"
    path.write_text(json.dumps({"Good": 1, "bad": 0.5}))
    assert read_importances(path) == {"Good": 1.0, "bad": 0.5}
    with pytest.raises(ValueError, match=r"none.json is not a file; give a JSON file of {\"word\": importance}"):
        read_importances(tmp_path / "none.json")
