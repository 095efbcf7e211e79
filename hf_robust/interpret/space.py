"""Where a model places texts and their views: distances, and a plane that one can look at (BAT, Figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_robust.losses import cosine_distance

PERPLEXITY = 30.0
"""Neighbours that t-SNE keeps together, as far as there are rows for it."""


def view_distances(
    original: Tensor, fickle: Tensor, obstinate: Tensor | None = None, margin: float = 1.0
) -> dict[str, float]:
    """Mean cosine distances of texts from their views: the numbers beside the picture.

    Args:
        original, fickle, obstinate: (n, H) embeddings, row by row of one text; None where there is no obstinate view.
        margin: how much further away an obstinate view should be.

    Returns:
        ``texts`` (n), ``fickle`` and ``between_originals``; with obstinate views also ``obstinate``,
        ``between_obstinate``, and the shares ``obstinate_further`` and ``obstinate_further_by_margin`` of texts whose
        obstinate view is further away than the fickle one (by the margin). ``between_*`` are of unrelated texts: were
        all antonym views near each other, the model would see that a word was swapped.

    Raises:
        ValueError: there are fewer than two texts.
    """
    if len(original) < 2:
        raise ValueError(f"distances need at least two texts with views, got {len(original)}.")
    to_fickle = cosine_distance(original, fickle)
    numbers = {"texts": len(original), "fickle": to_fickle.mean().item(), "between_originals": _between(original)}
    if obstinate is None:
        return numbers
    to_obstinate = cosine_distance(original, obstinate)
    return {
        **numbers,
        "obstinate": to_obstinate.mean().item(),
        "between_obstinate": _between(obstinate),
        "obstinate_further": (to_obstinate > to_fickle).float().mean().item(),
        "obstinate_further_by_margin": (to_obstinate > to_fickle + margin).float().mean().item(),
    }


def _between(rows: Tensor) -> float:
    return cosine_distance(rows, rows.roll(1, dims=0)).mean().item()


class Plane(NamedTuple):
    """Each group's points [n, 2], and the perplexity that was used."""

    points: list[NDArray[Any]]
    perplexity: float


def joint_plane(groups: Sequence[Tensor], seed: int = 0, perplexity: float = PERPLEXITY) -> Plane:
    """One t-SNE of the rows of all groups together, from their first two principal components, by a fixed seed.

    Where there are too few rows for the perplexity it is a third of their number, as its authors advise at most; the
    one used is returned.

    Args:
        groups: (n, H) embeddings each.

    Raises:
        ValueError: there are fewer than six rows, or all are equal.
    """
    from sklearn.manifold import TSNE

    rows = torch.cat([group.float() for group in groups]).numpy()
    if len(rows) < 6:
        raise ValueError(f"a picture needs at least six texts, got {len(rows)}; give more.")
    if not np.ptp(rows, axis=0).any():
        raise ValueError("all texts have the same embedding, so there is no picture; the model has collapsed.")
    used = min(perplexity, (len(rows) - 1) / 3)
    fitted = TSNE(perplexity=used, init="pca", learning_rate="auto", random_state=seed, n_jobs=1).fit_transform(rows)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    return Plane(list(np.split(fitted, ends)), used)
