"""Packing sequences into batches."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.attacks.engine.batches import Encoded, packed


@given(st.lists(st.integers(0, 40), max_size=60), st.integers(1, 100), st.integers(0, 50))
def test_packing_keeps_the_budget_and_every_place(lengths, budget, overhead):
    batches = list(packed(lengths, budget, overhead))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or longest * len(batch) <= budget
    flat = [lengths[place] for batch in batches for place in batch]
    assert flat == sorted(flat, reverse=True)


def cheapest(counts, budget, overhead):
    """Over all ways to cut [(length, count)] into neighbouring groups, the fewest tokens when each is padded."""
    if not counts:
        return 0
    costs = []
    for cut in range(1, len(counts) + 1):
        longest, rows = counts[0][0], sum(count for _, count in counts[:cut])
        batches = ceil(rows / max(budget // longest, 1))
        costs.append(rows * longest + overhead * batches + cheapest(counts[cut:], budget, overhead))
    return min(costs)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(1, 100), st.integers(0, 30))
def test_packing_costs_least(lengths, budget, overhead):
    found = sum(max(lengths[p] for p in batch) * len(batch) + overhead for batch in packed(lengths, budget, overhead))
    counts = [(length, lengths.count(length)) for length in sorted(set(lengths), reverse=True)]
    assert found <= cheapest(counts, budget, overhead)


def test_one_length_is_never_padded_for_nothing():
    lengths = [30] * 4 + [29] * 4 + [5] * 4
    assert list(packed(lengths, 1000, 0)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert list(packed(lengths, 1000, 32)) == [list(range(8)), [8, 9, 10, 11]]
    assert list(packed(lengths, 1000, 4000)) == [list(range(12))]
    assert list(packed([], 10, 5)) == []


@pytest.mark.parametrize("types", [None, [0, 0, 1]])
def test_keys_are_equal_where_the_tokens_are(types):
    def encoded(ids, types):
        return Encoded(np.array(ids, np.int32), None if types is None else np.array(types, np.int32)).key()

    assert encoded([1, 2, 3], types) == encoded([1, 2, 3], types) != encoded([1, 2, 4], types)
    if types is not None:
        assert encoded([1, 2, 3], types) != encoded([1, 2, 3], [0, 1, 1])
