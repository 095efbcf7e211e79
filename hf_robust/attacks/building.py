"""From the flags of attacks to the attacks that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hf_robust.attacks.arguments import AttackArguments, resolve_frozen_columns, resolve_skip_labels
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.parts.goals import Remain
from hf_robust.attacks.recipes import ATTACKS, goal_of
from hf_robust.attacks.resources import FlaggedResources
from hf_robust.attacks.variants import capped, leaving_early, mended, ranked, shielded

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon


def build_attacks(
    args: AttackArguments,
    synonyms: Lexicon | None,
    antonyms: Lexicon | None,
    label_names: Sequence[str],
    text_columns: Sequence[str],
) -> Mapping[str, AttackOrForeign]:
    """The recipes that the flags name, in their order; files of adversarial texts are not among them.

    Only what they ask for is loaded. ``synonyms`` and ``antonyms`` are taken as they are where they are given.

    Raises:
        ValueError: a resource is missing, or a label or column name unknown.
    """
    if args.attack_backend == "textattack":
        from hf_robust.attacks.textattack.backend import textattack_attacks

        return textattack_attacks(args, text_columns)
    obstinate = any(goal_of(name) is Remain for name in args.recipes)
    resources = FlaggedResources(
        args,
        synonyms=synonyms,
        antonyms=antonyms,
        skip_labels=resolve_skip_labels(args.skip_labels, label_names) if obstinate else frozenset(),
        frozen_columns=resolve_frozen_columns(args.frozen_columns, text_columns),
    )
    return {name: _varied(ATTACKS[name](resources), args) for name in args.recipes}


def _varied(attack: Attack, args: AttackArguments) -> Attack:
    if args.attack_mended:
        attack = mended(attack)
    if args.attack_scores is not None:
        attack = replace(attack, scores=args.attack_scores)
    if args.attack_ranking != "recipe":
        attack = ranked(attack, args.attack_ranking)
    if args.attack_max_changed is not None:
        attack = capped(attack, args.attack_max_changed)
    if protection := args.protection():
        attack = shielded(attack, protection)
    return leaving_early(attack) if args.attack_early_exit else attack
