"""`hf-robust lexicon`: build, divide or preview a table of substitutes; look words up."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.lexicon_preview import add_flags as add_preview_flags

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    build = tasks.add_parser("build", help="Write a table from word vectors, WordNet or another lexicon.")
    build.add_argument("source", metavar="SOURCE", help="wordnet, builtin, a JSON table or a file of word vectors.")
    build.add_argument("--output", type=Path, required=True, help="The table to write, .json or .json.gz.")
    build.add_argument("--vocabulary", type=Path, help="A text file: rows for the words in it alone. Default: all.")
    build.add_argument("--k", type=int, default=8, help="Neighbours of each word vector. Default: 8.")
    build.add_argument("--min_cosine", type=float, default=0.7, help="Least cosine of neighbours. Default: 0.7.")
    look = tasks.add_parser("lookup", help="Show the substitutes of words.")
    look.add_argument("words", nargs="+", metavar="WORD")
    look.add_argument("--lexicon", default="wordnet", help="As in training. Default: wordnet.")
    split = tasks.add_parser("split", help="Divide a table: one to train with, one held out to attack with.")
    split.add_argument("source", metavar="SOURCE", help="As for build.")
    split.add_argument("--output_dir", type=Path, required=True, help="Where train.json and held_out.json go.")
    split.add_argument("--share", type=float, default=0.5, help="What train.json gets. Default: 0.5.")
    split.add_argument("--seed", type=int, default=0, help="Draws the halves. Default: 0.")
    split.add_argument(
        "--by",
        choices=("substitutes", "words"),
        default="substitutes",
        help="No pair (word, substitute) in both, or no word at all; the latter leaves pairs out. Default: "
        "substitutes.",
    )
    preview = tasks.add_parser("preview", help="Show what a table would do to a data set's texts.")
    add_preview_flags(preview)
    for task in (build, look, split, preview):
        task.add_argument("--relation", choices=("synonym", "antonym"), default="synonym")


def run(options: argparse.Namespace) -> str:
    """Build a table, divide one, preview one on a data set, or look words up."""
    from hf_robust.cli.lexicon_preview import run as preview
    from hf_robust.lexicons import build_table, load_lexicon, write_table
    from hf_robust.words import Text, folded

    if options.task == "split":
        return _split_lexicon(options)
    if options.task == "preview":
        return preview(options)
    if options.task == "lookup":
        source = load_lexicon(options.lexicon, options.relation)
        found = {word: ", ".join(source(folded(word))) for word in options.words}
        return "\n".join(f"{word}: {others or f'(no {options.relation} known)'}" for word, others in found.items())
    vocabulary = None
    if options.vocabulary is not None:
        if not options.vocabulary.is_file():
            raise ValueError(f"--vocabulary {options.vocabulary} is no file; give a text file of words.")
        text = options.vocabulary.read_text(encoding="utf-8")
        vocabulary = {key for key in Text(tuple(text.splitlines())).keys if key}
    table = build_table(
        options.source, options.relation, vocabulary=vocabulary, k=options.k, min_cosine=options.min_cosine
    )
    if not table:
        raise ValueError(f"{options.source} has no {options.relation} for any word asked for; nothing was written.")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, options.output)
    mean = sum(map(len, table.values())) / len(table)
    return f"{options.output}: {len(table):,} words, {mean:.1f} {options.relation}s each"


def _split_lexicon(options: argparse.Namespace) -> str:
    from hf_robust.lexicons import build_table, split_table, write_table

    table = build_table(options.source, options.relation)
    try:
        halves = split_table(table, options.share, options.seed, options.by)
    except ValueError as error:
        raise ValueError(f"{options.source}: {error}") from error
    lines = []
    for name, half in (("train", halves.train), ("held_out", halves.held_out)):
        path = options.output_dir / f"{name}.json"
        write_table(half, path)
        lines.append(f"{path}: {len(half):,} words, {sum(map(len, half.values())):,} pairs")
    if halves.left_out:
        lines.append(f"{halves.left_out:,} pairs of a word here and a word there are in neither.")
    return "\n".join(lines)
