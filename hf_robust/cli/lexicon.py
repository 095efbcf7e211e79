"""`hf-robust lexicon`: build, split or preview a table of substitutes, or look up words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.cli.flags import add_language, shorten_usage

if TYPE_CHECKING:
    from hf_robust.words import WordRule

_SOURCES = "wordnet, builtin, a JSON table or a file of word vectors."


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.lexicon_preview import add_flags as add_preview_flags

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    helps = {
        "build": "Write a table from word vectors, WordNet or another lexicon.",
        "lookup": "Print the substitutes of words.",
        "split": "Split a table into one to train with and one to attack with.",
        "preview": "Show the swaps that a table makes in the texts of a data set.",
    }
    build, lookup, split, preview = (
        tasks.add_parser(name, help=text, description=text) for name, text in helps.items()
    )
    _add_build_flags(build)
    lookup.add_argument("words", nargs="+", metavar="WORD", help="Words to look up.")
    lookup.add_argument("--lexicon", default="wordnet", help=f"Lexicon to read: {_SOURCES} Default: wordnet.")
    _add_split_flags(split)
    add_preview_flags(preview)
    for task in (build, lookup, split, preview):
        task.add_argument(
            "--relation",
            choices=("synonym", "antonym"),
            default="synonym",
            help="Relation of the substitutes to their words. Default: synonym.",
        )
        add_language(task)
        shorten_usage(task)


def _add_build_flags(build: argparse.ArgumentParser) -> None:
    build.add_argument("source", metavar="SOURCE", help=f"Lexicon to read: {_SOURCES}")
    build.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="Table to write, a .json or .json.gz file."
    )
    build.add_argument(
        "--vocabulary",
        type=Path,
        metavar="FILE",
        help="Text file whose words alone get a row in the table. Default: all words of SOURCE.",
    )
    build.add_argument(
        "--k", type=int, default=8, help="Maximum number of neighbours of a word, for word vectors. Default: 8."
    )
    build.add_argument(
        "--min_cosine",
        type=float,
        default=0.7,
        help="Minimum cosine similarity of neighbours, for word vectors. Default: 0.7.",
    )


def _add_split_flags(split: argparse.ArgumentParser) -> None:
    split.add_argument("source", metavar="SOURCE", help=f"Lexicon to split: {_SOURCES}")
    split.add_argument(
        "--output_dir", type=Path, required=True, metavar="DIR", help="Folder for train.json and held_out.json."
    )
    split.add_argument(
        "--share", type=float, default=0.5, help="Share of the table that goes to train.json. Default: 0.5."
    )
    split.add_argument("--seed", type=int, default=0, help="Seed of the random split. Default: 0.")
    split.add_argument(
        "--by",
        choices=("substitutes", "words"),
        default="substitutes",
        help="What the two tables do not share: a pair of word and substitute (substitutes), or a word in any role "
        "(words), which drops the pairs between the two. Default: substitutes.",
    )


def run(options: argparse.Namespace) -> str:
    """Build, split or preview a table, or look up words."""
    from hf_robust.cli.lexicon_preview import run as preview
    from hf_robust.lexicons import build_table, load_lexicon, write_table
    from hf_robust.words import Text, words_of

    rule = words_of(options.language)
    if options.task == "split":
        return _split_lexicon(options)
    if options.task == "preview":
        return preview(options)
    if options.task == "lookup":
        source = load_lexicon(options.lexicon, options.relation, options.language)
        substitutes = {word: ", ".join(source(_key(word, rule))) for word in options.words}
        none = f"(no {options.relation} known)"
        return "\n".join(f"{word}: {others or none}" for word, others in substitutes.items())
    vocabulary = None
    if options.vocabulary is not None:
        if not options.vocabulary.is_file():
            raise ValueError(f"--vocabulary {options.vocabulary} is not a file: give a text file of words.")
        text = options.vocabulary.read_text(encoding="utf-8")
        vocabulary = {key for key in Text(tuple(text.splitlines()), rule).keys if key}
    table = build_table(
        options.source,
        options.relation,
        vocabulary=vocabulary,
        k=options.k,
        min_cosine=options.min_cosine,
        language=options.language,
    )
    if not table:
        raise ValueError(
            f"{options.source} has no {options.relation} for any requested word, so nothing was written: give "
            f"another SOURCE "
            "or --vocabulary."
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, options.output)
    mean = sum(map(len, table.values())) / len(table)
    return f"{options.output}: {len(table):,} words, {mean:.1f} {options.relation}s each"


def _key(word: str, rule: WordRule) -> str:
    """The form in which a lexicon has a word; phrases and clitics are looked up as they are."""
    from hf_robust.words import Text, folded

    keys = Text((word,), rule).keys
    return (keys[0] if len(keys) == 1 else "") or folded(word)


def _split_lexicon(options: argparse.Namespace) -> str:
    from hf_robust.lexicons import build_table, split_table, write_table

    table = build_table(options.source, options.relation, language=options.language)
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
        lines.append(f"{halves.left_out:,} pairs that join words of both tables are in neither.")
    return "\n".join(lines)
