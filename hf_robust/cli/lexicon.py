"""`hf-robust lexicon`: build, convert, split or preview a table of substitutes, or look up words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.cli.flags import add_language, add_seed, shorten_usage

if TYPE_CHECKING:
    from hf_robust.words import WordRule

_SOURCES = "wordnet, builtin, a JSON table or a file of word vectors."


def add_flags(parser: argparse.ArgumentParser) -> None:
    from hf_robust.cli.lexicon_build import add_flags as add_build_flags
    from hf_robust.cli.lexicon_preview import add_flags as add_preview_flags

    tasks = parser.add_subparsers(dest="task", required=True, metavar="TASK")
    helps = {
        "build": "Write a table from word vectors, WordNet or another lexicon, or SAFER's perturbation sets.",
        "convert": "Write a published table that is a pickle, such as those of BAT's authors, as JSON; runs no code.",
        "lookup": "Print the substitutes of words.",
        "split": "Split a table into one to train with and one to attack with.",
        "preview": "Show the swaps that a table makes in the texts of a data set.",
    }
    build, convert, lookup, split, preview = (
        tasks.add_parser(name, help=text, description=text) for name, text in helps.items()
    )
    add_build_flags(build, _SOURCES)
    convert.add_argument(
        "source", type=Path, metavar="PICKLE", help="Table {word: substitutes}, a .pkl or .pkl.gz file."
    )
    convert.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="Table to write, a .json or .json.gz file."
    )
    shorten_usage(convert)
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


def _add_split_flags(split: argparse.ArgumentParser) -> None:
    split.add_argument("source", metavar="SOURCE", help=f"Lexicon to split: {_SOURCES}")
    split.add_argument(
        "--output_dir", type=Path, required=True, metavar="DIR", help="Folder for train.json and held_out.json."
    )
    split.add_argument(
        "--share", type=float, default=0.5, help="Share of the table that goes to train.json. Default: 0.5."
    )
    add_seed(split, "of the random split")
    split.add_argument(
        "--by",
        choices=("substitutes", "words"),
        default="substitutes",
        help="What the two tables do not share: a pair of word and substitute (substitutes), or a word in any role "
        "(words), which drops the pairs between the two. Default: substitutes.",
    )


def run(options: argparse.Namespace) -> str:
    """Build, convert, split or preview a table, or look up words."""
    from hf_robust.cli import lexicon_build, lexicon_preview

    if options.task == "lookup":
        return _look_up(options)
    tasks = {
        "build": lexicon_build.run,
        "convert": _convert,
        "split": _split_lexicon,
        "preview": lexicon_preview.run,
    }
    return tasks[options.task](options)


def _look_up(options: argparse.Namespace) -> str:
    from hf_robust.lexicons import load_lexicon
    from hf_robust.words import words_of

    rule = words_of(options.language)
    source = load_lexicon(options.lexicon, options.relation, options.language)
    substitutes = {word: ", ".join(source(_key(word, rule))) for word in options.words}
    none = f"(no {options.relation} known)"
    return "\n".join(f"{word}: {others or none}" for word, others in substitutes.items())


def _convert(options: argparse.Namespace) -> str:
    from hf_robust.cli.lexicon_build import written
    from hf_robust.lexicons.pickled_tables import read_pickled_table

    table = {word: others for word, others in read_pickled_table(options.source).items() if others}
    if not table:
        raise ValueError(
            f"{options.source} has no substitute of any word, so nothing was written: give another table."
        )
    return written(table, options.output, "substitutes")


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
