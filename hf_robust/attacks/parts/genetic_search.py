"""Genetic searches: texts are crossed, and each child gets one better word."""

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
    """A text and its ``weights`` [number of words]: in their proportion a word is drawn to be swapped.

    ``swapped`` says that it, or a parent of it, came from a swap: other texts are not checked after a crossover.
    """

    draft: Draft
    weights: Weights
    swapped: bool = False


@dataclass(frozen=True)
class Member:
    """A text of the population and what the model says of it."""

    seedling: Seedling
    standing: Standing

    @property
    def score(self) -> float:
        return self.standing.score


@dataclass(frozen=True)
class Genetic:
    r"""The search of Alzantot et al. 2018 (arXiv:1804.07998), Algorithm 1, as TextAttack 0.3.11 has it.

    Each of ``population`` texts starts as the clean one with one word swapped. In each of ``iterations`` the best
    lives on; the others are children: parents i with probability ``softmax(-score / temperature)_i``, each word from
    either with 1/2. Then a word, drawn by its number of substitutes, takes its best one if the score strictly rises;
    if it does not, further words are tried. With the same seed, what is drawn is what TextAttack draws.

    Its defects, kept unless ``mended``: parents of low scores are preferred (the paper: high); the children of the
    last iteration are not looked at; a child is lost whose own query is the budget's last. And as in the recipes,
    children may break the constraints on whole texts; ``check_children`` asks these, ``retries`` more times.

    A child is asked together with its first neighbours: the same queries in half the rounds.
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
                "a genetic search needs a population of at least 1, no negative number of iterations and a "
                f"temperature above 0, got {self.population}, {self.iterations} and {self.temperature}."
            )

    @property
    def __name__(self) -> str:
        return shared.title(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        if not trial.text.words:
            return "exhausted"
        everywhere = yield from shared.neighbours(trial, trial.clean)
        if not everywhere and trial.attack.candidates.planned:
            # Nothing will ever be found: every child is the clean text, asked once.
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
        """Of the clean text's words: how many neighbours each has; those without one are drawn seldom, not never."""
        counts = np.zeros(len(trial.text.words))
        for neighbour in everywhere:
            counts[shared.place_of(neighbour)] += 1
        return np.maximum(counts, max(1, int(counts.min() * 0.1)))

    def _first(self, trial: Trial, clean: Member, everywhere: list[Draft]) -> Steps[list[Member]]:
        """The first population, from the clean text."""
        found: list[Member] = []
        while len(found) < self.population and not (found and trial.spent):
            member = yield from self._grown(trial, clean.seedling, clean.standing)
            found.append(member or clean)
        return found

    def _children(self, trial: Trial, population: list[Member]) -> Steps[list[Member]]:
        """One child less than there are members, fewer where the budget ends."""
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
        """How likely each member is to be a parent; of probabilities in single precision by torch, as TextAttack's."""
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
        """A child of two, unscored; one of the two where no child passes the constraints."""
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
        """Which words a child has from its second parent."""
        return trial.luck.numpy.random_sample(count) < 0.5

    def _used(self, weights: Weights, index: int) -> Weights:
        """The weights after the word at ``index`` was swapped."""
        found = weights.copy()
        found[index] = 0
        return found

    def _grown(self, trial: Trial, seedling: Seedling, standing: Standing | None) -> Steps[Member | None]:
        """The text with one word swapped for its best substitute, at the first drawn word where the score rises.

        ``standing`` None: the text itself is asked too, first; None comes back where the budget ends with it.
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
        """Scores of ``found``, and the text's own; None for this where the budget ended with it."""
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
        """The neighbour whose score rises most; None where none does."""
        rises = scored.scores - scored.scores.dtype.type(standing.score)
        if not len(rises) or not rises.max() > 0:
            return None
        best = int(rises.argmax())
        weights = self._used(seedling.weights, shared.place_of(found[best]))
        return Member(Seedling(found[best], weights, swapped=True), scored.row(best))


@dataclass(frozen=True)
class ImprovedGenetic(Genetic):
    """IGA (Wang et al. 2019, arXiv:1909.06723), as TextAttack 0.3.11 has it.

    Differs from ``Genetic``: each first member is the clean text with one word, the next in reading order, swapped for
    its best substitute; a child takes all words from a drawn place on from its second parent; a word may be swapped
    ``swaps_per_word`` times, and is drawn in proportion to what is left.

    Further defects of TextAttack, kept unless ``mended``: in place of the first word a word is drawn; a word that
    does not raise the score is asked again, and counted, as often as the text has words.
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
        """The best of one word's neighbours; None where the score does not rise."""
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
