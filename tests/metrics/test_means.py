"""Means with their intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from hf_robust.metrics import mean_interval


def test_the_interval_is_the_normal_one() -> None:
    values = np.random.default_rng(0).exponential(size=200)
    ends = norm.interval(0.95, loc=values.mean(), scale=values.std(ddof=1) / math.sqrt(200))
    assert mean_interval(values.tolist()) == pytest.approx((values.mean(), *ends))


def test_of_differences_it_is_the_paired_one() -> None:
    """Of paired proportions: variance (b + c - (b - c)^2 / n) / n^2, b and c the discordant counts."""
    b, c, n = 7, 19, 100
    differences = [1.0] * b + [-1.0] * c + [0.0] * (n - b - c)
    found = mean_interval(differences)
    error = math.sqrt((b + c - (b - c) ** 2 / n) / n / (n - 1))
    assert found == pytest.approx((-0.12, -0.12 - 1.959964 * error, -0.12 + 1.959964 * error), rel=1e-5)


def test_too_few_values_have_no_interval() -> None:
    assert all(map(math.isnan, mean_interval([])))
    value, low, high = mean_interval([3.0])
    assert value == 3.0 and math.isnan(low) and math.isnan(high)
