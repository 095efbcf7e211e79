"""Hard-label search: a random text with a wrong label becomes more similar to the original, by labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.engine.trial import Evaluation, Trial
from hf_robust.attacks.parts import population as shared
from hf_robust.attacks.parts.constraints import MaxChangedShare
from hf_robust.attacks.parts.text_similarity import TextSimilarity

Swaps = Mapping[int, str]
"""The words that differ from the clean text's, by number."""
Key = frozenset[tuple[int, str]]


class Member(NamedTuple):
    """A text that reaches the goal, made from the clean text by ``swaps``, and its similarity to the clean text."""

    swaps: Swaps
    draft: Draft
    evaluation: Evaluation
    similarity: float


@dataclass(frozen=True)
class HardLabel:
    r"""The search of Maheshwary et al. 2021 (arXiv:2012.14956), which sees labels alone.

    .. math:: \max_{x'} S(x, x') \quad \text{such that} \quad F(x') \neq y,

    with S of ``TextSimilarity``. No text with the right label is ever kept.

    1. Start: one random word becomes a random substitute, then two words, and so on up to all words, each time from
       the clean text; then all words up to ``starts`` times. The first text with a wrong label is taken.
    2. Reduction of the search space: words are restored, those first that leave the most similar text, until one of
       them changes the label back; this is repeated until no word can be restored.
    3. Population of ``size`` texts, for at most ``iterations`` generations, or until the most similar text was the
       same ``patience`` times. Parents are drawn by :math:`\mathrm{softmax}(S)`. A child has each changed word from
       one of two parents, and lives if it is at least as similar as the most similar text and its label is wrong. It
       is mutated at a random word: the word is restored if the label stays wrong, else becomes the substitute of the
       most similar text with a wrong label, which is at least as similar as before. The most similar text stays.

    Differs from the paper: S compares whole texts; the released code compares windows of 40 words around a swap in a
    mutation. The released code takes the text with the fewest changed words as the best, not the most similar one.
    A text that was asked before is not asked again, and substitutes are asked in falling order of similarity until
    one has a wrong label: the outcome is that of asking all, for fewer queries.

    Field names are part of journal keys and result files.
    """

    size: int = 30
    iterations: int = 100
    patience: int = 15
    starts: int = 2500

    def __post_init__(self) -> None:
        if self.size < 2 or min(self.iterations, self.patience, self.starts) < 0:
            raise ValueError(f"a population needs at least 2 texts and no number below 0, got {self}.")

    @property
    def __name__(self) -> str:
        return shared.describe_search(self)

    def __call__(self, trial: Trial) -> Steps[str]:
        search = _Search(self, trial)
        start = yield from search.start()
        if start is None:
            return trial.limit_reached or "exhausted"
        reduced = yield from search.reduce(start)
        best = yield from search.improve(reduced)
        return shared.finish(trial, best.draft, best.evaluation)


