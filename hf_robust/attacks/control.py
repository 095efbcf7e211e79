"""Random controls: an attack whose search draws blindly, with the queries that the attack took on each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from hf_robust.attacks.arguments import RANDOM_PREFIX
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.parts.flips import GradientFlips
from hf_robust.attacks.parts.random_search import RandomSearch
from hf_robust.attacks.parts.suffix import AT_RANDOM, SuffixTokens
from hf_robust.metrics import AttackRecord

Result = TypeVar("Result")
DRAWS = 256
"""Number of words drawn for a flip: most of them are rejected by the constraints, which cost no query."""


def control_of(attack: Attack, name: str) -> Attack:
    """The control of an attack, whose results have this name: the same goal, candidates and constraints.

    Carlini et al. 2019 (arXiv:1902.06705) recommend such a search: an attack that finds no more does not see the
    model. Tokens and words that an attack chooses by gradient are drawn from the whole vocabulary.
    """
    candidates = attack.candidates
    if isinstance(candidates, SuffixTokens):
        candidates = replace(candidates, ranking=AT_RANDOM, batch=1)
    if isinstance(candidates, GradientFlips):
        candidates = replace(candidates, at_random=True, k=DRAWS, per_word=True)
    return replace(
        attack,
        name=f"{RANDOM_PREFIX}{attack.name}",
        candidates=candidates,
        ranking=None,
        search=RandomSearch(name),
    )


def is_control(attack: AttackOrForeign) -> bool:
    """Whether an attack is the random control of another one."""
    return isinstance(attack, Attack) and isinstance(attack.search, RandomSearch)


def with_queries_of(attack: AttackOrForeign, results: Mapping[str, Sequence[AttackRecord]]) -> AttackOrForeign:
    """A control with the queries of the attack that it belongs to; any other attack unchanged.

    Args:
        results: records of the attacks that have run, by name.
    """
    if not isinstance(attack, Attack) or not isinstance(attack.search, RandomSearch):
        return attack
    allowance = {record.idx: record.queries for record in results[attack.search.of]}
    return replace(attack, search=replace(attack.search, allowance=allowance))


def without_controls(attacks: Mapping[str, AttackOrForeign], results: Mapping[str, Result]) -> dict[str, Result]:
    """Results by attack name, without those of controls, which are no part of a worst case."""
    return {name: result for name, result in results.items() if not is_control(attacks[name])}
