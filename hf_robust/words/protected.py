"""Protected spans of a text: addresses, mentions, hashtags, numbers with their units, words of a list."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hf_robust.words.contractions import APOSTROPHES, HYPHENS, character_classes
from hf_robust.words.text import Text

Span = tuple[int, int]

_FLAGS = re.IGNORECASE
# The only endings of addresses without "www": ".it" or ".me" is more often the end of a sentence than a domain.
_DOMAINS = "com|org|net|edu|gov|mil|info|biz|io|ly|tv|app|dev|co\\.[a-z]{2}|ac\\.[a-z]{2}"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_REST = r"[^\s<>\"]"
_URL = re.compile(
    rf"(?:https?|ftp)://{_REST}+|(?<![\w@.-])www\.{_REST}+"
    rf"|(?<![\w@.-])(?:{_LABEL}\.)+(?:(?:{_DOMAINS})(?:\.[a-z]{{2}})?(?!\w)(?:[/:?#]{_REST}*)?|[a-z]{{2,}}/{_REST}+)",
    _FLAGS,
)
_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_UNITS = (
    "thousand|million|billion|trillion|dozen|hundred|percent|per cent|percentage points?|degrees?|points?|times"
    "|dollars?|euros?|pounds?|quid|pence|cents?|yen|rupees?|rs|usd|eur|gbp|inr|jpy"
    "|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?|wks?|months?|years?|yrs?|decades?|centuries|am|pm"
    "|[ap]\\.m\\.|o'clock|mm|cm|km|metres?|meters?|kilometres?|kilometers?|m|miles?|inch(?:es)?|feet|foot|ft|yards?"
    "|g|kg|kilos?|mg|grams?|lbs?|oz|ounces?|tons?|tonnes?|ml|cl|l|litres?|liters?|gallons?|pints?"
    "|kb|mb|gb|tb|bytes?|kbps|mbps|hz|khz|mhz|ghz|mph|kph|km/h|kwh?|mw|watts?|volts?|mah|acres?|hectares?|sq"
)
_CURRENCY = "[$€£¥₹]"
_NUMBER = re.compile(
    rf"(?<!\w)(?:(?:{_MONTHS})\.?[\s-])?(?:[a-z]{{0,3}}{_CURRENCY}\s?)?[+\-−]?\d(?:[\d.,:/\-–−]*\d)?\w*"
    rf"(?:\s?/\s?[^\W\d]+)?(?:\s?(?:[%‰]|°\s?[cf]?|{_CURRENCY}(?!\s?\d))|[\s-]?(?:of\s)?(?:{_UNITS}|{_MONTHS})(?!\w))"
    r"{0,2}",
    _FLAGS,
)
KINDS: dict[str, re.Pattern[str]] = {
    "urls": _URL,
    "emails": re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "mentions": re.compile(r"(?<![\w@./])@\w+(?:@[\w-]+(?:\.[\w-]+)+)?"),
    "hashtags": re.compile(r"(?<![\w&#])#(?=\w*[^\W\d_])\w+"),
    "numbers": _NUMBER,
}
"""Kinds of spans for ``--protect``, which also accepts ``word:FILE``. A number is written in digits and includes a
currency, percent or degree sign, a unit or month beside it, and characters joined to it ("1st", "150p/msg")."""
WORD_PREFIX = "word:"
_RUN = re.compile(r"[^\W\u02bc]+")
_AFTER_URLS = ".,;:!?'\"”’)]}*…"


@dataclass(frozen=True)
class Protection:
    """Spans of a text that do not change. A word that overlaps one of them is closed.

    Args:
        kinds: keys of ``KINDS``.
        phrases: words or phrases that are protected everywhere, in any case, with any white space, apostrophes and
            hyphens, and with composed or decomposed accents.
        source: origin of the phrases, for the run card.

    >>> shielded = Protection(["urls", "numbers"], ["New York"])
    >>> text = Text(("Pay £5 at www.a.com/x, new  york!",))
    >>> [text.columns[0][start:end] for start, end in shielded.spans(text.columns[0])]
    ['£5', 'www.a.com/x', 'new  york']
    >>> sorted(shielded.closed(text))
    [1, 3, 4, 5, 6, 7, 8]

    Raises:
        ValueError: a kind is unknown, or a phrase holds no word.
    """

    kinds: Sequence[str] = ()
    phrases: Sequence[str] = field(default=(), repr=False)
    source: str = "a list in memory"

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"--protect accepts {', '.join(KINDS)} and {WORD_PREFIX}FILE, got {', '.join(unknown)}.")
        empty = [phrase for phrase in self.phrases if not re.search(r"\w", phrase)]
        if empty:
            raise ValueError(f"{self.source} lists {empty[0]!r} as a word to protect, but it holds no word.")

    def spans(self, column: str) -> list[Span]:
        """The protected spans of one string, in order; overlapping spans are merged."""
        spans = [span for kind in self.kinds for span in _matches(kind, column)]
        if self.phrases:
            spans += self._phrases_of(column)
        merged: list[Span] = []
        for start, end in sorted(spans):
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], end))
            else:
                merged.append((start, end))
        return merged

    def strings(self, text: Text) -> tuple[tuple[str, ...], ...]:
        """The strings of the protected spans of each column; a text with other strings has lost or gained a span."""
        return tuple(tuple(column[start:end] for start, end in self.spans(column)) for column in text.columns)

    def closed(self, text: Text) -> frozenset[int]:
        """Numbers of the words that overlap a protected span."""
        spans = [self.spans(column) for column in text.columns]
        return frozenset(
            index
            for index, word in enumerate(text.words)
            if any(word.start < end and start < word.end for start, end in spans[word.column])
        )

    def _phrases_of(self, column: str) -> Iterator[Span]:
        for run in _RUN.finditer(column):
            for before, pattern in self._patterns.get(run.group().lower(), ()):
                start = run.start() - before
                match = pattern.match(column, start) if start >= 0 else None
                if match and match.end() > run.start() and not column[max(start - 1, 0) : start].isalnum():
                    yield match.span()

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[int, re.Pattern[str]]]]:
        """First word of a phrase -> number of characters before it, and the phrase's pattern; fast for long lists."""
        patterns: dict[str, list[tuple[int, re.Pattern[str]]]] = {}
        for phrase in dict.fromkeys(" ".join(unicodedata.normalize("NFC", listed).split()) for listed in self.phrases):
            pattern = _pattern_of(phrase)
            # A decomposed accent in a text ends the first run of letters.
            firsts = (_RUN.search(unicodedata.normalize(form, phrase)) for form in ("NFC", "NFD"))
            for before, first in {(run.start(), run.group().lower()) for run in firsts if run}:
                patterns.setdefault(first, []).append((before, pattern))
        return patterns

    def describe(self) -> dict[str, Any]:
        """The entry in the run card; JSON-ready."""
        described: dict[str, Any] = {"kinds": list(self.kinds)}
        if self.phrases:
            described |= {"words": len(self.phrases), "fingerprint": self.fingerprint(), "source": self.source}
        return described

    def fingerprint(self) -> str:
        """Hash (16 hexadecimal characters) of the kinds and phrases, without paths."""
        content = "\n".join([*sorted(self.kinds), "", *sorted(phrase.lower() for phrase in self.phrases)])
        return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def read_protection(specs: Sequence[str]) -> Protection | None:
    """Build the protection from ``--protect``: kinds and ``word:FILE``, a text file with one word or phrase per line.

    Returns None for no specification.

    Raises:
        ValueError: a kind is unknown, or a file is missing, empty or has a line without a word.
    """
    if not specs:
        return None
    files = [Path(spec.removeprefix(WORD_PREFIX)) for spec in specs if spec.startswith(WORD_PREFIX)]
    phrases = [phrase for file in files for phrase in _read(file)]
    kinds = tuple(dict.fromkeys(spec for spec in specs if not spec.startswith(WORD_PREFIX)))
    return Protection(kinds, tuple(phrases), ", ".join(map(str, files)))


