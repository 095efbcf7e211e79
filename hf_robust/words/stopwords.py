"""Words that no attack replaces."""

from __future__ import annotations

from importlib.resources import files


def _shipped(name: str) -> frozenset[str]:
    return frozenset(files("hf_robust.words").joinpath(name).read_text("utf-8").split())


STOP_WORDS: frozenset[str] = _shipped("textfooler_stopwords.txt")
"""TextFooler's list (Jin et al. 2020, arXiv:1907.11932), 266 words in lower case."""

NLTK_STOP_WORDS: frozenset[str] = _shipped("nltk_stopwords.txt")
"""NLTK's English list (``corpora/stopwords`` of nltk_data, by Porter and others), 198 words in lower case.

Unlike TextFooler's it holds the forms of be, have and do, and "will". It is shipped, so that our own attacks need no
download and do not depend on which list a machine has: older ones have 179 words, without "they're" and the like."""


def nltk_stop_words() -> frozenset[str]:
    """NLTK's English list as this machine has it, else downloaded; what most TextAttack recipes use.

    Raises:
        ValueError: NLTK is not installed, or the list is neither there nor to be had.
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
                    "NLTK's stop words are in none of NLTK's folders and could not be downloaded; "
                    "set NLTK_DATA to a folder that holds corpora/stopwords."
                ) from error
            nltk.download("stopwords", quiet=True)
    raise AssertionError
