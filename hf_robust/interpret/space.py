"""Embeddings of texts and their views: distances, and the plane of t-SNE (BAT, Figure 5) with its classes (TaiChi)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hf_robust.losses import cosine_distance

PERPLEXITY = 30.0
"""Perplexity of t-SNE, reduced for small numbers of rows."""


def view_distances(
    original: Tensor, fickle: Tensor, obstinate: Tensor | None = None, margin: float = 1.0
) -> dict[str, float]:
    """Mean cosine distances between texts and their views.

    Args:
        original: (n, H) embeddings of the texts.
        fickle: (n, H) embeddings of their fickle views, in the same order.
        obstinate: (n, H) embeddings of their obstinate views; None if there are none.
        margin: margin by which an obstinate view should be further away than the fickle one.

    Returns:
        ``texts`` (n), ``fickle`` and ``between_originals``; with obstinate views also ``obstinate``,
        ``between_obstinate``, and the shares ``obstinate_further`` and ``obstinate_further_by_margin`` of texts whose
        obstinate view is further away than the fickle one (by the margin). ``between_*`` are mean distances between
        unrelated texts: if all antonym views were close together, the model would detect that a word was swapped.

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
    """Points [n, 2] of each group, and the perplexity of t-SNE."""

    points: list[NDArray[Any]]
    perplexity: float


def joint_plane(groups: Sequence[Tensor], seed: int = 0, perplexity: float = PERPLEXITY) -> Plane:
    """One t-SNE of the rows of all groups, started from their first two principal components, with a fixed seed.

    The perplexity is at most a third of the number of rows, as the authors of t-SNE advise; the one used is returned.

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


NEIGHBOURS, GRID = 15, 200
"""Number of neighbours that vote for the class of a place, and number of places in each direction."""


class Regions(NamedTuple):
    """Class of each place of the plane.

    Attributes:
        x, y: places [GRID] of the columns and of the rows.
        classes: class id [GRID, GRID] by row and column.
        agreement: share of the texts whose place has the class that the model predicts for them.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    classes: NDArray[Any]
    agreement: float


def predicted_regions(points: NDArray[Any], predictions: Sequence[int]) -> Regions:
    """The class that most of the 15 nearest texts have by the model's predictions, at each place of the plane.

    t-SNE has no way back from the plane to the embeddings, so the decision boundary of the model itself cannot be
    drawn in it. TaiChi (Figure 1) does not say how its boundary was drawn.

    Args:
        points: (n, 2) places of the texts.
        predictions: class id that the model predicts for each.
    """
    from sklearn.neighbors import KNeighborsClassifier

    given = np.asarray(predictions)
    fitted = KNeighborsClassifier(min(NEIGHBOURS, len(given))).fit(points, given)
    margin = 0.05 * np.ptp(points, axis=0)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    x, y = (np.linspace(start, end, GRID) for start, end in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    classes = fitted.predict(places).reshape(GRID, GRID)
    return Regions(x, y, classes, float((fitted.predict(points) == given).mean()))
