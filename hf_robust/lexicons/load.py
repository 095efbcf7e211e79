"""Loads the lexicon that `--lexicon` names, and builds the tables that `hf-robust lexicon` writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from hf_robust.lexicons.base import Lexicon, check_relation
from hf_robust.lexicons.builtin import builtin_lexicon
from hf_robust.lexicons.multilingual import language_wordnet
from hf_robust.lexicons.neighbours import neighbours_lexicon
from hf_robust.lexicons.perturbation_sets import PerturbationSets, perturbation_sets
from hf_robust.lexicons.vectors import nearest_words, vectors_lexicon
from hf_robust.lexicons.wordnet import WordNetLexicon, wordnet_lexicon
from hf_robust.words import ENGLISH, check_language, language_name
from hf_robust.words.vector_files import read_vectors, refuse_pickle

LEXICONS: dict[str, Callable[..., Lexicon]] = {
    "builtin": builtin_lexicon,
    "wordnet": wordnet_lexicon,
    "neighbours": neighbours_lexicon,
    "vectors": vectors_lexicon,
}
"""Name -> loader: ``loader(path, relation)`` for ``neighbours`` and ``vectors``, else ``loader(relation)``."""

TABLE_ENDINGS = (".json", ".json.gz")
VECTOR_ENDINGS = (".txt", ".vec", ".txt.gz", ".vec.gz", ".npz")
_FROM_FILE = ("neighbours", "vectors")
_CHOICES = (
    "builtin, wordnet, the path of a JSON table (.json, .json.gz), the path of word vectors "
    f"({', '.join(VECTOR_ENDINGS)}), neighbours:PATH or vectors:PATH"
)


def load_lexicon(spec: str, relation: str = "synonym", language: str = ENGLISH) -> Lexicon:
    """Load the lexicon that ``spec`` names, for ``relation`` "synonym" or "antonym".

    ``builtin`` and ``wordnet`` have both relations; ``wordnet`` is that of ``language`` (``language_wordnet``). A file
    tells neither its relation nor its language, so ``relation`` is recorded without a check.

    Raises:
        ValueError: the name or language is unknown, the file is missing or malformed, WordNet data are missing, or
            the lexicon is English and the language is not.
    """
    relation = check_relation(relation)
    name, path = split_spec(spec)
    if path is not None:
        return LEXICONS[name](path, relation)
    if check_language(language) == ENGLISH:
        return LEXICONS[name](relation)
    if name == "wordnet":
        return language_wordnet(language, relation)
    raise ValueError(
        f"the lexicon {name} is English, and the texts are {language_name(language)}: give --lexicon wordnet, a JSON "
        "table or word vectors of their language."
    )


def split_spec(spec: str) -> tuple[str, Path | None]:
    """The key of LEXICONS that ``spec`` names, and its file; the file's ending tells a table from vectors."""
    name, colon, rest = spec.partition(":")
    if colon and name in _FROM_FILE:
        refuse_pickle(rest)
        if not Path(rest).is_file():
            raise ValueError(f"The lexicon {spec!r} names no file; --lexicon takes {_CHOICES}.")
        return name, Path(rest)
    if spec in _FROM_FILE:
        raise ValueError(f"The lexicon {spec!r} needs a file: {spec}:PATH.")
    if spec in LEXICONS:
        return spec, None
    refuse_pickle(spec)
    for kind, endings in (("neighbours", TABLE_ENDINGS), ("vectors", VECTOR_ENDINGS)):
        if spec.lower().endswith(endings):
            if not Path(spec).is_file():
                raise ValueError(f"There is no lexicon file at {spec}; --lexicon takes {_CHOICES}.")
            return kind, Path(spec)
    raise ValueError(f"Unknown lexicon {spec!r}; --lexicon takes {_CHOICES}.")


def build_table(
    source: str,
    relation: str = "synonym",
    *,
    vocabulary: Collection[str] | None = None,
    k: int = 8,
    min_cosine: float = 0.7,
    language: str = ENGLISH,
) -> dict[str, list[str]]:
    """Build a table word -> substitutes from any ``source`` of :func:`load_lexicon`, for :func:`write_table`.

    Args:
        vocabulary: the words that get a row (their substitutes can be any words); None for all words of the source.
        k, min_cosine: settings for word vectors, whose neighbours are computed here without the cache.
        language: the language of ``wordnet``.
    """
    name, path = split_spec(source)
    if name == "vectors":
        words, vectors = read_vectors(str(path))
        return nearest_words(words, vectors, k=k, min_cosine=min_cosine, vocabulary=vocabulary)
    lexicon = load_lexicon(source, relation, language)
    rows = {word: list(lexicon(word)) for word in _rows(lexicon, vocabulary)}
    return {word: substitutes for word, substitutes in rows.items() if substitutes}


def build_counts(
    source: str, relation: str = "antonym", *, vocabulary: Collection[str] | None = None
) -> dict[str, dict[str, int]]:
    """:func:`build_table` with, for each substitute, the number of WordNet lemmas that lead to it.

    WordNet's antonyms are noisy, and the counts show which of them are supported by few senses. Substitutes of other
    sources have count 1.
    """
    lexicon = load_lexicon(source, relation)
    table: dict[str, dict[str, int]] = {}
    for word in _rows(lexicon, vocabulary):
        counts = lexicon.counts(word) if isinstance(lexicon, WordNetLexicon) else dict.fromkeys(lexicon(word), 1)
        if counts:
            table[word] = dict(counts)
    return table


def build_perturbation_sets(
    source: str,
    counts: Mapping[str, int],
    *,
    similarity: float = 0.8,
    table_similarity: str = "dot",
    max_size: int = 100,
) -> PerturbationSets:
    """Build SAFER's sets from a word-vector file and counts of training words; see :func:`perturbation_sets`."""
    name, path = split_spec(source)
    if name != "vectors":
        raise ValueError(
            f"SAFER's perturbation sets are built from word vectors, got {source!r}: give a file ending in "
            f"{', '.join(VECTOR_ENDINGS)} or vectors:PATH."
        )
    words, vectors = read_vectors(Path(str(path)))
    return perturbation_sets(
        words, vectors, counts, similarity=similarity, table_similarity=table_similarity, max_size=max_size
    )


def _rows(lexicon: Lexicon, vocabulary: Collection[str] | None) -> list[str]:
    return sorted(lexicon.words() if vocabulary is None else {word.lower() for word in vocabulary})
