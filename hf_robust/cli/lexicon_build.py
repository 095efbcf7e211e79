"""`hf-robust lexicon build`: write a table of substitutes; with ``--safer`` SAFER's perturbation sets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

K, COSINE = 8, 0.7
SIMILARITY, MAX_SIZE = 0.8, 100
_OF_TABLES = ("vocabulary", "k", "min_cosine")
_OF_SAFER = ("texts", "text_column_names", "similarity", "table_similarity", "max_size", "neighbours")


def add_flags(build: argparse.ArgumentParser, sources: str) -> None:
    build.add_argument("source", nargs="?", metavar="SOURCE", help=f"Lexicon to read: {sources}")
    build.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="Table to write, a .json or .json.gz file."
    )
    build.add_argument(
        "--vocabulary", type=Path, metavar="FILE",
        help="Text file whose words alone get a row in the table. Default: all words of SOURCE.",
    )  # fmt: skip
    build.add_argument(
        "--k", type=int, help=f"Maximum number of neighbours of a word, for word vectors. Default: {K}."
    )
    build.add_argument(
        "--min_cosine", type=float,
        help=f"Minimum cosine similarity of neighbours, for word vectors. Default: {COSINE}.",
    )  # fmt: skip
    safer = build.add_argument_group("SAFER's sets, in place of SOURCE")
    safer.add_argument(
        "--safer", metavar="VECTORS",
        help="File of word vectors (counter-fitted ones in the paper), from which SAFER's perturbation sets are "
        "built: the words of --texts that a chain of similar words joins.",
    )  # fmt: skip
    safer.add_argument(
        "--texts", type=Path, nargs="+", metavar="FILE",
        help="Training texts, whose words get a set; csv, tsv, json, jsonl or parquet files.",
    )  # fmt: skip
    safer.add_argument(
        "--text_column_names", metavar="NAMES",
        help="One or two text columns of --texts, comma separated. Default: the columns that hold text.",
    )  # fmt: skip
    safer.add_argument(
        "--similarity", type=float, help=f"Similarity above which two words are joined. Default: {SIMILARITY}."
    )
    safer.add_argument(
        "--table_similarity", choices=("dot", "cosine"),
        help="Similarity of two words: the product of their projected vectors as in SAFER's code (dot), or their "
        "cosine as in BAT's text. Default: dot.",
    )  # fmt: skip
    safer.add_argument("--max_size", type=int, help=f"Maximum number of words of a set. Default: {MAX_SIZE}.")
    safer.add_argument(
        "--neighbours", type=Path, metavar="FILE",
        help="Further table to write: the words that are similar to each word, for hf-robust certify --neighbours. "
        "Default: none.",
    )  # fmt: skip


def run(options: argparse.Namespace) -> str:
    """Write the table, and return its size in words.

    Raises:
        ValueError: a source cannot be read, a flag does not belong to it, or the table would be empty.
    """
    if (options.source is None) == (options.safer is None):
        given = "both" if options.safer else "neither"
        raise ValueError(f"a table is built from SOURCE or from --safer VECTORS, got {given}: give one.")
    foreign = [name for name in (_OF_TABLES if options.safer else _OF_SAFER) if getattr(options, name) is not None]
    if foreign:
        way = "without" if options.safer else "with"
        raise ValueError(f"--{foreign[0]} is read only {way} --safer: leave it out, or change the source.")
    return _safer(options) if options.safer else _table(options)


def _table(options: argparse.Namespace) -> str:
    from hf_robust.lexicons import build_table
    from hf_robust.words import Text, words_of

    vocabulary = None
    if options.vocabulary is not None:
        if not options.vocabulary.is_file():
            raise ValueError(f"--vocabulary {options.vocabulary} is not a file: give a text file of words.")
        text = options.vocabulary.read_text(encoding="utf-8")
        vocabulary = {key for key in Text(tuple(text.splitlines()), words_of(options.language)).keys if key}
    table = build_table(
        options.source,
        options.relation,
        vocabulary=vocabulary,
        k=K if options.k is None else options.k,
        min_cosine=COSINE if options.min_cosine is None else options.min_cosine,
        language=options.language,
    )
    if not table:
        raise ValueError(
            f"{options.source} has no {options.relation} for any requested word, so nothing was written: give "
            f"another SOURCE or --vocabulary."
        )
    return written(table, options.output, f"{options.relation}s")


def _safer(options: argparse.Namespace) -> str:
    from hf_robust.data.text_file import read_texts
    from hf_robust.lexicons import build_perturbation_sets, count_words
    from hf_robust.words import words_of

    if options.relation != "synonym":
        raise ValueError("SAFER's sets are of synonyms: leave out --relation antonym.")
    if not options.texts:
        raise ValueError("--safer needs --texts FILE: SAFER's sets are of the words of the training texts.")
    texts = [text for path in options.texts for text in read_texts(path, options.text_column_names)]
    counts = count_words(texts, words_of(options.language))
    similarity = SIMILARITY if options.similarity is None else options.similarity
    found = build_perturbation_sets(
        options.safer,
        counts,
        similarity=similarity,
        table_similarity=options.table_similarity or "dot",
        max_size=MAX_SIZE if options.max_size is None else options.max_size,
    )
    if not found.sets:
        raise ValueError(
            f"no two words of --texts have vectors in {options.safer} with a similarity above {similarity:g}, so "
            "nothing was written: lower --similarity, or give other vectors."
        )
    lines = [
        f"{len(texts):,} texts with {len(counts):,} words; {len(found.sets):,} of them have a set, "
        f"{len(found.divided):,} a part of a larger one",
        written(found.table(), options.output, "others"),
    ]
    if options.neighbours is not None:
        lines.append(written(found.neighbours, options.neighbours, "neighbours"))
    return "\n".join(lines)


def written(table: Mapping[str, Sequence[str]], path: Path, kind: str) -> str:
    """Write a table that is not empty, and return its size in words."""
    from hf_robust.lexicons import write_table

    write_table(table, path)
    mean = sum(map(len, table.values())) / len(table)
    return f"{path}: {len(table):,} words, {mean:.1f} {kind} each"
