"""Contractions: kinds of apostrophes, and how to split "they're", "don’t" and a corpus's "ca n't"."""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from itertools import groupby

APOSTROPHES = "'\u2019\u2018\u02bc`\u00b4\uff07\x91\x92"
"""Straight, typographic, modifier letter, grave, acute, full-width, and those of Windows-1252 read as Latin-1."""
HYPHENS = "-\u2010\u2011"

ESCAPED = r"\\'|&?#(?:0*39|8217|[xX]0*27);|&(?:apos|[lr]squo);"
"""Pattern of escaped apostrophes in some corpora: ``\\'``, ``&#39;``, AG News' ``#39;``."""

CLITICS = ("n't", "'s", "'re", "'ve", "'ll", "'d", "'m")
"""Clitics of the Penn Treebank."""
ENDINGS = ("s", "re", "ve", "ll", "d", "m", "t")
"""Letters after the apostrophe of a contraction or a possessive."""
ELIDED = ("em", "til", "tis", "twas")
"""Letters after the apostrophe of a word without its beginning, such as "'tis"."""

CLOSED: frozenset[str] = frozenset({*ENDINGS, "n't", *(f"'{ending}" for ending in (*ENDINGS, *ELIDED))})
"""Folded pieces that have no substitutes. Pieces without an apostrophe occur in corpora that lost theirs."""
FRAGMENTS: frozenset[str] = CLOSED | {"ca", "wo", "sha", "ai"}
"""Pieces that are no substitutes: "ca" is a word only before "n't", but tables of tokenised corpora list it."""

_POSITIVE = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}
_JOINED = re.compile(rf"(?P<host>.+?)(?P<clitic>{'|'.join(CLITICS)})", re.IGNORECASE)
_APOSTROPHE = re.compile(rf"(?:{ESCAPED}|[{APOSTROPHES}]) ?")
_UNUSUAL = re.compile(r"[^\x00-\x7f]|[`\\; ]")


@cache
def character_classes() -> tuple[str, str]:
    """Marks (M) and invisible characters (Cf), each as the content of a regular expression's ``[...]``.

    ``re`` has no ``\\p{M}``. Invisible characters are the soft hyphen, joiners and direction marks; the zero-width
    space is left out, since it separates words.
    """
    ranges: dict[str, list[str]] = {"M": [], "Cf": []}
    # Without ideographs and unassigned code points, but with variation selectors and tags.
    codes = (code for part in (range(0x80, 0x1F001), range(0xE0000, 0xE0201)) for code in part if code != 0x200B)
    for kind, run in groupby(codes, lambda code: unicodedata.category(chr(code))):
        if kind == "Cf" or kind[0] == "M":
            first, *others = run
            ranges["Cf" if kind == "Cf" else "M"].append(f"{chr(first)}-{chr((others or [first])[-1])}")
    return "".join(ranges["M"]), "".join(ranges["Cf"])


@cache
def _hidden() -> re.Pattern[str]:
    return re.compile(f"[{character_classes()[1]}]")


def straight(word: str) -> str:
    """A word with ``'`` for every apostrophe and ``-`` for every hyphen, as in tables and taggers.

    Letters are composed and of normal width (NFKC), and invisible characters are removed.

    >>> straight("Don\u2019t"), straight("well\u2011made"), straight("re\u0301sume\u0301") == "r\u00e9sum\u00e9"
    ("Don't", 'well-made', True)
    """
    if not _UNUSUAL.search(word):
        return word
    plain = _hidden().sub("", _APOSTROPHE.sub("'", word))
    return unicodedata.normalize("NFKC", plain).replace(HYPHENS[1], HYPHENS[0])


@lru_cache(maxsize=1 << 16)
def folded(word: str) -> str:
    """The form in which a word is looked up: straight and in lower case."""
    lowered = straight(word).lower()
    # Lower-casing can decompose a letter again.
    return lowered if lowered.isascii() else unicodedata.normalize("NFKC", lowered)


def apostrophe_of(word: str) -> str | None:
    """The apostrophe of a word as written; None for a word without one.

    >>> apostrophe_of("don\u2019t"), apostrophe_of("can&#39;t"), apostrophe_of("cannot")
    ('’', '&#39;', None)
    """
    match = _APOSTROPHE.search(word)
    return match.group().rstrip() if match else None


def with_apostrophe(word: str, apostrophe: str) -> str:
    """``word`` with its apostrophes written as ``apostrophe``."""
    return _APOSTROPHE.sub(lambda _: apostrophe, word)


def split_clitic(word: str) -> tuple[str, str]:
    """Host and clitic of a straight word, split as in the Penn Treebank; the word and "" if it has no clitic.

    >>> [split_clitic(word) for word in ("they're", "can't", "film's", "o'clock", "n't")]
    [('they', "'re"), ('ca', "n't"), ('film', "'s"), ("o'clock", ''), ("n't", '')]
    """
    match = _JOINED.fullmatch(word)
    return (match["host"], match["clitic"]) if match else (word, "")


def base_form(word: str) -> str:
    """A folded word without its clitic.

    >>> base_form("they're"), base_form("can't"), base_form("won't"), base_form("isn't"), base_form("film")
    ('they', 'can', 'will', 'is', 'film')
    """
    host, clitic = split_clitic(word)
    return _POSITIVE.get(host, host) if clitic == "n't" else host
