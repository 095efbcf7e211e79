"""Languages of texts (``--language``): their codes, and which of them separate no words or elide articles."""

from __future__ import annotations

ENGLISH = "en"

LANGUAGES: dict[str, str] = {
    pair[:2]: pair[3:]
    for pair in (
        "af Afrikaans|am Amharic|ar Arabic|az Azerbaijani|be Belarusian|bg Bulgarian|bn Bengali|ca Catalan|cs Czech"
        "|cy Welsh|da Danish|de German|el Greek|en English|es Spanish|et Estonian|eu Basque|fa Persian|fi Finnish"
        "|fr French|ga Irish|gl Galician|gu Gujarati|ha Hausa|he Hebrew|hi Hindi|hr Croatian|hu Hungarian|hy Armenian"
        "|id Indonesian|is Icelandic|it Italian|ja Japanese|ka Georgian|kk Kazakh|km Khmer|kn Kannada|ko Korean"
        "|ku Kurdish|lo Lao|lt Lithuanian|lv Latvian|mk Macedonian|ml Malayalam|mn Mongolian|mr Marathi|ms Malay"
        "|my Burmese|ne Nepali|nl Dutch|no Norwegian|pa Punjabi|pl Polish|ps Pashto|pt Portuguese|ro Romanian"
        "|ru Russian|si Sinhala|sk Slovak|sl Slovenian|so Somali|sq Albanian|sr Serbian|sv Swedish|sw Swahili|ta Tamil"
        "|te Telugu|th Thai|tl Tagalog|tr Turkish|uk Ukrainian|ur Urdu|uz Uzbek|vi Vietnamese|yo Yoruba|zh Chinese"
        "|zu Zulu"
    ).split("|")
}
"""Code (ISO 639-1) -> English name."""

UNSPACED: frozenset[str] = frozenset({"zh", "ja", "th", "lo", "km", "my"})
"""Languages written without spaces between words, which a library separates."""

ELIDED: dict[str, str] = {
    "fr": "c ç d j l m n s t qu jusqu lorsqu puisqu quoiqu",
    "it": "l c d m n s t v un all dall dell nell sull coll dagl degl negl quest quell sant tutt com dov anch",
    "ca": "l d m n s t",
}
"""Language -> words that lose their end before a vowel: "l'homme" is "l'" and "homme"."""

VOWEL_SIGNS: dict[str, str] = {
    **dict.fromkeys(("ar", "fa", "ur", "ps"), "\u0640\u064b-\u0652\u0670"),
    "he": "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7",
}
"""Language -> vowel signs that most texts leave out, as the content of ``[...]``; with Arabic's letter stretcher."""


def check_language(code: str) -> str:
    """Return a code of ``LANGUAGES``.

    Raises:
        ValueError: there is no such code.
    """
    if code not in LANGUAGES:
        named = [known for known, name in LANGUAGES.items() if name.casefold() == code.strip().casefold()]
        remedy = f"give {named[0]}" if named else f"give one of {', '.join(LANGUAGES)}"
        raise ValueError(f"--language takes the two letters of a language (ISO 639-1), got {code!r}; {remedy}.")
    return code


def language_name(code: str) -> str:
    """The English name with its code, for messages: ``German (--language de)``."""
    return f"{LANGUAGES[code]} (--language {code})"
