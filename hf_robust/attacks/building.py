"""From the flags of attacks to the attacks that they name.

Attacks that go beyond identity with TextAttack: by name, and off by default.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hf_robust.attacks.arguments import AttackArguments, resolve_frozen_columns, resolve_skip_labels
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.parts.candidates import AnyOf, Candidates, FromLexicon
from hf_robust.attacks.parts.constraints import Constraint, MaxChangedShare, Protected
from hf_robust.attacks.parts.genetic_search import Genetic
from hf_robust.attacks.parts.goals import Remain
from hf_robust.attacks.parts.particle_swarm import ParticleSwarm
from hf_robust.attacks.parts.ranking import Ranking, at_random, by_gradient
from hf_robust.attacks.parts.search import Greedy
from hf_robust.attacks.recipes import ATTACKS, goal_of
from hf_robust.attacks.resources import FlaggedResources
from hf_robust.words import UNICODE_WORDS, Protection

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon

RANKINGS: dict[str, Ranking] = {"gradient": by_gradient, "random": at_random}
EARLY_EXIT = 8
"""Substitutes asked for at a time, where a word is left at its first success."""


def mended(attack: Attack) -> Attack:
    """The attack without TextAttack's defects (``--attack_fixed``).

    - Words without any substitute are not ranked: TextAttack spends a query on each.
    - Words are those of ``UnicodeWords``: there a typographic apostrophe or a combining mark ends a word, the parts of
      "ca n't" and "they 're" are words to be replaced, and stop words are compared with their case.
    - Substitutes that the word's case makes equal are asked once, and only single words: there each counts.
    - A word is visited where it stands now: there a swap that makes two words of one, or none, shifts all words behind
      it against the order of the search.
    - The population searches' own defects (see ``Genetic``, ``ImprovedGenetic``, ``ParticleSwarm``).
    - Scores are those of margins: there float32 probabilities, which are flat where the model is certain.
    """
    search = attack.search
    if isinstance(search, Greedy):
        search = replace(search, follows_words=True)
    elif isinstance(search, (Genetic, ParticleSwarm)):
        search = replace(search, mended=True)
    return replace(
        attack,
        ranks_movable_only=attack.candidates.planned,
        candidates=_distinct(attack.candidates),
        search=search,
        word_rule=UNICODE_WORDS,
        scores=attack.scores and "margin",
    )


def ranked(attack: Attack, ranking: str) -> Attack:
    """The attack with words in another order (``--attack_ranking``): by gradient, or at random.

    By gradient, one forward and one backward stand for a query a word. An attack that does not rank is left alone.
    """
    return attack if attack.ranking is None else replace(attack, ranking=RANKINGS[ranking])


def leaving_early(attack: Attack) -> Attack:
    """The attack that leaves a word at its first success (``--attack_early_exit``); only a greedy one changes."""
    if not isinstance(attack.search, Greedy):
        return attack
    return replace(attack, search=replace(attack.search, early_exit=EARLY_EXIT))


def shielded(attack: Attack, protection: Protection) -> Attack:
    """The attack that leaves what is protected as it is (``--protect``)."""
    return _bound(attack, Protected(protection))


def capped(attack: Attack, share: float) -> Attack:
    """The attack that changes at most this share of the words (``--attack_max_changed``); the recipe's own limit holds
    too.

    Raises:
        ValueError: the share is none, or the attack aims at changing as many words as it can.
    """
    if attack.goal.maximises:
        raise ValueError(
            f"--attack_max_changed {share:g} does not go with the {attack.name} attack, which deletes as many words "
            "as it can; leave one of the two out."
        )
    return _bound(attack, MaxChangedShare(share))


def _bound(attack: Attack, rule: Constraint) -> Attack:
    """With one more rule for every text, those that are crossed included: recipes do not check these."""
    search = replace(attack.search, check_children=True) if isinstance(attack.search, Genetic) else attack.search
    return replace(attack, constraints=[rule, *attack.constraints], search=search)


def _distinct(source: Candidates) -> Candidates:
    if isinstance(source, AnyOf):
        return AnyOf([_distinct(one) for one in source.sources])
    return replace(source, distinct=True) if isinstance(source, FromLexicon) else source


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
    if args.attack_fixed:
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
