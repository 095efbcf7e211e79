"""Genetic searches: parents are crossed, and one word of each child is swapped for a better word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Scored, Standing, Trial
from hf_robust.attacks.parts import population as shared

Weights = NDArray[Any]


@dataclass(frozen=True)
class Seedling:
    """A text and the ``weights`` [number of words] in proportion to which a word is drawn for a swap.

    ``swapped`` tells whether the text or one of its parents was made by a swap; only then is it checked after a
    crossover.
    """

    draft: Draft
    weights: Weights
    swapped: bool = False


@dataclass(frozen=True)
class Member:
    """A scored text of the population."""

    seedling: Seedling
    standing: Standing

    @property
    def score(self) -> float:
        return self.standing.score


@dataclass(frozen=True)
class Genetic:
    r"""The search of Alzantot et al. 2018 (arXiv:1804.07998), Algorithm 1, as TextAttack 0.3.11 has it.

    Each of the ``population`` members starts as the clean text with one word swapped. In each of ``iterations`` the
    best member survives, and children replace the others. A member i is a parent with probability
    ``softmax(-score / temperature)_i``, and each word of a child comes from either parent with probability 1/2. Then a
    word is drawn in proportion to its number of substitutes and takes the best one if the score strictly rises; if it
    does not rise, further words are tried. With the same seed, random draws equal TextAttack's.

    TextAttack's bugs are kept unless ``mended``: parents with low scores are preferred (with high scores in the
    paper); the children of the last iteration are ignored; a child is lost if scoring it is the last query of the
    budget. As in TextAttack's recipes, children may violate the constraints on whole texts; ``check_children`` applies
    these, with ``retries`` further attempts.

    A child is scored together with its first neighbours, which takes the same queries in half the rounds. Field names
    are part of journal keys and result files.
    """

    population: int = 60
    iterations: int = 20
    temperature: float = 0.3
    give_up: bool = False
    check_children: bool = False
    retries: int = 20
    mended: bool = False

    def __post_init__(self) -> None:
        if self.population < 1 or self.iterations < 0 or self.temperature <= 0:
            raise ValueError(
                "a genetic search needs a population of at least 1, at least 0 iterations and a temperature above 0, "
                f"got {self.population}, {self.iterations} and {self.temperature}."
            )

    @property
    def __name__(self) -> str:
        return shared.title(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        if not trial.text.words:
            return "exhausted"
        everywhere = yield from shared.neighbours(trial, trial.clean)
        if not everywhere and trial.attack.candidates.planned:
            # No word has a substitute: every child is the clean text and takes one query.
            rounds = 0 if self.give_up else self.iterations
            trial.repeat(rounds * (self._size(trial) - 1))
            return shared.finish(trial, trial.clean, trial.standing)
        highest, clean = trial.standing.score, Seedling(trial.clean, self._weights(trial, everywhere))
        population = yield from self._first(trial, Member(clean, trial.standing), everywhere)
        for _ in range(self.iterations):
            population.sort(key=_score, reverse=True)
            top = population[0]
            if trial.spent or top.standing.reached or (self.give_up and top.score <= highest):
                break
            highest = max(highest, top.score)
            children = yield from self._children(trial, population)
            population = [top, *children]
        best = max(population, key=_score) if self.mended else population[0]
        return shared.finish(trial, best.seedling.draft, best.standing)

    def _size(self, trial: Trial) -> int:
        return self.population

    def _weights(self, trial: Trial, everywhere: list[Draft]) -> Weights:
        """Number of neighbours of each word of the clean text; words without neighbours have a small weight."""
        counts = np.zeros(len(trial.text.words))
        for neighbour in everywhere:
            counts[shared.place_of(neighbour)] += 1
        return np.maximum(counts, max(1, int(counts.min() * 0.1)))

    def _first(self, trial: Trial, clean: Member, everywhere: list[Draft]) -> Steps[list[Member]]:
        """The initial population, made from the clean text."""
        found: list[Member] = []
        while len(found) < self.population and not (found and trial.spent):
            member = yield from self._grown(trial, clean.seedling, clean.standing)
            found.append(member or clean)
        return found

    def _children(self, trial: Trial, population: list[Member]) -> Steps[list[Member]]:
        """The children: one fewer than there are members, or less if the budget ends."""
        count = len(population) - 1
        chances = self._chances(population, unbounded=trial.attack.scores == "margin")
        noise = trial.noise / self.temperature
        fathers, mothers = (shared.draw(trial, chances, count, noise) for _ in range(2))
        found: list[Member] = []
        for father, mother in zip(fathers, mothers, strict=True):
            seedling, standing = yield from self._crossed(trial, population[father], population[mother])
            child = yield from self._grown(trial, seedling, standing)
            if child is not None:
                found.append(child)
            if trial.spent:
                break
        return found

    def _chances(self, population: list[Member], unbounded: bool = False) -> Floats:
        """Probability [members] of being a parent; if scores are probabilities, in float32 by torch, as TextAttack."""
        import torch

        scores = [member.score if self.mended else -member.score for member in population]
        if unbounded:
            highest = max(scores)
            weights = np.exp([(score - highest) / self.temperature for score in scores])
            return np.asarray(weights / weights.sum())
        logits = (torch.tensor(scores, dtype=torch.float32) / self.temperature).exp()
        found: Floats = (logits / logits.sum()).numpy()
        return found

    def _crossed(self, trial: Trial, father: Member, mother: Member) -> Steps[tuple[Seedling, Standing | None]]:
        """An unscored child of two members; one of the members if no child passes the constraints."""
        first, second = father.seedling, mother.seedling
        swapped = first.swapped or second.swapped
        for _ in range(self.retries + 1):
            chosen = self._inherited(trial, len(first.weights))
            draft = shared.mixed(first.draft, second.draft, np.flatnonzero(chosen).tolist(), all_chosen=False)
            child = Seedling(draft, np.where(chosen, second.weights, first.weights), swapped)
            if not (self.check_children and swapped):
                return child, None
            source = first.draft if first.swapped else second.draft
            if (yield from shared.passes(trial, source, draft)):
                return child, None
        parent = father if trial.luck.numpy.uniform() < 0.5 else mother
        return parent.seedling, parent.standing

    def _inherited(self, trial: Trial, count: int) -> NDArray[np.bool_]:
        """Whether each word of a child comes from its second parent."""
        return trial.luck.numpy.random_sample(count) < 0.5

    def _used(self, weights: Weights, index: int) -> Weights:
        """The weights after a swap of word ``index``."""
        found = weights.copy()
        found[index] = 0
        return found

    def _grown(self, trial: Trial, seedling: Seedling, standing: Standing | None) -> Steps[Member | None]:
        """The text with one word swapped for its best substitute: the first drawn word for which the score rises.

        If ``standing`` is None, the text itself is scored first. Returns None if the budget ends with this query.
        """
        weights = seedling.weights.copy()
        for _ in range(np.count_nonzero(weights)):
            index = int(shared.draw(trial, weights / weights.sum(), 1)[0])
            found = yield from shared.neighbours(trial, seedling.draft, [index])
            if not found:
                continue
            standing, scored = yield from self._ask(trial, seedling, standing, found)
            if standing is None:
                return None
            better = self._risen(seedling, standing, found, scored)
            if better is not None:
                return better
            weights[index] = 0
            if trial.spent:
                break
        if standing is None:
            standing, _ = yield from self._ask(trial, seedling, None, [])
        return None if standing is None else Member(seedling, standing)

    def _ask(
        self, trial: Trial, seedling: Seedling, standing: Standing | None, found: list[Draft]
    ) -> Steps[tuple[Standing | None, Scored]]:
        """The result of the text itself (None if the budget ended with it), and the scores of ``found``."""
        asked = [draft.text for draft in found]
        if standing is not None:
            scored = yield from trial.ask(asked)
        else:
            both = yield from trial.ask([seedling.draft.text, *asked])
            scored = shared.part(both, 1)
            lost = not len(both.scores) or (shared.budget_ended(trial) and not len(scored.scores) and not self.mended)
            standing = None if lost else both.row(0)
        if standing is not None:
            shared.weigh(trial, scored, seedling.draft, standing)
        return standing, scored

    def _risen(self, seedling: Seedling, standing: Standing, found: list[Draft], scored: Scored) -> Member | None:
        """The neighbour with the largest rise of the score; None if no score rises."""
        rises = scored.scores - scored.scores.dtype.type(standing.score)
        if not len(rises) or not rises.max() > 0:
            return None
        best = int(rises.argmax())
        weights = self._used(seedling.weights, shared.place_of(found[best]))
        return Member(Seedling(found[best], weights, swapped=True), scored.row(best))


@dataclass(frozen=True)
class ImprovedGenetic(Genetic):
    """IGA (Wang et al. 2019, arXiv:1909.06723), as TextAttack 0.3.11 has it.

    Differs from ``Genetic``: the initial member i is the clean text with word i swapped for its best substitute; a
    child takes all words from a random position on from its second parent; a word can be swapped ``swaps_per_word``
    times and is drawn in proportion to its remaining swaps.

    Further bugs of TextAttack are kept unless ``mended``: the first member swaps a random word instead of the first
    word; the neighbours of a word that does not raise the score are scored, and counted, once per word of the text.
    """

    swaps_per_word: int = 5

    def _size(self, trial: Trial) -> int:
        return min(self.population, len(trial.text.words))

    def _weights(self, trial: Trial, everywhere: list[Draft]) -> Weights:
        return np.full(len(trial.text.words), self.swaps_per_word)

    def _first(self, trial: Trial, clean: Member, everywhere: list[Draft]) -> Steps[list[Member]]:
        by_word: dict[int, list[Draft]] = {}
        for neighbour in everywhere:
            by_word.setdefault(shared.place_of(neighbour), []).append(neighbour)
        found: list[Member] = []
        for index in range(len(trial.text.words)):
            if found and trial.spent:
                break
            if index == 0 and not self.mended:
                member = yield from self._grown(trial, clean.seedling, clean.standing)
            else:
                member = yield from self._grown_at(trial, clean, by_word.get(index, []))
            found.append(member or clean)
        return found[: self.population]

    def _grown_at(self, trial: Trial, clean: Member, found: list[Draft]) -> Steps[Member | None]:
        """The best of one word's neighbours; None if the score does not rise."""
        if not found:
            return None
        _, scored = yield from self._ask(trial, clean.seedling, clean.standing, found)
        better = self._risen(clean.seedling, clean.standing, found, scored)
        if better is None and not self.mended:
            trial.repeat((len(clean.seedling.weights) - 1) * len(found))
        return better

    def _inherited(self, trial: Trial, count: int) -> NDArray[np.bool_]:
        return np.arange(count) >= trial.luck.numpy.randint(0, count)

    def _used(self, weights: Weights, index: int) -> Weights:
        found = weights.copy()
        found[index] -= 1
        return found


def _score(member: Member) -> float:
    return member.score
