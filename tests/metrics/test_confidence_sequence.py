"""The confidence sequence: coverage in simulation, its formula by numerical integration, and when it stops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from hf_robust.metrics import ConfidenceSequence, wilson_interval

RUNS, DRAWS = 2_000, 800
LIMIT = math.log(20)
RATES = (0.02, 0.1, 0.5, 0.73)


def paths(rate: float, seed: int = 0) -> np.ndarray:
    """Numbers of successes [runs, draws] after each draw."""
    return (np.random.default_rng(seed).random((RUNS, DRAWS)) < rate).cumsum(axis=1)


def paths_without_replacement(rate: float, rows: int) -> np.ndarray:
    """The same for the rows of a finite set in random order."""
    outcomes = np.arange(rows) < round(rate * rows)
    return np.random.default_rng(1).permuted(np.tile(outcomes, (RUNS, 1)), axis=1).cumsum(axis=1)


def left_out(sequence: ConfidenceSequence, successes: np.ndarray, rate: float) -> np.ndarray:
    """Whether the interval leaves the true rate out [runs, draws]; it does exactly if the evidence is at its limit."""
    return np.asarray(sequence.log_evidence(successes, np.arange(1, successes.shape[1] + 1), rate)) >= LIMIT


@pytest.mark.parametrize("width", [0.03, 0.1])
@pytest.mark.parametrize("rate", RATES)
def test_all_intervals_of_a_run_cover_the_rate_together(rate: float, width: float) -> None:
    # Somebody who stops as soon as an interval leaves the rate out fails exactly in these runs.
    assert left_out(ConfidenceSequence(width), paths(rate), rate).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize("rate", RATES)
def test_all_intervals_cover_the_mean_of_a_finite_set(rate: float) -> None:
    successes, rows = paths_without_replacement(rate, 500), 500
    assert left_out(ConfidenceSequence(0.1), successes, successes[0, -1] / rows).any(axis=1).mean() <= 0.05


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_wilson_intervals_do_not_cover_together(rate: float) -> None:
    # The reason for the sequence: the interval of a fixed number of draws fails somebody who looks after each draw.
    successes, draws = paths(rate), np.arange(1, DRAWS + 1)
    z = stats.norm.ppf(0.975)
    outside = np.abs(successes / draws - rate) > z * np.sqrt(rate * (1 - rate) / draws)
    assert outside[:, 30:].any(axis=1).mean() > 0.15


@pytest.mark.parametrize("rate", [0.05, 0.4])
def test_the_interval_at_which_it_stops_covers_the_rate(rate: float) -> None:
    sequence, runs = ConfidenceSequence(0.2), paths(rate)[:300]
    looks = list(sequence.looks(DRAWS))
    kept = []
    for run in runs:
        stop = next(look for look in looks if sequence.is_reached(int(run[look - 1]), look))
        low, high = sequence.interval(int(run[stop - 1]), stop)
        kept.append(low <= rate <= high)
    assert np.mean(kept) >= 0.95


@pytest.mark.parametrize(("successes", "total", "rate"), [(3, 20, 0.1), (0, 15, 0.3), (40, 60, 0.5), (9, 9, 0.9)])
def test_the_evidence_is_the_mixed_likelihood_ratio(successes: int, total: int, rate: float) -> None:
    sequence = ConfidenceSequence(0.2)
    prior = stats.beta(sequence.precision * rate, sequence.precision * (1 - rate))

    def likelihood(p: float) -> float:
        return float(p**successes * (1 - p) ** (total - successes))

    mixed, _ = integrate.quad(lambda p: likelihood(p) * prior.pdf(p), 0, 1)
    assert math.exp(sequence.log_evidence(successes, total, rate)) == pytest.approx(mixed / likelihood(rate), rel=1e-5)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.03, 0.1, 0.3]))
def test_the_bounds_are_where_the_evidence_reaches_its_limit(total: int, share: float, width: float) -> None:
    sequence, successes = ConfidenceSequence(width), round(share * total)
    low, high = sequence.interval(successes, total)
    assert 0 <= low <= successes / total <= high <= 1
    mirrored = sequence.interval(total - successes, total)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
    for bound, inward in ((low, 1e-7), (high, -1e-7)):
        if 0 < bound < 1 and abs(bound - successes / total) > 1e-6:
            assert sequence.log_evidence(successes, total, bound) >= LIMIT - 1e-9
            assert sequence.log_evidence(successes, total, bound + inward) < LIMIT


def test_more_rows_give_a_narrower_interval_that_is_wider_than_wilsons() -> None:
    sequence = ConfidenceSequence(0.05)
    widths = [np.diff(sequence.interval(total // 5, total))[0] for total in (50, 500, 5_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] > np.diff(wilson_interval(100, 500))[0]


def test_the_rows_that_it_takes() -> None:
    sequence = ConfidenceSequence(0.1)
    for rate in (0.0, 0.1, 0.5):
        rows = sequence.rows(rate)
        assert sequence.is_reached(round(rate * rows), rows) and not sequence.is_reached(
            round(rate * (rows - 1)), rows - 1
        )
    assert sequence.rows(0.0) < sequence.rows(0.1) < sequence.rows(0.5)
    looks = list(sequence.looks(872))
    assert looks[0] == sequence.rows(0.0) and looks[-1] == 872 and looks == sorted(set(looks))
    assert list(sequence.looks(5)) == [5]


def test_what_it_cannot_be() -> None:
    assert all(map(math.isnan, ConfidenceSequence(0.1).interval(0, 0)))
    with pytest.raises(ValueError, match="0 <= successes <= total, got 3 of 2"):
        ConfidenceSequence(0.1).interval(3, 2)
    for width, confidence in ((0.0, 0.95), (1.0, 0.95), (0.1, 1.0)):
        with pytest.raises(ValueError, match="inside \\(0, 1\\)"):
            ConfidenceSequence(width, confidence)
