"""Adds the constraints of ``--protect`` and ``--attack_max_changed`` to a TextAttack attack.

The names of the constraint classes and of the function around them are part of journal keys.
"""

from __future__ import annotations

from typing import Any

from hf_robust.attacks.textattack.importing import import_textattack
from hf_robust.words import Protection, Text

_CROSSOVER_CHECKS = ("post_crossover_check", "post_turn_check")
"""Settings of TextAttack's population searches; off, as in some recipes, children of a crossover are not checked."""


def add_limits(attack: Any, name: str, protection: Protection | None, max_changed: float | None) -> None:
    """Add constraints to a ``textattack.Attack``, and make its search apply them to every text.

    The limit on changed words is TextAttack's own ``MaxWordsPerturbed``, as in TextDefender: it compares word by word
    from the left, so all words behind a split word count as changed.

    Raises:
        ValueError: the attack shortens texts, and ``max_changed`` is given.
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
        opened, unchanged = _protected(textattack, protection)
        attack.pre_transformation_constraints.append(opened)
        attack.constraints.insert(0, unchanged)
    if protection is not None or max_changed is not None:
        for setting in _CROSSOVER_CHECKS:
            if hasattr(attack.search_method, setting):
                setattr(attack.search_method, setting, True)


def _protected(textattack: Any, protection: Protection) -> tuple[Any, Any]:
    """Two constraints: one closes protected words, the other rejects texts with different protected spans."""

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
    """TextAttack's numbers of the words outside protected spans; by position, since TextAttack segments Chinese."""
    open_words: set[int] = set()
    number = 0
    for column, words in zip(attacked._text_input.values(), attacked.words_per_input, strict=True):
        spans, place = protection.spans(column), 0
        for word in words:
            place = column.index(word, place)
            if not any(place < end and start < place + len(word) for start, end in spans):
                open_words.add(number)
            place, number = place + len(word), number + 1
    return open_words


def _strings(protection: Protection, attacked: Any) -> tuple[tuple[str, ...], ...]:
    return protection.strings(Text(tuple(attacked._text_input.values())))
