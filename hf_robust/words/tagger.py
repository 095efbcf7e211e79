"""Taggers of parts of speech, and the base forms of verbs for the negation attack ("went" -> "didn't go").

A tagger returns Penn tags, or those of Universal Dependencies; the attacks compare universal tags.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hf_robust.words.contractions import split_clitic, straight

Lemmatizer = Callable[[str], str]


class WordNetVerbs:
    """Lemmatizes verbs with WordNet's morphy, as NLTK does: the shortest lemma, or the word itself if there is none.

    WordNet is loaded at the first call.
    """

    name = "wordnet morphy"

    def __init__(self) -> None:
        self._lemmas: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        if word not in self._lemmas:
            self._lemmas[word] = _lemma(word)
        return self._lemmas[word]


def _lemma(word: str) -> str:
    try:
        import nltk
        from nltk.stem import WordNetLemmatizer
    except ImportError as error:
        raise ValueError("lemmatising verbs needs nltk: pip install nltk.") from error
    lemmatizer = WordNetLemmatizer()
    try:
        return str(lemmatizer.lemmatize(word, "v"))
    except LookupError:
        nltk.download("wordnet", quiet=True)
    try:
        return str(lemmatizer.lemmatize(word, "v"))
    except LookupError as error:
        raise ValueError(
            "NLTK's wordnet is in none of NLTK's folders and could not be downloaded; "
            "set NLTK_DATA to a folder that holds corpora/wordnet."
        ) from error


_PENN_OF_COARSE = {
    "VERB": "MD VB VBD VBG VBN VBP VBZ VP",
    "NOUN": "NN NNP NNPS NNS NP",
    "PRON": "PRP PRP$ WP WP$",
    "ADJ": "JJ JJR JJS",
    "ADV": "RB RBR RBS WRB",
    "ADP": "IN",
    "CONJ": "CC",
    "DET": "DT EX PDT WDT",
    "NUM": "CD",
    "PRT": "POS PRT RP TO",
    ".": "! # $ '' ( ) , -LRB- -RRB- . : ? ``",
}
_UPOS_OF_COARSE = {tag: tag for tag in ("PRON", "ADJ", "ADV", "ADP", "DET", "NUM")} | {
    "VERB": "VERB AUX",
    "NOUN": "NOUN PROPN",
    "CONJ": "CCONJ SCONJ",
    "PRT": "PART",
    ".": "PUNCT",
}
_COARSE = {
    fine: coarse
    for table in (_PENN_OF_COARSE, _UPOS_OF_COARSE)
    for coarse, tags in table.items()
    for fine in tags.split()
}
UPOS: frozenset[str] = frozenset(
    "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split()
)
"""The universal tags of Universal Dependencies."""
_RESOURCE = "averaged_perceptron_tagger_eng"
_BEFORE, _AFTER = 4, 3


class Tagger(Protocol):
    """Returns the tags of a text's words, Penn's or those of Universal Dependencies; ``name`` is for result files."""

    @property
    def name(self) -> str: ...

    def __call__(self, words: Sequence[str]) -> list[str]: ...


def coarse_tag(tag: str) -> str:
    """The universal tag (Petrov et al. 2012, arXiv:1104.2086) of a Penn tag or of one of Universal Dependencies; ``X``
    for any other tag.

    >>> coarse_tag("VBZ"), coarse_tag("PROPN"), coarse_tag("FW")
    ('VERB', 'NOUN', 'X')
    """
    return _COARSE.get(tag, "X")


def context_tag(tagger: Tagger, words: Sequence[str], index: int, word: str) -> str:
    """The universal tag of ``word`` at position ``index`` of ``words``.

    As in TextAttack, the tagger sees only 4 words before and 3 words after, and the tag is that of the word's first
    occurrence among these.
    """
    return context_tags(tagger, words, index, [word])[0]


def context_tags(tagger: Tagger, words: Sequence[str], index: int, candidates: Sequence[str]) -> list[str]:
    """``context_tag`` of each of ``candidates``; a tagger that has ``many`` gets all texts at once."""
    before, after = words[max(index - _BEFORE, 0) : index], words[index + 1 : index + 1 + _AFTER]
    contexts = [[*before, word, *after] for word in candidates]
    many: Callable[..., list[list[str]]] | None = getattr(tagger, "many", None)
    tagged = map(tagger, contexts) if many is None else many(contexts)
    triples = zip(tagged, contexts, candidates, strict=True)
    return [coarse_tag(tags[context.index(word)]) for tags, context, word in triples]


class PennTokens:
    """Splits contractions for a tagger as in its training data: "they’re" and "don't" as ``they 're`` and ``do n't``.

    A contraction gets the tag of its host. On 8,000 raw texts of MNLI, QQP, RTE and IMDB this changes the coarse tags
    of half of all contractions and of 1 % of the words around them: "seem" in "doesn't seem" becomes a base form.
    """

    def __init__(self, tagger: Tagger) -> None:
        self.tagger, self.name = tagger, tagger.name

    def __call__(self, words: Sequence[str]) -> list[str]:
        tokens: list[str] = []
        hosts = []
        for word in words:
            hosts.append(len(tokens))
            tokens += [part for part in split_clitic(straight(word)) if part]
        tags = self.tagger(tokens)
        return [tags[place] for place in hosts]


class NltkTagger:
    """NLTK's averaged perceptron; ``perceptron.tag(words)`` returns (word, Penn tag) pairs."""

    def __init__(self, perceptron: Any, name: str) -> None:
        self.perceptron = perceptron
        self.name = name

    def __call__(self, words: Sequence[str]) -> list[str]:
        return [tag for _, tag in self.perceptron.tag(list(words))]


def nltk_tagger() -> NltkTagger:
    """Load NLTK's English perceptron tagger, downloaded if it is not in NLTK's paths.

    Raises:
        ValueError: NLTK is not installed, or the tagger is missing and cannot be downloaded.
    """
    try:
        import nltk
        from nltk.tag.perceptron import PerceptronTagger
    except ImportError as error:
        raise ValueError("tagging parts of speech needs nltk: pip install nltk, or pass --pos_tagger none.") from error
    try:
        perceptron = PerceptronTagger()
    except LookupError:
        nltk.download(_RESOURCE, quiet=True)
        try:
            perceptron = PerceptronTagger()
        except LookupError as error:
            raise ValueError(
                f"NLTK's {_RESOURCE} is in none of NLTK's folders and could not be downloaded; "
                "set NLTK_DATA to a folder that holds it, or pass --pos_tagger none."
            ) from error
    return NltkTagger(perceptron, f"nltk {_RESOURCE}")
