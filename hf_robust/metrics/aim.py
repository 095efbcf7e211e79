"""What an attack wants of the prediction: said once by its goal, and read here from what a run left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from hf_robust.metrics.records import AttackRecord

_OLDER = {"remain": (True, False), "shorten": (True, True)}
_OLDER_NAMES = {"antonym": (True, False), "negation": (True, False), "input_reduction": (True, True)}
_OLDER_RECIPE = "InputReduction"


class Aim(NamedTuple):
    """Whether an attack wants the prediction to stay, so that its robust accuracy says nothing; and whether every
    example that was right ends as its success, so that its success rate says nothing either."""

    keeps_prediction: bool = False
    maximises: bool = False


def aim_of(described: Mapping[str, Any], name: str = "", result: Mapping[str, Any] | None = None) -> Aim:
    """The aim of an attack by its description (``Attack.describe()``, a run card's ``attacks``).

    Args:
        described: may be of an older run, which names the goal alone, or empty.
        name, result: the attack's, and its numbers in the history; asked where the description names no goal.
    """
    goal = described.get("goal") or {}
    if goal:
        keeps, maximises = _OLDER.get(str(goal.get("name")), (False, False))
        return Aim(bool(goal.get("keeps_prediction", keeps)), bool(goal.get("maximises", maximises)))
    if _OLDER_RECIPE in str(described.get("recipe", "")):
        return Aim(True, True)
    return Aim(*_OLDER_NAMES.get(name, ("remains_asr" in (result or {}),)))


def kept_prediction(records: Iterable[AttackRecord]) -> bool:
    """Whether these records are of an attack that wants the prediction to stay."""
    return any(record.remains is not None for record in records)
