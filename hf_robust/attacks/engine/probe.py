"""Tries an attack on one text before anything is trained or measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.scheduler import attack_dataset

if TYPE_CHECKING:
    from hf_robust.attacks.engine.victim import Victim

QUERIES = 50
LOOKED_AT = 64


def check_attack(attack: AttackOrForeign, victim: Victim, plans: Plans, examples: Sequence[Example]) -> None:
    """Find out now what would end the attack later, when a model was trained for it: a need that model, tokenizer or
    data do not meet.

    One short text is attacked for real, with at most 50 queries, as if the model's answer were its label. Nothing is
    kept of it, and model and random states stay as they are. TextAttack's own attacks are not tried, which have no
    such limit.

    Args:
        examples: those that will be attacked.

    Raises:
        ValueError: no example can be changed, or the attempt failed.
    """
    require_candidates(attack, plans, examples, victim.words_read)
    if not isinstance(attack, Attack) or not examples:
        return
    if attack.needs_gradient:
        victim.check_saliency()
    example = _short_example(attack, plans, examples)
    with victim.measuring():
        label = int(victim.probabilities([example.texts])[0].argmax())
    budget = QUERIES if attack.query_budget is None else min(attack.query_budget, QUERIES)
    brief = dataclasses.replace(attack, query_budget=budget, skip_labels=frozenset())
    tried = [example._replace(label=label)]
    try:
        attack_dataset(brief, victim, tried, plans=plans, progress=False, check=False)
    except ValueError as error:
        raise ValueError(f"the {attack.name} attack cannot run on this model: {error}") from error
    except Exception as error:
        raise ValueError(
            f"the {attack.name} attack cannot run on this model: it failed on a first text with "
            f"{type(error).__name__}: {error}; leave it out, or take another model."
        ) from error


def _short_example(attack: Attack, plans: Plans, examples: Sequence[Example]) -> Example:
    """The shortest of some that the attack can change; the longest where it can change none of them."""
    plan = plans.planner(attack)
    by_length = sorted(examples, key=lambda example: sum(map(len, example.texts)))
    for example in by_length[:LOOKED_AT]:
        planned = plan(example)
        if planned.swaps if attack.candidates.planned else attack.open_words(Draft(planned.text)):
            return example
    return by_length[-1]
