"""RanMASK's certificate: its bound by enumeration, no attack contradicts it, and where the paper's beta fails."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_robust.certify import (
    BOUNDS,
    CertifySettings,
    RandomMasking,
    Smoothing,
    certified_radius,
    certify_texts,
    certify_votes,
    kept_words,
    mask_shifts,
)
from hf_robust.lexicons import TableLexicon
from hf_robust.words import Protection, Text

Classifier = Callable[[tuple[str, ...]], int]
M = "[MASK]"


def exact_share(words: tuple[str, ...], kept: int, classify: Classifier, label: int) -> float:
    """The share of ``label`` among all masked texts that keep ``kept`` words."""
    sets = list(itertools.combinations(range(len(words)), kept))
    masked = (tuple(word if index in chosen else M for index, word in enumerate(words)) for chosen in map(set, sets))
    return sum(classify(one) == label for one in masked) / len(sets)


# ---- the draws ----


def test_the_number_of_kept_words_is_the_papers_and_at_least_two() -> None:
    for rate, words in itertools.product((0.1, 0.3, 0.5, 0.7, 0.9), range(60)):
        assert kept_words(words, rate) == max(words - round(rate * words), min(2, words))
    assert kept_words(40, 0.9) == 4 and kept_words(9, 0.0) == 9


def test_draws_depend_on_the_text_and_the_seed_and_change_no_other_character() -> None:
    source, text = RandomMasking(M, 0.5), Text(("A good, good film!", "it's bad"))
    drawn = source.draws(text, 300)
    assert drawn == RandomMasking(M, 0.5).draws(text, 300) != RandomMasking(M, 0.5, seed=1).draws(text, 300)
    assert drawn.total() == 300 and len(drawn) == math.comb(6, 3)
    for first, second in drawn:
        assert (first + second).count(M) == 3 and first.endswith("!") and "," in first
    short = Text(("so good",))
    assert not source.varies(short) and source.draws(short, 7) == Counter({short.columns: 7})


# ---- the bound ----


@pytest.mark.parametrize(("words", "kept"), [(1, 1), (4, 2), (6, 2), (7, 5), (9, 1)])
def test_the_bound_is_the_share_of_draws_that_keep_a_changed_word(words: int, kept: int) -> None:
    draws = list(itertools.combinations(range(words), kept))
    for changed, shift in enumerate(mask_shifts(words, kept)):
        touched = sum(any(index < changed for index in chosen) for chosen in draws) / len(draws)
        assert shift == pytest.approx(touched, abs=1e-12)
        assert shift == pytest.approx(1 - math.comb(words - changed, kept) / math.comb(words, kept), abs=1e-12)


def test_a_long_text_has_a_bound_too() -> None:
    shifts = mask_shifts(5000, 500)
    assert shifts[1] == pytest.approx(0.1) and shifts[6] == pytest.approx(1 - 0.9**6, abs=1e-3) and shifts[-1] == 1
    assert len(shifts) == 5001 and all(first <= second for first, second in itertools.pairwise(shifts))


@given(
    st.lists(st.sampled_from("abc"), min_size=3, max_size=4),
    st.integers(0, 2**32),
    st.sampled_from((0.25, 0.5)),
    st.sampled_from((0.05, 0.5, 0.9)),
)
@settings(max_examples=60, deadline=None)
def test_no_enumerated_attack_contradicts_a_certificate(words: list[str], seed: int, rate: float, skew: float) -> None:
    """A random classifier of three classes over every masked text, and every change to every text of these words."""
    rng, kept = random.Random(seed), kept_words(len(words), rate)
    table: dict[tuple[str, ...], int] = {}

    def classify(text: tuple[str, ...]) -> int:
        return table.setdefault(text, 0 if rng.random() < skew else rng.randrange(3))

    text, shifts = tuple(words), mask_shifts(len(words), kept)
    clean = [exact_share(text, kept, classify, label) for label in range(3)]
    for label, rule in itertools.product(range(3), ("half", "margin")):
        rival = max(clean[other] for other in range(3) if other != label)
        radius = certified_radius(clean[label], rival, shifts, rule)
        for other in itertools.product("abc", repeat=len(words)):
            changed = sum(new != old for new, old in zip(other, text, strict=True))
            now = [exact_share(other, kept, classify, one) for one in range(3)]
            assert abs(now[label] - clean[label]) <= shifts[changed] + 1e-9
            if radius is not None and changed <= radius:
                assert now[label] >= max(now) - 1e-9


def toy(kept: int, share: float) -> tuple[float, float]:
    """The exact shares of class 1 before and after the worst change of one of ten words.

    A draw is of class 1 if it keeps the first word as it was, or if it is one of a ``share`` of the others.
    """
    words = ("good", *(f"w{index}" for index in range(9)))
    others = list(itertools.combinations(range(1, 10), kept))
    chosen = set(others[: round(share * len(others))])

    def classify(masked: tuple[str, ...]) -> int:
        return int(masked[0] == "good" or tuple(index for index, word in enumerate(masked) if word != M) in chosen)

    return exact_share(words, kept, classify, 1), exact_share(("dull", *words[1:]), kept, classify, 1)


def test_certified_votes_are_wrong_as_rarely_as_alpha_says() -> None:
    """Monte Carlo on a toy where the change of one word flips the vote, and the bound is tight."""
    (clean, attacked), shifts, alpha = toy(3, 0.70), mask_shifts(10, 3), 0.1
    assert clean - shifts[1] == pytest.approx(attacked) and 0.49 < attacked < 0.5
    counts = np.random.default_rng(0).binomial(60, clean, 4000)
    for bound in BOUNDS:
        options = CertifySettings(votes=60, alpha=alpha, bound=bound)
        wrong = {k: certify_votes(0, 1, [60 - k, k], shifts, options, 1).certified for k in map(int, set(counts))}
        assert np.mean([wrong[int(k)] for k in counts]) <= alpha
    # A share of votes without a bound would be wrong about every second time.
    assert np.mean(counts / 60 - shifts[1] >= 0.5) > 0.3


def test_the_papers_beta_certifies_what_a_change_of_one_word_contradicts() -> None:
    """Beta is 1 for the first word, and the label's share is 0.9."""
    (clean, attacked), shifts = toy(4, 0.82), mask_shifts(10, 4)
    assert clean > 0.88 and attacked < 0.5
    counts = [round((1 - clean) * 100_000), round(clean * 100_000)]
    sound, papers = (
        certify_votes(0, 1, counts, shifts, CertifySettings(votes=100_000, beta=beta), 1) for beta in ("one", "votes")
    )
    assert (sound.radius, sound.certified) == (0, False)
    assert papers.radius == 1 and papers.certified
    assert papers.slack == pytest.approx(clean * shifts[1], abs=1e-4)


