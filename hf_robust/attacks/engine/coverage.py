"""How many words and texts an attack can change, known before any model is asked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hf_robust.attacks.attack import Attack, AttackOrForeign, Example
from hf_robust.attacks.engine.draft import Draft, Reader
from hf_robust.attacks.engine.plans import Plan, Plans
from hf_robust.metrics import Coverage, sampled_rows

logger = logging.getLogger(__name__)


def table_coverage(
    attack: AttackOrForeign,
    plans: Plans,
    examples: Sequence[Example],
    reader: Reader | None,
    most: int | None = None,
) -> Coverage | None:
    """How many open words of these examples have a substitute in the attack's table, and how many texts such a word.

    The constraints on single words are asked, as the attack asks them. None where the attack has no table, or brings
    its own texts.

    Args:
        reader: tells which words the model reads (``Victim.words_read``); None where it reads all.
        most: count so many examples, evenly spread; None counts all. Each is planned, which takes milliseconds.
    """
    if not isinstance(attack, Attack) or attack.own_examples is not None or attack.candidates.lookup is None:
        return None
    of_table = replace(attack, candidates=attack.candidates.lookup)
    plan = plans.planner(of_table)
    chosen = _attackable(attack, examples)
    chosen = chosen if most is None else [chosen[row] for row in sampled_rows(len(chosen), most)]
    planned = ((one, _open_words(of_table, one, reader)) for one in map(plan, chosen))
    return Coverage.of((len(one.swaps.keys() & opened), len(opened)) for one, opened in planned)


def say_coverage(attack: AttackOrForeign, coverage: Coverage | None) -> None:
    """Log it in a line, as a warning where it is little."""
    if coverage is None or not coverage.open_words or not isinstance(attack, Attack):
        return
    said = f"{attack.name} attack: {_source(attack)} has substitutes for {coverage.in_words()}"
    if coverage.is_little:
        flag = attack.candidates.flag
        logger.warning("%s: its rate says little%s.", said, f"; give a larger table ({flag})" * bool(flag))
    else:
        logger.info("%s.", said)


def with_coverage(attack: AttackOrForeign, coverage: Coverage | None) -> dict[str, Any]:
    """What the run card says of an attack."""
    return {**attack.describe(), **({"coverage": coverage.describe()} if coverage else {})}


def require_candidates(
    attack: AttackOrForeign, plans: Plans, examples: Sequence[Example], reader: Reader | None
) -> None:
    """Check that an attack whose candidates do not depend on the model has some among these examples.

    ``reader`` as in :func:`table_coverage`.

    Raises:
        ValueError: no example whose label is not skipped has any admissible substitute.
    """
    if not isinstance(attack, Attack) or not attack.needs_candidates or not attack.candidates.planned:
        return
    chosen, plan = _attackable(attack, examples), plans.planner(attack)
    if attack.own_examples is not None or not chosen:
        return
    if any(one.swaps.keys() & _open_words(attack, one, reader) for one in map(plan, chosen)):
        return
    cut = sum(reader is not None and reader(plan(example).text) is not None for example in chosen)
    texts = f"{len(chosen):,} texts" + f" ({cut:,} of them cut, see --max_seq_length)" * bool(cut)
    found = f"the {attack.name} attack can change nothing: no open word of {texts} has an admissible "
    if attack.candidates.lookup is None:
        raise ValueError(f"{found}change; leave the attack out.")
    flag = attack.candidates.flag
    other = f"give a table of their language and words ({flag}), or " * bool(flag)
    raise ValueError(f"{found}substitute in {_source(attack)}; {other}leave the attack out.")


def _open_words(attack: Attack, plan: Plan, reader: Reader | None) -> set[int]:
    return attack.open_words(Draft(plan.text, reader=reader if attack.leaves_unread_words else None))


def _attackable(attack: Attack, examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.label not in attack.skip_labels]


def _source(attack: Attack) -> str:
    table = attack.candidates.lookup
    described: dict[str, Any] = {} if table is None else table.describe()
    inner = next(iter(described.get("sources", ())), described)
    lexicon = inner.get("lexicon") or inner.get("table") or {}
    return str(lexicon.get("source") or lexicon.get("name") or "its table")
