"""SAFER's P_w by naive re-derivation, and its traps."""

from __future__ import annotations

import numpy as np
import pytest

from hf_robust.lexicons import build_perturbation_sets, count_words, perturbation_sets, write_table
from hf_robust.lexicons.perturbation_sets import all_but_the_top, unit_length

WORDS = [f"w{index}" for index in range(60)]
COUNTS = {word: 2 for word in WORDS}


def clustered(count: int = 60, size: int = 20, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(15, size))
    return (centres[np.arange(count) % 15] + 0.25 * rng.normal(size=(count, size))).astype(np.float32)


def naive_projection(points):
    unit = points / np.sqrt((points**2).sum(axis=1, keepdims=True))
    mean = unit.mean(axis=0)
    centred = np.array([row - mean for row in unit])
    values, directions = np.linalg.eig(np.cov(centred, rowvar=False))
    top = np.real(directions[:, np.argsort(-np.real(values))[:8]])
    return np.array([c - sum((u @ d) * d for d in top.T) for c, u in zip(centred, unit, strict=True)])


def naive_sets(points, bound, limit):
    count = len(points)
    near = {i: [j for j in range(count) if j != i and points[i] @ points[j] > bound] for i in range(count)}
    group = list(range(count))
    for _ in range(count):
        for i in range(count):
            group[i] = min([group[i]] + [group[j] for j in near[i]])
    sets = {}
    for i in range(count):
        members = [j for j in range(count) if group[j] == group[i]]
        if len(members) > 1:
            sets[WORDS[i]] = [WORDS[j] for j in sorted(members, key=lambda j: -(points[i] @ points[j]))[:limit]]
    return near, sets


@pytest.mark.parametrize("limit", [100, 3])
@pytest.mark.parametrize("kind", ["dot", "cosine"])
def test_sets_by_naive_re_derivation_for_both_similarities(kind, limit):
    points = naive_projection(clustered().astype(np.float64))
    if kind == "cosine":
        points = points / np.sqrt((points**2).sum(axis=1, keepdims=True))
    bound = float(np.quantile([points[i] @ points[j] for i in range(60) for j in range(i)], 0.97))
    near, expected = naive_sets(points, bound, limit)
    if max(len(others) for others in near.values()) > limit:
        with pytest.raises(ValueError, match="raise the similarity or the size"):
            perturbation_sets(WORDS, clustered(), COUNTS, similarity=bound, table_similarity=kind, max_size=limit)
        return
    found = perturbation_sets(WORDS, clustered(), COUNTS, similarity=bound, table_similarity=kind, max_size=limit)
    assert found.sets == expected and expected
    assert found.neighbours == {WORDS[i]: [WORDS[j] for j in others] for i, others in near.items() if others}


def test_the_dot_product_finds_fewer_than_the_cosine():
    # The projection leaves vectors shorter than 1, so that the same bound is stricter for their product.
    dot, cosine = (
        perturbation_sets(WORDS, clustered(), COUNTS, similarity=0.5, table_similarity=kind).neighbours
        for kind in ("dot", "cosine")
    )
    assert sum(map(len, dot.values())) < sum(map(len, cosine.values()))
    with pytest.raises(ValueError, match="must be 'dot' .* got 'euclid'"):
        perturbation_sets(WORDS, clustered(), COUNTS, table_similarity="euclid")


def test_the_projection_takes_the_top_of_the_uncentred_vectors():
    points = np.asarray(clustered(), dtype=np.float64) + 0.5
    found = all_but_the_top(points)
    np.testing.assert_allclose(found, naive_projection(points), atol=1e-8)
    unit = unit_length(points)
    centred = unit - unit.mean(axis=0)
    top = np.linalg.eigh(np.cov(centred, rowvar=False))[1][:, ::-1][:, :8]
    np.testing.assert_allclose(
        centred - centred @ top @ top.T - found, np.tile(unit.mean(axis=0) @ top @ top.T, (60, 1))
    )
    assert np.abs(found.mean(axis=0)).max() > 1e-3


def test_a_chain_is_one_component_and_a_cut_one_is_marked():
    # Neighbours 0-1, 1-2, 2-3 only: with no direction taken out the products are those of the centred unit vectors.
    angles = np.deg2rad([0, 25, 50, 75, 180, 205])
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    counts = dict.fromkeys(WORDS[:6], 2)
    whole = perturbation_sets(WORDS[:6], points, counts, similarity=0.8, table_similarity="cosine", directions=0)
    component = next(set(words) for words in whole.sets.values())
    assert all(set(whole.sets[word]) == component for word in component) and not whole.divided
    cut = perturbation_sets(
        WORDS[:6], points, counts, similarity=0.8, table_similarity="cosine", directions=0, max_size=len(component) - 1
    )
    assert cut.divided >= component and all(len(cut.sets[word]) == len(component) - 1 for word in component)
    assert all(word not in others for word, others in cut.table().items())


def test_the_vocabulary_is_that_of_the_counted_texts():
    train = ["W0 w1, w2!", ("w0 w1", "w2 w3")]
    counts = count_words(train)
    assert counts == {"w0": 2, "w1": 2, "w2": 2, "w3": 1}
    found = perturbation_sets(WORDS, clustered(), counts, similarity=-2.0)
    assert set(found.sets) == {"w0", "w1", "w2"}  # w3 occurs once, w4 only in texts that were not counted
    with pytest.raises(ValueError, match="Only 1 of the 1 counted words have vectors, but at least 2 are needed"):
        perturbation_sets(WORDS, clustered(), {"w0": 9})


def test_sets_are_built_from_a_file_of_vectors_only(tmp_path):
    np.savez(tmp_path / "v.npz", words=np.array(WORDS), vectors=clustered())
    found = build_perturbation_sets(str(tmp_path / "v.npz"), COUNTS, similarity=0.3)
    assert found.sets == perturbation_sets(WORDS, clustered(), COUNTS, similarity=0.3).sets
    write_table(found.table(), tmp_path / "t.json")
    with pytest.raises(ValueError, match="built from word vectors, got"):
        build_perturbation_sets(str(tmp_path / "t.json"), COUNTS)
