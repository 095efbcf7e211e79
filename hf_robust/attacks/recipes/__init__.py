"""The attacks by name. Each recipe is one file with a function that lists the attack's parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.goals import Goal, LowerProbability, Misclassify, Remain, Shorten
from hf_robust.attacks.recipes.a2t import a2t
from hf_robust.attacks.recipes.antonym import antonym
from hf_robust.attacks.recipes.bad_characters import (
    deletion_characters,
    homoglyphs,
    invisible_characters,
    reordering_characters,
)
from hf_robust.attacks.recipes.bae import bae
from hf_robust.attacks.recipes.bert_attack import bert_attack
from hf_robust.attacks.recipes.checklist import checklist
from hf_robust.attacks.recipes.chinese import chinese
from hf_robust.attacks.recipes.clare import clare
from hf_robust.attacks.recipes.deepwordbug import deepwordbug
from hf_robust.attacks.recipes.faster_genetic import faster_genetic
from hf_robust.attacks.recipes.french import french
from hf_robust.attacks.recipes.gcg import gcg
from hf_robust.attacks.recipes.genetic import genetic
from hf_robust.attacks.recipes.gradient_mask import gradient_mask
from hf_robust.attacks.recipes.hlbb import hlbb
from hf_robust.attacks.recipes.hotflip import hotflip
from hf_robust.attacks.recipes.iga import iga
from hf_robust.attacks.recipes.input_reduction import input_reduction
from hf_robust.attacks.recipes.kuleshov import kuleshov
from hf_robust.attacks.recipes.leap import leap
from hf_robust.attacks.recipes.negation import negation
from hf_robust.attacks.recipes.paraphrase import paraphrase
from hf_robust.attacks.recipes.pruthi import pruthi
from hf_robust.attacks.recipes.pso import pso
from hf_robust.attacks.recipes.pwws import pwws
from hf_robust.attacks.recipes.spanish import spanish
from hf_robust.attacks.recipes.synonym import synonym
from hf_robust.attacks.recipes.textbugger import textbugger
from hf_robust.attacks.recipes.textfooler import textfooler
from hf_robust.attacks.recipes.viper import viper
from hf_robust.attacks.resources import Resources

ATTACKS: dict[str, Callable[[Resources], Attack]] = {
    "synonym": synonym,
    "antonym": antonym,
    "negation": negation,
    "textfooler": textfooler,
    "pwws": pwws,
    "deepwordbug": deepwordbug,
    "textbugger": textbugger,
    "a2t": a2t,
    "genetic": genetic,
    "faster_genetic": faster_genetic,
    "iga": iga,
    "pso": pso,
    "leap": leap,
    "kuleshov": kuleshov,
    "pruthi": pruthi,
    "input_reduction": input_reduction,
    "checklist": checklist,
    "bae": bae,
    "bert_attack": bert_attack,
    "clare": clare,
    "hotflip": hotflip,
    "french": french,
    "spanish": spanish,
    "chinese": chinese,
    "homoglyphs": homoglyphs,
    "invisible_characters": invisible_characters,
    "deletion_characters": deletion_characters,
    "reordering_characters": reordering_characters,
    "gradient_mask": gradient_mask,
    "hlbb": hlbb,
    "paraphrase": paraphrase,
    "viper": viper,
    "gcg": gcg,
}

BY_LABEL = ("hlbb", "paraphrase")
"""Attacks that need no scores of the victim, only labels."""

_GOALS: dict[str, type[Goal]] = {
    "antonym": Remain,
    "negation": Remain,
    "input_reduction": Shorten,
    "kuleshov": LowerProbability,
}


def goal_of(name: str) -> type[Goal]:
    """The class of an attack's goal by the attack's name (also in TextAttack's spelling), without building it."""
    return _GOALS.get(name.replace("-", "_"), Misclassify)


def check_recipes(names: Sequence[str], flag: str, otherwise: str) -> None:
    """Raise if one of the ``names`` is no native attack.

    Args:
        names: the value of ``flag``.
        flag: the flag, for the message.
        otherwise: the remedy, for the message.

    Raises:
        ValueError: a name is no native attack.
    """
    unknown = [name for name in names if name not in ATTACKS]
    if "universal_trigger" in unknown:
        otherwise = "a universal trigger is found by `hf-robust trigger`"
    if unknown:
        raise ValueError(f"{flag} must be among {', '.join(ATTACKS)}, got {', '.join(unknown)}; {otherwise}.")
