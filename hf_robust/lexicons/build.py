"""Tables made from any source of substitutes: what `hf-robust lexicon` writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from hf_robust.lexicons.base import Lexicon
from hf_robust.lexicons.load import VECTOR_ENDINGS, load_lexicon, split_spec
from hf_robust.lexicons.perturbation_sets import PerturbationSets, perturbation_sets
from hf_robust.lexicons.vectors import nearest_words
from hf_robust.lexicons.wordnet import WordNetLexicon
from hf_robust.words.vector_files import read_vectors


def build_table(
    source: str,
    relation: str = "synonym",
    *,
    vocabulary: Collection[str] | None = None,
    k: int = 8,
    min_cosine: float = 0.7,
) -> dict[str, list[str]]:
    """Word -> substitutes from any ``source`` that :func:`load_lexicon` takes, to be written with :func:`write_table`.

    Args:
        vocabulary: rows for these words alone (their substitutes may be any word); None: for all words of the source.
        k, min_cosine: for word vectors, whose neighbours are computed here without the cache.
    """
    name, path = split_spec(source)
    if name == "vectors":
        words, vectors = read_vectors(str(path))
        return nearest_words(words, vectors, k=k, min_cosine=min_cosine, vocabulary=vocabulary)
    lexicon = load_lexicon(source, relation)
    rows = {word: list(lexicon(word)) for word in _rows(lexicon, vocabulary)}
    return {word: substitutes for word, substitutes in rows.items() if substitutes}


def build_counts(
    source: str, relation: str = "antonym", *, vocabulary: Collection[str] | None = None
) -> dict[str, dict[str, int]]:
    """:func:`build_table` with, for each substitute, the number of WordNet lemmas that lead to it.

    WordNet's antonyms are noisy; a table with counts lets its reader see which of them few senses support.
    Sources other than WordNet count 1 each.
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
    """SAFER's sets from a word-vector file and the counts of the training words; see :func:`perturbation_sets`."""
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
