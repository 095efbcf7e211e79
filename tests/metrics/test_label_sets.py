"""Sets of labels as numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.metrics.label_sets import MOST_LABELS, SetNames, label_number, labels_of, set_numbers


@given(st.lists(st.booleans(), min_size=1, max_size=MOST_LABELS))
def test_a_number_is_its_set(present: list[bool]) -> None:
    number = label_number([float(value) for value in present])
    assert number == sum(2**index for index, value in enumerate(present) if value)
    assert set_numbers(np.array([present, present])).tolist() == [number, number]
    assert labels_of(number, len(present)).tolist() == present


@given(st.integers(0, 10))
def test_a_class_is_its_id(label: int) -> None:
    assert label_number(label) == label


def test_names_of_sets() -> None:
    names = SetNames(["joy", "anger", "love"])
    assert [names[number] for number in (0, 1, 6)] == ["no label", "joy", "anger + love"]
    assert len(names) == 8 == len(dict(names)) and names.get(8, "unknown") == "unknown"
    with pytest.raises(KeyError):
        names[-1]
