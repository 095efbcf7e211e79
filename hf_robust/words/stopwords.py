"""Words that no attack replaces."""

from __future__ import annotations

from importlib.resources import files

STOP_WORDS: frozenset[str] = frozenset(files("hf_robust.words").joinpath("stopwords.txt").read_text("utf-8").split())
"""TextFooler's list (Jin et al. 2020, arXiv:1907.11932), lower case. TextAttack compares with it case-sensitively."""


def nltk_stop_words() -> frozenset[str]:
    """NLTK's English list, looked for in NLTK's paths, then downloaded; what most TextAttack recipes use.

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