# ---- texts ----


def test_texts_are_certified_for_one_word_and_the_radius_says_for_how_many() -> None:
    def predict(texts: object) -> np.ndarray:
        return np.array([int("bad" not in columns[0]) for columns in texts])  # type: ignore[attr-defined]

    long = "good " + " ".join(f"w{index}" for index in range(29))
    source, options = RandomMasking(M, 0.9), CertifySettings(votes=400)
    one, mixed, short = certify_texts(
        predict, [(long,), (long + " bad",), ("so good",)], [1, 0, 1], source, options, num_labels=2, progress=False
    )
    lower = 0.01 ** (1 / 400)
    expected = max(changed for changed, shift in enumerate(mask_shifts(30, 3)) if lower - shift >= 0.5)
    assert (one.radius, one.certified, one.prediction) == (expected, True, 1) and expected > 3
    assert (mixed.prediction, mixed.radius, mixed.certified) == (1, None, False)
    assert (short.radius, short.certified, short.votes) == (0, False, [0, 400])


def test_protected_words_count_neither_as_masked_nor_as_changed() -> None:
    source, text = RandomMasking(M, 0.5, protection=Protection((), ["film"])), Text(("good film so bad here",))
    assert source.changeable(text) == [0, 2, 3, 4] and source.shifts(text) == mask_shifts(4, 2)
    assert all("film" in columns[0] for columns in source.draws(text, 50))
    assert source.coverage([text]).open_words == 4 and "protected" in source.describe()
    assert source.fingerprint() != RandomMasking(M, 0.5).fingerprint()


def test_what_makes_no_sense_is_refused() -> None:
    for rate in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match=f"must lie between 0 and 1, got {rate:g}"):
            RandomMasking(M, rate)
    with pytest.raises(ValueError, match="needs a tokenizer with a mask token"):
        RandomMasking(None, 0.3)
    for rate, text in ((0.5, "so good"), (0.3, "so good a film it was"), (0.5, "so good it")):
        with pytest.raises(ValueError, match=f"a mask rate of {rate} keeps more than half .* of the 2 texts"):
            RandomMasking(M, rate).require_effect([Text((text,)), Text(("",))])
    RandomMasking(M, 0.5).require_effect([Text(("so good a film",)), Text(("",))])
    with pytest.raises(ValueError, match="beta must be one of one, votes, got 'two'"):
        CertifySettings(beta="two")
    with pytest.raises(ValueError, match="beta votes is the label's own, and rule margin bounds other classes too"):
        CertifySettings(beta="votes", rule="margin")
    table = Smoothing(TableLexicon({"good": ["fine"]}))
    with pytest.raises(ValueError, match="beta votes is for votes over masked words"):
        certify_texts(lambda texts: np.zeros(1), [("good",)], [0], table, CertifySettings(beta="votes"), num_labels=2)
    assert "beta" not in CertifySettings().describe() and CertifySettings(beta="votes").describe()["beta"] == "votes"
