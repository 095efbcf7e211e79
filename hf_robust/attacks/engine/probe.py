"""Tries an attack on one text before anything is trained or measured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.cascade import Cascade
from hf_robust.attacks.engine.coverage import require_candidates
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.plans import Plans
from hf_robust.attacks.engine.scheduler import attack_dataset
from hf_robust.attacks.parts.goals import Target

if TYPE_CHECKING:
    from hf_robust.attacks.engine.classifier import Classifier

MAX_QUERIES = 50
MAX_TRIED_EXAMPLES = 64


def check_attack(attack: AttackOrForeign, victim: Classifier, plans: Plans, examples: Sequence[Example]) -> None:
    """Raise before a long run if the model, the tokenizer or the data do not meet a need of the attack.

    The attack runs on one short text with at most 50 queries, with the model's prediction as label. The result is
    discarded, and model and random states do not change. TextAttack's own attacks are not tried, since they have no
    such limit.

    Args:
        examples: the examples that will be attacked.

    Raises:
        ValueError: no example can be changed, or the trial run failed.
    """
    if isinstance(attack, Cascade):
        for member in attack.members:
            check_attack(member, victim, plans, examples)
        return
    if isinstance(attack, Attack) and isinstance(attack.goal, Target) and not examples:
        raise ValueError(
            f"--attack_target {attack.goal.label}: every row to attack has this label; give other rows, or another "
            "target."
        )
    require_candidates(attack, plans, examples, victim)
    if not isinstance(attack, Attack) or not examples:
        return
    if attack.needs_gradient:
        victim.check_saliency()
    example = _short_example(attack, plans, examples)
    with victim.measuring():
        reading = attack.reading(victim.multi_label)
        label = int(reading.predictions(reading.rows(victim.score([example.texts])))[0])
    budget = MAX_QUERIES if attack.query_budget is None else min(attack.query_budget, MAX_QUERIES)
    brief = dataclasses.replace(attack, query_budget=budget, skip_labels=frozenset())
    tried = [example._replace(label=label)]
    try:
        attack_dataset(brief, victim, tried, plans=plans, progress=False, check_candidates=False)
    except ValueError as error:
        raise ValueError(f"the {attack.name} attack cannot run on this model: {error}") from error
    except Exception as error:
        raise ValueError(
            f"the {attack.name} attack cannot run on this model: it failed on a first text with "
            f"{type(error).__name__}: {error}; leave the attack out or use another model."
        ) from error


def _short_example(attack: Attack, plans: Plans, examples: Sequence[Example]) -> Example:
    """The first of the shortest ``MAX_TRIED_EXAMPLES`` examples that the attack can change; else the longest."""
    plan = plans.planner(attack)
    by_length = sorted(examples, key=lambda example: sum(map(len, example.texts)))
    for example in by_length[:MAX_TRIED_EXAMPLES]:
        planned = plan(example)
        if planned.swaps if attack.candidates.planned else attack.open_words(Draft(planned.text)):
            return example
    return by_length[-1]
