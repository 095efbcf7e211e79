"""The WordNet lexicon, read through nltk: synonyms and antonyms of single words."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import socket
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

from hf_robust.lexicons.base import Lexicon, check_relation, clean_substitutes
from hf_robust.lexicons.builtin import builtin_lexicon

logger = logging.getLogger(__name__)

_DOWNLOAD_TIMEOUT = 20.0
_READERS: dict[str, Any] = {}  # by path: reading the index takes seconds, and both relations need it
_ONE_WORD = re.compile(r"[\w'\-]+")  # without underscore, which joins the words of a phrase in WordNet


def wordnet_lexicon(relation: str = "synonym") -> WordNetLexicon:
    """Load the WordNet lexicon, the default of ``--lexicon``.

    Raises:
        ValueError: nltk or its data are missing; the message names the alternatives for ``--lexicon``.
    """
    try:
        return WordNetLexicon(relation)
    except ValueError as error:
        raise ValueError(
            f"{str(error).rstrip('.')}; or use another table instead of WordNet, the default: --lexicon FILE (a JSON "
            "table or word vectors), or --lexicon builtin, a small table with the "
            f"{len(builtin_lexicon(relation)):,} words of the demo corpus."
        ) from error


class WordNetLexicon(Lexicon):
    """Synonyms are the lemmas of all synsets of a word; antonyms are the first antonym of each of these lemmas.

    Both are single words other than the word itself, in WordNet's order of senses, as in PWWS and BAT
    (``WordSwapWordNet``, ``word_swap_antonym.py``). The antonyms include those of synonyms, so they are noisy
    ("louder" -> "piano"); :meth:`counts` tells how many lemmas support each. Words are reduced to base forms by
    WordNet's own rules, and substitutes are not inflected: "films" -> "movie".
    """

    name = "wordnet"
    keeps_part_of_speech = False

    def __init__(self, relation: str = "synonym") -> None:
        self.relation = check_relation(relation)
        self._reader = open_wordnet()
        self._process = os.getpid()
        self._counts: dict[str, Counter[str]] = {}
        self._version = str(self._reader.get_version() or "unknown version")
        self.source = f"WordNet {self._version} (nltk)"

    def __call__(self, word: str) -> tuple[str, ...]:
        return tuple(self.counts(word))

    def counts(self, word: str) -> Counter[str]:
        """The substitutes of ``word`` in order, each with the number of lemmas that lead to it."""
        key = word.lower()
        if key not in self._counts:
            lemmas = list(self._synonyms(key) if self.relation == "synonym" else self._antonyms(key))
            substitutes = clean_substitutes(key, (other for other in lemmas if is_one_word(other)))
            self._counts[key] = Counter({other: lemmas.count(other) for other in substitutes})
        return self._counts[key]

    def lemmas(self, word: str) -> list[str]:
        """All lemmas of all synsets of ``word`` in WordNet's spelling and order of senses."""
        return list(self._synonyms(word.lower()))

    def _synsets(self, word: str) -> list[Any]:
        if self._process != os.getpid():
            # A forked loader worker shares its parent's open files and their read positions.
            self._reader._data_file_map.clear()
            self._process = os.getpid()
        return list(self._reader.synsets(word)) if word else []

    def _synonyms(self, word: str) -> Iterator[str]:
        for synset in self._synsets(word):
            yield from synset.lemma_names()

    def _antonyms(self, word: str) -> Iterator[str]:
        for synset in self._synsets(word):
            for lemma in synset.lemmas():
                antonyms = lemma.antonyms()
                if antonyms:
                    yield antonyms[0].name()

    def words(self) -> Iterator[str]:
        yield from sorted({name.lower() for name in self._reader.all_lemma_names() if is_one_word(name)})

    def __len__(self) -> int:
        return sum(1 for _ in self.words())

    def fingerprint(self) -> str:
        """Hash of WordNet's version and the relation; hashing the whole content would take too long."""
        return hashlib.sha256(f"wordnet {self._version} {self.relation}".encode()).hexdigest()[:16]

    def __reduce__(self) -> tuple[type[WordNetLexicon], tuple[str]]:
        return WordNetLexicon, (self.relation,)  # open files cannot be pickled for a spawned worker


def is_one_word(lemma: str) -> bool:
    """Whether a lemma is one word: "well-being" is one; "ice_cream" and "a.m." are not."""
    return "_" not in lemma and _ONE_WORD.fullmatch(lemma) is not None


def open_wordnet() -> Any:
    """Open WordNet with NLTK's reader, from NLTK's paths or after a download.

    Raises:
        ValueError: nltk or the data are missing; the message names the remedy.
    """
    try:
        import nltk
        from nltk.corpus.reader.wordnet import WordNetCorpusReader
    except ImportError:
        raise ValueError("WordNet needs nltk: pip install nltk.") from None
    root = _find_data(nltk)
    if root is None:
        _download(nltk)
        root = _find_data(nltk)
    if root is None:
        raise ValueError(
            "WordNet is not in NLTK's paths and could not be downloaded: run `python -m nltk.downloader wordnet` "
            "with a network connection, or set NLTK_DATA to a folder that holds corpora/wordnet."
        )
    key = str(root)
    if key not in _READERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about the missing multilingual part, which English does not need
                _READERS[key] = WordNetCorpusReader(root, None)
        except (OSError, ValueError, KeyError, AssertionError) as error:
            raise ValueError(
                f"The WordNet files at {root} cannot be read ({type(error).__name__}: {error}): delete them and run "
                "`python -m nltk.downloader wordnet`."
            ) from error
    return _READERS[key]


def _find_data(nltk: Any) -> Any:
    for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        with contextlib.suppress(LookupError):
            return nltk.data.find(place)
    return None


def _download(nltk: Any) -> None:
    """Try nltk's downloader, without its output and with a short timeout for machines without a network."""
    logger.warning("WordNet is not in NLTK's paths: downloading it with nltk.download('wordnet').")
    previous = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            # nltk writes errors to the stderr that existed when nltk was imported.
            nltk.download("wordnet", quiet=True, print_error_to=io.StringIO())
    except Exception as error:  # open_wordnet raises the error for all network problems
        logger.debug("nltk.download failed: %s", error)
    finally:
        socket.setdefaulttimeout(previous)
