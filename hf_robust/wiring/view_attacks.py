"""From ``--view_attacks`` and ``--antonym_views`` to the attacks that make texts to train on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from hf_robust.attacks import build_attacks, check_recipes
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.data.splits import Splits
from hf_robust.wiring.parsing import Arguments
from hf_robust.wiring.run_lexicons import Lexicons

_OF_MEASURING: dict[str, Any] = {"attack_until_interval": None, "attack_target": None}
"""Flags of attacks that measure, which texts to train on do not follow."""


def makes_views(args: Arguments) -> bool:
    """Whether ``--view_attacks`` run: the method trains on their texts, and no ``--view_file`` has them."""
    return "attacks" in args.method.needs and not args.training.view_file and args.training.do_train


def view_attacks(args: Arguments, splits: Splits, lexicons: Lexicons) -> Mapping[str, AttackOrForeign]:
    """Return the attacks whose texts the method trains on.

    By default they search by the margin. Their query budget is ``--view_query_budget``.

    Raises:
        ValueError: an attack does not exist in the backend, or lacks a resource.
    """
    if getattr(args.training, "antonym_views", None) == "matched" and args.training.do_train:
        matched = dataclasses.replace(args.attack, attacks=["antonym"], attack_backend="native", **_OF_MEASURING)
        return build_attacks(matched, None, lexicons["antonyms"], splits.labels.names, splits.text_columns)
    if not makes_views(args):
        return {}
    if args.attack.attack_backend == "native":
        check_recipes(args.training.view_attacks, "--view_attacks", "texts of an earlier run are given by --view_file")
    overrides: dict[str, Any] = {
        "attacks": args.training.view_attacks,
        "attack_query_budget": args.training.view_query_budget,
        **_OF_MEASURING,
    }
    if args.attack.attack_backend == "native":
        overrides["attack_scores"] = args.attack.attack_scores or "margin"
    flags = dataclasses.replace(args.attack, attack_lexicon=None, **overrides)
    return build_attacks(flags, lexicons["synonyms"], None, splits.labels.names, splits.text_columns)
