"""Two rules by which a text is words: TextAttack's, for identity with it, and the one that everything else uses.

Give a substitute the case of the word it stands for.
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
    base,
    character_classes,
    folded,
    with_apostrophe,
)
from hf_robust.words.tagger import PennTokens, Tagger


def match_case(new: str, like: str) -> str:
    """``new`` in the case pattern of ``like``, as TextAttack restores it.

    Lower case where ``like`` is lower, UPPER where it is upper and longer than one character, Capitalised where its
    first letter is upper and the others lower; anything else ("I", "iPhone") leaves ``new`` as it is.

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
"""A word's substitutes, as a lexicon gives them."""


class Word(NamedTuple):
    """One word: its text, the column it stands in, and its span inside ``columns[column]``."""

    text: str
    column: int
    start: int
    end: int


class WordRule(ABC):
    """What a word is, under which key it is looked up, and how a substitute is written in its place.

    Word numbers mean something under one rule alone, so whatever holds some (an attack, a record, a view) names its
    rule. A rule is one object in the process, also after pickling.
    """

    name: str

    @property
    @abstractmethod
    def pattern(self) -> str:
        """The regular expression of one word."""

    @cached_property
    def _word(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def split(self, text: str) -> list[tuple[str, int, int]]:
        """The words of one string, as ``(word, start, end)``; their case is kept."""
        return [(found.group(), *found.span()) for found in self._word.finditer(text)]

    def is_one_word(self, substitute: str) -> bool:
        """Whether a text's words stay as many when one of them becomes ``substitute``."""
        found = self._word.search(substitute)
        return found is not None and found.group() == substitute

    @abstractmethod
    def keys(self, words: Sequence[Word]) -> list[str]:
        """For each word of a text that by which it is looked up in lexicons and lists; "" for one that has none."""

    @abstractmethod
    def is_listed(self, key: str, words: Set[str]) -> bool:
        """Whether the word of this key is one of a list, as of stop words."""

    @abstractmethod
    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        """What may stand for a word, as it is then written; the word alone is looked at, not what stands beside it."""

    @abstractmethod
    def tagger(self, tagger: Tagger) -> Tagger:
        """What gives each word of this rule a tag."""

    def __reduce__(self) -> tuple[Callable[[str], WordRule], tuple[str]]:
        return word_rule, (self.name,)

    def __repr__(self) -> str:
        return f"<words by the rule {self.name!r}>"


class TextAttackWords(WordRule):
    """TextAttack's words: runs of letters, digits and ``'-_*@``, without ``'-_*@`` at their ends.

    It also takes a list of look-alike letters for word characters; all but three are letters to Python as well. A
    typographic apostrophe or a combining mark ends a word there. Differs from TextAttack: Chinese text is not
    segmented (no jieba), so a run of its characters is one word.

    >>> [word for word, _, _ in TEXTATTACK_WORDS.split("It's a -well-made- film, don\u2019t you think?")]
    ["It's", 'a', 'well-made', 'film', 'don', 't', 'you', 'think']
    """

    name = "textattack"

    @property
    def pattern(self) -> str:
        letters, inner = "\\w\u02d7`\u00d7", "'\\-_*@"
        return rf"(?!_)[{letters}][{letters}{inner}]*(?<![{inner}])"

    def keys(self, words: Sequence[Word]) -> list[str]:
        return [word.text for word in words]

    def is_listed(self, key: str, words: Set[str]) -> bool:
        """With its case, as TextAttack compares: "The" is no stop word where "the" is one."""
        return key in words

    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        return [match_case(new, word) for new in look_up(word)]

    def tagger(self, tagger: Tagger) -> Tagger:
        return tagger


class UnicodeWords(WordRule):
    r"""Words as their readers know them: contractions are one thing however they are written, and marks part nothing.

    - A word begins with a letter or digit and goes on over letters, digits, marks (Unicode categories M), invisible
      characters (Cf) and, inside, apostrophes, hyphens and ``_*@``. So decomposed "é" is one word, as Unicode Standard
      Annex 29 (WB4) has it, and "don’t" is one as "don't" is.
    - A clitic that a corpus has parted from its word ("they 're", "ca n't", "can 't", "it ' s") is a word with its
      apostrophe. It has no key, nor has the word before a parted "n't": neither is looked up, and for lists of stop
      words they are in each. Escaped apostrophes (``&#39;``) are apostrophes, other entities (``&quot;``) no words.
    - Keys are folded (:func:`~hf_robust.words.contractions.folded`). A contraction whose base is listed is listed.
    - A substitute takes its word's case and apostrophe; one that is a piece of a contraction is left out.

    A run of Chinese, Japanese or Thai text, which is written without spaces, is one word.

    >>> [word for word, _, _ in UNICODE_WORDS.split("They 're in a r\u00e9sum\u00e9, don\u2019t you think?")]
    ['They', "'re", 'in', 'a', 'résumé', 'don’t', 'you', 'think']
    """

    name = "unicode"

    @property
    def pattern(self) -> str:
        return unicode_pattern(r"[^\W_\u02bc]", r"\w", *character_classes())

    def keys(self, words: Sequence[Word]) -> list[str]:
        found = [folded(word.text) for word in words]
        for index in range(1, len(words)):
            if _parted(words[index - 1], words[index], found[index - 1], found[index]):
                found[index - 1] = ""
        return ["" if key in CLOSED else key for key in found]

    def is_listed(self, key: str, words: Set[str]) -> bool:
        return not key or key in words or base(key) in words

    def substitutes(self, word: str, look_up: LookUp) -> list[str]:
        key = folded(word)
        if key in CLOSED:
            return []
        whole = [new for new in look_up(key) if (other := folded(new)) not in FRAGMENTS and other != key]
        # Composed, so that an accent of its own does not make a capital of two characters, which would be a case.
        like, apostrophe = unicodedata.normalize("NFC", word), apostrophe_of(word)
        cased = [match_case(new, like) for new in whole]
        return cased if apostrophe is None else [with_apostrophe(new, apostrophe) for new in cased]

    def tagger(self, tagger: Tagger) -> Tagger:
        return PennTokens(tagger)


def _parted(host: Word, clitic: Word, first: str, second: str) -> bool:
    """Whether two words are a negated verb whose "n't" stands apart, or its "t"."""
    near = host.column == clitic.column and clitic.start - host.end <= 1
    return near and (second == "n't" or (second in ("'t", "t") and first.endswith("n")))


def unicode_pattern(letter: str, letters: str, marks: str, invisible: str) -> str:
    """The regular expression of a word by ``UnicodeWords``, in the dialect that its arguments are written in.

    Args:
        letter: matches one letter or digit, no apostrophe.
        letters: letters, digits and ``_`` as the inside of ``[...]``.
        marks, invisible: ``character_classes``.
    """
    # Beside apostrophes and hyphens: Catalan's middle dot, Hebrew's geresh, and what TextAttack's look-alikes use.
    inner = rf"{APOSTROPHES}\-{HYPHENS[1:]}_*@\u02d7\u00d7\u00b7\u05f3\u05f4{invisible}"
    inside = f"[{letters}{marks}{inner}]"
    word = f"{letter}{inside}*(?<![{inner}])"
    apostrophe, ending = rf"(?:{ESCAPED}|[{APOSTROPHES}])", "|".join((*ENDINGS, *ELIDED))
    # A blank may stand behind the apostrophe, "it ' s" or "it' s".
    clitic = rf"{apostrophe} ?(?i:{ending})(?!{inside})"
    entity = rf"(?:(?<=&)[{letters}]+|(?<=#)[0-9]+|quot|amp|lt|gt|nbsp);"
    return rf"(?<!{letter})(?!{entity}){word}(?:(?:{ESCAPED}){word})*|{clitic}"


TEXTATTACK_WORDS, UNICODE_WORDS = TextAttackWords(), UnicodeWords()
WORD_RULES: dict[str, WordRule] = {rule.name: rule for rule in (TEXTATTACK_WORDS, UNICODE_WORDS)}


def word_rule(name: str) -> WordRule:
    """The rule of this name.

    Raises:
        ValueError: there is none.
    """
    if name not in WORD_RULES:
        raise ValueError(f"words are cut by the rules {' and '.join(WORD_RULES)}, got {name!r}.")
    return WORD_RULES[name]
