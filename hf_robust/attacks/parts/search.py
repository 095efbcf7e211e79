"""Searches: greedy in order of importance, beam, the first word alone, and all candidates at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Columns, Steps
from hf_robust.attacks.engine.trial import Scored, Trial
from hf_robust.metrics import AttackRecord

Search = Callable[[Trial], Steps[str]]
"""Changes the trial and returns why it stopped: ``success``, ``exhausted``, ``budget`` or ``time``."""


def attack_example(trial: Trial, replayed: Columns | None = None) -> Steps[AttackRecord]:
    """Score the clean text, leave out what is not to be attacked, then search.

    ``replayed`` is a text that succeeded on this example before: it is asked first, and ends the attack if it still
    does (stop ``warm_start``).
    """
    attack, example = trial.attack, trial.example
    yield from trial.look()
    if example.label in attack.skip_labels:
        return trial.record("skipped", "skip_label")
    if not trial.is_right:
        return (
            trial.record("skipped", "misclassified")
            if attack.skip_misclassified
            else trial.record("succeeded", "success")
        )
    if attack.candidates.planned and not trial.num_candidates and attack.ranks_movable_only:
        return trial.record("failed", "no_candidates")
    if replayed is not None and (yield from trial.replay(replayed)):
        return trial.record("succeeded", "warm_start")
    stop = yield from attack.search(trial)
    nothing = not trial.num_candidates and attack.own_examples is None
    if nothing and (stop == "exhausted" or (attack.candidates.planned and stop != "success")):
        # What is planned had nothing to ask for, whatever ended the search.
        stop = "no_candidates"
    return trial.record("succeeded" if stop == "success" or attack.goal.maximises else "failed", stop)


@dataclass(frozen=True)
class Greedy:
    """Visit words by falling importance; at each take the best substitute if it strictly raises the goal's score.

    ``GreedyWIR`` of Jin et al. 2020 as TextAttack has it: a word that does not help is passed over (its queries
    count), the search ends when an accepted text reaches the goal, and then, where a similarity was measured, the most
    similar of the leading run of successes is taken. Equal scores go by the text itself.

    Attributes:
        early_exit: at each word ask for so many substitutes at a time, and for no more once one reaches the goal:
            fewer queries, but not always TextAttack's text. None asks for all.
        follows_words: visit the word that was ranked even where an earlier swap moved its number. Off, as in
            TextAttack, the number then names another word.
    """

    early_exit: int | None = None
    follows_words: bool = False

    def __call__(self, trial: Trial) -> Steps[str]:
        attack = trial.attack
        if attack.ranking is None:
            raise ValueError(f"the attack {attack.name!r} searches greedily and needs a ranking, got none.")
        order = yield from attack.ranking(trial)
        for ranked in order:
            if trial.spent:
                return trial.spent
            index = trial.current.place_of(ranked) if self.follows_words else ranked
            if index is None or index >= len(trial.current.text.words):
                continue
            found = yield from trial.neighbours(trial.current, [index])
            if not found:
                continue
            scored = yield from self._ask(trial, found)
            trial.weigh(scored)
            best = scored.best()
            if scored.scores[best] <= trial.score:
                continue
            if scored.reached[best]:
                place = _most_similar(found, scored)
                trial.take(found[place], scored.row(place))
                return "success"
            trial.take(found[best], scored.row(best))
            if attack.max_changed is not None and len(trial.current.modified) >= attack.max_changed:
                break
        return "budget" if trial.truncated else "exhausted"

    def _ask(self, trial: Trial, found: list[Draft]) -> Steps[Scored]:
        texts = [draft.text for draft in found]
        step = self.early_exit or len(texts)
        scored = yield from trial.ask(texts[:step])
        for start in range(step, len(texts), step):
            if scored.reached.any() or trial.spent:
                break
            scored = scored.joined((yield from trial.ask(texts[start : start + step])))
        return scored

    @property
    def __name__(self) -> str:
        options = [f"early exit {self.early_exit}"] * (self.early_exit is not None)
        return ", ".join(["greedy", *options, *["follows words"] * self.follows_words])


greedy = Greedy()


@dataclass(frozen=True)
class Beam:
    """Keep the ``width`` best texts; at each step try every swap of every word of each of them.

    TextAttack's beam search; a width of 1 is its plain greedy search. The best text of each step is taken even where
    its score falls, and the search ends when it reaches the goal or no text has a swap left.
    """

    width: int = 8

    def __call__(self, trial: Trial) -> Steps[str]:
        attack, beam = trial.attack, [trial.clean]
        while True:
            if trial.spent:
                return trial.spent
            found: list[Draft] = []
            for draft in beam:
                found += yield from trial.neighbours(draft)
            if not found:
                return "exhausted"
            scored = yield from trial.ask([draft.text for draft in found])
            trial.weigh(scored)
            best = scored.best()
            trial.take(found[best], scored.row(best))
            if scored.reached[best]:
                return "success"
            beam = [found[place] for place in (-scored.scores).argsort()[: self.width]]
            if attack.max_changed is not None:
                beam = [draft for draft in beam if len(draft.modified) < attack.max_changed]

    @property
    def __name__(self) -> str:
        return f"beam {self.width}"


def top(trial: Trial) -> Steps[str]:
    """Change the word that ranks first, once: the best of its candidates is taken, whether or not it helps."""
    if trial.attack.ranking is None:
        raise ValueError(f"the attack {trial.attack.name!r} changes the word that ranks first and needs a ranking.")
    order = yield from trial.attack.ranking(trial)
    found = (yield from trial.neighbours(trial.clean, order[:1])) if order else []
    return (yield from _best_of(trial, found))


def once(trial: Trial) -> Steps[str]:
    """Score every candidate of every position once and take the best, whether or not it raises the score.

    ``SearchOnce`` of Chen et al. 2022 (BAT A.2). Equal scores go by the text itself.
    """
    found = yield from trial.neighbours(trial.clean)
    return (yield from _best_of(trial, found))


def _best_of(trial: Trial, found: list[Draft]) -> Steps[str]:
    """Take the best of these candidates, whether or not it raises the score; why the search ends there."""
    if not found:
        return "exhausted"
    if trial.spent:
        return trial.spent
    scored = yield from trial.ask([draft.text for draft in found])
    trial.weigh(scored)
    best = scored.best()
    trial.take(found[best], scored.row(best))
    if scored.reached[best]:
        return "success"
    return "budget" if trial.truncated else "exhausted"


def _most_similar(found: list[Draft], scored: Scored) -> int:
    """Of the successes that stand before the first failure by falling score, the first with the highest similarity."""
    order = np.argsort(-scored.scores, kind="stable")
    if found[order[0]].similarity is None:
        return int(order[0])
    leading: list[int] = []
    for place in order:
        if not scored.reached[place]:
            break
        leading.append(int(place))
    return max(leading, key=lambda place: found[place].similarity or 0.0)
