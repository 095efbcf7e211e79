"""Load the lexicons of a run, before data and model, so that a missing one is an error at the start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from hf_robust.attacks.arguments import AttackArguments
from hf_robust.attacks.flag_readers import reads_synonyms
from hf_robust.lexicons import Lexicon, load_lexicon
from hf_robust.metrics import Coverage
from hf_robust.words import words_of

Lexicons = dict[str, Lexicon | None]


def load_lexicons(
    flags: AttackArguments,
    needs: Collection[str] = (),
    view_attacks: Collection[str] = (),
    voted: bool = False,
    given: Mapping[str, Lexicon] | None = None,
) -> Lexicons:
    """Load the lexicons that a run needs, by role.

    The roles are ``synonyms`` (for training and votes, and for attacks), ``antonyms``, and ``attack_synonyms`` if the
    attacks have a lexicon of their own.

    Args:
        needs: roles that the method trains on.
        view_attacks: attacks that make texts to train on.
        voted: whether a vote is attacked or certified; one over masks needs no lexicon.
        given: lexicons in memory by role, which are used in place of those that the flags name.

    Raises:
        ValueError: a lexicon cannot be loaded, or the package that separates the words of the language is missing.
    """
    words_of(flags.language).describe()
    native = flags.attack_backend == "native"
    measured = flags.recipes if native and flags.attack_strategy != "no" else []
    held_out = flags.synonym_source() != flags.lexicon
    votes_by_table = voted and flags.vote_mask_rate is None
    needs_synonyms = "synonyms" in needs or votes_by_table or (native and reads_synonyms(view_attacks))
    given = given or {}
    lexicons: Lexicons = dict.fromkeys(("synonyms", "antonyms", "attack_synonyms"))
    if needs_synonyms or (reads_synonyms(measured) and not held_out):
        lexicons["synonyms"] = given.get("synonyms") or load_lexicon(flags.lexicon, "synonym", flags.language)
    if "antonyms" in needs or "antonym" in measured:
        lexicons["antonyms"] = given.get("antonyms") or load_lexicon(flags.antonym_source(), "antonym", flags.language)
    if reads_synonyms(measured) and held_out:
        lexicons["attack_synonyms"] = load_lexicon(flags.synonym_source(), "synonym", flags.language)
    return lexicons


def described(lexicons: Lexicons, coverage: Mapping[str, Coverage]) -> dict[str, dict[str, Any]]:
    """Describe each lexicon for the run card, with its coverage of the training texts if training uses it."""
    covered = {role: {"coverage": shares.describe()} for role, shares in coverage.items()}
    loaded = {role: lexicon for role, lexicon in lexicons.items() if lexicon is not None}
    return {role: {**lexicon.describe(), **covered.get(role, {})} for role, lexicon in loaded.items()}
