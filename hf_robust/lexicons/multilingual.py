"""WordNets of languages other than English, read through wn: Open Multilingual WordNet, Open German WordNet."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from hf_robust.lexicons.base import TableLexicon, check_relation
from hf_robust.lexicons.neighbours import read_table, write_table
from hf_robust.lexicons.vectors import cache_folder
from hf_robust.words import LANGUAGES, UNICODE_WORDS, language_name
from hf_robust.words.languages import VOWEL_SIGNS

logger = logging.getLogger(__name__)

OTHER_CODES = {"ar": "arb", "ms": "zsm", "no": "nb", "zh": "cmn-Hans"}
"""Codes of wordnets that differ from the language's."""
_OTHER_TABLE = "or give another table: --lexicon FILE (a JSON table or word vectors)"


class LanguageWordNet(TableLexicon):
    """The wordnets of one language that wn has: synonyms are the other lemmas of all synsets of a word, antonyms the
    antonyms of these lemmas, as in :class:`~hf_robust.lexicons.WordNetLexicon`.

    Only single words, in the wordnet's order of senses. Words are looked up as they are: there are no rules for
    inflected forms, so "Filme" is found only if the wordnet lists it. Arabic and Hebrew lemmas lose their vowel signs.
    """

    def __init__(self, table: dict[str, list[str]], language: str, relation: str, source: str) -> None:
        super().__init__(table, name="wordnet", relation=relation, source=source)
        self.language = language

    def lemmas(self, word: str) -> tuple[str, ...]:
        """The lemmas of all synsets of ``word`` other than itself, for PWWS."""
        return self(word)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "language": self.language}


def language_wordnet(language: str, relation: str = "synonym") -> LanguageWordNet:
    """Load the wordnets of ``language`` from wn's data folder, after a download if it has none.

    The table is built once and cached, since reading a wordnet takes up to a minute.

    Raises:
        ValueError: wn is not installed, there is no wordnet of this language, or it has no word of this relation.
    """
    relation = check_relation(relation)
    try:
        import wn
    except ImportError as error:
        raise ValueError(
            f"the WordNet of {language_name(language)} is read by wn, which is not installed: pip install "
            f"'hf_robust[languages]', {_OTHER_TABLE}."
        ) from error
    code = OTHER_CODES.get(language, language)
    lexicons = _installed(wn, code) or _download(wn, language, code)
    named = ", ".join(sorted(f"{lexicon.id} {lexicon.version}" for lexicon in lexicons))
    source = f"{LANGUAGES[language]} WordNet {named} (wn {metadata.version('wn')})"
    table = _cached(wn, lexicons, language, relation)
    if not table:
        flag = "--antonym_lexicon" if relation == "antonym" else "--lexicon"
        raise ValueError(f"{source} has no {relation}s; give a JSON table of {relation}s ({flag} FILE).")
    return LanguageWordNet(table, language, relation, source)


def _installed(wn: Any, code: str) -> list[Any]:
    # wn.lexicons(lang=...) warns if there are several.
    return [lexicon for lexicon in wn.lexicons() if lexicon.language == code]


def _download(wn: Any, language: str, code: str) -> list[Any]:
    """Download the newest wordnet of a language, Open Multilingual WordNet's where there are several."""
    projects = [project for project in wn.projects() if project.get("language") == code]
    if not projects:
        raise ValueError(f"there is no WordNet of {language_name(language)} in wn's index; {_OTHER_TABLE[3:]}.")
    first = max(projects, key=lambda one: (one["id"].startswith("omw"), str(one["version"]), -len(one["id"])))
    specifier = f"{first['id']}:{first['version']}"
    logger.warning("%s has no WordNet in wn's data folder: downloading %s by wn.", language_name(language), specifier)
    try:
        wn.download(specifier, progress_handler=None)
    except Exception as error:  # httpx and wn have many
        raise ValueError(
            f"the WordNet {specifier} of {language_name(language)} is not in wn's data folder "
            f"({wn.config.data_directory}) and could not be downloaded ({error}): run `python -m wn download "
            f"{specifier}` with a network connection, {_OTHER_TABLE}."
        ) from error
    return _installed(wn, code)


def _cached(wn: Any, lexicons: Iterable[Any], language: str, relation: str) -> dict[str, list[str]]:
    specifiers = sorted(lexicon.specifier() for lexicon in lexicons)
    database = Path(wn.config.database_path).stat()
    key = json.dumps([specifiers, database.st_mtime_ns, database.st_size, language, relation, metadata.version("wn")])
    path = cache_folder() / "wordnets" / f"{language}-{relation}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if path.is_file():
        return read_table(path)
    table = _build(wn.Wordnet(lexicon=" ".join(specifiers)), language, relation)
    write_table(table, path)
    return table


def _build(wordnet: Any, language: str, relation: str) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    table: dict[str, list[str]] = {}
    for word in wordnet.words():
        lemma = _written(word.lemma(), language)
        if not _is_one_word(lemma):
            continue
        row = table.setdefault(lemma, [])
        for synset in word.synsets():
            if synset.id not in members:
                lemmas = synset.lemmas() if relation == "synonym" else _antonyms(synset)
                members[synset.id] = list(filter(_is_one_word, (_written(other, language) for other in lemmas)))
            row += members[synset.id]
    rows = ((word, list(dict.fromkeys(other for other in row if other != word))) for word, row in table.items())
    return {word: row for word, row in rows if row}


def _antonyms(synset: Any) -> Iterator[str]:
    for sense in synset.senses():
        for other in sense.get_related("antonym"):
            yield other.word().lemma()


def _written(lemma: str, language: str) -> str:
    signs = VOWEL_SIGNS.get(language)
    return re.sub(f"[{signs}]", "", lemma) if signs else lemma


def _is_one_word(lemma: str) -> bool:
    """Whether a lemma is one run of letters; the Chinese wordnet joins the parts of a phrase by "+"."""
    return "_" not in lemma and UNICODE_WORDS.is_one_word(lemma)
