"""Particle swarm: texts move word by word towards the best that each of them, and that all of them, have been."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Standing, Trial
from hf_robust.attacks.parts import population as shared
from hf_robust.words import Text

START, END = 0.8, 0.2
"""Weight of a particle's own velocity and chance to move towards its own best, falling; the chance to move towards
the best of all rises from END to START."""
MAX_VELOCITY = 3.0


class Particle(NamedTuple):
    """A text, what the model says of it, and whether a swap was ever made on its way."""

    draft: Draft
    standing: Standing
    swapped: bool

    @property
    def score(self) -> float:
        return self.standing.score


class Options(NamedTuple):
    """A particle's best neighbour at each word (the particle itself where there is none), how likely each is to be
    taken, and how far the noise of batching may move these chances."""

    particles: list[Particle]
    chances: Floats
    noise: float


@dataclass(frozen=True)
class ParticleSwarm:
    r"""The search of Zang et al. 2020 (ACL 2020.acl-main.540), section 3.2, as TextAttack 0.3.11 has it.

    Each of ``size`` particles starts as the clean text with one word swapped, drawn by how far the best swap of each
    word raises the score. In iteration i each word has a velocity

    .. math:: v \leftarrow \omega_i v + (1-\omega_i)\,(\pm 3 \pm 3), \quad
              \omega_i = 0.6\,(G - i)/G + 0.2,

    (minus where it equals its own best's, and all particles' best's, word), and the particle turns: with a chance of
    0.8 falling to 0.2 to its own best, with 0.2 rising to 0.8 to the best of all, each of whose words it replaces with
    its own with probability ``sigmoid(v)``. Then it is mutated with a chance of ``1 - 2 * share of changed words``.
    With the same seed, what is drawn is what TextAttack draws.

    A turned text that the constraints on whole texts do not keep is drawn anew up to ``retries`` times, then stays at
    the best it was to move from. As there, one made from a text without any swap is not checked.

    Its defect, kept unless ``mended``: when the query budget ends, the best of the swarm as it stands is the result,
    even where an earlier text was better.

    All neighbours of one particle are asked at once, where TextAttack asks word by word: the same queries.
    """

    size: int = 60
    iterations: int = 20
    check_turns: bool = True
    retries: int = 20
    mended: bool = False

    def __post_init__(self) -> None:
        if self.size < 1 or self.iterations < 0:
            raise ValueError(
                "a swarm needs at least 1 particle and no negative number of iterations, "
                f"got {self.size} and {self.iterations}."
            )

    @property
    def __name__(self) -> str:
        return shared.title(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        if not trial.text.words:
            return "exhausted"
        options = yield from self._options(trial, Particle(trial.clean, trial.standing, swapped=False))
        swarm = [self._drawn(trial, options) for _ in range(self.size)]
        starts = trial.luck.numpy.uniform(-MAX_VELOCITY, MAX_VELOCITY, self.size)
        velocities = np.repeat(starts[:, None], len(trial.text.words), axis=1)
        best, own_best = max(swarm, key=_score), list(swarm)
        for iteration in range(self.iterations):
            if trial.spent or best.standing.reached:
                break
            swarm = yield from self._moved(trial, swarm, own_best, best, velocities, iteration)
            top = max(swarm, key=_score)
            if not (trial.spent or top.standing.reached):
                yield from self._mutate(trial, swarm)
                top = max(swarm, key=_score)
            if top.standing.reached or (shared.budget_ended(trial) and not self.mended):
                return shared.finish(trial, top.draft, top.standing)
            # A budget or time that ended early has cut the swarm short.
            own_best[: len(swarm)] = [max(old, new, key=_score) for old, new in zip(own_best, swarm, strict=False)]
            best = max(best, top, key=_score)
        return shared.finish(trial, best.draft, best.standing)

    def _options(self, trial: Trial, particle: Particle) -> Steps[Options]:
        """The best neighbour at each word, in proportion to how far it raises the score."""
        found = yield from shared.neighbours(trial, particle.draft)
        found.sort(key=shared.place_of)
        scored = yield from trial.ask([draft.text for draft in found])
        count = len(particle.draft.text.words)
        particles, rises = [particle] * count, np.zeros(count)
        places = np.array([shared.place_of(draft) for draft in found[: len(scored.scores)]], dtype=np.intp)
        for index in np.unique(places):
            start, end = np.searchsorted(places, [index, index + 1])
            own = shared.part(scored, start, end)
            shared.weigh(trial, own, particle.draft, particle.standing)
            best = own.best()
            particles[index] = Particle(found[start + best], own.row(best), swapped=True)
            rises[index] = max(particles[index].score - particle.score, 0.0)
        total = rises.sum()
        if total == 0:
            return Options(particles, np.ones(count) / count, 0.0)
        return Options(particles, rises / total, trial.noise / total)

    def _drawn(self, trial: Trial, options: Options) -> Particle:
        return options.particles[int(shared.draw(trial, options.chances, 1, options.noise)[0])]

    def _moved(
        self,
        trial: Trial,
        swarm: list[Particle],
        own_best: list[Particle],
        best: Particle,
        velocities: NDArray[np.float64],
        iteration: int,
    ) -> Steps[list[Particle]]:
        """The swarm after its turns, scored; fewer particles where the budget ends. ``velocities`` are brought up."""
        gone = iteration / self.iterations
        to_own, to_best = START - gone * (START - END), END + gone * (START - END)
        inertia = (START - END) * (self.iterations - iteration) / self.iterations + END
        moved: list[Particle] = []
        for row, (particle, own) in enumerate(zip(swarm, own_best, strict=True)):
            pull = _pull(particle.draft.text, own.draft.text) + _pull(particle.draft.text, best.draft.text)
            velocities[row] = inertia * velocities[row] + (1 - inertia) * pull
            chances = 1 / (1 + np.exp(-velocities[row]))
            for likelihood, source in ((to_own, own), (to_best, best)):
                if trial.luck.numpy.uniform() < likelihood:
                    particle = yield from self._turned(trial, source, particle, chances)
            moved.append(particle)
        scored = yield from trial.ask([particle.draft.text for particle in moved])
        return [moved[row]._replace(standing=scored.row(row)) for row in range(len(scored.scores))]

    def _turned(self, trial: Trial, source: Particle, target: Particle, chances: Floats) -> Steps[Particle]:
        """``source`` with each of its words replaced by the target's with its chance; not scored again yet."""
        for _ in range(self.retries + 1):
            chosen = np.flatnonzero(trial.luck.numpy.random_sample(len(chances)) < chances)
            draft = shared.mixed(source.draft, target.draft, chosen.tolist(), all_chosen=True)
            if not self.check_turns:
                return source._replace(draft=draft)
            if not draft.swaps:
                return source
            if not source.swapped or (yield from shared.passes(trial, source.draft, draft)):
                return source._replace(draft=draft)
        return source

    def _mutate(self, trial: Trial, swarm: list[Particle]) -> Steps[None]:
        """In place: the fewer words a particle has changed, the likelier it becomes one of its neighbours."""
        clean = trial.text.tokens
        for row, particle in enumerate(swarm):
            changed = sum(old != new for old, new in zip(clean, particle.draft.text.tokens, strict=True))
            if trial.luck.numpy.uniform() < 1 - 2 * (changed / len(clean)):
                options = yield from self._options(trial, particle)
                swarm[row] = self._drawn(trial, options)
            if trial.spent:
                break


def _pull(text: Text, towards: Text) -> NDArray[np.float64]:
    """[number of words]: minus ``MAX_VELOCITY`` where the words are equal, else plus."""
    equal = [own == other for own, other in zip(text.tokens, towards.tokens, strict=True)]
    return np.where(equal, -MAX_VELOCITY, MAX_VELOCITY)


def _score(particle: Particle) -> float:
    return particle.score
