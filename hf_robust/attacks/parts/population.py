"""Functions shared by the population searches: neighbours, crossover, random draws, and the end of a search."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Evaluation, Evaluations, Trial
from hf_robust.attacks.parts.candidates import Candidates


def describe_search(search: Any) -> str:
    """The class and all fields of a search, for result files and journal keys."""
    settings = (f"{field.name} {getattr(search, field.name)}" for field in fields(search))
    return f"{type(search).__name__}: {', '.join(settings)}"


def neighbours(trial: Trial, draft: Draft, indices: Iterable[int] | None = None) -> Steps[list[Draft]]:
    """The neighbours of ``draft`` that have the same number of words.

    Texts of a population are mixed word by word, so swaps that change the number of words are left out. TextAttack
    raises an error for them.
    """
    drafts = yield from trial.neighbours(draft, indices)
    count = len(draft.text.words)
    # ``keeps_count`` avoids splitting every text again, which would dominate the cost of this function.
    return [neighbour for neighbour in drafts if neighbour.keeps_count or len(neighbour.text.words) == count]


def neighbours_at(trial: Trial, draft: Draft, index: int) -> Steps[list[Draft]]:
    """The neighbours of ``draft`` at one word; those of the clean text are found once, since each first member asks.

    Sources that draw or use a model may propose others each time, so their neighbours are not kept.
    """
    candidates = trial.attack.candidates
    if draft is not trial.clean or not candidates.planned or type(candidates).rewrites is not Candidates.rewrites:
        return (yield from neighbours(trial, draft, [index]))
    if index not in trial.clean_neighbours:
        trial.clean_neighbours[index] = yield from neighbours(trial, draft, [index])
    return trial.clean_neighbours[index]


def swapped_index(neighbour: Draft) -> int:
    """Number of the word that a neighbour swapped."""
    return next(iter(neighbour.swaps))


def mix(first: Draft, second: Draft, chosen: Iterable[int], *, all_chosen: bool) -> Draft:
    """``first`` with the words of ``second`` at ``chosen``.

    Which words count as changed is taken from ``second`` for the replaced words (with ``all_chosen`` for all chosen
    words) and from ``first`` for the others.
    """
    indices, words, other = list(chosen), first.text.tokens, second.text.tokens
    swaps = {index: other[index] for index in indices if words[index] != other[index]}
    replaced = frozenset(indices if all_chosen else swaps)
    return first.swap_many(swaps, modified=(first.modified - replaced) | (second.modified & replaced))


def is_admissible(trial: Trial, source: Draft, draft: Draft) -> Steps[bool]:
    """Whether a mixed text may follow ``source``: it is another text and passes the constraints on whole texts.

    Constraints on single words do not apply again, since each word was admitted in its own text.
    """
    if draft.text.columns == source.text.columns:
        return False
    admitted = yield from trial.admissible(source, [draft])
    return bool(admitted)


def record_decision(trial: Trial, scored: Evaluations, draft: Draft, evaluation: Evaluation) -> None:
    """``trial.record_decision`` with a member of the population as the text that the scored texts must exceed."""
    if len(scored.scores):
        trial.take(draft, evaluation)
        trial.record_decision(scored)


def slice_rows(scored: Evaluations, start: int, end: int | None = None) -> Evaluations:
    """The results from row ``start`` up to and excluding row ``end``."""
    rows = slice(start, end)
    return Evaluations(scored.rows[rows], scored.scores[rows], scored.reached[rows], scored.sequences[rows])


def draw(trial: Trial, probabilities: Sequence[float] | Floats, size: int, noise: float = 0.0) -> NDArray[np.intp]:
    """Draw ``size`` indices with these probabilities, with the random numbers of numpy's ``RandomState.choice``.

    ``noise`` is the size of the batching noise of the cumulative probabilities. A random number within this distance
    of one of them counts as a near tie.
    """
    borders = np.asarray(probabilities, dtype=np.float64).cumsum()
    borders /= borders[-1]
    numbers = trial.rng.numpy.random_sample(size)
    if noise:
        near = np.abs(numbers[:, None] - borders[None, :-1]) < noise
        trial.near_ties += int(near.any(axis=1).sum())
    return borders.searchsorted(numbers, side="right")


def budget_ended(trial: Trial) -> bool:
    """Whether the query budget of the example is used up."""
    return trial.limit_reached == "budget"


def finish(trial: Trial, draft: Draft, evaluation: Evaluation) -> str:
    """Make this draft the result and return why the search stopped."""
    trial.take(draft, evaluation)
    return "success" if evaluation.reached else trial.limit_reached or "exhausted"
