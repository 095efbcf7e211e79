"""Particle swarm search: texts move word by word towards their own best text and the best text of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Evaluation, Trial
from hf_robust.attacks.parts import population as shared
from hf_robust.attacks.parts.candidates import RandomStates
from hf_robust.words import Text

START, END = 0.8, 0.2
"""Inertia of the velocity, and probability of a move to a particle's own best: both fall from START to END. The
probability of a move to the best of all rises from END to START."""
MAX_VELOCITY = 3.0


class Particle(NamedTuple):
    """A scored text; ``swapped`` tells whether it was made by at least one swap."""

    draft: Draft
    evaluation: Evaluation
    swapped: bool

    @property
    def score(self) -> float:
        return self.evaluation.score


class BestNeighbours(NamedTuple):
    """The best neighbours of a particle.

    Attributes:
        particles: the best neighbour at each word; the particle itself for a word without neighbours.
        chances: probability of each neighbour to be drawn.
        noise: size of the batching noise of these probabilities.
    """

    particles: list[Particle]
    chances: Floats
    noise: float


@dataclass(frozen=True)
class ParticleSwarm:
    r"""The search of Zang et al. 2020 (ACL 2020.acl-main.540), section 3.2, as TextAttack 0.3.11 has it.

    Each of the ``size`` particles starts as the clean text with one word swapped, drawn in proportion to the rise of
    the score by the best swap of each word. In iteration i each word has a velocity

    .. math:: v \leftarrow \omega_i v + (1-\omega_i)\,(\pm 3 \pm 3), \quad
              \omega_i = 0.6\,(G - i)/G + 0.2,

    with a minus sign if the word equals that of the particle's own best (first term) or of the best of all (second
    term). Then the particle moves to its own best with a probability that falls from 0.8 to 0.2, and to the best of
    all with a probability that rises from 0.2 to 0.8: the new text is this best text with each word replaced by the
    particle's with probability ``sigmoid(v)``. Finally the particle is mutated with probability
    ``1 - 2 * share of changed words``. With the same seed, random draws equal TextAttack's.

    A moved text that violates a constraint on whole texts is drawn again up to ``retries`` times; then the best text
    itself is the result. As in TextAttack, a text made from one without swaps is not checked.

    A bug of TextAttack is kept unless ``mended``: when the query budget ends, the best of the present swarm is the
    result, even if an earlier text was better.

    All neighbours of a particle are scored at once, with the same queries as TextAttack, which scores word by word.
    Field names are part of journal keys and result files.
    """

    size: int = 60
    iterations: int = 20
    check_turns: bool = True
    retries: int = 20
    mended: bool = False

    def __post_init__(self) -> None:
        if self.size < 1 or self.iterations < 0:
            raise ValueError(
                f"a swarm needs at least 1 particle and at least 0 iterations, got {self.size} and {self.iterations}."
            )

    @property
    def __name__(self) -> str:
        return shared.describe_search(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        if not trial.text.words:
            return "exhausted"
        neighbours = yield from self._best_neighbours(trial, Particle(trial.clean, trial.evaluation, swapped=False))
        swarm = [self._draw(trial, neighbours) for _ in range(self.size)]
        velocities: Floats = np.repeat(self._start(trial.rng)[:, None], len(trial.text.words), axis=1)
        best, personal_best, first = max(swarm, key=_score), list(swarm), [_score(particle) for particle in swarm]
        for iteration in range(self.iterations):
            if trial.limit_reached or best.evaluation.reached:
                break
            inertia = self._inertia(iteration, [_score(particle) for particle in swarm], first, trial.rng)
            swarm = yield from self._move(trial, swarm, personal_best, best, velocities, inertia, iteration)
            top = max(swarm, key=_score)
            if not (trial.limit_reached or top.evaluation.reached):
                yield from self._mutate(trial, swarm, personal_best)
                top = max(swarm, key=_score)
            if top.evaluation.reached or (shared.budget_ended(trial) and not self.mended):
                return shared.finish(trial, top.draft, top.evaluation)
            # The swarm is shorter if the budget or the time ended early.
            personal_best[: len(swarm)] = [
                max(old, new, key=_score) for old, new in zip(personal_best, swarm, strict=False)
            ]
            best = max(best, top, key=_score)
        return shared.finish(trial, best.draft, best.evaluation)

    def _best_neighbours(self, trial: Trial, particle: Particle) -> Steps[BestNeighbours]:
        """The best neighbour at each word, with probabilities in proportion to the rise of the score."""
        drafts = yield from shared.neighbours(trial, particle.draft)
        drafts.sort(key=shared.swapped_index)
        scored = yield from trial.ask([draft.text for draft in drafts])
        count = len(particle.draft.text.words)
        particles, rises = [particle] * count, np.zeros(count)
        places = np.array([shared.swapped_index(draft) for draft in drafts[: len(scored.scores)]], dtype=np.intp)
        for index in np.unique(places):
            start, end = np.searchsorted(places, [index, index + 1])
            scored_here = shared.slice_rows(scored, start, end)
            shared.record_decision(trial, scored_here, particle.draft, particle.evaluation)
            best = scored_here.best()
            particles[index] = Particle(drafts[start + best], scored_here.row(best), swapped=True)
            rises[index] = max(particles[index].score - particle.score, 0.0)
        total = rises.sum()
        if total == 0:
            return BestNeighbours(particles, np.ones(count) / count, 0.0)
        return BestNeighbours(particles, rises / total, trial.noise / total)

    def _draw(self, trial: Trial, neighbours: BestNeighbours) -> Particle:
        return neighbours.particles[int(shared.draw(trial, neighbours.chances, 1, neighbours.noise)[0])]

    def _move(
        self,
        trial: Trial,
        swarm: list[Particle],
        personal_best: list[Particle],
        best: Particle,
        velocities: Floats,
        inertia: Floats,
        iteration: int,
    ) -> Steps[list[Particle]]:
        """The moved and scored swarm, with fewer particles if the budget ends; updates ``velocities``."""
        gone = iteration / self.iterations
        to_own, to_best = START - gone * (START - END), END + gone * (START - END)
        moved: list[Particle] = []
        for row, (particle, personal) in enumerate(zip(swarm, personal_best, strict=True)):
            pull = _pull(particle.draft.text, personal.draft.text) + _pull(particle.draft.text, best.draft.text)
            velocities[row] = inertia[row] * velocities[row] + (1 - inertia[row]) * pull
            chances = self._chances(velocities[row])
            for likelihood, source in ((to_own, personal), (to_best, best)):
                if trial.rng.numpy.uniform() < likelihood:
                    particle = yield from self._turn(trial, source, particle, chances)
            moved.append(particle)
        scored = yield from trial.ask([particle.draft.text for particle in moved])
        return [moved[row]._replace(evaluation=scored.row(row)) for row in range(len(scored.scores))]

    def _turn(self, trial: Trial, source: Particle, target: Particle, chances: Floats) -> Steps[Particle]:
        """``source`` with each word replaced by the target's with its probability in ``chances``; not scored yet."""
        for _ in range(self.retries + 1):
            chosen = np.flatnonzero(trial.rng.numpy.random_sample(len(chances)) < chances)
            draft = shared.mix(source.draft, target.draft, chosen.tolist(), all_chosen=True)
            if not self.check_turns:
                return source._replace(draft=draft)
            if not draft.swaps:
                return source
            if not source.swapped or (yield from shared.is_admissible(trial, source.draft, draft)):
                return source._replace(draft=draft)
        return source

    def _mutate(self, trial: Trial, swarm: list[Particle], personal_best: list[Particle]) -> Steps[None]:
        """Mutate particles in place: each becomes one of its best neighbours with its mutation chance."""
        for row, particle in enumerate(swarm):
            if trial.rng.numpy.uniform() < self._mutation_chance(trial, particle, personal_best[row]):
                neighbours = yield from self._best_neighbours(trial, particle)
                swarm[row] = self._mutant(trial, neighbours)
            if trial.limit_reached:
                break

    # What another swarm replaces (``LevySwarm``).

    def _start(self, rng: RandomStates) -> Floats:
        """The first velocity of each particle [size], the same for all its words."""
        return rng.numpy.uniform(-MAX_VELOCITY, MAX_VELOCITY, self.size)

    def _inertia(self, iteration: int, scores: Sequence[float], first: Sequence[float], rng: RandomStates) -> Floats:
        """The inertia of each particle [size], given its score and the ``first`` scores of all."""
        return np.full(len(scores), (START - END) * (self.iterations - iteration) / self.iterations + END)

    def _chances(self, velocities: Floats) -> Floats:
        """The probability of each word of a particle to be taken over in a move."""
        return np.asarray(1 / (1 + np.exp(-velocities)))

    def _mutation_chance(self, trial: Trial, particle: Particle, personal: Particle) -> float:
        """The fewer words are changed, the likelier a particle mutates."""
        return 1 - 2 * share_changed(trial.clean, particle.draft)

    def _mutant(self, trial: Trial, neighbours: BestNeighbours) -> Particle:
        """What a particle with these neighbours becomes."""
        return self._draw(trial, neighbours)


def share_changed(before: Draft, after: Draft) -> float:
    """The share of words that differ between two texts of one length."""
    pairs = zip(before.text.tokens, after.text.tokens, strict=True)
    return sum(old != new for old, new in pairs) / len(before.text.tokens)


def _pull(text: Text, towards: Text) -> NDArray[np.float64]:
    """Array [number of words]: minus ``MAX_VELOCITY`` for equal words, else plus ``MAX_VELOCITY``."""
    equal = [word == other for word, other in zip(text.tokens, towards.tokens, strict=True)]
    return np.where(equal, -MAX_VELOCITY, MAX_VELOCITY)


def _score(particle: Particle) -> float:
    return particle.score
