"""In which order a greedy search visits the words.

A ranking returns word numbers in visiting order. Ties are broken as TextAttack breaks them: by the order in which its
sets of words are iterated, then by numpy's default sort of the same precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_robust.attacks.engine.requests import Floats, Saliency, Steps
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.engine.trial import Trial

Ranking = Callable[["Trial"], Steps[list[int]]]


def _descending(positions: Sequence[int], importance: Floats) -> list[int]:
    return [positions[place] for place in (-importance).argsort()]


def by_deletion(trial: Trial) -> Steps[list[int]]:
    """Most important first: the goal's score after deleting the word (one query each)."""
    positions = trial.positions
    scored = yield from trial.ask(trial.text.delete(index) for index in positions)
    # A query budget may have cut the list short; the search then ends anyway.
    return _descending(positions, scored.scores)


def by_unknown(trial: Trial) -> Steps[list[int]]:
    """Most important first: the goal's score after replacing the word by ``[UNK]`` (one query each)."""
    positions = trial.positions
    scored = yield from trial.ask(_unknown(trial, positions))
    return _descending(positions, scored.scores)


def by_weighted_saliency(trial: Trial) -> Steps[list[int]]:
    r"""PWWS (Ren et al. 2019), Eq. 8: ``softmax(s)_i * d_i``.

    ``s_i`` is the goal's score with word i unknown, ``d_i`` the best score among its candidates (0 without any). The
    candidates are queried here and, as in TextAttack, counted again when the search asks for them.

    Differs from the paper, as TextAttack does: scores, not their rises over the clean text's; scores of margins are
    these rises.
    """
    positions = trial.positions
    scored = yield from trial.ask(_unknown(trial, positions))
    # Single precision of probabilities, as TextAttack has it; scores of margins need the room of double.
    saliency = _softmax(np.asarray(scored.scores, dtype=None if trial.attack.scores == "margin" else np.float32))
    best: list[Any] = []
    for index in positions[: len(saliency)]:
        found = [] if trial.spent else (yield from trial.neighbours(trial.clean, [index]))
        candidates = (yield from trial.ask([draft.text for draft in found])) if found else None
        # A plain zero beside single precision makes the product double precision there too, which decides ties.
        best.append(np.max(candidates.scores) if candidates is not None and len(candidates.scores) else 0.0)
    return _descending(positions, saliency * np.array(best))


def by_gradient(trial: Trial) -> Steps[list[int]]:
    """Most important first: L1 norm of the mean embedding gradient over the word's pieces (not counted as a query).

    Differs from TextAttack: the model is in eval mode, so the order does not depend on dropout.
    """
    positions = trial.positions
    saliency = yield Saliency(trial.text)
    return _descending(positions, np.asarray(saliency, dtype=np.float64)[positions] if positions else np.empty(0))


def by_gradient_of_the_start(trial: Trial) -> Steps[list[int]]:
    """``by_gradient`` on the text up to its last open word, which alone decides where a text has one column.

    TextAttack cuts the text so for A2T, and what stands behind, if only a full stop, is not in the gradient.
    """
    positions, text = sorted(trial.positions), trial.text
    if positions and len(text.columns) == 1:
        text = text.like((text.columns[0][: text.words[positions[-1]].end],))
    saliency = yield Saliency(text)
    return _descending(positions, np.asarray(saliency, dtype=np.float64)[positions] if positions else np.empty(0))


BY_GRADIENT: tuple[Ranking, ...] = (by_gradient, by_gradient_of_the_start)
"""The rankings that need a tokenizer which tells offsets (``Victim.check_saliency``)."""


def at_random(trial: Trial) -> Steps[list[int]]:
    """A random order, without any query: what a ranking must beat."""
    positions = trial.positions
    trial.luck.numpy.shuffle(positions)
    return positions
    yield  # makes this a generator, as every ranking is


def _unknown(trial: Trial, positions: Sequence[int]) -> Iterator[Text]:
    return (trial.text.replace({index: "[UNK]"}) for index in positions)


def _softmax(values: Floats) -> Floats:
    """By torch, as TextAttack's."""
    import torch

    found: Floats = torch.softmax(torch.from_numpy(values), dim=0).numpy()
    return found
