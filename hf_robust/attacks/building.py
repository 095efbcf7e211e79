"""Builds the attacks that the flags name, and the variants of an attack that further flags select."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from hf_robust.attacks.arguments import STANDARD, AttackArguments
from hf_robust.attacks.attack import Attack, AttackOrForeign
from hf_robust.attacks.control import control_of, controls_among
from hf_robust.attacks.labels_and_columns import resolve_frozen_columns, resolve_skip_labels, resolve_target
from hf_robust.attacks.languages import check_attacks, in_language
from hf_robust.attacks.parts.candidates import AnyOf, Candidates, FromLexicon
from hf_robust.attacks.parts.constraints import Constraint, MaxChangedShare, Protected
from hf_robust.attacks.parts.differential_evolution import DifferentialEvolution
from hf_robust.attacks.parts.genetic_search import Genetic
from hf_robust.attacks.parts.goals import LowerProbability, Remain, Target
from hf_robust.attacks.parts.ranking import Ranking, at_random, by_gradient
from hf_robust.attacks.parts.search import Greedy
from hf_robust.attacks.parts.suffix import AT_RANDOM, BY_GRADIENT, SuffixTokens
from hf_robust.attacks.recipes import ATTACKS, goal_of
from hf_robust.attacks.resources import FlaggedResources
from hf_robust.attacks.standard import standard
from hf_robust.words import UNICODE_WORDS, Protection

if TYPE_CHECKING:
    from hf_robust.lexicons import Lexicon

logger = logging.getLogger(__name__)

Part = TypeVar("Part")
RANKINGS: dict[str, Ranking] = {"gradient": by_gradient, "random": at_random}
EARLY_EXIT = 8
"""Number of substitutes per request under ``--attack_early_exit``."""


def with_bug_fixes(attack: Attack) -> Attack:
    """Return the attack with known TextAttack bugs fixed (``--attack_fixed``).

    - Words without substitutes are not ranked. TextAttack spends a query on each.
    - Words are those of ``UnicodeWords``. In TextAttack a typographic apostrophe or a combining mark ends a word, the
      parts of "ca n't" and "they 're" are words to replace, and stop words are compared case-sensitively.
    - Substitutes that become equal in the word's case are scored once, and a substitute is a single word. TextAttack
      scores duplicates and allows several words.
    - A word is found at its present position. In TextAttack a swap that splits or deletes a word shifts all later
      words against the order of the search.
    - Parts with fixes of their own get them: the population searches (``Genetic``, ``ImprovedGenetic``,
      ``ParticleSwarm``, ``DifferentialEvolution``), bert_attack's candidates (``InPlace``), and kuleshov's goal and
      constraints.
    - Scores are margins. TextAttack uses float32 probabilities, which are flat where the model is certain.
    """
    search = attack.search
    return replace(
        attack,
        goal=_mended(attack.goal),
        ranks_movable_only=attack.candidates.planned,
        candidates=_mended(_distinct(attack.candidates)),
        constraints=[_mended(rule) for rule in attack.constraints],
        search=replace(search, follows_words=True) if isinstance(search, Greedy) else _mended(search),
        word_rule=UNICODE_WORDS,
        scores=attack.scores and "margin",
    )


def with_ranking(attack: Attack, ranking: str) -> Attack:
    """Return the attack with another word ranking (``--attack_ranking``): by gradient or at random.

    Ranking by gradient takes one forward and one backward pass instead of one query per word. An attack without a
    ranking is returned unchanged. The tokens of a suffix are drawn by gradient or at random.
    """
    if isinstance(attack.candidates, SuffixTokens):
        drawn = AT_RANDOM if ranking == "random" else BY_GRADIENT
        return replace(attack, candidates=replace(attack.candidates, ranking=drawn))
    return attack if attack.ranking is None else replace(attack, ranking=RANKINGS[ranking])


def with_early_exit(attack: Attack) -> Attack:
    """Return the attack that leaves a word at its first success (``--attack_early_exit``); for greedy searches.

    Differential evolution, which has no words, ends at its first success.
    """
    if isinstance(attack.search, DifferentialEvolution):
        return replace(attack, search=replace(attack.search, early_exit=True))
    if not isinstance(attack.search, Greedy):
        return attack
    return replace(attack, search=replace(attack.search, early_exit=EARLY_EXIT))


def with_protection(attack: Attack, protection: Protection) -> Attack:
    """Return the attack that does not change protected spans (``--protect``)."""
    return _with_constraint(attack, Protected(protection))


def with_max_changed(attack: Attack, share: float) -> Attack:
    """Return the attack that changes at most this share of the words (``--attack_max_changed``).

    The recipe's own limit still holds.

    Raises:
        ValueError: the share is out of range, the goal is to change as many words as possible, or the attack adds a
            suffix and changes no word.
    """
    if attack.goal.maximises:
        raise ValueError(
            f"--attack_max_changed {share:g} does not go with the {attack.name} attack, which deletes as many words "
            "as it can; leave one of the two out."
        )
    if isinstance(attack.candidates, SuffixTokens):
        raise ValueError(
            f"--attack_max_changed {share:g} does not go with the {attack.name} attack, which adds a suffix of "
            f"{attack.candidates.length} tokens and changes no word of the text; leave one of the two out."
        )
    return _with_constraint(attack, MaxChangedShare(share))


def _with_constraint(attack: Attack, rule: Constraint) -> Attack:
    """Add a constraint on every text, also on children of a crossover, which recipes do not check."""
    search = replace(attack.search, check_children=True) if isinstance(attack.search, Genetic) else attack.search
    return replace(attack, constraints=[rule, *attack.constraints], search=search)


def _mended(part: Part) -> Part:
    """The part with its field ``mended`` set, if it has one."""
    return replace(part, mended=True) if hasattr(part, "mended") else part  # type: ignore[type-var]


def _distinct(source: Candidates) -> Candidates:
    if isinstance(source, AnyOf):
        return AnyOf([_distinct(inner) for inner in source.sources])
    return replace(source, distinct=True) if isinstance(source, FromLexicon) else source


def build_attacks(
    args: AttackArguments,
    synonyms: Lexicon | None,
    antonyms: Lexicon | None,
    label_names: Sequence[str],
    text_columns: Sequence[str],
) -> Mapping[str, AttackOrForeign]:
    """Build the recipes that the flags name, in their order, then their random controls.

    Files of adversarial texts are left out.

    Only resources that a recipe needs are loaded. ``synonyms`` and ``antonyms``, where given, replace the lexicons
    that the flags name.

    Raises:
        ValueError: a resource is missing, or a label or column name is unknown.
    """
    if args.attack_backend == "textattack":
        from hf_robust.attacks.textattack.backend import textattack_attacks

        return textattack_attacks(args, text_columns)
    target = None if args.attack_target is None else target_of(args.attack_target, label_names)
    obstinate = any(goal_of(name) is Remain for name in args.recipes)
    resources = FlaggedResources(
        args,
        synonyms=synonyms,
        antonyms=antonyms,
        skip_labels=resolve_skip_labels(args.skip_labels, label_names) if obstinate else frozenset(),
        frozen_columns=resolve_frozen_columns(args.frozen_columns, text_columns),
    )
    check_attacks(args.language, args.recipes)
    fixed = AttackArguments(attack_fixed=True, language=args.language, protect=args.protect)
    built: dict[str, AttackOrForeign] = {}
    for name in args.recipes:
        if name == STANDARD:
            built[name] = standard(resources, args, lambda attack: _with_flags(attack, fixed))
            continue
        attack = _with_flags(ATTACKS[name](resources), args)
        built[args.name_of(name)] = attack if target is None else with_target(attack, target)
    for name in map(args.name_of, controls_among(args.attacks)):
        controlled = built[name]
        assert isinstance(controlled, Attack)
        built[f"{name}_random"] = control_of(controlled, name)
    return built


def target_of(name: str, label_names: Sequence[str]) -> Target:
    """Return the goal that ``--attack_target`` names.

    Raises:
        ValueError: there is no such label.
    """
    target = resolve_target(name, label_names)
    if len(label_names) == 2:
        logger.warning(
            "--attack_target %s: of two labels every success is the other one, so this is the attack without a target "
            "on the rows of %s alone.",
            name,
            label_names[1 - target],
        )
    return Target(target, label_names[target])


def with_target(attack: Attack, target: Target) -> Attack:
    """Return the attack that makes the model predict a label (``--attack_target``).

    kuleshov keeps its threshold: what its search raises, here the target's probability, has to reach 0.7.
    """
    goal = attack.goal
    return replace(
        attack, goal=replace(target, threshold=goal.threshold) if isinstance(goal, LowerProbability) else target
    )


def _with_flags(attack: Attack, args: AttackArguments) -> Attack:
    if args.attack_fixed:
        attack = with_bug_fixes(attack)
    attack = in_language(attack, args.language)
    if args.attack_scores is not None and attack.scores is not None:
        attack = replace(attack, scores=args.attack_scores)
    if args.attack_ranking != "recipe":
        attack = with_ranking(attack, args.attack_ranking)
    if args.attack_max_changed is not None:
        attack = with_max_changed(attack, args.attack_max_changed)
    if protection := args.protection():
        attack = with_protection(attack, protection)
    return with_early_exit(attack) if args.attack_early_exit else attack
