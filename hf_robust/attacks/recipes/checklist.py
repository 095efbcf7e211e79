"""The checklist attack: change contractions, numbers, names and places, which should not change a prediction."""

from __future__ import annotations

from collections.abc import Iterable

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import AnyOf, RandomStates
from hf_robust.attacks.parts.constraints import NoRepeat
from hf_robust.attacks.parts.goals import Misclassify
from hf_robust.attacks.parts.names import NUM_DRAWS, ChangeListed, Unplanned
from hf_robust.attacks.parts.search import Beam
from hf_robust.attacks.resources import Resources
from hf_robust.words import TEXTATTACK_WORDS, Text


def _forms(words: str, ending: str, meaning: str) -> dict[str, str]:
    return {word + ending: f"{word} {meaning}" for word in words.split()}


CONTRACTIONS: dict[str, str] = {
    **_forms("are could did does do had has have is might must need ought should was were would", "n't", "not"),
    **_forms("he how I i it she they we who you", "'ll", "will"),
    **_forms("he I i it she that there they we you", "'d", "would"),
    **_forms("how where", "'d", "did"),
    **_forms("he how it she that there what when where who why", "'s", "is"),
    **_forms("could I i might must should they we where who would you", "'ve", "have"),
    **_forms("they we what you", "'re", "are"),
    **_forms("I i", "'m", "am"),
    **{"ain't": "isn't", "can't": "cannot", "can't've": "cannot have", "shan't": "shall not", "won't": "will not"},
    **{"how'd'y": "how do you", "ma'am": "madam", "he'd've": "he would have", "you'd've": "you would have"},
}
"""Contracted form -> full form; case-sensitive, without "Don't"."""

_CONTRACTED = {whole: short for short, whole in CONTRACTIONS.items()}
_UNCHANGED_NUMBERS = (0, 2, 4)
_MOST_DIGITS = 18
"""Twice a number of 18 digits still fits into 64 bits."""


class Extend(Unplanned):
    """Replaces a contracted form by its full form."""

    name = "extend"

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        whole = CONTRACTIONS.get(text.tokens[index])
        return [] if whole is None else [whole]


class Contract(Unplanned):
    """Replaces two words by their contracted form.

    As in TextAttack, only words before the first closed word, and so before the first change.
    """

    name = "contract"

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        words, opened, drafts = draft.text.tokens, set(open_words), []
        for index in range(len(words) - 1):
            if not {index, index + 1} <= opened:
                break
            short = _CONTRACTED.get(f"{words[index]} {words[index + 1]}")
            if short is not None:
                drafts.append(draft.swap(index, short).swap(index + 1, ""))
        return drafts
        yield


class ChangeNumber(Unplanned):
    """Replaces a number n by three draws from 1 to 2n; 0, 2 and 4 do not change.

    Differs from TextAttack: only numbers in digits, with at most 18 digits, and no number words.
    """

    name = "change_number"

    def substitutes(self, text: Text, index: int, rng: RandomStates) -> Iterable[str]:
        word = text.tokens[index]
        if not word.isdecimal() or len(word) > _MOST_DIGITS or int(word) in _UNCHANGED_NUMBERS:
            return []
        return [str(number) for number in rng.numpy.randint(1, 2 * int(word) + 1, NUM_DRAWS)]


def checklist(resources: Resources) -> Attack:
    """Ribeiro et al. 2020 (arXiv:2005.04118): its invariance tests as an attack, as TextAttack 0.3.11 has it.

    Contractions are expanded or formed, and numbers in digits, names and places change. The best text of each step is
    kept until the prediction changes or no change is left. Names and places need ``Resources.names`` and
    ``Resources.locations``; without these they do not change, and the attack's description says so.

    Differs: see ``ChangeNumber`` and ``ChangeListed``.
    """
    constraints = resources.with_columns(NoRepeat())
    changes = [ChangeListed("change_name", resources.names), ChangeNumber()]
    return Attack(
        name="checklist",
        goal=Misclassify(),
        candidates=AnyOf([Extend(), Contract(), *changes, ChangeListed("change_location", resources.locations)]),
        constraints=constraints,
        search=Beam(1),
        **resources.limits(),
        word_rule=TEXTATTACK_WORDS,
    )
