"""Word rules of languages other than English: by spaces, with elided articles apart, or by ICU's dictionaries."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence, Set
from functools import cache, cached_property
from importlib import metadata
from typing import Any

from hf_robust.words.contractions import APOSTROPHES, apostrophe_of, character_classes, folded, with_apostrophe
from hf_robust.words.languages import ELIDED, ENGLISH, LANGUAGES, UNSPACED, VOWEL_SIGNS, check_language, language_name
from hf_robust.words.tagger import Tagger
from hf_robust.words.word_rules import (
    TEXTATTACK_WORDS,
    UNICODE_WORDS,
    LookUp,
    Word,
    WordRule,
    match_case,
    word_patterns,
)

_LETTER = r"[^\W_\u02bc]"


class SpacedWords(WordRule):
    r"""Words of a language that separates them by spaces; the English rules for contractions do not apply.

    - A word is one of ``UnicodeWords``: letters, digits and marks, and inside them apostrophes and hyphens. So a word
      of Hindi or Arabic keeps its vowel signs, and decomposed letters stay together.
    - French, Italian and Catalan: an elided word ends at its apostrophe, "l’homme" is "l’" and "homme".
    - Keys are folded (:func:`~hf_robust.words.contractions.folded`), those of Arabic, Persian, Urdu, Pashto and Hebrew
      without vowel signs, so tables and lists of these languages have words without vowel signs.

    >>> [word for word, _, _ in SpacedWords("fr").split("L’homme d'aujourd'hui aime l'été.")]
    ['L’', 'homme', "d'", "aujourd'hui", 'aime', "l'", 'été']
    """

    family = "unicode"

    def __init__(self, language: str) -> None:
        self.language, self.name = language, f"{self.family}:{language}"

    @property
    def pattern(self) -> str:
        start, word, inside = word_patterns(_LETTER, r"\w", *character_classes())
        if self.language not in ELIDED:
            return start + word
        elided = "|".join(ELIDED[self.language].split())
        return rf"(?<!{inside})(?i:{elided})[{APOSTROPHES}](?={_LETTER})|{start}{word}"

    def keys(self, words: Sequence[Word]) -> list[str]:
        return [self.key(word.text) for word in words]

    def key(self, word: str) -> str:
        """The form in which tables and lists have a word; "" for an elided word, which never changes."""
        if self.language in ELIDED and word.endswith(tuple(APOSTROPHES)):
            return ""
        signs = VOWEL_SIGNS.get(self.language)
        return re.sub(f"[{signs}]", "", folded(word)) if signs else folded(word)

    def is_listed(self, key: str, words: Set[str]) -> bool:
        return not key or key in words

    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        key, apostrophe = self.key(word), apostrophe_of(word)
        # Composed, since a decomposed capital letter has two characters and would count as an upper-case word.
        like = unicodedata.normalize("NFC", word)
        cased = [match_case(new, like) for new in look_up(key) if self.key(new) != key]
        return cased if apostrophe is None else [with_apostrophe(new, apostrophe) for new in cased]

    def tagger(self, tagger: Tagger) -> Tagger:
        return tagger

    def __reduce__(self) -> tuple[Callable[[str], WordRule], tuple[str]]:
        return words_of, (self.language,)


class SegmentedWords(SpacedWords):
    """Words of Chinese, Japanese, Thai, Lao, Khmer or Burmese, separated by ICU's dictionaries.

    Runs of letters are those of ``SpacedWords``; ICU's word breaker (Unicode Standard Annex 29 with its dictionaries,
    by the package icu4py) separates the words of a run. Where words end depends on ICU's version, which ``describe``
    gives.

    Raises:
        ValueError: at the first text, icu4py is not installed.
    """

    family = "icu"

    def split(self, text: str) -> list[tuple[str, int, int]]:
        return [word for run in super().split(text) for word in self._pieces(*run)]

    def is_one_word(self, substitute: str) -> bool:
        return [word for word, _, _ in self.split(substitute)] == [substitute]

    def describe(self) -> dict[str, str]:
        icu, _ = self._icu
        return {**super().describe(), "segmentation": f"icu4py {metadata.version('icu4py')}, ICU {icu}"}

    def _pieces(self, run: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
        if run.isascii():
            yield run, start, end
            return
        # As strings, since the breaker's positions count UTF-16 units.
        for piece in self._icu[1](run, self.language):
            if re.search(_LETTER, piece):
                yield piece, start, start + len(piece)
            start += len(piece)

    @cached_property
    def _icu(self) -> tuple[str, Callable[[str, str], Any]]:
        """ICU's version and its word breaker."""
        try:
            from icu4py._version import icu_version
            from icu4py.breakers import WordBreaker
        except ImportError as error:
            raise ValueError(
                f"{language_name(self.language)} is written without spaces, and its words are separated by icu4py "
                "(Python 3.11 or newer), which is not installed: pip install 'hf_robust[languages]'."
            ) from error
        return str(icu_version), WordBreaker


@cache
def words_of(language: str) -> WordRule:
    """The word rule of a language; one object in a process, also after pickling.

    Raises:
        ValueError: there is no such language.
    """
    if check_language(language) == ENGLISH:
        return UNICODE_WORDS
    return SegmentedWords(language) if language in UNSPACED else SpacedWords(language)


def word_rule(name: str) -> WordRule:
    """The word rule with this name: ``textattack``, ``unicode``, or that of a language (``unicode:de``, ``icu:th``).

    Raises:
        ValueError: there is no such rule.
    """
    language = name.partition(":")[2]
    rules = [TEXTATTACK_WORDS, UNICODE_WORDS, *([words_of(language)] if language in LANGUAGES else [])]
    for rule in rules:
        if rule.name == name:
            return rule
    known = ", ".join([TEXTATTACK_WORDS.name, UNICODE_WORDS.name, "unicode:LANGUAGE", "icu:LANGUAGE"])
    raise ValueError(f"a word rule must be one of {known}, got {name!r}.")
