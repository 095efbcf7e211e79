"""Word rules, which split a text into words: TextAttack's for identity with it, and a Unicode rule for the rest.

A rule also defines the lookup keys of words, and writes a substitute in the case of the word that it replaces.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Set
from functools import cached_property
from typing import NamedTuple

from hf_robust.words.contractions import (
    APOSTROPHES,
    CLOSED,
    ELIDED,
    ENDINGS,
    ESCAPED,
    FRAGMENTS,
    HYPHENS,
    apostrophe_of,
    base_form,
    character_classes,
    folded,
    with_apostrophe,
)
from hf_robust.words.tagger import PennTokens, Tagger


def match_case(new: str, like: str) -> str:
    """``new`` in the case pattern of ``like``, as in TextAttack.

    Lower case if ``like`` is lower case, UPPER if it is upper case and longer than one character, Capitalised if its
    first letter is upper case and the others are lower case. For any other pattern ("I", "iPhone") ``new`` is returned
    unchanged.

    >>> match_case("fine", "GOOD"), match_case("fine", "Good"), match_case("Fine", "good"), match_case("you", "I")
    ('FINE', 'Fine', 'fine', 'you')
    """
    if like.islower():
        return new.lower()
    if like.isupper() and len(like) > 1:
        return new.upper()
    if like[:1].isupper() and like[1:].islower():
        return new.capitalize()
    return new


LookUp = Callable[[str], Sequence[str]]
"""Returns a word's substitutes, as a lexicon does."""


class Word(NamedTuple):
    """One word: its text, its column, and its span in ``columns[column]``."""

    text: str
    column: int
    start: int
    end: int


class WordRule(ABC):
    """Defines what a word is, its lookup key, and the written form of its substitutes.

    Word numbers are valid for one rule only, so everything that stores them (an attack, a record, a view) names its
    rule. There is one object per rule in a process, also after pickling.
    """

    name: str
    keys_are_words = False
    """Whether the key of each word is the word itself, whatever stands beside it."""

    @property
    @abstractmethod
    def pattern(self) -> str:
        """The regular expression of one word."""

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def split(self, text: str) -> list[tuple[str, int, int]]:
        """The words of one string, as ``(word, start, end)``, in their original case."""
        return [(match.group(), *match.span()) for match in self._word.finditer(text)]

    def is_one_word(self, substitute: str) -> bool:
        """Whether ``substitute`` is exactly one word, so that a swap keeps the number of words."""
        match = self._word.search(substitute)
        return match is not None and match.group() == substitute

    @abstractmethod
    def keys(self, words: Sequence[Word]) -> list[str]:
        """The key of each word for lookups in lexicons and lists; "" for a word without a key."""

    @abstractmethod
    def is_listed(self, key: str, words: Set[str]) -> bool:
        """Whether a list, such as one of stop words, contains the word with this key."""

    @abstractmethod
    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        """The substitutes of a word in their written form; only the word itself is considered, not its neighbours."""

    @abstractmethod
    def tagger(self, tagger: Tagger) -> Tagger:
        """A tagger that returns one tag per word of this rule."""

    def describe(self) -> dict[str, str]:
        """The entries in run cards and results: the rule's name, and the library that separates words, if any."""
        return {"word_rule": self.name}

    def __repr__(self) -> str:
        return f"<words by the rule {self.name!r}>"


class TextAttackWords(WordRule):
    """TextAttack's words: runs of letters, digits and ``'-_*@``, without ``'-_*@`` at their ends.

    A list of look-alike letters also counts as word characters; all but three of them are letters in Python too. A
    typographic apostrophe or a combining mark ends a word. Differs from TextAttack: Chinese text is not segmented (no
    jieba), so a run of Chinese characters is one word.

    >>> [word for word, _, _ in TEXTATTACK_WORDS.split("It's a -well-made- film, don\u2019t you think?")]
    ["It's", 'a', 'well-made', 'film', 'don', 't', 'you', 'think']
    """

    name = "textattack"
    keys_are_words = True

    @property
    def pattern(self) -> str:
        letters, inner = "\\w\u02d7`\u00d7", "'\\-_*@"
        return rf"(?!_)[{letters}][{letters}{inner}]*(?<![{inner}])"

    def keys(self, words: Sequence[Word]) -> list[str]:
        return [word.text for word in words]

    def is_listed(self, key: str, words: Set[str]) -> bool:
        """Case-sensitive, as in TextAttack: "The" is no stop word even if "the" is one."""
        return key in words

    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        return [match_case(new, word) for new in look_up(word)]

    def tagger(self, tagger: Tagger) -> Tagger:
        return tagger

    def __reduce__(self) -> str:
        return "TEXTATTACK_WORDS"


