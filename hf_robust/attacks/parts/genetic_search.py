"""Genetic searches: parents are crossed, and one word of each child is swapped for a better word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Evaluation, Evaluations, Trial
from hf_robust.attacks.parts import population as shared

DrawWeights = NDArray[Any]


@dataclass(frozen=True)
class Genome:
    """A text and the ``draw_weights`` [number of words] in proportion to which a word is drawn for a swap.

    ``swapped`` tells whether the text or one of its parents was made by a swap; only then is it checked after a
    crossover.
    """

    draft: Draft
    draw_weights: DrawWeights
    swapped: bool = False


@dataclass(frozen=True)
class Member:
    """A scored text of the population."""

    genome: Genome
    evaluation: Evaluation

    @property
    def score(self) -> float:
        return self.evaluation.score


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
        return shared.describe_search(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        if not trial.text.words:
            return "exhausted"
        everywhere = yield from shared.neighbours(trial, trial.clean)
        if not everywhere and trial.attack.candidates.planned:
            # No word has a substitute: every child is the clean text and takes one query.
            rounds = 0 if self.give_up else self.iterations
            trial.repeat(rounds * (self._size(trial) - 1))
            return shared.finish(trial, trial.clean, trial.evaluation)
        highest, clean = trial.evaluation.score, Genome(trial.clean, self._draw_weights(trial, everywhere))
        population = yield from self._initial_population(trial, Member(clean, trial.evaluation), everywhere)
        for _ in range(self.iterations):
            population.sort(key=_score, reverse=True)
            top = population[0]
            if trial.limit_reached or top.evaluation.reached or (self.give_up and top.score <= highest):
                break
            highest = max(highest, top.score)
            children = yield from self._children(trial, population)
            population = [top, *children]
        best = max(population, key=_score) if self.mended else population[0]
        return shared.finish(trial, best.genome.draft, best.evaluation)

    def _size(self, trial: Trial) -> int:
        return self.population

    def _draw_weights(self, trial: Trial, everywhere: list[Draft]) -> DrawWeights:
        """Number of neighbours of each word of the clean text; words without neighbours have a small weight."""
        counts = np.zeros(len(trial.text.words))
        for neighbour in everywhere:
            counts[shared.swapped_index(neighbour)] += 1
        return np.maximum(counts, max(1, int(counts.min() * 0.1)))

    def _initial_population(self, trial: Trial, clean: Member, everywhere: list[Draft]) -> Steps[list[Member]]:
        """The initial population, made from the clean text."""
        members: list[Member] = []
        while len(members) < self.population and not (members and trial.limit_reached):
            member = yield from self._mutated(trial, clean.genome, clean.evaluation)
            members.append(member or clean)
        return members

    def _children(self, trial: Trial, population: list[Member]) -> Steps[list[Member]]:
        """The children: one fewer than there are members, or less if the budget ends."""
        count = len(population) - 1
        chances = self._chances(population, unbounded=trial.attack.scores == "margin")
        noise = trial.noise / self.temperature
        fathers, mothers = (shared.draw(trial, chances, count, noise) for _ in range(2))
        children: list[Member] = []
        for father, mother in zip(fathers, mothers, strict=True):
            genome, evaluation = yield from self._crossover(trial, population[father], population[mother])
            child = yield from self._mutated(trial, genome, evaluation)
            if child is not None:
                children.append(child)
            if trial.limit_reached:
                break
        return children

    def _chances(self, population: list[Member], unbounded: bool = False) -> Floats:
        """Probability [members] of being a parent; if scores are probabilities, in float32 by torch, as TextAttack."""
        import torch

        scores = [member.score if self.mended else -member.score for member in population]
        if unbounded:
            highest = max(scores)
            powers = np.exp([(score - highest) / self.temperature for score in scores])
            return np.asarray(powers / powers.sum())
        logits = (torch.tensor(scores, dtype=torch.float32) / self.temperature).exp()
        chances: Floats = (logits / logits.sum()).numpy()
        return chances

    def _crossover(self, trial: Trial, father: Member, mother: Member) -> Steps[tuple[Genome, Evaluation | None]]:
        """An unscored child of two members; one of the members if no child passes the constraints."""
        first, second = father.genome, mother.genome
        swapped = first.swapped or second.swapped
        for _ in range(self.retries + 1):
            chosen = self._from_second_parent(trial, len(first.draw_weights))
            draft = shared.mix(first.draft, second.draft, np.flatnonzero(chosen).tolist(), all_chosen=False)
            child = Genome(draft, np.where(chosen, second.draw_weights, first.draw_weights), swapped)
            if not (self.check_children and swapped):
                return child, None
            source = first.draft if first.swapped else second.draft
            if (yield from shared.is_admissible(trial, source, draft)):
                return child, None
        parent = father if trial.rng.numpy.uniform() < 0.5 else mother
        return parent.genome, parent.evaluation

    def _from_second_parent(self, trial: Trial, count: int) -> NDArray[np.bool_]:
        """Whether each word of a child comes from its second parent."""
        return trial.rng.numpy.random_sample(count) < 0.5

    def _after_swap(self, draw_weights: DrawWeights, index: int) -> DrawWeights:
        """The weights after a swap of word ``index``."""
        remaining = draw_weights.copy()
        remaining[index] = 0
        return remaining

    def _mutated(self, trial: Trial, genome: Genome, evaluation: Evaluation | None) -> Steps[Member | None]:
        """The text with one word swapped for its best substitute: the first drawn word for which the score rises.

        If ``evaluation`` is None, the text itself is scored first. Returns None if the budget ends with this query.
        """
        draw_weights = genome.draw_weights.copy()
        for _ in range(np.count_nonzero(draw_weights)):
            index = int(shared.draw(trial, draw_weights / draw_weights.sum(), 1)[0])
            neighbours = yield from shared.neighbours_at(trial, genome.draft, index)
            if not neighbours:
                continue
            evaluation, scored = yield from self._ask(trial, genome, evaluation, neighbours)
            if evaluation is None:
                return None
            better = self._best_rise(genome, evaluation, neighbours, scored)
            if better is not None:
                return better
            draw_weights[index] = 0
            if trial.limit_reached:
                break
        if evaluation is None:
            evaluation, _ = yield from self._ask(trial, genome, None, [])
        return None if evaluation is None else Member(genome, evaluation)

    def _ask(
        self, trial: Trial, genome: Genome, evaluation: Evaluation | None, neighbours: list[Draft]
    ) -> Steps[tuple[Evaluation | None, Evaluations]]:
        """The result of the text itself (None if the budget ended with it), and the scores of ``neighbours``."""
        texts = [draft.text for draft in neighbours]
        if evaluation is not None:
            scored = yield from trial.ask(texts)
        else:
            both = yield from trial.ask([genome.draft.text, *texts])
            scored = shared.slice_rows(both, 1)
            lost = not len(both.scores) or (shared.budget_ended(trial) and not len(scored.scores) and not self.mended)
            evaluation = None if lost else both.row(0)
        if evaluation is not None:
            shared.record_decision(trial, scored, genome.draft, evaluation)
        return evaluation, scored

    def _best_rise(
        self, genome: Genome, evaluation: Evaluation, neighbours: list[Draft], scored: Evaluations
    ) -> Member | None:
        """The neighbour with the largest rise of the score; None if no score rises."""
        rises = scored.scores - scored.scores.dtype.type(evaluation.score)
        if not len(rises) or not rises.max() > 0:
            return None
        best = int(rises.argmax())
        draw_weights = self._after_swap(genome.draw_weights, shared.swapped_index(neighbours[best]))
        return Member(Genome(neighbours[best], draw_weights, swapped=True), scored.row(best))


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

    def _draw_weights(self, trial: Trial, everywhere: list[Draft]) -> DrawWeights:
        return np.full(len(trial.text.words), self.swaps_per_word)

    def _initial_population(self, trial: Trial, clean: Member, everywhere: list[Draft]) -> Steps[list[Member]]:
        by_word: dict[int, list[Draft]] = {}
        for neighbour in everywhere:
            by_word.setdefault(shared.swapped_index(neighbour), []).append(neighbour)
        members: list[Member] = []
        for index in range(len(trial.text.words)):
            if members and trial.limit_reached:
                break
            if index == 0 and not self.mended:
                member = yield from self._mutated(trial, clean.genome, clean.evaluation)
            else:
                member = yield from self._mutated_at(trial, clean, by_word.get(index, []))
            members.append(member or clean)
        return members[: self.population]

    def _mutated_at(self, trial: Trial, clean: Member, neighbours: list[Draft]) -> Steps[Member | None]:
        """The best of one word's neighbours; None if the score does not rise."""
        if not neighbours:
            return None
        _, scored = yield from self._ask(trial, clean.genome, clean.evaluation, neighbours)
        better = self._best_rise(clean.genome, clean.evaluation, neighbours, scored)
        if better is None and not self.mended:
            trial.repeat((len(clean.genome.draw_weights) - 1) * len(neighbours))
        return better

    def _from_second_parent(self, trial: Trial, count: int) -> NDArray[np.bool_]:
        return np.arange(count) >= trial.rng.numpy.randint(0, count)

    def _after_swap(self, draw_weights: DrawWeights, index: int) -> DrawWeights:
        remaining = draw_weights.copy()
        remaining[index] -= 1
        return remaining


def _score(member: Member) -> float:
    return member.score