class _Search:
    """A search on one example; it remembers, by their swaps, which texts were asked and which were measured."""

    def __init__(self, settings: HardLabel, trial: Trial) -> None:
        rule = trial.attack.similarity
        if not isinstance(rule, TextSimilarity):
            raise ValueError(f"the {trial.attack.name} attack raises the similarity and needs a TextSimilarity.")
        self.settings, self.trial, self.rule = settings, trial, rule
        self.rng, self.options = trial.rng.numpy, trial.plan.swaps
        self.members: dict[Key, Member | None] = {frozenset(): None}
        self.similarities: dict[Key, float] = {}

    def start(self) -> Steps[Member | None]:
        """A random text with a wrong label; None if there is none, or a limit is reached."""
        trial, words = self.trial, self.trial.positions
        limits = [rule.limit(trial.clean) for rule in trial.attack.constraints if isinstance(rule, MaxChangedShare)]
        most = min([len(words), *limits])
        for tried in range(most + self.settings.starts if most else 0):
            if trial.limit_reached:
                break
            chosen = [words[place] for place in self.rng.permutation(len(words))[: min(tried + 1, most)]]
            swaps = {index: self.options[index][self.rng.randint(len(self.options[index]))] for index in chosen}
            (member,) = yield from self._members([swaps])
            if member is not None:
                return member
        return None

    def reduce(self, member: Member) -> Steps[Member]:
        """The member with words restored until each further one would change the label back."""
        while True:
            words = sorted(member.swaps)
            found = yield from self._members([_without(member.swaps, index) for index in words])
            similarities = {index: one.similarity for index, one in zip(words, found, strict=True) if one is not None}
            if not similarities:
                return member
            for index in sorted(similarities, key=lambda index: -similarities[index]):
                (restored,) = yield from self._members([_without(member.swaps, index)])
                if restored is None:
                    break
                member = restored

    def improve(self, member: Member) -> Steps[Member]:
        """The most similar text that the population finds."""
        words = sorted(member.swaps)
        population = [member, *(yield from self._mutated([(member, index) for index in words]))]
        best, same = max(population, key=_similarity), 0
        for _ in range(self.settings.iterations if len(words) > 1 else 0):
            if self.trial.limit_reached or same >= self.settings.patience:
                break
            children = yield from self._children(population, best, words)
            drawn = self.rng.randint(len(words), size=len(children))
            mutated = yield from self._mutated([(child, words[at]) for child, at in zip(children, drawn, strict=True)])
            population = [best, *mutated]
            top = max(population, key=_similarity)
            best, same = top, same + 1 if top.swaps == best.swaps else 0
        return best

    def _children(self, population: Sequence[Member], best: Member, words: Sequence[int]) -> Steps[list[Member]]:
        """Children of ``size - 1`` pairs of parents: those that are as similar as ``best`` and have a wrong label."""
        chances = np.exp([member.similarity for member in population])
        count = self.settings.size - 1
        pairs = zip(shared.draw(self.trial, chances, count), shared.draw(self.trial, chances, count), strict=True)
        mixed: list[Swaps] = []
        for pair in pairs:
            parents = [population[place].swaps for place in pair]
            sides = zip(words, self.rng.randint(2, size=len(words)), strict=True)
            mixed.append({index: parents[side][index] for index, side in sides if index in parents[side]})
        similarities = yield from self._measured(mixed)
        alike = [swaps for swaps, value in zip(mixed, similarities, strict=True) if value >= best.similarity]
        return [child for child in (yield from self._members(alike)) if child is not None]

    def _mutated(self, pairs: Sequence[tuple[Member, int]]) -> Steps[list[Member]]:
        """Each member with another word at the number beside it; without those for which there is none."""
        found = yield from self._members([_without(member.swaps, index) for member, index in pairs])
        left: dict[int, list[Swaps]] = {}
        for number, (member, index) in enumerate(pairs):
            if found[number] is None:
                others = [new for new in self.options[index] if new != member.swaps[index]]
                left[number] = [{**member.swaps, index: new} for new in others]
        similarities = iter((yield from self._measured([swaps for each in left.values() for swaps in each])))
        for number, each in left.items():
            values = [next(similarities) for _ in each]
            order = sorted(range(len(each)), key=lambda place: -values[place])
            left[number] = [each[place] for place in order if values[place] >= pairs[number][0].similarity]
        while (left := {number: each for number, each in left.items() if each}) and not self.trial.limit_reached:
            made = yield from self._members([each.pop(0) for each in left.values()])
            for number, mutant in zip(list(left), made, strict=True):
                if mutant is not None:
                    found[number], left[number] = mutant, []
        return [mutant for mutant in found if mutant is not None]

    def _members(self, wanted: Sequence[Swaps]) -> Steps[list[Member | None]]:
        """Each text as a member if it is admissible and its label is wrong; None for the others."""
        keys = [frozenset(swaps.items()) for swaps in wanted]
        new = {key: self.trial.clean.swap_many(dict(key)) for key in keys if key not in self.members}
        if not new:
            return [self.members[key] for key in keys]
        admitted = yield from self.trial.admissible(self.trial.clean, list(new.values()))
        scored = yield from self.trial.ask([draft.text for draft in admitted])
        self.members.update(dict.fromkeys(key for key, draft in new.items() if draft not in admitted))
        found: dict[Key, tuple[Draft, Evaluation]] = {}
        # The results are fewer if the query budget ended.
        for place, draft in enumerate(admitted[: len(scored.scores)]):
            key, evaluation = frozenset(draft.swaps.items()), scored.row(place)
            self.members[key] = None
            if evaluation.reached:
                found[key] = draft, evaluation
        similarities = yield from self._measured([dict(key) for key in found])
        for (key, (draft, evaluation)), value in zip(found.items(), similarities, strict=True):
            self.members[key] = Member(draft.swaps, draft, evaluation, value)
        return [self.members.get(key) for key in keys]

    def _measured(self, wanted: Sequence[Swaps]) -> Steps[list[float]]:
        """The similarity of each text to the clean text."""
        keys = [frozenset(swaps.items()) for swaps in wanted]
        new = {key: self.trial.clean.swap_many(dict(key)) for key in keys if key not in self.similarities}
        if new:
            values = yield from self.rule.measure(self.trial.clean, list(new.values()))
            self.similarities.update(zip(new, values, strict=True))
        return [self.similarities[key] for key in keys]


def _without(swaps: Swaps, index: int) -> Swaps:
    return {other: new for other, new in swaps.items() if other != index}


def _similarity(member: Member) -> float:
    return member.similarity
