"""Parameters of which only some are in the quick part of the suite, ``pytest -m "not slow"``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_except(quick: Any, values: Iterable[Any]) -> list[Any]:
    """``values`` as parameters of a test, all of them slow but ``quick``."""
    parameters = list(values)
    assert quick in parameters
    return [value if value == quick else pytest.param(value, marks=pytest.mark.slow) for value in parameters]