def _read(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--protect {WORD_PREFIX}{file} cannot be read ({error}); give a text file with one word or phrase per "
            "line."
        ) from error
    if not any(lines):
        raise ValueError(
            f"--protect {WORD_PREFIX}{file} names no word; give a text file with one word or phrase per line."
        )
    return [line for line in lines if line]


def _matches(kind: str, column: str) -> Iterable[Span]:
    trim: Callable[[str], str] = (lambda string: string.rstrip(_AFTER_URLS)) if kind == "urls" else str
    for match in KINDS[kind].finditer(column):
        yield match.start(), match.start() + len(trim(match.group()))


def _pattern_of(phrase: str) -> re.Pattern[str]:
    """Pattern of a composed phrase with any case, white space, apostrophes, hyphens and (de)composed accents."""
    marks, _ = character_classes()
    end = rf"(?![\w{marks}])" if phrase[-1].isalnum() else ""
    return re.compile("".join(map(_written, phrase)) + end, _FLAGS)


def _written(letter: str) -> str:
    """Pattern of all written forms of one character."""
    for alike, pattern in ((" ", r"\s+"), (APOSTROPHES, f"[{APOSTROPHES}]"), (HYPHENS, f"[{re.escape(HYPHENS)}]")):
        if letter in alike:
            return pattern
    apart = unicodedata.normalize("NFD", letter)
    return re.escape(letter) if apart == letter else f"(?:{re.escape(letter)}|{re.escape(apart)})"
