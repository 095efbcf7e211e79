"""Random controls: an attack whose search draws blindly, with the queries that the attack took on each example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.parts.flips import GradientFlips
from hf_robust.attacks.parts.random_search import RandomSearch
from hf_robust.attacks.parts.suffix import AT_RANDOM, SuffixTokens
from hf_robust.metrics import AttackRecord

if TYPE_CHECKING:
    from hf_robust.attacks.arguments import AttackArguments

RANDOM_PREFIX = "random:"
"""Before the name of an attack in ``--attacks``: its random control."""
NO_CONTROL = {
    "standard": "it is several attacks; name them one by one",
    "input_reduction": "it succeeds on every text",
    "hlbb": "its start is a random search already, and its result is the similarity",
    "paraphrase": "it asks all of its texts",
    "viper": "it draws its texts at random already",
}
"""Why these attacks have no random control."""
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


def controls_among(attacks: Sequence[str]) -> list[str]:
    """Names of the attacks that have a random control, by the values of ``--attacks``."""
    return [name.removeprefix(RANDOM_PREFIX) for name in attacks if name.startswith(RANDOM_PREFIX)]


def check_controls(args: AttackArguments) -> None:
    """Refuse a random control without its attack, of an attack that has none, or of searches that are cut short.

    Raises:
        ValueError: such a control is named.
    """
    for name in controls_among(args.attacks):
        control = f"--attacks {RANDOM_PREFIX}{name}"
        if name in NO_CONTROL:
            raise ValueError(f"{control}: {name} has no random control, since {NO_CONTROL[name]}; leave it out.")
        if name not in args.recipes:
            raise ValueError(f"{control} takes as many queries as {name} took; name {name} too.")
        if args.attack_backend != "native":
            raise ValueError(f"{control} is for --attack_backend native; leave one of the two out.")
        flags = {"attack_warm_start": args.attack_warm_start, "attack_until_interval": args.attack_until_interval}
        for flag in (flag for flag, value in flags.items() if value):
            raise ValueError(
                f"{control} takes the queries of whole searches on all rows, and --{flag} cuts them short; leave one "
                "of the two out."
            )
