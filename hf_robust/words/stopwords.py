"""Lists of stop words."""

from __future__ import annotations

import logging
from importlib import metadata
from importlib.resources import files
from typing import NamedTuple

from hf_robust.words.language_words import SpacedWords, words_of
from hf_robust.words.languages import language_name

logger = logging.getLogger(__name__)


def _shipped(name: str) -> frozenset[str]:
    return frozenset(files("hf_robust.words").joinpath(name).read_text("utf-8").split())


STOP_WORDS: frozenset[str] = _shipped("textfooler_stopwords.txt")
"""TextFooler's list (Jin et al. 2020, arXiv:1907.11932): 266 lower-case words."""

NLTK_STOP_WORDS: frozenset[str] = _shipped("nltk_stopwords.txt")
"""NLTK's English list (``corpora/stopwords`` of nltk_data, by Porter and others): 198 lower-case words.

Unlike TextFooler's it contains the forms of be, have and do, and "will". It is part of this package, so that our own
attacks need no download and do not depend on the installed version: older lists have 179 words, without "they're"."""


def nltk_stop_words() -> frozenset[str]:
    """NLTK's installed English list, downloaded if it is missing; most TextAttack recipes use it.

    Raises:
        ValueError: NLTK is not installed, or the list is missing and cannot be downloaded.
    """
    try:
        import nltk
    except ImportError as error:
        raise ValueError("NLTK's stop words need nltk: pip install nltk.") from error
    for attempt in range(2):
        try:
            return frozenset(nltk.corpus.stopwords.words("english"))
        except LookupError as error:
            if attempt:
                raise ValueError(
                    "NLTK's stop words are in none of NLTK's folders and could not be downloaded: run "
                    "python -m nltk.downloader stopwords, or set NLTK_DATA to a folder with corpora/stopwords."
                ) from error
            nltk.download("stopwords", quiet=True)
    raise AssertionError


class StopWords(NamedTuple):
    """A list of stop words in lookup form, and its name in result files."""

    words: frozenset[str]
    source: str


def stop_words_of(language: str) -> StopWords:
    """The stop words of a language other than English, by the package stopwordsiso; none, with a warning, for a
    language that it does not have.

    Raises:
        ValueError: stopwordsiso is not installed, or the language is English, whose lists have functions of their own.
    """
    rule = words_of(language)
    if not isinstance(rule, SpacedWords):
        raise ValueError(f"English has stop words of its own (nltk_stop_words, STOP_WORDS), got {language!r}.")
    try:
        import stopwordsiso
    except ImportError as error:
        raise ValueError(
            f"the stop words of {language_name(language)} are in the package stopwordsiso, which is not installed: "
            "pip install 'hf_robust[languages]'."
        ) from error
    if language not in stopwordsiso.langs():
        logger.warning(
            "There is no list of stop words for %s, so an attack may change any word; --protect word:FILE closes "
            "words of your own list.",
            language_name(language),
        )
        return StopWords(frozenset(), f"none for {language}")
    words = frozenset(map(rule.key, stopwordsiso.stopwords(language)))
    return StopWords(words, f"stopwordsiso {metadata.version('stopwordsiso')}, {language}")
