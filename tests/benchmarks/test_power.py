"""Numbers of rows and seeds: against closed formulas, and against how often simulated studies see the effect."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study.paired import HOLDS, verdict
from benchmarks.study.power import (
    MOST_SEEDS,
    POWER,
    Size,
    Variance,
    linear_parts,
    needed,
    robust_parts,
    variance_of,
    visible,
)
from hf_robust.metrics import paired_difference
from hf_robust.metrics.paired import POINTS, rates, robust

Z = NormalDist().inv_cdf


@pytest.mark.parametrize(("gained", "lost"), [(0.15, 0.10), (0.30, 0.10), (0.08, 0.0)])
def test_one_seed_is_the_size_of_mcnemars_test(gained: float, lost: float) -> None:
    """Connor 1987 without the null's larger variance: N = (z + z')^2 (b + c - (b - c)^2) / (b - c)^2."""
    effect = gained - lost
    spread = gained + lost - effect**2
    found = needed(Variance(None, POINTS**2 * spread, None), POINTS * effect, Size(10**6, 1))
    assert found == Size(math.ceil((Z(0.975) + Z(0.8)) ** 2 * spread / effect**2), 1)


def test_seeds_alone_are_the_size_of_a_z_test_of_means() -> None:
    """Without any spread over rows: S = (z + z')^2 tau^2 / delta^2."""
    found = needed(Variance(9.0, 0.0, 0.0), 4.0, Size(400, 1))
    assert found == Size(400, math.ceil((Z(0.975) + Z(0.8)) ** 2 * 9 / 16))


def test_between_two_limits_half_of_the_risk_is_left_to_each() -> None:
    one, two = (needed(Variance(None, 2500.0, None), 5.0, Size(10**6, 1), sides=sides) for sides in (1, 2))
    assert one is not None and two is not None
    assert two.rows / one.rows == pytest.approx((Z(0.975) + Z(0.9)) ** 2 / (Z(0.975) + Z(0.8)) ** 2, rel=0.01)


positive = st.floats(0.5, 500)


@given(st.floats(0, 30), positive, positive, st.floats(0.5, 30), st.integers(10, 5000), st.integers(1, 5))
def test_the_size_is_enough_and_not_too_large(
    between: float, over_rows: float, left: float, effect: float, rows: int, seeds: int
) -> None:
    variance, size = Variance(between, over_rows, left), Size(rows, seeds)
    found = needed(variance, effect, size)
    assert found is not None and found.seeds >= seeds
    assert visible(variance, found) <= effect * (1 + 1e-9)
    smaller = Size(found.rows, found.seeds - 1) if seeds < found.seeds <= MOST_SEEDS else None
    if smaller and found.rows == rows:
        assert visible(variance, smaller) > effect
    elif found.rows > 1:
        assert visible(variance, Size(found.rows - 1, found.seeds)) > effect * (1 - 1e-9)


def test_no_distance_has_no_size_and_what_is_not_known_counts_as_nothing() -> None:
    assert needed(Variance(1.0, 1.0, 1.0), 0.0, Size(100, 1)) is None
    assert Variance(None, 80.0, None).of_mean(10, 2) == Variance(0.0, 80.0, 0.0).of_mean(10, 2) == 8.0
    assert Variance(-3.0, 80.0, 0.0).of_mean(10, 2) == 8.0  # an estimate below 0


def test_rates_are_the_means_of_their_linear_parts() -> None:
    generator = np.random.default_rng(0)
    outcomes = generator.integers(0, 2, size=(3, 50)).astype(float)
    outcomes[generator.random((3, 50)) < 0.3] = np.nan
    assert linear_parts(outcomes).mean(axis=1) == pytest.approx(POINTS * rates(outcomes))
    assert robust_parts(outcomes).mean(axis=1) == pytest.approx(POINTS * robust(outcomes))
    assert np.isfinite(linear_parts(np.full((1, 4), np.nan))).all()


def test_the_linear_parts_have_the_variance_of_the_bootstrap() -> None:
    generator = np.random.default_rng(1)
    base, other = (generator.integers(0, 2, size=(1, 400)).astype(float) for _ in range(2))
    base[:, :80] = other[:, 40:120] = np.nan
    found = paired_difference(base, other, rates)
    expected = Z(0.975) * variance_of(linear_parts(other) - linear_parts(base)).of_mean(400, 1) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.05)


def simulated(generator: np.random.Generator, size: Size, variance: Variance, effect: float) -> np.ndarray:
    between, over_rows, left = (math.sqrt(value or 0.0) for value in (variance.seeds, variance.rows, variance.both))
    differences: np.ndarray = (
        effect
        + between * generator.standard_normal((size.seeds, 1))
        + over_rows * generator.standard_normal((1, size.rows))
        + left * generator.standard_normal((size.seeds, size.rows))
    )
    return differences


def test_the_mean_squares_find_the_variances() -> None:
    true, generator = Variance(4.0, 900.0, 2500.0), np.random.default_rng(2)
    found = [variance_of(simulated(generator, Size(300, 4), true, 3.0)) for _ in range(400)]
    for name in ("seeds", "rows", "both"):
        mean = float(np.mean([getattr(one, name) for one in found]))
        assert mean == pytest.approx(getattr(true, name), rel=0.15), name
    assert variance_of(simulated(generator, Size(300, 1), true, 3.0)).seeds is None


def test_simulated_studies_of_this_size_see_the_effect_in_four_of_five() -> None:
    """Gaussian seeds, rows and rest: the mean lies 1.96 standard errors above 0 with the promised power."""
    variance, generator = Variance(4.0, 900.0, 2500.0), np.random.default_rng(3)
    size = needed(variance, 3.0, Size(400, 2))
    assert size is not None
    error = variance.of_mean(size.rows, size.seeds) ** 0.5
    seen = [simulated(generator, size, variance, 3.0).mean() > Z(0.975) * error for _ in range(1500)]
    assert np.mean(seen) == pytest.approx(POWER, abs=0.035)


def test_simulated_attacks_of_this_size_hold_in_four_of_five() -> None:
    """Paired outcomes of 0 and 1 and the bootstrap interval that the checks use."""
    generator, gained, lost = np.random.default_rng(4), 0.16, 0.08
    effect = POINTS * (gained - lost)
    size = needed(Variance(None, POINTS**2 * (gained + lost - (gained - lost) ** 2), None), effect, Size(10**6, 1))
    assert size is not None and 200 < size.rows < 350
    held = 0
    for _ in range(300):
        cell = generator.choice(4, size=(1, size.rows), p=[gained, lost, 0.3, 1 - gained - lost - 0.3])
        base, other = np.where((cell == 0) | (cell == 2), 1.0, 0.0), np.where((cell == 1) | (cell == 2), 1.0, 0.0)
        held += verdict(paired_difference(base, other, robust), above=0.0) == HOLDS
    assert held / 300 == pytest.approx(POWER, abs=0.07)


def test_settings_that_hardly_differed_do_not_make_an_effect_cheap() -> None:
    """With a difference of 8 points at least 8 % of the outcomes differ, whatever was measured without one."""
    alike = Variance(1.0, 30.0, 10.0).for_effect(8.0)
    assert alike.rows + (alike.both or 0.0) == pytest.approx(8 * 92) and alike.rows == pytest.approx(3 * 8 * 92 / 4)
    assert Variance(1.0, 0.0, None).for_effect(-8.0) == Variance(1.0, 8.0 * 92, None)
    assert Variance(1.0, 900.0, 10.0).for_effect(8.0) == Variance(1.0, 900.0, 10.0)
