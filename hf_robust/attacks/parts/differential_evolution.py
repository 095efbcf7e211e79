"""Differential evolution: vectors that make texts move by the differences of other vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Trial
from hf_robust.attacks.parts.bad_characters import BadCharacters, Space
from hf_robust.attacks.parts.population import describe_search

MUTATION = (0.5, 1.0)
CROSSOVER = 0.7
TOLERANCE = 0.01
FEWEST = 5
"""scipy's defaults: range of the mutation constant F, crossover probability, relative spread of scores at which a
population has converged, and the smallest population."""


@dataclass(frozen=True)
class DifferentialEvolution:
    r"""The search of Boucher et al. 2022 (arXiv:2106.09898), section V: best/1/bin of Storn and Price 1997.

    The population has ``size`` vectors for each number of a vector. In each of the ``generations``, each vector v in
    turn gets a rival u,

    .. math:: u_j = b_j + F\,(r_j - r'_j) \quad\text{with probability 0.7, else}\quad u_j = v_j,

    where b is the best vector, r and r' are drawn from the others, and F is drawn from [0.5, 1) for each generation.
    One drawn number of u always moves.
    Numbers out of bounds are drawn anew. The rival takes v's place at once if its text's score is not lower. The
    search does not stop at a success: it ends after the last generation, or when the scores' deviation is at most 1%
    of their mean. The result is the text with the highest score, of equal ones the last.

    Random draws, texts and queries equal those of ``scipy.optimize.differential_evolution`` 1.17 with its defaults,
    which TextAttack uses. scipy calls a function for one vector at a time, so it cannot share batches with other
    examples; hence this version. As scipy's final polishing does, it asks once more for the best vector, and once for
    each of its numbers plus 1e-8, which is the same text.

    Attributes:
        early_exit: whether to stop at the first success, for fewer queries.
        mended: whether to leave out the queries of polishing, which cannot find anything.
    """

    size: int = 32
    generations: int = 10
    early_exit: bool = False
    mended: bool = False

    def __post_init__(self) -> None:
        if self.size < 1 or self.generations < 0:
            raise ValueError(
                f"differential evolution needs a size of at least 1 and at least 0 generations, got {self.size} and "
                f"{self.generations}."
            )

    @property
    def __name__(self) -> str:
        return describe_search(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        source, attack = trial.attack.candidates, trial.attack
        if not isinstance(source, BadCharacters):
            raise ValueError(
                f"the attack {attack.name!r} searches vectors and needs candidates that are made of them."
            )
        space = source.space(trial.text, attack.open_words(trial.clean), attack.frozen_columns)
        if space is None:
            return "exhausted"
        return (yield from _Run(self, trial, space).run())


class _Run:
    """One search: the population [members, numbers] in [0, 1], its energies (minus the scores), and the best text."""

    def __init__(self, search: DifferentialEvolution, trial: Trial, space: Space) -> None:
        self.search, self.trial, self.write = search, trial, space.write
        low, high = np.array(space.bounds, dtype=np.float64).T
        self.middle, self.width = 0.5 * (low + high), np.fabs(low - high)
        self.population = _latin_hypercube(
            trial.rng.numpy, max(FEWEST, search.size * max(1, int((low != high).sum()))), len(low)
        )
        self.energies = np.full(len(self.population), np.inf)
        self.order = np.arange(len(self.population))
        self.lowest = np.inf
        self.taken = False

    @property
    def ended(self) -> bool:
        """Whether the search has to end now."""
        trial = self.trial
        return self._has_what_it_wants or trial.truncated or trial.limit_reached is not None

    @property
    def _has_what_it_wants(self) -> bool:
        return self.search.early_exit and self.taken and self.trial.evaluation.reached

    def run(self) -> Steps[str]:
        trial = self.trial
        self.energies = yield from self._energies(self.population)
        self._promote()
        if np.isfinite(self.lowest) and not self.ended:
            for _ in range(self.search.generations):
                yield from self._generation()
                if self.ended or self._converged():
                    break
            if not self.ended and not self.search.mended:
                yield from self._energies(self.population[[0] * (1 + self.population.shape[1])])
        if self.taken and trial.evaluation.reached:
            return "success"
        return trial.limit_reached or ("budget" if trial.truncated else "exhausted")

    def _generation(self) -> Steps[None]:
        mutation = self.trial.rng.numpy.uniform(*MUTATION)
        for member in range(len(self.population)):
            rival = self._rival(member, mutation)
            (energy,) = yield from self._energies(rival[None])
            if self.ended:
                return
            if energy <= self.energies[member]:
                self.population[member], self.energies[member] = rival, energy
                if energy <= self.energies[0]:
                    self._promote()

    def _rival(self, member: int, mutation: float) -> Floats:
        rng, count = self.trial.rng.numpy, self.population.shape[1]
        forced = rng.randint(count, dtype="int64")
        rng.shuffle(self.order)
        first, second = self.order[self.order != member][:2]
        moved = self.population[0] + mutation * (self.population[first] - self.population[second])
        crossed: NDArray[np.bool_] = np.asarray(rng.uniform(size=count) < CROSSOVER)
        crossed[forced] = True
        rival: Floats = np.where(crossed, moved, self.population[member])
        outside = (rival > 1) | (rival < 0)
        if outside.any():
            rival[outside] = rng.uniform(size=int(outside.sum()))
        return rival

    def _promote(self) -> None:
        """Exchange the best vector with the first."""
        best = int(np.argmin(self.energies))
        self.energies[[0, best]] = self.energies[[best, 0]]
        self.population[[0, best]] = self.population[[best, 0]]

    def _converged(self) -> bool:
        if np.isinf(self.energies).any():
            return False
        return bool(np.std(self.energies) <= TOLERANCE * np.abs(np.mean(self.energies)))

    def _energies(self, vectors: Floats) -> Steps[NDArray[np.float64]]:
        """Minus the scores of the vectors' texts; infinite for the clean text, one that a constraint rejects, and one
        that the budget does not allow. Makes a text that is not worse than all before the current one."""
        trial, energies = self.trial, np.full(len(vectors), np.inf)
        texts = [trial.text.like(self.write(row)) for row in self.middle + (vectors - 0.5) * self.width]
        asked: list[int] = []
        for place, text in enumerate(texts):
            if text.columns != trial.text.columns and (yield from self._admits(text.columns)):
                asked.append(place)
        if not asked:
            return energies
        scored = yield from trial.ask(texts[place] for place in asked)
        if len(scored.scores):
            trial.record_decision(scored)
        for row, place in zip(range(len(scored.scores)), asked, strict=False):
            energies[place] = -float(scored.scores[row])
            # A text with the tokens of the clean text is no candidate: the model cannot tell them apart.
            trial.num_candidates += scored.sequences[row] != trial.before.sequence
            if energies[place] <= self.lowest and not self._has_what_it_wants:
                self.lowest, self.taken = energies[place], True
                trial.take(trial.clean.become(texts[place].columns), scored.row(row))
        return energies

    def _admits(self, columns: Sequence[str]) -> Steps[bool]:
        trial = self.trial
        if not trial.attack.constraints:
            return True
        drafts = yield from trial.admissible(trial.clean, [trial.clean.become(tuple(columns))])
        return bool(drafts)


def _latin_hypercube(rng: np.random.RandomState, size: int, count: int) -> Floats:
    """Vectors [size, count]: in each column one number in each of ``size`` equal parts of [0, 1)."""
    samples = 1.0 / size * rng.uniform(size=(size, count)) + np.linspace(0.0, 1.0, size, endpoint=False)[:, None]
    return np.stack([samples[rng.permutation(range(size)), number] for number in range(count)], axis=1)
