"""``--attack_until_interval``: attack rows in random order until the interval of the rate is narrow enough."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from hf_robust.attacks.attack import AttackOrForeign, Example
from hf_robust.attacks.static import examples_of
from hf_robust.metrics import ConfidenceSequence

FLAG = "--attack_until_interval"


def sequence_of(attack: AttackOrForeign, until: ConfidenceSequence | None) -> ConfidenceSequence | None:
    """The sequence that stops this attack; None for one that brings its own texts, which are shown once each."""
    return until if attack.own_examples is None else None


def parts_until(
    examples: Sequence[Example], until: ConfidenceSequence | None, seed: int
) -> Iterator[Sequence[Example]]:
    """The examples in the parts after which to look at the interval; all at once without a sequence.

    The order is random, and depends on the seed and on which examples there are, not on their order.
    """
    if until is None:
        yield examples
        return
    order = sorted(examples, key=lambda example: example.idx)
    random.Random(f"order of {seed}").shuffle(order)
    for start, end in pairwise([0, *until.looks(len(order))]):
        yield order[start:end]


def require_reachable(
    attacks: Mapping[str, AttackOrForeign], examples: Sequence[Example], until: ConfidenceSequence | None
) -> None:
    """Raise if the examples are fewer than any result needs for the interval.

    Raises:
        ValueError: the interval cannot be reached, whatever the attacks find.
    """
    if until is None:
        return
    counts = [len(examples_of(attack, examples)) for attack in attacks.values() if sequence_of(attack, until)]
    fewest = until.rows(0.0)
    if counts and min(counts) < fewest:
        raise ValueError(
            f"{FLAG} {100 * until.width:g} cannot be reached on {min(counts):,} rows: it takes {fewest:,} rows if all "
            f"end alike, and {until.rows(0.5):,} if half of them withstand the attack; attack more rows "
            "(--attack_num_examples 0 for all), or give a wider interval."
        )
