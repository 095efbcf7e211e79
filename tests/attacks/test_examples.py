"""The rows that are attacked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import review_data

from hf_robust.attacks import Example, balanced_shares, choose_examples


def test_examples_are_seeded_rows_of_the_split() -> None:
    data = review_data(20)
    chosen = choose_examples(data, 5, seed=1)
    assert [example.idx for example in chosen] == sorted({example.idx for example in chosen}) and len(chosen) == 5
    assert chosen == choose_examples(data, 5, seed=1) != choose_examples(data, 5, seed=2)
    assert [example.texts for example in chosen] == [data.texts(example.idx) for example in chosen]
    assert [example.label for example in chosen] == [data.label(example.idx) for example in chosen]
    assert len(choose_examples(data, 0, 1)) == len(choose_examples(data, 99, 1)) == 20


def test_no_data_is_one_sentence() -> None:
    with pytest.raises(ValueError, match="--attacks needs rows to attack: add --do_eval"):
        choose_examples(None, 5, seed=1)


def of_lengths(lengths: list[int]) -> list[Example]:
    return [Example(7 * index, ("word " * count, "and"), 0) for index, count in enumerate(lengths)]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(1, 9))
def test_shares_part_the_examples_and_are_balanced(lengths: list[int], ranks: int) -> None:
    examples = of_lengths(lengths)
    shares = balanced_shares(examples, ranks)
    assert len(shares) == ranks and shares == balanced_shares(examples, ranks)
    assert sorted(one.idx for share in shares for one in share) == [one.idx for one in examples]
    assert all(share == sorted(share, key=lambda one: one.idx) for share in shares)
    counts = [len(share) for share in shares]
    assert max(counts) - min(counts) <= 1
    costs = [sum(lengths[one.idx // 7] + 1 for one in share) for share in shares]
    assert max(costs) - min(costs) <= max([length + 1 for length in lengths], default=0)


def test_a_cost_of_ones_own_decides() -> None:
    examples = of_lengths([1, 1, 1, 1])
    costs = {0: 10.0, 7: 6.0, 14: 5.0, 21: 1.0}
    shares = balanced_shares(examples, 2, cost=lambda example: costs[example.idx])
    assert [[one.idx for one in share] for share in shares] == [[0, 21], [7, 14]]
    assert balanced_shares(examples, 1) == [examples]
