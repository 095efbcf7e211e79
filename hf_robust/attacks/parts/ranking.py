"""Rankings: the order in which a greedy search visits the words.

A ranking returns word numbers in visiting order. Ties are broken as in TextAttack: by the iteration order of its sets
of words, then by numpy's default sort in the same precision.
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
    """Rank words by the goal's score after deleting the word, highest first (one query per word)."""
    positions = trial.positions
    scored = yield from trial.ask(trial.text.delete(index) for index in positions)
    # The scores are fewer if the query budget ended; then the search ends too.
    return _descending(positions, scored.scores)


def by_unknown(trial: Trial) -> Steps[list[int]]:
    """Rank words by the goal's score after replacing the word with ``[UNK]``, highest first (one query per word)."""
    positions = trial.positions
    scored = yield from trial.ask(_unknown(trial, positions))
    return _descending(positions, scored.scores)


def by_weighted_saliency(trial: Trial) -> Steps[list[int]]:
    r"""Rank words as PWWS (Ren et al. 2019), Eq. 8: by ``softmax(s)_i * d_i``, highest first.

    ``s_i`` is the goal's score with word i unknown, ``d_i`` the best score among its candidates (0 without
    candidates). The candidates are queried here and, as in TextAttack, counted again when the search scores them.

    Differs from the paper, as TextAttack does: s and d are scores instead of their rises over the clean text's score;
    with margins both are the same.
    """
    positions = trial.positions
    scored = yield from trial.ask(_unknown(trial, positions))
    # Float32 for probabilities, as in TextAttack; margins need float64.
    saliency = _softmax(np.asarray(scored.scores, dtype=None if trial.attack.scores == "margin" else np.float32))
    best: list[Any] = []
    for index in positions[: len(saliency)]:
        drafts = [] if trial.limit_reached else (yield from trial.neighbours(trial.clean, [index]))
        candidates = (yield from trial.ask([draft.text for draft in drafts])) if drafts else None
        # A Python zero among float32 values makes the product float64, as in TextAttack; this decides ties.
        best.append(np.max(candidates.scores) if candidates is not None and len(candidates.scores) else 0.0)
    return _descending(positions, saliency * np.array(best))


def by_gradient(trial: Trial) -> Steps[list[int]]:
    """Rank words by the L1 norm of the mean embedding gradient over their pieces, largest first (no query).

    Differs from TextAttack: the model is in eval mode, so the order does not depend on dropout.
    """
    positions = trial.positions
    saliency = yield Saliency(trial.text)
    return _descending(positions, np.asarray(saliency, dtype=np.float64)[positions] if positions else np.empty(0))


def by_gradient_of_the_start(trial: Trial) -> Steps[list[int]]:
    """``by_gradient`` with a text of one column cut after its last open word.

    TextAttack cuts the text in this way for A2T, so later characters, such as a full stop, do not affect the gradient.
    """
    positions, text = sorted(trial.positions), trial.text
    if positions and len(text.columns) == 1:
        text = text.like((text.columns[0][: text.words[positions[-1]].end],))
    saliency = yield Saliency(text)
    return _descending(positions, np.asarray(saliency, dtype=np.float64)[positions] if positions else np.empty(0))


BY_GRADIENT: tuple[Ranking, ...] = (by_gradient, by_gradient_of_the_start)
"""Rankings that need a tokenizer with offsets (``Victim.check_saliency``)."""


def at_random(trial: Trial) -> Steps[list[int]]:
    """Rank words at random, without queries; a control for the other rankings."""
    positions = trial.positions
    trial.rng.numpy.shuffle(positions)
    return positions
    yield  # makes this function a generator, as all rankings are


def _unknown(trial: Trial, positions: Sequence[int]) -> Iterator[Text]:
    return (trial.text.replace({index: "[UNK]"}) for index in positions)


def _softmax(values: Floats) -> Floats:
    """Softmax by torch, as in TextAttack."""
    import torch

    shares: Floats = torch.softmax(torch.from_numpy(values), dim=0).numpy()
    return shares
