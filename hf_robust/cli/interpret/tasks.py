"""The tasks of `hf-robust interpret`: their flags, and what runs them. Slow imports wait until a task runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from hf_robust.cli.command import Command
from hf_robust.cli.flags import add_class_names, add_text_length
from hf_robust.cli.interpret.pairs import TASKS as PAIR_TASKS


def _add_pair_flags(parser: argparse.ArgumentParser, num_pairs: int) -> None:
    parser.add_argument("--model", required=True, help="Folder or Hub id of a fine-tuned classifier.")
    parser.add_argument(
        "--pairs", type=Path, nargs="+", required=True, metavar="FILE",
        help="attack_results/<attack>.jsonl of an attack on this or any other model of the task.",
    )  # fmt: skip
    add_class_names(parser)
    parser.add_argument("--num_pairs", type=int, default=num_pairs, help=f"0: all. Default: {num_pairs}.")
    parser.add_argument(
        "--keep", choices=("all", "succeeded", "correct"), default="all",
        help="Pairs of attacks that succeeded or failed; succeeded only; those of which this model classifies both "
        "texts correctly. Default: all.",
    )  # fmt: skip
    parser.add_argument("--baseline", choices=("pad", "zero"), default="pad", help="Of ig. Default: pad.")
    parser.add_argument("--steps", type=int, default=50, help="Of ig: points of the path. Default: 50.")
    parser.add_argument("--samples", type=int, default=500, help="Of lime: shortened texts. Default: 500.")
    parser.add_argument("--seed", type=int, default=0, help="Draws pairs, and the words that lime deletes.")
    add_text_length(parser)
    parser.add_argument("--device", help="Where the model runs. Default: a GPU where there is one.")
    parser.add_argument("--output_dir", type=Path, required=True, help="Where results are written.")


def add_consistency_flags(parser: argparse.ArgumentParser) -> None:
    _add_pair_flags(parser, num_pairs=300)
    parser.add_argument(
        "--attribution", nargs="+", choices=("ig", "lime"), default=["ig"],
        help="Integrated gradients, LIME, or both. Default: ig.",
    )  # fmt: skip
    parser.add_argument(
        "--ranking", choices=("signed", "absolute"), default="signed",
        help="Rank words by what they add to a class, or by its size. Default: signed.",
    )  # fmt: skip


def consistency(options: argparse.Namespace) -> str:
    """Kendall's tau and top-k intersection between the attributions of each pair."""
    from hf_robust.cli.interpret.attributions import InterpretOptions, measure_consistency

    return measure_consistency(InterpretOptions.of(vars(options)))


def add_words_flags(parser: argparse.ArgumentParser) -> None:
    _add_pair_flags(parser, num_pairs=3)
    parser.add_argument("--attribution", nargs=1, choices=("ig", "lime"), default=["ig"], help="Default: ig.")


def words(options: argparse.Namespace) -> str:
    """Pairs of texts with their words coloured."""
    from hf_robust.cli.interpret.attributions import InterpretOptions, draw_pairs

    return draw_pairs(InterpretOptions.of(vars(options)))


def add_importance_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--importances", type=Path, required=True,
        help='word_importances.json of a run, or another JSON file of {"word": importance, ...}.',
    )  # fmt: skip
    parser.add_argument(
        "--tokenizer",
        help="Folder or Hub id of the model whose tokens --importances are of. Default: the tokenizer beside them.",
    )
    parser.add_argument("--texts", type=Path, required=True, help="Training texts: csv, tsv, json, jsonl or parquet.")
    parser.add_argument("--text_column_names", help="One or two text columns of --texts, comma separated.")
    parser.add_argument(
        "--attack_results", type=Path, nargs="+", required=True, metavar="FILE",
        help="attack_results/<attack>.jsonl, or _views/*.jsonl of the run that trained on --texts: what their "
        "successes replaced is counted.",
    )  # fmt: skip
    parser.add_argument("--lexicon", help="Synonyms, for the spread within them. Default: the spread is left out.")
    parser.add_argument("--seed", type=int, default=0, help="Draws the words of the spread. Default: 0.")
    parser.add_argument("--output_dir", type=Path, required=True, help="Where results are written.")


def importance(options: argparse.Namespace) -> str:
    """Global word importance beside what words have in common that means nothing for the label."""
    from hf_robust.cli.interpret.importance import describe_importance

    found, folder = describe_importance(
        options.importances,
        options.texts,
        options.attack_results,
        options.output_dir,
        text_column_names=options.text_column_names,
        tokenizer=options.tokenizer,
        lexicon=options.lexicon,
        seed=options.seed,
    )
    lines = [f"{name}: {_row(values)}" for name, values in found.items()]
    return "\n".join([*lines, f"Results are in {folder}."])


def _row(values: dict[str, float | None]) -> str:
    def shown(value: float | None) -> str:
        if value is None:
            return "not defined"
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"

    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


TASKS: dict[str, Command] = {
    "consistency": Command(
        "Do a text and its perturbed form get the same explanation?", add_consistency_flags, consistency
    ),
    "words": Command("Draw texts with their words coloured by attribution.", add_words_flags, words),
    "importance": Command("Compare global word importances with word counts.", add_importance_flags, importance),
    **PAIR_TASKS,
}
