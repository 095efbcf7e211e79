"""Searches: greedy by word importance, beam search, the first-ranked word only, and all candidates at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Columns, Steps
from hf_robust.attacks.engine.trial import Evaluations, Trial
from hf_robust.metrics import AttackRecord

Search = Callable[[Trial], Steps[str]]
"""Changes the trial and returns why it stopped: ``success``, ``exhausted``, ``budget`` or ``time``."""


def attack_example(trial: Trial, replayed: Columns | None = None) -> Steps[AttackRecord]:
    """Score the clean text, skip the example if it is not to be attacked, then search.

    ``replayed`` is a text that succeeded on this example before. It is scored first, and the attack ends if it still
    succeeds (stop ``warm_start``).
    """
    attack, example = trial.attack, trial.example
    yield from trial.ask_clean()
    if example.label in attack.skip_labels:
        return trial.record("skipped", "skip_label")
    if not trial.is_correct:
        return (
            trial.record("skipped", "misclassified")
            if attack.skip_misclassified
            else trial.record("succeeded", "success")
        )
    if attack.goal.skips_reached and trial.evaluation.reached:
        return trial.record("skipped", "reached")
    if attack.candidates.planned and not trial.num_candidates and attack.ranks_movable_only:
        return trial.record("failed", "no_candidates")
    if replayed is not None and (yield from trial.replay(replayed)):
        return trial.record("succeeded", "warm_start")
    stop = yield from attack.search(trial)
    nothing = not trial.num_candidates and attack.own_examples is None
    if nothing and (stop == "exhausted" or (attack.candidates.planned and stop != "success")):
        # Planned candidates are known in advance, so the search had none, whatever stopped it.
        stop = "no_candidates"
    return trial.record("succeeded" if stop == "success" or attack.goal.maximises else "failed", stop)


@dataclass(frozen=True)
class Greedy:
    """Visits words by falling importance, and takes a word's best substitute if it strictly raises the goal's score.

    ``GreedyWIR`` of Jin et al. 2020, as TextAttack has it. A word whose substitutes do not raise the score is skipped,
    and its queries count. The search ends when an accepted text reaches the goal. If similarities were measured, the
    most similar of the successes before the first failure, by falling score, is then taken. Ties are decided by the
    text itself.

    Attributes:
        early_exit: number of substitutes of a word to score at a time; the search leaves the word once one reaches the
            goal. It takes fewer queries, but the text is not always TextAttack's. None scores all at once.
        follows_words: whether to visit the ranked word even if an earlier swap shifted its number. False, as in
            TextAttack: the number then refers to another word.
    """

    early_exit: int | None = None
    follows_words: bool = False

    def __call__(self, trial: Trial) -> Steps[str]:
        attack = trial.attack
        if attack.ranking is None:
            raise ValueError(f"the attack {attack.name!r} searches greedily and needs a ranking, got none.")
        order = yield from attack.ranking(trial)
        for ranked in order:
            if trial.limit_reached:
                return trial.limit_reached
            index = trial.current.place_of(ranked) if self.follows_words else ranked
            if index is None or index >= len(trial.current.text.words):
                continue
            drafts = yield from trial.neighbours(trial.current, [index])
            if not drafts:
                continue
            scored = yield from self._ask(trial, drafts)
            trial.record_decision(scored)
            best = scored.best()
            if scored.scores[best] <= trial.score:
                continue
            if scored.reached[best]:
                place = _most_similar(drafts, scored)
                trial.take(drafts[place], scored.row(place))
                return "success"
            trial.take(drafts[best], scored.row(best))
            if attack.max_changed is not None and len(trial.current.modified) >= attack.max_changed:
                break
        return "budget" if trial.truncated else "exhausted"

    def _ask(self, trial: Trial, drafts: list[Draft]) -> Steps[Evaluations]:
        texts = [draft.text for draft in drafts]
        step = self.early_exit or len(texts)
        scored = yield from trial.ask(texts[:step])
        for start in range(step, len(texts), step):
            if scored.reached.any() or trial.limit_reached:
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
    """Beam search: keeps the ``width`` best texts, and at each step scores every swap of every word of each of them.

    As in TextAttack; width 1 is its plain greedy search. The best text of each step is taken even if the score falls.
    The search ends when the best text reaches the goal, no text has a swap left, or after ``steps`` steps.
    """

    width: int = 8
    steps: int | None = None

    def __call__(self, trial: Trial) -> Steps[str]:
        attack, beam = trial.attack, [trial.clean]
        for _ in count() if self.steps is None else range(self.steps):
            if trial.limit_reached:
                return trial.limit_reached
            drafts: list[Draft] = []
            for draft in beam:
                drafts += yield from trial.neighbours(draft)
            if not drafts:
                return "exhausted"
            scored = yield from trial.ask([draft.text for draft in drafts])
            trial.record_decision(scored)
            best = scored.best()
            trial.take(drafts[best], scored.row(best))
            if scored.reached[best]:
                return "success"
            beam = [drafts[place] for place in (-scored.scores).argsort()[: self.width]]
            if attack.max_changed is not None:
                beam = [draft for draft in beam if len(draft.modified) < attack.max_changed]
        return "exhausted"

    @property
    def __name__(self) -> str:
        return f"beam {self.width}" + f", at most {self.steps} steps" * bool(self.steps)


def top(trial: Trial) -> Steps[str]:
    """Change only the word that ranks first: take its best candidate, whether or not it raises the score."""
    if trial.attack.ranking is None:
        raise ValueError(f"the attack {trial.attack.name!r} changes the word that ranks first and needs a ranking.")
    order = yield from trial.attack.ranking(trial)
    drafts = (yield from trial.neighbours(trial.clean, order[:1])) if order else []
    return (yield from _best_of(trial, drafts))


def once(trial: Trial) -> Steps[str]:
    """Score every candidate of every word once and take the best, whether or not it raises the score.

    ``SearchOnce`` of Chen et al. 2022 (BAT A.2). Ties are decided by the text itself.
    """
    drafts = yield from trial.neighbours(trial.clean)
    return (yield from _best_of(trial, drafts))


def _best_of(trial: Trial, drafts: list[Draft]) -> Steps[str]:
    """Take the best of these candidates, whether or not it raises the score, and return why the search stopped."""
    if not drafts:
        return "exhausted"
    if trial.limit_reached:
        return trial.limit_reached
    scored = yield from trial.ask([draft.text for draft in drafts])
    trial.record_decision(scored)
    best = scored.best()
    trial.take(drafts[best], scored.row(best))
    if scored.reached[best]:
        return "success"
    return "budget" if trial.truncated else "exhausted"


def _most_similar(drafts: list[Draft], scored: Evaluations) -> int:
    """Index of the most similar text among the successes before the first failure, in order of falling score."""
    order = np.argsort(-scored.scores, kind="stable")
    if drafts[order[0]].similarity is None:
        return int(order[0])
    leading: list[int] = []
    for place in order:
        if not scored.reached[place]:
            break
        leading.append(int(place))
    return max(leading, key=lambda place: drafts[place].similarity or 0.0)
