"""Distances of word vectors as a constraint, against their formulas."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.parts.word_distance import WordDistance, WordVectors, load_word_vectors
from hf_robust.words import Text

WORDS = ["good", "fine", "bad", "film"]
NUMBERS = np.array([[1, 0], [0.8, 0.6], [-1, 0.1], [0, 0]], dtype=np.float32)
VECTORS = WordVectors(WORDS, NUMBERS, "test")


def admitted(rule, current, drafts, original=None):
    steps = rule.keeps(original or current, current, drafts)
    with pytest.raises(StopIteration) as end:
        next(steps)
    return end.value.value


@given(st.sampled_from(WORDS), st.sampled_from(WORDS), st.floats(-1, 1), st.floats(0, 5))
def test_near_is_the_formula(word, other, cosine, error):
    a, b = NUMBERS[WORDS.index(word)].astype(float), NUMBERS[WORDS.index(other)].astype(float)
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    if lengths and abs(a @ b / lengths - cosine) > 1e-6:
        assert WordDistance(VECTORS, min_cosine=cosine).near(word, other) == (a @ b / lengths >= cosine)
    if abs(((a - b) ** 2).sum() - error) > 1e-6:
        assert WordDistance(VECTORS, max_squared_error=error).near(word, other) == (((a - b) ** 2).sum() <= error)


def test_words_are_compared_in_lower_case_and_unknown_ones_pass():
    rule = WordDistance(VECTORS, max_squared_error=0.5)
    assert rule.near("GOOD", "Fine") and not rule.near("good", "BAD")
    assert rule.near("good", "splendid") and rule.near("splendid", "bad")


def test_only_words_of_the_last_swap_count_against_the_text_before_or_the_original():
    clean = Draft(Text(("bad film",)))
    current = clean.swap(0, "good")
    drafts = [current.swap(0, "fine"), current.swap(0, "bad"), current.swap(1, "music")]
    previous = WordDistance(VECTORS, max_squared_error=0.5, reference="previous")
    original = WordDistance(VECTORS, max_squared_error=0.5)
    assert admitted(previous, current, drafts, clean) == [drafts[0], drafts[2]]
    assert admitted(original, current, drafts, clean) == [drafts[1], drafts[2]]


def test_every_word_of_a_crossed_text_must_be_near():
    clean = Draft(Text(("good good film",)))
    far, near = clean.swap_many({0: "fine", 1: "bad"}), clean.swap_many({0: "fine", 1: "fine"})
    assert admitted(WordDistance(VECTORS, max_squared_error=0.5), clean, [far, near]) == [near]


def test_a_word_beyond_the_reference_fails():
    clean = Draft(Text(("good",)))
    longer = clean.swap(0, "good unknown")
    assert admitted(WordDistance(VECTORS, max_squared_error=9.0), clean, [longer]) == []


def test_the_fingerprint_follows_the_numbers_and_not_the_name(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("".join(f"{word} {a} {b}\n" for word, (a, b) in zip(WORDS, NUMBERS, strict=True)))
    loaded = load_word_vectors(path)
    assert loaded.fingerprint() == VECTORS.fingerprint() and loaded.name == str(path) and len(loaded) == 4
    assert WordVectors(WORDS, NUMBERS + 1, "test").fingerprint() != VECTORS.fingerprint()
    rule = WordDistance(loaded, min_cosine=0.5)
    assert rule.fingerprint() == VECTORS.fingerprint()
    assert rule.describe() == {
        "name": "word_distance",
        "vectors": str(path),
        "min_cosine": 0.5,
        "max_squared_error": None,
        "reference": "original",
    }


def test_settings_that_say_too_little_or_too_much_are_refused():
    with pytest.raises(ValueError, match="either min_cosine or max_squared_error, got None and None"):
        WordDistance(VECTORS)
    with pytest.raises(ValueError, match="got 0.5 and 0.5"):
        WordDistance(VECTORS, min_cosine=0.5, max_squared_error=0.5)
    with pytest.raises(ValueError, match="previous, original, got 'clean'"):
        WordDistance(VECTORS, min_cosine=0.5, reference="clean")
