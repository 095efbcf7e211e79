"""Labels and text columns that flags of the attacks name, as ids and numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence

NO_RELATION = ("neutral", "not_duplicate", "not_equivalent")
"""Labels of pairs without a relation, which an antonym or a "not" does not change."""
_GENERIC = re.compile(r"^LABEL_(\d+)$")  # what transformers calls a class without a name


def resolve_skip_labels(names: Sequence[str] | None, label_names: Sequence[str]) -> frozenset[int]:
    """Ids of the labels that obstinacy attacks and views leave out.

    Labels are given by name, not by position, since GLUE's QQP and the papers' configuration order them differently.

    Args:
        names: label names, or numbers for classes without names (1, LABEL_1); None for the labels that mean "no
            relation"; ``["none"]`` for no label.
        label_names: the task's labels, by id.

    >>> sorted(resolve_skip_labels(None, ["entailment", "neutral", "contradiction"]))
    [1]
    >>> sorted(resolve_skip_labels(["1"], ["LABEL_0", "LABEL_1"]))
    [1]

    Raises:
        ValueError: a name is not in ``label_names``, or ``names`` is None and the classes have no names.
    """
    folded = [_folded(name) for name in label_names]
    if names is None:
        if all(name.isdecimal() for name in folded):
            raise ValueError(
                f"the classes have no names ({', '.join(label_names)}), so it is unknown which of them antonyms and "
                f"negations do not change, such as {', '.join(NO_RELATION)}: name the classes with --class_names, or "
                "give the classes to leave out with --skip_labels (none for no class)."
            )
        return frozenset(index for index, name in enumerate(folded) if name in NO_RELATION)
    if list(names) == ["none"] and "none" not in folded:
        return frozenset()
    return frozenset(_label_id(name, "--skip_labels", label_names) for name in names)


def resolve_target(name: str, label_names: Sequence[str]) -> int:
    """Id of the label that ``--attack_target`` names.

    >>> resolve_target("neutral", ["entailment", "neutral", "contradiction"]), resolve_target("2", ["a", "b", "c"])
    (1, 2)

    Raises:
        ValueError: there is no such label.
    """
    named = any(_folded(name) == _folded(label) for label in label_names)
    if not named and name.strip().isdecimal() and int(name) < len(label_names):
        return int(name)
    return _label_id(name, "--attack_target", label_names)


def _label_id(name: str, flag: str, label_names: Sequence[str]) -> int:
    """Id of a label by its name.

    Raises:
        ValueError: there is no such label.
    """
    folded = [_folded(label) for label in label_names]
    if _folded(name) not in folded:
        raise ValueError(f"{flag} {name} is no label of this task; its labels are {', '.join(label_names)}.")
    return folded.index(_folded(name))


def _folded(name: str) -> str:
    return _GENERIC.sub(r"\1", name.strip()).casefold()


def resolve_frozen_columns(names: Sequence[str], text_columns: Sequence[str]) -> frozenset[int]:
    """Numbers of the text columns that no attack changes.

    Raises:
        ValueError: a name is no text column, or every column would be frozen.
    """
    unknown = [name for name in names if name not in text_columns]
    if unknown:
        raise ValueError(
            f"--frozen_columns {' '.join(unknown)} is no text column; the text columns are {', '.join(text_columns)}."
        )
    frozen = frozenset(text_columns.index(name) for name in names)
    if len(frozen) == len(text_columns):
        raise ValueError(f"--frozen_columns {' '.join(names)} freezes every text column; leave one open to attack.")
    return frozen
