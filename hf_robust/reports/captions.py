"""What stands below pictures: over how many examples their rates are."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def wrapped(lines: Iterable[str], letters: int) -> str:
    """Lines that are not empty, each broken where it is longer than a picture is wide, without any mathematics."""
    return "\n".join(part for line in lines if line for part in textwrap.wrap(line.replace("$", r"\$"), letters))


def attacked_in_words(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """How many examples each attack attacked of those it was given, over several epochs or runs.

    >>> attacked_in_words({"synonym": [{"num_examples": 120, "num_attacked": 79}, {"num_attacked": 81}]})
    'attacked of N = 120: synonym 79 to 81'
    """
    given = {name: _counts(found, "num_examples") for name, found in results.items()}
    attacked = {name: counts for name, found in results.items() if (counts := _counts(found, "num_attacked"))}
    of = {count for counts in given.values() for count in counts}
    if not attacked:
        return f"examples given to attacks: N = {_span(of)}" if of else ""
    if len(of) == 1:
        if len(set(map(tuple, attacked.values()))) == 1 and len(attacked) > 1:
            return f"attacked of N = {_span(of)}: {_span(next(iter(attacked.values())))} by each attack"
        return f"attacked of N = {_span(of)}: {', '.join(f'{name} {_span(n)}' for name, n in attacked.items())}"
    said = (f"{name} {_span(n)}{f' of {_span(given[name])}' if given[name] else ''}" for name, n in attacked.items())
    return f"attacked: {', '.join(said)}"


def _counts(results: Sequence[Mapping[str, Any]], key: str) -> list[int]:
    return sorted({int(value) for one in results if math.isfinite(value := one.get(key, math.nan))})


def _span(counts: Iterable[int]) -> str:
    """The least and the greatest of some counts, or the one that they are."""
    known = sorted(set(counts))
    return f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
