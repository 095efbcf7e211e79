"""What ``--protect`` and ``--attack_max_changed`` add to an attack of TextAttack."""

from __future__ import annotations

from typing import Any

from hf_robust.attacks.textattack.importing import import_textattack
from hf_robust.words import Protection, Text

_CHECKS_CROSSED = ("post_crossover_check", "post_turn_check")
"""Settings of TextAttack's population searches: off, as in some recipes, texts that are crossed are not checked."""


def add_limits(attack: Any, name: str, protection: Protection | None, max_changed: float | None) -> None:
    """Give a ``textattack.Attack`` its further constraints, and let its search ask them of every text.

    The share is TextAttack's own ``MaxWordsPerturbed``, as TextDefender sets it: word by word from the left, so that
    all words behind one that became two count.

    Raises:
        ValueError: the attack shortens texts, and a share of changed words is asked for.
    """
    textattack = import_textattack()
    shortens = isinstance(attack.goal_function, textattack.goal_functions.InputReduction)
    if max_changed is not None and shortens:
        raise ValueError(
            f"--attack_max_changed {max_changed:g} does not go with TextAttack's {name}, which deletes as many words "
            "as it can; leave one of the two out."
        )
    if max_changed is not None:
        attack.constraints.insert(0, textattack.constraints.overlap.MaxWordsPerturbed(max_percent=max_changed))
    if protection is not None:
        opened, kept = _protected(textattack, protection)
        attack.pre_transformation_constraints.append(opened)
        attack.constraints.insert(0, kept)
    if protection is not None or max_changed is not None:
        for setting in _CHECKS_CROSSED:
            if hasattr(attack.search_method, setting):
                setattr(attack.search_method, setting, True)


def _protected(textattack: Any, protection: Protection) -> tuple[Any, Any]:
    """A constraint that closes protected words, and one that refuses texts with other protected spans."""

    class Open(textattack.constraints.PreTransformationConstraint):
        def _get_modifiable_indices(self, current_text: Any) -> set[int]:
            return _open_words(protection, current_text)

        def fingerprint(self) -> str:
            return protection.fingerprint()

    class Kept(textattack.constraints.Constraint):
        def _check_constraint(self, transformed_text: Any, reference_text: Any) -> bool:
            return _strings(protection, transformed_text) == _strings(protection, reference_text)

        def fingerprint(self) -> str:
            return protection.fingerprint()

    return Open(), Kept(compare_against_original=True)


def _open_words(protection: Protection, attacked: Any) -> set[int]:
    """TextAttack's numbers of the words that no protected span overlaps; by place, since it cuts Chinese otherwise."""
    found: set[int] = set()
    number = 0
    for column, words in zip(attacked._text_input.values(), attacked.words_per_input, strict=True):
        spans, place = protection.spans(column), 0
        for word in words:
            place = column.index(word, place)
            if not any(place < end and start < place + len(word) for start, end in spans):
                found.add(number)
            place, number = place + len(word), number + 1
    return found


def _strings(protection: Protection, attacked: Any) -> tuple[tuple[str, ...], ...]:
    return protection.strings(Text(tuple(attacked._text_input.values())))
