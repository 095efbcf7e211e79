"""The lexicons that a run's flags ask for, so that a missing one is said before any data or model is loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hf_robust.attacks.arguments import AttackArguments
from hf_robust.attacks.flag_readers import READ_SYNONYMS
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.metrics import Coverage

Lexicons = dict[str, Lexicon | None]


def load_lexicons(
    flags: AttackArguments,
    needs: Collection[str] = (),
    view_attacks: Collection[str] = (),
    voted: bool = False,
) -> Lexicons:
    """By role: ``synonyms`` for what trains and votes, ``attack_synonyms`` where attacks have their own, ``antonyms``.

    Args:
        needs: roles that the method trains on.
        view_attacks: attacks that make texts to train on.
        voted: whether a vote over random substitutions is attacked or certified.

    Raises:
        ValueError: a lexicon cannot be had; the sentence says what else could be given.
    """
    native = flags.attack_backend == "native"
    measured = flags.recipes if native and flags.attack_strategy != "no" else []
    held_out = flags.synonym_source() != flags.lexicon
    asked = "synonyms" in needs or voted or (native and _read_synonyms(view_attacks))
    lexicons: Lexicons = dict.fromkeys(("synonyms", "antonyms", "attack_synonyms"))
    if asked or (_read_synonyms(measured) and not held_out):
        lexicons["synonyms"] = load_lexicon(flags.lexicon, "synonym")
    if "antonyms" in needs or "antonym" in measured:
        lexicons["antonyms"] = load_lexicon(flags.antonym_source(), "antonym")
    if _read_synonyms(measured) and held_out:
        lexicons["attack_synonyms"] = load_lexicon(flags.synonym_source(), "synonym")
    return lexicons


def described(lexicons: Lexicons, coverage: Mapping[str, Coverage]) -> dict[str, dict[str, Any]]:
    """What the run card says of each lexicon, and how much of the training texts those that training uses cover."""
    covered = {role: {"coverage": found.describe()} for role, found in coverage.items()}
    return {role: {**one.describe(), **covered.get(role, {})} for role, one in lexicons.items() if one is not None}


def _read_synonyms(attacks: Collection[str]) -> bool:
    return any(name in READ_SYNONYMS for name in attacks)
