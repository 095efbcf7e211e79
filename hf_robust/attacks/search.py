"""Searches: greedy word swap in order of importance, and all candidates at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.requests import Floats, Steps
from hf_robust.attacks.trial import Scored, Trial
from hf_robust.metrics import AttackRecord

if TYPE_CHECKING:
    from hf_robust.attacks.plans import Plan

Search = Callable[[Trial], Steps[str]]
"""Changes the trial and returns why it stopped: ``success``, ``exhausted`` or ``budget``."""


def attack_example(attack: Attack, example: Example, plan: Plan) -> Steps[AttackRecord]:
    """Score the clean text, leave out what is not to be attacked, then search."""
    trial = Trial(attack, example, plan)
    yield from trial.look()
    if example.label in attack.skip_labels:
        return trial.record("skipped", "skip_label")
    if trial.clean.probabilities.argmax() != example.label:
        return trial.record("skipped", "misclassified")
    if not trial.positions:
        return trial.record("failed", "no_candidates")
    stop = yield from attack.search(trial)
    return trial.record("succeeded" if stop == "success" else "failed", stop)


def greedy(trial: Trial) -> Steps[str]:
    """Visit words by falling importance; at each take the best substitute if it strictly raises the goal's score.

    ``GreedyWIR`` of Jin et al. 2020 as TextAttack has it: a word that does not help is passed over (its queries
    count), the search ends when an accepted text reaches the goal, and then, where a similarity was measured, the most
    similar of the leading run of successes is taken. Equal scores go by the text itself.
    """
    if trial.attack.ranking is None:
        raise ValueError(f"the attack {trial.attack.name!r} searches greedily and needs a ranking, got none.")
    order = yield from trial.attack.ranking(trial)
    substitutes = dict(trial.plan.swaps)
    for index in order:
        if trial.spent:
            return "budget"
        found, similarity = yield from _admissible(trial, index, substitutes[index])
        if not found:
            continue
        scored = yield from trial.ask(trial.current.text.variants(index, found))
        trial.weigh(scored)
        best = scored.best()
        if scored.scores[best] <= trial.score:
            continue
        if scored.reached[best]:
            place = best if similarity is None else _most_similar(scored, similarity)
            trial.accept(index, found[place], scored, place)
            return "success"
        trial.accept(index, found[best], scored, best)
        if trial.attack.max_changed is not None and len(trial.changed) >= trial.attack.max_changed:
            break
    return "budget" if trial.truncated else "exhausted"


def once(trial: Trial) -> Steps[str]:
    """Score every candidate of every position once and take the best, whether or not it raises the score.

    ``SearchOnce`` of Chen et al. 2022 (BAT A.2). Equal scores go by the text itself.
    """
    candidates = []
    for index, substitutes in trial.plan.swaps:
        for new in substitutes:
            text = trial.text.replace({index: new}) if new else trial.text.delete(index)
            candidates.append((text.joined, index, new, text.columns))
    candidates.sort()
    if trial.spent:
        return "budget"
    scored = yield from trial.ask([columns for *_, columns in candidates])
    trial.weigh(scored)
    best = scored.best()
    _, index, new, _ = candidates[best]
    trial.accept(index, new, scored, best)
    if scored.reached[best]:
        return "success"
    return "budget" if trial.truncated else "exhausted"


def _admissible(trial: Trial, index: int, substitutes: Sequence[str]) -> Steps[tuple[list[str], Floats | None]]:
    """The substitutes that the sentence similarity lets pass, sorted by the text they make, and their similarities."""
    word = trial.current.text.words[index]
    column = trial.current.text.columns[word.column]
    rest = "\n".join([column[word.end :], *trial.current.text.columns[word.column + 1 :]])
    # All texts agree up to this word, so this is the order of the whole texts.
    found = sorted(substitutes, key=lambda new: new + rest)
    constraint = trial.attack.similarity
    if constraint is None:
        return found, None
    similarity = yield from constraint.of(trial.text, trial.current.text, index, found)
    passes = similarity >= constraint.minimum
    return [new for new, good in zip(found, passes, strict=True) if good], similarity[passes]


def _most_similar(scored: Scored, similarity: Floats) -> int:
    """Of the successes that stand before the first failure by falling score, the first with the highest similarity."""
    leading: list[int] = []
    for place in np.argsort(-scored.scores, kind="stable"):
        if not scored.reached[place]:
            break
        leading.append(int(place))
    return max(leading, key=lambda place: float(similarity[place]))
