"""In which order a greedy search visits the words that have candidates.

A ranking returns the positions in visiting order. TextAttack ranks every word the pre-constraints leave open; here
only those with candidates are ranked, since the others could change nothing: the same outcome for fewer queries. Ties
go by position (TextAttack leaves them to numpy's unstable sort, which differs between processors).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from hf_robust.attacks.requests import Columns, Floats, Saliency, Steps

if TYPE_CHECKING:
    from hf_robust.attacks.trial import Trial

Ranking = Callable[["Trial"], Steps[list[int]]]


def _descending(positions: list[int], importance: Floats) -> list[int]:
    return [positions[place] for place in np.argsort(-importance, kind="stable")]


def _by_score(trial: Trial, texts: list[Columns]) -> Steps[list[int]]:
    scored = yield from trial.ask(texts)
    # A query budget may have cut the list short; the search then ends anyway.
    return _descending(trial.positions[: len(scored.scores)], scored.scores)


def by_deletion(trial: Trial) -> Steps[list[int]]:
    """Most important first: the goal's score after deleting the word (one query each)."""
    return (yield from _by_score(trial, [trial.text.delete(index).columns for index in trial.positions]))


def by_unknown(trial: Trial) -> Steps[list[int]]:
    """Most important first: the goal's score after replacing the word by ``[UNK]`` (one query each)."""
    texts = [columns for index in trial.positions for columns in trial.text.variants(index, ["[UNK]"])]
    return (yield from _by_score(trial, texts))


def by_gradient(trial: Trial) -> Steps[list[int]]:
    """Most important first: L1 norm of the mean embedding gradient over the word's pieces (not counted as a query).

    Differs from TextAttack: the model is in eval mode, so the order does not depend on dropout.
    """
    saliency = yield Saliency(trial.text)
    return _descending(trial.positions, np.asarray(saliency, dtype=np.float64)[trial.positions])


def in_reading_order(trial: Trial) -> Steps[list[int]]:
    """From the first word to the last, without any query."""
    return trial.positions
    yield  # makes this a generator, as every ranking is
