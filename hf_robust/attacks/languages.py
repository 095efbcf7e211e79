"""What another language than English changes in attacks: words, stop words, and which attacks there are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from hf_robust.attacks.attack import Attack
from hf_robust.attacks.parts.bad_characters import BadCharacters
from hf_robust.attacks.parts.constraints import NoStopWords, SameWords
from hf_robust.words import ENGLISH, UNSPACED, language_name, stop_words_of, words_of

ENGLISH_ONLY: dict[str, str] = {
    "negation": 'has rules for the English verb and its "not"',
    "checklist": "has a table of English contractions",
    "hotflip": "swaps words in English letters",
    "pruthi": "has the keys of an English keyboard",
}
"""Attack -> the rules that hold for English only."""
ONE_LANGUAGE = {"french": "fr", "spanish": "es", "chinese": "zh"}
"""Attack -> the language of its texts."""
MISSPELLING = ("deepwordbug", "textbugger")
"""Attacks that need spaces between words: a misspelt word is otherwise no longer one word."""


def check_attacks(language: str, attacks: Collection[str]) -> None:
    """Refuse attacks whose rules do not hold for the language.

    Raises:
        ValueError: an attack is for another language, or for languages with spaces between words.
    """
    for name in attacks:
        own = ONE_LANGUAGE.get(name, language)
        if own != language:
            raise ValueError(
                f"the {name} attack is for {language_name(own)}, and the texts are {language_name(language)}: give "
                "their language, or leave the attack out."
            )
        if name in ENGLISH_ONLY and language != ENGLISH:
            raise ValueError(
                f"the {name} attack {ENGLISH_ONLY[name]}, and the texts are {language_name(language)}: leave it out."
            )
        if name in MISSPELLING and language in UNSPACED:
            raise ValueError(
                f"the {name} attack misspells words, and {language_name(language)} has no spaces that would keep a "
                "misspelt word one word: leave it out."
            )


def in_language(attack: Attack, language: str) -> Attack:
    """Return the attack for texts of a language; for English the attack itself.

    Words are those of the language (``words_of``), also in the recipes that follow TextAttack in English, and stop
    words are the language's. Where no spaces separate words, a swap leaves all other words as they are; bad
    characters, which swap no words, may not.

    Raises:
        ValueError: the attack is not for this language, or a package of its stop words or words is missing.
    """
    if language == ENGLISH:
        return attack
    check_attacks(language, [attack.name])
    rule, listed = words_of(language), None
    constraints = []
    for constraint in attack.constraints:
        if isinstance(constraint, NoStopWords):
            listed = listed or stop_words_of(language)
            constraint = NoStopWords(listed.words, listed.source)
        constraints.append(constraint)
    if language in UNSPACED and not isinstance(attack.candidates, BadCharacters):
        rule.describe()  # refuses a missing library now
        constraints.append(SameWords())
    return replace(attack, word_rule=rule, constraints=constraints)
