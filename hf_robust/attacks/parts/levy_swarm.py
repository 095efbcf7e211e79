"""LEAP's particle swarm: Lévy flights, an inertia for each particle, and greedy mutations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from hf_robust.attacks.engine.requests import Floats
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.attacks.parts.particle_swarm import (
    END,
    MAX_VELOCITY,
    START,
    BestNeighbours,
    Particle,
    ParticleSwarm,
    share_changed,
)

ALPHA = 1.5
"""Exponent of the Lévy distribution."""
_SCALE = 2.737
"""C of Mantegna 1994 (Phys. Rev. E 49, 4677), table I, for an ``ALPHA`` of 1.5."""
_LEAST = 0.5
"""Least inertia of a particle that flies; the most is ``START``."""


@dataclass(frozen=True)
class LevySwarm(ParticleSwarm):
    r"""The swarm of Xiao et al. 2023 (LEAP, arXiv:2308.11284), as TextAttack 0.3.11 has it.

    It differs from ``ParticleSwarm`` in four parts. L is a draw from the Lévy distribution with
    :math:`\alpha = 1.5`, and f is the score of a particle:

    - The start velocity of a particle is uniform in [-3, 3] or, if another such draw is not below an L, an L in
      [-3, 3].
    - The inertia of a particle depends on its score, with the mean and minimum of the first scores:

      .. math:: \omega = 0.2 + 0.6\,\frac{f - f_{\min}}{\bar f - f_{\min}} \;\text{ if } f < \bar f,
                \quad \text{else an } L \in [0.5, 0.8].

    - A move takes each word with probability ``softmax(v)`` over the words, so about one word.
    - A particle is mutated with probability ``1 - 2 * share of words that differ from its own best``, and then becomes
      its best neighbour.

    With the same seed, random draws equal TextAttack's. As there, the mean (rounded to three digits) and the minimum
    stay those of the first scores, so that most particles fly once the scores have risen.
    """

    def _start(self, rng: RandomStates) -> Floats:
        uniform = rng.numpy.uniform(-MAX_VELOCITY, MAX_VELOCITY, self.size)
        velocities = [
            value
            if rng.numpy.uniform(-MAX_VELOCITY, MAX_VELOCITY) < levy(rng)
            else levy_between(rng, -MAX_VELOCITY, MAX_VELOCITY)
            for value in uniform
        ]
        return np.array(velocities)

    def _inertia(self, iteration: int, scores: Sequence[float], first: Sequence[float], rng: RandomStates) -> Floats:
        mean, least = round(np.mean(first), 3), min(first)
        values = [
            END + ((score - least) * (START - END)) / (mean - least)
            if score < mean and mean > least
            else levy_between(rng, _LEAST, START)
            for score in scores
        ]
        return np.array(values)

    def _chances(self, velocities: Floats) -> Floats:
        shares = np.exp(velocities - velocities.max())
        return np.asarray(shares / shares.sum())

    def _mutation_chance(self, trial: Trial, particle: Particle, personal: Particle) -> float:
        return 1 - 2 * share_changed(personal.draft, particle.draft)

    def _mutant(self, trial: Trial, neighbours: BestNeighbours) -> Particle:
        return neighbours.particles[int(np.argsort(neighbours.chances)[-1])]


def levy(rng: RandomStates) -> float:
    r"""A draw from the Lévy distribution by the method of Mantegna 1994, which is nearly exact.

    .. math:: v = \sigma\,x / |y|^{1/\alpha}, \quad L = v\,\big((K - 1)\,e^{-v/C} + 1\big), \quad x, y \sim N(0, 1)

    Draws of v below -10 are drawn again, since the exponential would overflow.
    """
    spread, slope = _constants()
    while True:
        first, second = rng.numpy.normal(0, 1), rng.numpy.normal(0, 1)
        value = float(first * spread / np.power(np.abs(second), 1.0 / ALPHA))
        if value >= -10:
            return float(value * ((slope - 1.0) * np.exp(-value / _SCALE) + 1.0))


def levy_between(rng: RandomStates, least: float, most: float, tries: int = 1000) -> float:
    """The first draw of ``levy`` in [least, most]; after ``tries`` draws outside, a uniform draw as in TextAttack."""
    for _ in range(tries):
        value = levy(rng)
        if least <= value <= most:
            return value
    return float(rng.numpy.uniform(least, most))


@cache
def _constants() -> tuple[float, float]:
    """Mantegna's sigma and K."""
    rise = math.gamma(ALPHA + 1) * math.sin(math.pi * ALPHA / 2)
    half = math.gamma((ALPHA + 1) / 2)
    spread = (rise / (half * ALPHA * 2 ** ((ALPHA - 1) / 2))) ** (1 / ALPHA)
    slope = (
        ALPHA * math.gamma((ALPHA + 1) / (2 * ALPHA)) / math.gamma(1 / ALPHA) * (ALPHA * half / rise) ** (1 / ALPHA)
    )
    return spread, slope
