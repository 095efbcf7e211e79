"""One example under attack: what was asked, what was found, what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.attack import Attack, Example
from hf_robust.attacks.requests import Columns, Floats, Score, Scores, Steps
from hf_robust.metrics import AttackRecord
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.plans import Plan

BATCH_NOISE = 2e-6
"""Scores of the same tokens in batches of other shapes differ by about this much."""


class Standing(NamedTuple):
    """A text and what the model says of it: probabilities [K], and the key of its tokens."""

    text: Text
    probabilities: Floats
    sequence: bytes


class Scored(NamedTuple):
    """Probabilities [n, K] of the texts asked for, goal scores [n], where the goal is reached [n], token keys [n]."""

    probabilities: Floats
    scores: Floats
    reached: NDArray[np.bool_]
    sequences: Sequence[bytes]

    def best(self) -> int:
        """The first of the texts with the highest score."""
        return int(self.scores.argmax())


class Trial:
    """The state of one attack on one example; searches and rankings work on it.

    Attributes:
        text: the clean text, with its words.
        plan: the open positions and their admissible substitutes.
        clean, current: what the model says of the clean text and of the last accepted one.
        score: the goal's score that the next accepted text must exceed.
        queries: texts shown to the goal so far, the clean one included.
        spent: whether the query budget is used up; truncated: whether it cut a list of texts short.
    """

    def __init__(self, attack: Attack, example: Example, plan: Plan) -> None:
        self.attack, self.example, self.plan = attack, example, plan
        self.text = plan.text
        self.positions = [index for index, _ in plan.swaps]
        self.changed: list[tuple[int, str, str]] = []
        self.queries = 0
        self.near_ties = 0
        self.truncated = False
        self.remains = False

    @property
    def spent(self) -> bool:
        """Whether the query budget is used up."""
        return self.attack.query_budget is not None and self.queries >= self.attack.query_budget

    def look(self) -> Steps[None]:
        """Ask for the clean text: query 1."""
        answer: Scores = yield Score([self.text.columns])
        self.queries = 1
        self.clean = self.current = Standing(self.text, answer.probabilities[0], answer.sequences[0])
        goal = self.attack.goal
        self.score = goal.start(float(goal.scores(answer.probabilities, self.example.label)[0]))

    def ask(self, texts: Sequence[Columns]) -> Steps[Scored]:
        """Score texts, as many as the budget allows, and count them; texts of equal tokens score equally."""
        budget = self.attack.query_budget
        if budget is not None and self.queries + len(texts) > budget:
            texts, self.truncated = texts[: budget - self.queries], True
        self.queries += len(texts)
        answer: Scores = (yield Score(texts)) if texts else Scores(np.empty((0, self._classes)), [])
        probabilities = answer.probabilities
        for place, sequence in enumerate(answer.sequences):
            # The same tokens in another batch differ by noise, which must not pass for a rise.
            if sequence == self.current.sequence:
                probabilities[place] = self.current.probabilities
        goal, label = self.attack.goal, self.example.label
        scores, reached = goal.scores(probabilities, label), goal.reached(probabilities, label)
        return Scored(probabilities, scores, reached, answer.sequences)

    def weigh(self, scored: Scored) -> None:
        """Note of scored candidates whether one kept the prediction, and whether noise may have chosen among them."""
        self.remains |= bool((scored.probabilities.argmax(-1) == self.example.label).any())
        order = np.argsort(-scored.scores, kind="stable")
        top, rivals = order[0], [(scored.scores[place], scored.sequences[place]) for place in order[1:2]]
        rivals.append((self.score, self.current.sequence))
        self.near_ties += any(
            0 < abs(scored.scores[top] - score) < BATCH_NOISE and scored.sequences[top] != sequence
            for score, sequence in rivals
        )

    def accept(self, index: int, new: str, scored: Scored, place: int) -> None:
        """Make the scored text at ``place``, in which word ``index`` is ``new``, the current one."""
        text = self.current.text.replace({index: new}) if new else self.current.text.delete(index)
        self.current = Standing(text, scored.probabilities[place], scored.sequences[place])
        self.score = float(scored.scores[place])
        self.changed.append((index, self.text.tokens[index], new))

    def record(self, status: str, stop: str) -> AttackRecord:
        """The result as it is now."""
        label, before, after = self.example.label, self.clean.probabilities, self.current.probabilities
        return AttackRecord(
            idx=self.example.idx,
            label=label,
            status=status,
            original=list(self.text.columns),
            perturbed=list(self.current.text.columns),
            changed=[list(change) for change in sorted(self.changed)],
            queries=self.queries,
            original_prediction=int(before.argmax()),
            perturbed_prediction=int(after.argmax()),
            original_score=float(before[label]),
            perturbed_score=float(after[label]),
            stop=stop,
            num_candidates=sum(len(substitutes) for _, substitutes in self.plan.swaps),
            remains=self.remains if self.attack.goal.keeps_prediction else None,
            near_ties=self.near_ties,
        )

    @property
    def _classes(self) -> int:
        return len(self.clean.probabilities)
