"""Adding and removing "not": the candidates of the negation attack (BAT A.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.words import Lemmatizer, Tagger, Text, coarse_tag, folded, match_case
from hf_robust.words.contractions import CLITICS, apostrophe_of, base_form, split_clitic, with_apostrophe

HOSTS: frozenset[str] = frozenset(
    "i you he she it we they this that these those there here who what when where why how let".split()
)
"""Words after which 's and 'd are verbs; after other words they can be possessives or endings ("film's", "OK'd")."""
AUXILIARIES: frozenset[str] = frozenset(
    "am is are was were do does did have has had can could will would shall should may might must need ought".split()
)
"""Verbs that can be followed by "n't"."""
_VERBS = ("'m", "'re", "'ve", "'ll")
_SEPARATE_NOTS = ("n't", "'t")
_CONTRACTED_VERBS = ("'tis", "'twas", "tis", "twas")
_NOT_BEFORE = ("VB", "VBG", "VBN")
_ARE = ("you", "we", "they", "these", "those", "there")


def takes_not(host: str, clitic: str) -> bool:
    """Whether "not" can follow a contraction of be, have or will, given as host and clitic.

    The official list has 38 such contractions, none with "we", and joins "who's" and "i've" for lack of a comma.

    >>> [takes_not(*pair) for pair in [("they", "'re"), ("we", "'d"), ("film", "'s"), ("ca", "n't"), ("they", "")]]
    [True, True, False, False, False]
    """
    return bool(host) and (clitic in _VERBS or (clitic in ("'s", "'d") and host in HOSTS))


def add_not(word: str, tag: str, lemmatizer: Lemmatizer) -> str | None:
    """The negated form of a lower-case verb; None if no rule applies.

    >>> [add_not(w, t, str) for w, t in [("is", "VBZ"), ("go", "VB"), ("am", "VBP"), ("can", "MD")]]
    ["isn't", 'not go', 'am not', None]
    """
    if tag in _NOT_BEFORE:
        return f"not {word}"
    if (tag, word) in {("VBD", "was"), ("VBD", "were"), ("VBD", "did"), ("VBP", "are"), ("VBP", "do"), ("VBZ", "is")}:
        return f"{word}n't"
    if tag == "VBP":
        return "am not" if word == "am" else f"don't {word}"
    if tag in ("VBD", "VBZ"):
        lemma = lemmatizer(word)
        # A form equal to its lemma was tagged wrongly, for example "put" in the present tense.
        return f"{'didn' if tag == 'VBD' else 'doesn'}'t {lemma}" if lemma != word else None
    return None


def remove_not(word: str, following: str, before: str = "") -> str | None:
    """The positive form of a lower-case negating word; "" deletes the word, None if no rule applies.

    >>> [remove_not(*pair) for pair in [("no", ""), ("not", "only"), ("won't", ""), ("isn't", ""), ("good", "")]]
    ['', None, 'will', 'is', None]
    >>> remove_not("cannot", ""), remove_not("ain't", "", "they")
    ('can', 'are')
    """
    if word == "no" or (word == "not" and following != "only"):
        return ""
    if word == "ain't":
        return "am" if before == "i" else "are" if before in _ARE else "is"
    if word == "cannot" or split_clitic(word)[1] == "n't":
        return "can" if word == "cannot" else base_form(word)
    return None


@dataclass(frozen=True)
class Negations(Candidates):
    """Proposes every text with one "not" more or one fewer.

    A "not" is added to verbs (universal tag) and contractions that have no "not" or "n't" beside them. A modal verb
    and a base form give "can not do"; "has" and "have" are treated as main verbs.

    A contraction is one unit however it is written: "they’re" and "they 're" become "they’re not" and "they 're not",
    "ca n't" and "can't" become "can", and no part of a contraction is negated by itself. New words use the apostrophe
    of the text.

    Differs from the official code: there, separated contractions and typographic apostrophes give "they 'don't re" and
    "ca be saved". Each rule edits at most one position. With ``official_count`` words are compared position by
    position, so an insertion or deletion that shifts later words is rejected. A word inserted before a capitalised
    verb is capitalised. Tags are Penn tags of any tagger for each column (there: flair's for the joined text);
    "shan't" becomes "shall".
    """

    tagger: Tagger
    lemmatizer: Lemmatizer
    official_count: bool = False

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        return list(self._swaps(_Sentence(draft.text, self.tagger), open_words))
        yield

    def rewrites(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Draft]]:
        """Drafts that replace two words by one: "ca n't" becomes "can"."""
        sentence, opened, drafts = _Sentence(draft.text, self.tagger), set(open_words), []
        for index in sorted(opened):
            verb = sentence.verb_of(index)
            if verb is None or verb == sentence.words[index - 1] or index - 1 not in opened:
                continue
            rewritten = draft.swap(index, "").swap(index - 1, _in_case_of(draft.text.tokens[index - 1], verb))
            if self._counts(draft.text, rewritten.text):
                drafts.append(rewritten)
        return drafts
        yield

    def _swaps(self, sentence: _Sentence, open_words: Iterable[int]) -> Iterator[Swap]:
        text = sentence.text
        # "not" after "they're" and "not" before "going" give the same text.
        texts = {text.columns}
        for index in open_words:
            for new in (self._without_not(sentence, index), self._negated(sentence, index)):
                if new is None:
                    continue
                changed = text.replace({index: new}) if new else text.delete(index)
                if changed.columns not in texts and self._counts(text, changed):
                    texts.add(changed.columns)
                    yield index, new

    def _without_not(self, sentence: _Sentence, index: int) -> str | None:
        """The replacement of word ``index`` that removes its "not"; None if the word alone has none."""
        word, (before, after) = sentence.words[index], sentence.neighbours(index)
        if word in _SEPARATE_NOTS:
            # If the host changes too, ``rewrites`` proposes it; an "n't" without a host is deleted.
            verb = sentence.verb_of(index)
            goes = verb == before if verb else word == "n't"
            return "" if goes else None
        new = remove_not(word, after, before)
        return None if new is None else _in_case_of(sentence.text.tokens[index], new)

    def _negated(self, sentence: _Sentence, index: int) -> str | None:
        """The negated form of word ``index``; None if it cannot be negated or is negated already."""
        word, (before, after), token = sentence.words[index], sentence.neighbours(index), sentence.text.tokens[index]
        if any(map(_negates, (before, word, after))):
            return None
        host, clitic = (before, word) if word.startswith("'") else split_clitic(word)
        if word in _CONTRACTED_VERBS or takes_not(host, clitic):
            return f"{token} not"
        # Skips parts of a contraction: a word with a clitic that is no verb, without a key, or before a clitic.
        if clitic or not sentence.text.keys[index] or after in CLITICS:
            return None
        if coarse_tag(sentence.tags[index]) != "VERB":
            return None
        new = add_not(token.lower(), sentence.tags[index], self.lemmatizer)
        return None if new is None else with_apostrophe(_in_case_of(token, new), sentence.apostrophe)

    def _counts(self, text: Text, changed: Text) -> bool:
        if not self.official_count:
            return True
        return sum(old != word for old, word in zip(text.tokens, changed.tokens, strict=False)) <= 1

    def describe(self) -> dict[str, Any]:
        return {
            "name": "negations",
            "tagger": self.tagger.name,
            "lemmatizer": getattr(self.lemmatizer, "name", getattr(self.lemmatizer, "__name__", "?")),
            "official_count": self.official_count,
        }

    def fingerprint(self) -> str:
        return str(sorted(self.describe().items()))


class _Sentence:
    """A text's words for the rules: folded words, their neighbours in the column, and tags."""

    def __init__(self, text: Text, tagger: Tagger) -> None:
        self.text, self._tagger = text, text.rule.tagger(tagger)
        self.words = [folded(word) for word in text.tokens]

    def neighbours(self, index: int) -> tuple[str, str]:
        """The words before and after word ``index`` in its column; "" if there is none."""
        words = self.text.words
        before, after = (
            self.words[near] if 0 <= near < len(words) and words[near].column == words[index].column else ""
            for near in (index - 1, index + 1)
        )
        return before, after

    def verb_of(self, index: int) -> str | None:
        """The positive form of a verb with a separate "n't" or "'t" at ``index``, as "can" for "ca n't"; else None."""
        before, _ = self.neighbours(index)
        if not before or self.words[index] not in _SEPARATE_NOTS:
            return None
        verb = remove_not(before + self.words[index], "", self.neighbours(index - 1)[0])
        return verb if verb in AUXILIARIES else None

    @cached_property
    def tags(self) -> list[str]:
        """Penn tags of the words, tagged column by column."""
        tags: list[str] = []
        for number in range(len(self.text.columns)):
            words = [word.text for word in self.text.words if word.column == number]
            tags += self._tagger(words) if words else []
        return tags

    @cached_property
    def apostrophe(self) -> str:
        """The text's first apostrophe of one character; the straight apostrophe if there is none."""
        apostrophes = (apostrophe_of(word) for word in self.text.tokens)
        return next((apostrophe for apostrophe in apostrophes if apostrophe and len(apostrophe) == 1), "'")


def _negates(word: str) -> bool:
    return word in ("not", "cannot", *_SEPARATE_NOTS) or split_clitic(word)[1] == "n't"


def _in_case_of(word: str, new: str) -> str:
    first, space, rest = new.partition(" ")
    return match_case(first, word) + space + rest if word != word.lower() else new
