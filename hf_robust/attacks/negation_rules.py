"""Adding and removing "not": the candidates of the negation attack (BAT A.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from hf_robust.attacks.candidates import Candidates, Luck, Swap
from hf_robust.attacks.draft import Draft
from hf_robust.attacks.requests import Steps
from hf_robust.words import Lemmatizer, Tagger, Text, coarse_tag, match_case

CONTRACTIONS: frozenset[str] = frozenset(
    [
        *(f"{who}'m" for who in ("i",)),
        *(f"{who}'re" for who in ("you", "they")),
        *(f"{who}'s" for who in ("he", "she", "it", "there", "that", "how", "what", "when", "where", "who")),
        *(f"{who}'ve" for who in ("i", "you", "they", "must", "should", "would", "might")),
        *(f"{who}'d" for who in ("i", "you", "they", "he", "she", "it", "where", "how", "there", "who")),
        *(f"{who}'ll" for who in ("i", "you", "they", "he", "she", "it", "how", "who")),
    ]
)
"""Contracted forms of be, have and will, which take "not" after them. The official list fuses "who's" and "i've" by a
missing comma (ATK-NEG-2); here they are two."""

_WITHOUT_NOT = {"can't": "can", "won't": "will", "shan't": "shall"}
_NOT_BEFORE = ("VB", "VBG", "VBN")


def add_not(word: str, tag: str, lemmatizer: Lemmatizer) -> str | None:
    """What stands for a verb in lower case when it is negated; None where no rule applies.

    >>> [add_not(w, t, str) for w, t in [("is", "VBZ"), ("go", "VB"), ("am", "VBP"), ("it's", "PRP"), ("can", "MD")]]
    ["isn't", 'not go', 'am not', "it's not", None]
    """
    if word in CONTRACTIONS:
        return f"{word} not"
    if tag in _NOT_BEFORE:
        return f"not {word}"
    if (tag, word) in {("VBD", "was"), ("VBD", "were"), ("VBD", "did"), ("VBP", "are"), ("VBP", "do"), ("VBZ", "is")}:
        return f"{word}n't"
    if tag == "VBP":
        return "am not" if word == "am" else f"don't {word}"
    if tag in ("VBD", "VBZ"):
        lemma = lemmatizer(word)
        # A form equal to its lemma was tagged wrongly: "put" in the present tense, say.
        return f"{'didn' if tag == 'VBD' else 'doesn'}'t {lemma}" if lemma != word else None
    return None


def remove_not(word: str, following: str) -> str | None:
    """What stands for a negating word in lower case; "" deletes it, None where no rule applies.

    >>> [remove_not(*pair) for pair in [("no", ""), ("not", "only"), ("won't", ""), ("isn't", ""), ("good", "")]]
    ['', None, 'will', 'is', None]
    """
    if word == "no" or (word == "not" and following != "only"):
        return ""
    if word.endswith("n't"):
        return _WITHOUT_NOT.get(word, word.removesuffix("n't"))
    return None


@dataclass(frozen=True)
class Negations(Candidates):
    """Every text with one "not" more or one fewer.

    Candidates for one more are verbs (universal tag) and contractions without "not" or "n't" beside them. Modal and
    base form give "can not do"; "has" and "have" are treated as main verbs (ATK-NEG-3).

    Differs from the official code: at most one place is edited, counted after aligning the words, which each rule
    keeps to by itself. With ``official_count`` words are compared position by position, so an insertion or deletion
    that shifts later words is rejected (ATK-NEG-1). A word inserted before a capitalised verb takes the capital. Tags
    are Penn tags of any tagger, column by column (there: flair's, of the joined text); "shan't" becomes "shall".
    """

    tagger: Tagger
    lemmatizer: Lemmatizer
    official_count: bool = False

    def propose(self, draft: Draft, open_words: Iterable[int], luck: Luck) -> Steps[list[Swap]]:
        return list(self._all(draft.text, open_words))
        yield

    def _all(self, text: Text, open_words: Iterable[int]) -> Iterator[Swap]:
        tags = self._tags(text)
        lowered = [word.lower() for word in text.tokens]
        for index in open_words:
            word = text.words[index]
            beside = [
                lowered[near] if 0 <= near < len(lowered) and text.words[near].column == word.column else ""
                for near in (index - 1, index + 1)
            ]
            found = [remove_not(lowered[index], beside[1])]
            is_verb = coarse_tag(tags[index]) == "VERB" or lowered[index] in CONTRACTIONS
            if is_verb and not any(near == "not" or near.endswith("n't") for near in beside):
                found.append(add_not(lowered[index], tags[index], self.lemmatizer))
            cased = [_in_case_of(word.text, new) for new in found if new is not None]
            for new in dict.fromkeys(cased):
                if new != word.text and self._counts(text, index, new):
                    yield index, new

    def _counts(self, text: Text, index: int, new: str) -> bool:
        if not self.official_count:
            return True
        changed = text.replace({index: new}) if new else text.delete(index)
        return sum(old != word for old, word in zip(text.tokens, changed.tokens, strict=False)) <= 1

    def _tags(self, text: Text) -> list[str]:
        tags: list[str] = []
        for number in range(len(text.columns)):
            words = [word.text for word in text.words if word.column == number]
            tags += self.tagger(words) if words else []
        return tags

    def describe(self) -> dict[str, Any]:
        return {
            "name": "negations",
            "tagger": self.tagger.name,
            "lemmatizer": getattr(self.lemmatizer, "name", getattr(self.lemmatizer, "__name__", "?")),
            "official_count": self.official_count,
        }

    def fingerprint(self) -> str:
        return str(sorted(self.describe().items()))


def _in_case_of(word: str, new: str) -> str:
    first, space, rest = new.partition(" ")
    return match_case(first, word) + space + rest if word != word.lower() else new
