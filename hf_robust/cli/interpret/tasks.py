"""The tasks of `hf-robust interpret`: their flags and functions. Slow imports happen when a task runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_robust.cli.command import Command
from hf_robust.cli.flags import add_class_names, add_device, add_language, add_seed, add_text_length
from hf_robust.cli.interpret.pairs import TASKS as PAIR_TASKS


def _add_pair_flags(parser: argparse.ArgumentParser, num_pairs: int, several: bool = False) -> argparse._ArgumentGroup:
    """Add the flags that all explanations of pairs share; return the group of the attribution."""
    group = parser.add_argument_group("model and pairs")
    if several:
        group.add_argument(
            "--model", nargs="+", required=True, metavar="MODEL",
            help="Folders or Hub ids of fine-tuned classifiers, which explain the same pairs, one below the other.",
        )  # fmt: skip
    else:
        group.add_argument(
            "--model", required=True, metavar="MODEL", help="Folder or Hub id of a fine-tuned classifier."
        )
    group.add_argument(
        "--pairs", type=Path, nargs="+", required=True, metavar="FILE",
        help="Results of attacks on this or another model of the task: attack_results/<attack>.jsonl.",
    )  # fmt: skip
    add_class_names(group)
    group.add_argument(
        "--num_pairs", type=int, default=num_pairs,
        help=f"Maximum number of pairs, drawn by --seed; 0 for all. Default: {num_pairs}.",
    )  # fmt: skip
    group.add_argument(
        "--keep", choices=("all", "succeeded", "correct"), default="all",
        help="Pairs to use: all changed texts, only successful attacks (succeeded), or only pairs of which each model "
        "classifies both texts correctly (correct). Default: all.",
    )  # fmt: skip
    attribution = parser.add_argument_group("attribution")
    attribution.add_argument(
        "--baseline", choices=("pad", "zero"), default="pad",
        help="Start of the path of ig: embeddings of the padding token, or zeros. Default: pad.",
    )  # fmt: skip
    attribution.add_argument("--steps", type=int, default=50, help="Number of points on the path of ig. Default: 50.")
    attribution.add_argument(
        "--samples", type=int, default=500, help="Number of texts with deleted words for lime. Default: 500."
    )
    add_seed(group, "for the choice of pairs, and of deleted words in lime")
    add_text_length(group)
    add_device(group)
    _add_output_flag(parser.add_argument_group("results"))
    return attribution


def _add_output_flag(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="Folder for the results.")


def add_consistency_flags(parser: argparse.ArgumentParser) -> None:
    attribution = _add_pair_flags(parser, num_pairs=300)
    attribution.add_argument(
        "--attribution", nargs="+", choices=("ig", "lime"), default=["ig"],
        help="Attribution methods: integrated gradients (ig), LIME, or both. Default: ig.",
    )  # fmt: skip
    attribution.add_argument(
        "--ranking", choices=("signed", "absolute"), default="signed",
        help="Rank words by their attribution, or by its absolute value. Default: signed.",
    )  # fmt: skip


def consistency(options: argparse.Namespace) -> str:
    """Measure Kendall's tau and the top-k intersection between the attributions of each pair."""
    from hf_robust.cli.interpret.attributions import InterpretOptions, measure_consistency

    return measure_consistency(InterpretOptions.from_flags(vars(options)))


def add_words_flags(parser: argparse.ArgumentParser) -> None:
    attribution = _add_pair_flags(parser, num_pairs=3, several=True)
    attribution.add_argument(
        "--attribution", nargs=1, choices=("ig", "lime"), default=["ig"],
        help="Attribution method: integrated gradients (ig) or LIME. Default: ig.",
    )  # fmt: skip


def words(options: argparse.Namespace) -> str:
    """Draw pairs of texts with their words coloured by attribution."""
    from hf_robust.cli.interpret.attributions import InterpretOptions, draw_pairs

    return draw_pairs(InterpretOptions.from_flags({**vars(options), "model": options.model[0]}), options.model)


def add_importance_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--importances", type=Path, required=True, metavar="FILE",
        help='Importance of each word: word_importances.json of a run, or another JSON file {"word": importance}.',
    )  # fmt: skip
    parser.add_argument(
        "--tokenizer", metavar="MODEL",
        help="Folder or Hub id of the model to whose tokens --importances belong. Default: the tokenizer in the "
        "folder of --importances.",
    )  # fmt: skip
    parser.add_argument(
        "--texts", type=Path, required=True, metavar="FILE",
        help="Training texts: a csv, tsv, json, jsonl or parquet file.",
    )  # fmt: skip
    parser.add_argument(
        "--text_column_names", metavar="NAMES",
        help="One or two text columns of --texts, comma separated. Default: sentence1 and sentence2, else the columns "
        "that hold text.",
    )  # fmt: skip
    parser.add_argument(
        "--attack_results", type=Path, nargs="+", required=True, metavar="FILE",
        help="Files in which to count replaced words: attack_results/<attack>.jsonl, or _views/*.jsonl of the run "
        "that trained on --texts.",
    )  # fmt: skip
    parser.add_argument(
        "--lexicon",
        help="Table of synonyms in which to measure how much importances vary. Default: this is not measured.",
    )
    add_seed(parser, "for the choice of words from --lexicon")
    add_language(parser)
    _add_output_flag(parser)


def importance(options: argparse.Namespace) -> str:
    """Correlate global word importances with word counts."""
    from hf_robust.cli.interpret.importance import describe_importance

    statistics, folder = describe_importance(
        options.importances,
        options.texts,
        options.attack_results,
        options.output_dir,
        text_column_names=options.text_column_names,
        tokenizer=options.tokenizer,
        lexicon=options.lexicon,
        seed=options.seed,
        language=options.language,
    )
    lines = [f"{name}: {_row(values)}" for name, values in statistics.items()]
    return "\n".join([*lines, f"Results are in {folder}."])


def _row(values: dict[str, float | None]) -> str:
    def shown(value: float | None) -> str:
        if value is None:
            return "not defined"
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


TASKS: dict[str, Command] = {
    "consistency": Command(
        "Measure whether a text and its perturbed form get the same explanation.", add_consistency_flags, consistency
    ),
    "words": Command("Draw pairs of texts with their words coloured by attribution.", add_words_flags, words),
    "importance": Command("Correlate global word importances with word counts.", add_importance_flags, importance),
    **PAIR_TASKS,
}