class UnicodeWords(WordRule):
    r"""Words as readers see them: a contraction is one word however it is written, and marks do not end a word.

    - A word begins with a letter or digit and continues over letters, digits, marks (Unicode categories M), invisible
      characters (Cf) and, inside, apostrophes, hyphens and ``_*@``. So decomposed "é" is one word, as in Unicode
      Standard Annex 29 (WB4), and "don’t" is one word like "don't".
    - A clitic that a corpus separates from its word ("they 're", "ca n't", "can 't", "it ' s") is a word with its
      apostrophe. It has no key, and neither has the word before a separated "n't": both are never looked up and count
      as stop words in every list. Escaped apostrophes (``&#39;``) are apostrophes; other entities (``&quot;``) are no
      words.
    - Keys are folded (:func:`~hf_robust.words.contractions.folded`). A contraction is listed if its base is listed.
    - A substitute takes its word's case and apostrophe; pieces of contractions are no substitutes.

    A run of Chinese, Japanese or Thai text, which is written without spaces, is one word.

    >>> [word for word, _, _ in UNICODE_WORDS.split("They 're in a r\u00e9sum\u00e9, don\u2019t you think?")]
    ['They', "'re", 'in', 'a', 'résumé', 'don’t', 'you', 'think']
    """

    name = "unicode"

    @property
    def pattern(self) -> str:
        return unicode_pattern(r"[^\W_\u02bc]", r"\w", *character_classes())

    def keys(self, words: Sequence[Word]) -> list[str]:
        keys = [folded(word.text) for word in words]
        for index in range(1, len(words)):
            if _is_separate_not(words[index - 1], words[index], keys[index - 1], keys[index]):
                keys[index - 1] = ""
        return ["" if key in CLOSED else key for key in keys]

    def is_listed(self, key: str, words: Set[str]) -> bool:
        return not key or key in words or base_form(key) in words

    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        key = folded(word)
        if key in CLOSED:
            return []
        whole = [new for new in look_up(key) if (other := folded(new)) not in FRAGMENTS and other != key]
        # Composed, since a decomposed capital letter has two characters and would count as an upper-case word.
        like, apostrophe = unicodedata.normalize("NFC", word), apostrophe_of(word)
        cased = [match_case(new, like) for new in whole]
        return cased if apostrophe is None else [with_apostrophe(new, apostrophe) for new in cased]

    def tagger(self, tagger: Tagger) -> Tagger:
        return PennTokens(tagger)

    def __reduce__(self) -> str:
        return "UNICODE_WORDS"


def _is_separate_not(host: Word, clitic: Word, first: str, second: str) -> bool:
    """Whether two words are a negated verb and its separated "n't" or "t"."""
    near = host.column == clitic.column and clitic.start - host.end <= 1
    return near and (second == "n't" or (second in ("'t", "t") and first.endswith("n")))


def unicode_pattern(letter: str, letters: str, marks: str, invisible: str) -> str:
    """The regular expression of a word by ``UnicodeWords``, in the regex dialect of the arguments.

    Args:
        letter: pattern of one letter or digit, no apostrophe.
        letters: letters, digits and ``_`` as the content of ``[...]``.
        marks, invisible: the results of ``character_classes``.
    """
    start, word, inside = word_patterns(letter, letters, marks, invisible)
    apostrophe, ending = rf"(?:{ESCAPED}|[{APOSTROPHES}])", "|".join((*ENDINGS, *ELIDED))
    # A space may follow the apostrophe: "it ' s" or "it' s".
    clitic = rf"{apostrophe} ?(?i:{ending})(?!{inside})"
    return rf"{start}{word}(?:(?:{ESCAPED}){word})*|{clitic}"


def word_patterns(letter: str, letters: str, marks: str, invisible: str) -> tuple[str, str, str]:
    """Patterns of the place where a word may start (not an entity such as ``&quot;``), of a word, and of a character
    inside words; arguments as in ``unicode_pattern``."""
    # Besides apostrophes and hyphens: Catalan's middle dot, Hebrew's geresh, and TextAttack's look-alikes.
    inner = rf"{APOSTROPHES}\-{HYPHENS[1:]}_*@\u02d7\u00d7\u00b7\u05f3\u05f4{invisible}"
    inside = f"[{letters}{marks}{inner}]"
    entity = rf"(?:(?<=&)[{letters}]+|(?<=#)[0-9]+|quot|amp|lt|gt|nbsp);"
    return rf"(?<!{letter})(?!{entity})", f"{letter}{inside}*(?<![{inner}])", inside


TEXTATTACK_WORDS, UNICODE_WORDS = TextAttackWords(), UnicodeWords()
