"""SAFER's perturbation sets P_w: connected components of the graph of similar word vectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_robust.words import UNICODE_WORDS, Text, WordRule
from hf_robust.words.vector_files import Vectors

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PerturbationSets:
    """The sets from which SAFER samples and with which it certifies.

    Attributes:
        sets: word -> P_w, nearest first. P_w contains w, unless its component was divided and ``max_size`` other words
            have a larger dot product with w than w itself.
        neighbours: word -> N_w, the words whose similarity to w exceeds the threshold.
        divided: words whose P_w is only a part of their component (the official flag ``isdivide`` 1).
    """

    sets: dict[str, list[str]]
    neighbours: dict[str, list[str]]
    divided: frozenset[str]

    def table(self) -> dict[str, list[str]]:
        """word -> P_w without the word, the table format of lexicons."""
        return {word: [other for other in words if other != word] for word, words in self.sets.items()}


def count_words(texts: Iterable[str | Iterable[str]], rule: WordRule = UNICODE_WORDS) -> Counter[str]:
    """Count the words (by ``rule``) in texts of one or several columns, by their lookup keys.

    Pass the TRAINING texts only: the official code counts test texts too, which makes the table transductive. Words
    are those of :class:`hf_robust.words.Text`, as for views and attacks.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        columns = (text,) if isinstance(text, str) else tuple(text)
        counts.update(key for key in Text(columns, rule).keys if key)
    return counts


def perturbation_sets(
    words: list[str],
    vectors: Vectors,
    counts: Mapping[str, int],
    *,
    similarity: float = 0.8,
    table_similarity: str = "dot",
    max_size: int = 100,
    directions: int = 8,
) -> PerturbationSets:
    r"""Ye, Gong and Liu 2020, arXiv:2005.14424, Section 4, as in ``data_process.py`` of the official code.

    The vectors of occurring words are scaled to unit length and projected (:func:`all_but_the_top`). Two words that
    occur more than once are connected if :math:`\langle v_i, v_j\rangle >` ``similarity``. P_w is the connected
    component of w if it has at most ``max_size`` words, else the ``max_size`` words of it that are nearest to w. Words
    alone in their component have no set.

    Args:
        words, vectors: N words and their vectors [N, E], counter-fitted ones in the paper.
        counts: occurrences in the training texts, see :func:`count_words`.
        similarity: threshold of the similarity of two neighbours.
        table_similarity: "dot", the official code's product of the projected vectors, which are shorter than 1, or
            "cosine", as in BAT's text. Neither limits the number of neighbours.
        max_size: maximum number of words of a set.
        directions: number of principal directions removed.

    Raises:
        ValueError: too few words have vectors, a setting is impossible, or, as in the official code, a word of a
            divided component has more than ``max_size`` neighbours.
    """
    if table_similarity not in ("dot", "cosine"):
        raise ValueError(f"table_similarity must be 'dot' (SAFER's code) or 'cosine', got {table_similarity!r}.")
    rows = [index for index, word in enumerate(words) if counts.get(word, 0) > 0]
    if len(rows) < 2:
        raise ValueError(
            f"Only {len(rows)} of the {len(counts)} counted words have vectors, but at least 2 are needed; count the "
            "training texts with count_words and give vectors of their language."
        )
    projected = all_but_the_top(np.asarray(vectors, dtype=np.float64)[rows], directions)
    frequent = [i for i, row in enumerate(rows) if counts[words[row]] > 1]
    nodes, points = [words[rows[i]] for i in frequent], projected[frequent]
    if table_similarity == "cosine":
        points = unit_length(points)
    near = _near(points, similarity)
    sets: dict[str, list[str]] = {}
    divided: set[str] = set()
    for component in connected_components(near):
        if len(component) < 2:
            continue
        if len(component) > max_size:
            _check_degree(component, near, nodes, max_size, similarity)
            divided.update(nodes[i] for i in component)
        for i in component:
            order = np.argsort(-(points[component] @ points[i]), kind="stable")[:max_size]
            sets[nodes[i]] = [nodes[component[j]] for j in order]
    neighbours = {nodes[i]: [nodes[j] for j in others] for i, others in enumerate(near) if others}
    return PerturbationSets(sets, neighbours, frozenset(divided))


def all_but_the_top(vectors: Matrix, directions: int = 8) -> Matrix:
    r"""Unit-length vectors without their mean and principal directions, with a peculiarity of the official code.

    .. math:: \hat V = (U - \bar U) - U D D^\top

    with U the unit-length rows [N, E] and D [E, ``directions``] the leading eigenvectors of their covariance. The
    removed part is that of the UNCENTRED rows U, not of :math:`U - \bar U` as in Mu and Viswanath 2018, so the result
    contains the constant :math:`-\bar U D D^\top` and its mean is not zero.
    """
    unit = unit_length(vectors)
    centred = unit - unit.mean(axis=0)
    _, eigenvectors = np.linalg.eigh(np.cov(centred, rowvar=False))
    top = eigenvectors[:, ::-1][:, :directions]
    result: Matrix = centred - unit @ top @ top.T
    return result


def unit_length(vectors: Matrix) -> Matrix:
    """Rows divided by their length; zero rows stay zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Matrix = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


def _near(points: Matrix, similarity: float, chunk: int = 512) -> list[list[int]]:
    """For each row the indices of the other rows whose dot product with it exceeds ``similarity``."""
    near: list[list[int]] = []
    for start in range(0, len(points), chunk):
        products = points[start : start + chunk] @ points.T
        for row, product in enumerate(products, start=start):
            near.append([int(j) for j in np.flatnonzero(product > similarity) if j != row])
    return near


def connected_components(near: list[list[int]]) -> list[list[int]]:
    """The components of a graph given as lists of neighbours; each sorted, ordered by their first member."""
    visited: set[int] = set()
    components = []
    for start in range(len(near)):
        if start in visited:
            continue
        visited.add(start)
        component, waiting = [], [start]
        while waiting:
            node = waiting.pop()
            component.append(node)
            fresh = [other for other in near[node] if other not in visited]
            visited.update(fresh)
            waiting.extend(fresh)
        components.append(sorted(component))
    return components


def _check_degree(component: list[int], near: list[list[int]], nodes: list[str], max_size: int, bound: float) -> None:
    widest = max(component, key=lambda i: len(near[i]))
    if len(near[widest]) > max_size:
        raise ValueError(
            f"{nodes[widest]!r} has {len(near[widest])} neighbours above similarity {bound:g}, but a perturbation set "
            f"has at most {max_size} words; raise the similarity or the size."
        )
