"""What the searches over populations share: neighbours of as many words, draws, and how they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Floats, Steps
from hf_robust.attacks.engine.trial import Scored, Standing, Trial


def title(search: Any) -> str:
    """A search by its kind and all its settings, for result files."""
    settings = (f"{field.name} {getattr(search, field.name)}" for field in fields(search))
    return f"{type(search).__name__}: {', '.join(settings)}"


def neighbours(trial: Trial, draft: Draft, indices: Iterable[int] | None = None) -> Steps[list[Draft]]:
    """The trial's neighbours of ``draft`` that have as many words as it has.

    Two texts of one population are mixed word by word, so swaps that make more or fewer words are left out.
    TextAttack ends with an error there.
    """
    found = yield from trial.neighbours(draft, indices)
    count = len(draft.text.words)
    # Splitting every text into words again would cost more than all else here.
    return [one for one in found if one.keeps_count or len(one.text.words) == count]


def place_of(neighbour: Draft) -> int:
    """The number of the word that a neighbour's swap made."""
    return next(iter(neighbour.swaps))


def mixed(first: Draft, second: Draft, chosen: Iterable[int], *, all_chosen: bool) -> Draft:
    """``first`` with the words of ``second`` at ``chosen``, where these differ.

    What counts as changed is taken from ``second`` at the words that were replaced (``all_chosen``: at all chosen
    ones) and from ``first`` elsewhere.
    """
    indices, own, other = list(chosen), first.text.tokens, second.text.tokens
    swaps = {index: other[index] for index in indices if own[index] != other[index]}
    replaced = frozenset(indices if all_chosen else swaps)
    return first.swap_many(swaps, modified=(first.modified - replaced) | (second.modified & replaced))


def passes(trial: Trial, source: Draft, draft: Draft) -> Steps[bool]:
    """Whether a mixed text may follow ``source``: it is another text, and every constraint on whole texts keeps it.

    Constraints on single words are not asked again: each word was admitted where its own text got it.
    """
    if draft.text.columns == source.text.columns:
        return False
    kept = yield from trial.kept(source, [draft])
    return bool(kept)


def weigh(trial: Trial, scored: Scored, draft: Draft, standing: Standing) -> None:
    """``trial.weigh`` with a member of the population as what the scored texts must exceed."""
    if len(scored.scores):
        trial.take(draft, standing)
        trial.weigh(scored)


def part(scored: Scored, start: int, end: int | None = None) -> Scored:
    """The rows from ``start`` to before ``end``."""
    rows = slice(start, end)
    return Scored(scored.rows[rows], scored.scores[rows], scored.reached[rows], scored.sequences[rows])


def draw(trial: Trial, probabilities: Sequence[float] | Floats, size: int, noise: float = 0.0) -> NDArray[np.intp]:
    """``size`` indices by these probabilities, from as many random numbers as numpy's ``RandomState.choice`` takes.

    ``noise`` is how far the noise of batching may move a border between two indices; a random number so near to one
    counts as a near tie.
    """
    borders = np.asarray(probabilities, dtype=np.float64).cumsum()
    borders /= borders[-1]
    numbers = trial.luck.numpy.random_sample(size)
    if noise:
        near = np.abs(numbers[:, None] - borders[None, :-1]) < noise
        trial.near_ties += int(near.any(axis=1).sum())
    return borders.searchsorted(numbers, side="right")


def budget_ended(trial: Trial) -> bool:
    """Whether the example's queries are used up."""
    return trial.spent == "budget"


def finish(trial: Trial, draft: Draft, standing: Standing) -> str:
    """Make this draft the result; why the search stopped."""
    trial.take(draft, standing)
    return "success" if standing.reached else trial.spent or "exhausted"
