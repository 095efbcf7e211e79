"""The rows that are attacked."""

from __future__ import annotations

import pytest
from tiny import review_data

from hf_robust.attacks import choose_examples


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
