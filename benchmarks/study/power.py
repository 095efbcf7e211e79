r"""How many rows and seeds an effect needs, from the variance of paired differences that were measured.

The difference of two settings on row i under seed s is :math:`d_{si} = \delta + a_s + b_i + c_{si}`, with variances
:math:`\tau^2` between seeds, :math:`\beta^2` between rows and :math:`\gamma^2` of what is left (Westfall, Kenny and
Judd 2014, "Statistical power and optimal design in experiments in which samples of participants respond to samples
of stimuli", whose participants are seeds here and whose stimuli are rows). The mean over S seeds and N rows has the
variance

.. math:: \mathrm{Var}(\bar d) = \frac{\tau^2}{S} + \frac{\beta^2}{N} + \frac{\gamma^2}{N S}

and a difference :math:`\Delta` from the limit of a claim is seen with power :math:`1 - \beta` in a two-sided test at
level :math:`\alpha` if :math:`\mathrm{Var}(\bar d) \le \Delta^2 / (z_{1-\alpha/2} + z_{1-\beta})^2` (Cohen 1988).
With one seed and outcomes of 0 and 1 this is the sample size of McNemar's test by Connor (1987).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from hf_robust.metrics.paired import POINTS, Outcomes

LEVEL, POWER = 0.05, 0.80
LEAST = 1e-6
"""Smaller distances from a limit are rounding."""
MOST_SEEDS = 10
"""Seeds up to which more runs are proposed before more rows."""
Z = NormalDist().inv_cdf(1 - LEVEL / 2)


@dataclass(frozen=True)
class Variance:
    """Variances of a paired difference between seeds, between rows, and of both together; None if not known.

    With one seed ``rows`` is the variance over the rows as a whole, since what is left cannot be told apart.
    """

    seeds: float | None
    rows: float
    both: float | None

    def per(self, share: float) -> Variance:
        """The same for rows of which only a ``share`` is counted."""
        return Variance(self.seeds, self.rows * share, None if self.both is None else self.both * share)

    def for_effect(self, effect: float) -> Variance:
        r"""The same, but at least what outcomes of 0 and 1 have whose mean difference is ``effect`` points.

        Their differences are multiples of 100 points, so :math:`E d^2 \ge 100 |\delta|`: settings that hardly differed
        say little about the variance where they would.
        """
        least, whole = max(abs(effect) * (POINTS - abs(effect)), 0.0), self.rows + (self.both or 0.0)
        if whole >= least:
            return self
        if not whole:
            return Variance(self.seeds, least, self.both)
        return Variance(
            self.seeds, self.rows * least / whole, None if self.both is None else self.both * least / whole
        )

    def of_mean(self, rows: int, seeds: int) -> float:
        """Variance of the mean over ``rows`` rows and ``seeds`` seeds; what is not known counts as 0."""
        between, left = max(self.seeds or 0.0, 0.0), self.both or 0.0
        return between / seeds + self.rows / rows + left / (rows * seeds)


def variance_of(differences: Outcomes) -> Variance:
    """Variances of (seeds, rows) differences by the mean squares of the two-way layout without replication.

    The variance between seeds is not cut off at 0, so that its mean over several checks is unbiased.
    """
    seeds, rows = differences.shape
    if rows < 2:
        return Variance(None, 0.0, None)
    if seeds == 1:
        return Variance(None, float(differences.var(ddof=1)), None)
    by_seed, by_row = (differences.mean(axis=axis, keepdims=True) for axis in (1, 0))
    left = ((differences - by_seed - by_row + differences.mean()) ** 2).sum() / ((seeds - 1) * (rows - 1))
    between, across = rows * by_seed.var(ddof=1), seeds * by_row.var(ddof=1)
    return Variance(float((between - left) / rows), float(max(across - left, 0.0) / seeds), float(left))


def linear_parts(outcomes: Outcomes) -> Outcomes:
    r"""(seeds, rows) values whose mean is the rate over the attacked rows, in points: its linear approximation.

    A rate :math:`r = \sum x / \sum a` over the rows with :math:`a = 1` becomes :math:`r + (x - r a) / \bar a`.
    """
    attacked = ~np.isnan(outcomes)
    share = np.maximum(attacked.mean(axis=-1, keepdims=True), 1 / outcomes.shape[-1])
    values = np.where(attacked, outcomes, 0.0)
    rate = values.mean(axis=-1, keepdims=True) / share
    parts: Outcomes = POINTS * (rate + (values - rate * attacked) / share)
    return parts


def robust_parts(outcomes: Outcomes) -> Outcomes:
    """(seeds, rows) values whose mean is the robust accuracy in points."""
    parts: Outcomes = POINTS * (outcomes == 0.0)
    return parts


@dataclass(frozen=True)
class Size:
    """A number of rows and of seeds."""

    rows: int
    seeds: int

    def __str__(self) -> str:
        return f"{self.rows:,} x {self.seeds}"


def factor(level: float, sides: int) -> float:
    """The sum of both quantiles; an effect between two limits must keep clear of each, with half of the risk."""
    normal = NormalDist()
    return normal.inv_cdf(1 - level / 2) + normal.inv_cdf(1 - (1 - POWER) / sides)


def visible(variance: Variance, size: Size, level: float = LEVEL, sides: int = 1) -> float:
    """The smallest distance from a limit that this size shows with 80 % power."""
    return factor(level, sides) * math.sqrt(variance.of_mean(size.rows, size.seeds))


def needed(variance: Variance, effect: float, size: Size, level: float = LEVEL, sides: int = 1) -> Size | None:
    """The size at which a distance ``effect`` from the limit is seen with 80 % power; None if there is no distance.

    With the seeds of ``size`` if its rows suffice. Otherwise with its rows and the fewest seeds, up to `MOST_SEEDS`.
    If these do not suffice, half of the allowed variance is left to the seeds and the rest to the rows.

    >>> needed(Variance(None, 100.0**2 * (0.15 - 0.05**2), None), 5.0, Size(400, 1)).rows
    464
    """
    if abs(effect) < LEAST:
        return None
    allowed = (effect / factor(level, sides)) ** 2
    between, left = max(variance.seeds or 0.0, 0.0), variance.both or 0.0
    for seeds in range(size.seeds, max(size.seeds, MOST_SEEDS) + 1):
        if variance.of_mean(size.rows, seeds) <= allowed:
            enough = math.ceil((variance.rows + left / seeds) / max(allowed - between / seeds, 1e-12))
            return Size(max(1, min(enough, size.rows)) if seeds == size.seeds else size.rows, seeds)
    seeds = max(size.seeds, math.ceil(2 * between / allowed))
    return Size(math.ceil((variance.rows + left / seeds) / (allowed - between / seeds)), seeds)
