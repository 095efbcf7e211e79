"""Tasks of `hf-robust interpret` that compare models on the same texts: distances, embedding space, errors, accuracy.

Each prints a Markdown table. With ``--output_dir`` it also writes the table, its numbers as JSON, and its picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.command import Command
from hf_robust.cli.flags import (
    DATA_SOURCES,
    add_class_names,
    add_column_flags,
    add_device,
    add_language,
    add_seed,
    add_text_length,
)
from hf_robust.cli.interpret.errors import add_errors_flags, errors
from hf_robust.cli.output import add_output_flag, model_names, write_result
from hf_robust.metrics import records_keep_prediction

if TYPE_CHECKING:
    from hf_robust.metrics import AttackRecord

TEXTS, PAIRS, DRAWS = 500, 1000, 10
POOLINGS = ("classifier", "cls", "last_token", "mean_pool", "max_pool")
"""The choices of `hf_robust.interpret.head`, whose import would make `--help` slow."""


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("models")
    group.add_argument(
        "--model", nargs="+", required=True, metavar="MODEL", help="Folders or Hub ids of fine-tuned classifiers."
    )
    add_text_length(group)
    add_device(group, "the models run")
    add_seed(group, "of all random draws")


# ---- pairs ----


def add_pairs_flags(parser: argparse.ArgumentParser) -> None:
    _add_model_flags(parser)
    add_class_names(parser)
    add_output_flag(parser, "table and numbers")
    parser.add_argument(
        "--pairs", type=Path, required=True, metavar="FILE",
        help="Results of an attack in any run, attack_results/<attack>.jsonl, whose texts every model gets.",
    )  # fmt: skip
    parser.add_argument(
        "--before_fine_tuning", metavar="MODEL",
        help="Folder or Hub id of the pretrained encoder of the models, measured in a row of its own with a head of "
        "random weights. Default: none.",
    )  # fmt: skip
    parser.add_argument(
        "--status", nargs="+", choices=("succeeded", "failed"), default=["succeeded"],
        help="Outcomes of the attack whose examples are used. Default: succeeded.",
    )  # fmt: skip
    parser.add_argument(
        "--num_pairs", type=int, default=PAIRS,
        help=f"Maximum number of pairs, drawn by --seed; 0 for all. Default: {PAIRS}.",
    )  # fmt: skip
    parser.add_argument(
        "--draws", type=int, default=DRAWS,
        help=f"Number of random draws of texts with another label, over which to average. Default: {DRAWS}.",
    )  # fmt: skip
    parser.add_argument("--tau", type=float, default=1.0, help="Temperature of the contrastive loss, CTR. Default: 1.")


def pairs(options: argparse.Namespace) -> str:
    """Measure the distances of adversarial pairs and of texts with other labels in each model (TaiChi, Table 7)."""
    from hf_robust.cli.interpret.pair_rows import pair_rows
    from hf_robust.reports import markdown_table
    from hf_robust.runs import read_pairs

    attacked = read_pairs(options.pairs, options.status, limit=options.num_pairs, seed=options.seed)
    _refuse_obstinate(attacked, options.pairs)
    numbers, remarks = pair_rows(options, attacked)
    keys = ("mse_pos", "mse_neg", "kl_pos", "kl_neg", "ctr")
    header = ["model", "pairs", "MSE(pos) ↓", "MSE(neg) ↑", "KL(pos) ↓", "KL(neg) ↑", "CTR ↓"]
    rows = [[row["model"], str(row["num_pairs"]), *(f"{row[key]:.4g}" for key in keys)] for row in numbers]
    legend = (
        f"pos: a text and its adversarial form. neg: a text and a text with another label, mean over {options.draws} "
        "draws. Distances are of mean-pooled last hidden states. CTR: contrastive loss over all pairs, temperature "
        f"{options.tau:g}.\n" + _unread_note(numbers)
    )
    card = {"status": options.status, "tau": options.tau, "seed": options.seed, "models": numbers}
    return write_result(options.output_dir, "pairs", f"{markdown_table(header, rows)}\n{legend}{remarks}", card)


def _refuse_obstinate(records: Sequence[AttackRecord], path: Path) -> None:
    if records_keep_prediction(records):
        raise ValueError(
            f"--pairs {path} has results of an attack that changes the true label (antonym, negation), so the two "
            "texts of a pair have different labels: give results of an attack that keeps the label."
        )


# ---- space ----


def add_space_flags(parser: argparse.ArgumentParser) -> None:
    _add_model_flags(parser)
    results = parser.add_argument_group("results")
    add_output_flag(results)
    drawn = parser.add_argument_group("views drawn from data")
    drawn.add_argument(
        "--data", metavar="DATA", help=f"Texts to draw views of: {DATA_SOURCES}. Needed without --fickle."
    )
    add_column_flags(drawn)
    add_class_names(drawn)
    drawn.add_argument(
        "--lexicon", default="wordnet", help="Table of synonyms for fickle views of --data. Default: wordnet."
    )
    drawn.add_argument(
        "--antonym_lexicon",
        metavar="LEXICON",
        help="Table of antonyms for obstinate views of --data. Default: --lexicon.",
    )
    add_language(drawn)
    drawn.add_argument(
        "--skip_labels", nargs="+", metavar="LABEL",
        help="Labels whose texts are left out; the word none for no label. Default: neutral and similar labels.",
    )  # fmt: skip
    files = parser.add_argument_group("views from results of attacks")
    files.add_argument(
        "--fickle", type=Path, metavar="FILE",
        help="Results of an attack, whose successes are the fickle views. Default: views are drawn from --data.",
    )  # fmt: skip
    files.add_argument(
        "--obstinate", type=Path, metavar="FILE",
        help="With --fickle: results of an antonym or negation attack, whose successes are the obstinate views. "
        "Default: none.",
    )  # fmt: skip
    results.add_argument(
        "--colour_by", choices=("view", "label"), default="view",
        help="Colours of the picture: by the kind of text, or by its true label, with the regions of the predicted "
        "classes behind the points. Default: view.",
    )  # fmt: skip
    results.add_argument("--num_texts", type=int, default=TEXTS, help=f"Maximum number of texts. Default: {TEXTS}.")
    results.add_argument(
        "--margin", type=float, default=1.0,
        help="Margin by which obstinate views must be further from the text than fickle views. Default: 1.",
    )  # fmt: skip
    results.add_argument(
        "--pooling", choices=POOLINGS, default="classifier",
        help="Pooling of the last hidden states; classifier is the state that each model's own head reads. Default: "
        "classifier.",
    )  # fmt: skip


def space(options: argparse.Namespace) -> str:
    """Measure distances of texts and views in each model; with ``--output_dir`` draw t-SNE (BAT, Figure 5)."""
    from hf_robust.cli.interpret.space import SpacePictures, chosen_texts
    from hf_robust.interpret.head import chosen_pooling
    from hf_robust.interpret.pair_statistics import equal_tokens, sentence_states
    from hf_robust.interpret.space import view_distances
    from hf_robust.wiring.checkpoint_attack import load_classifier
    from hf_robust.wiring.restored import restore_inference, text_length

    texts = chosen_texts(options)
    views = texts.views
    groups = {name: texts for name, texts in views._asdict().items() if texts}
    pictures = None if options.output_dir is None else SpacePictures(options, list(groups), texts.labels)
    numbers: list[dict[str, Any]] = []
    remarks = ""
    for name, source in zip(model_names(options.model), options.model, strict=True):
        model, tokenizer = load_classifier(source, options.device)
        restored = restore_inference(source, model, tokenizer)
        remarks += f"{name}: {restored.remark}" if restored.remark else ""
        length = text_length(options.max_seq_length, source, tokenizer, model.config)
        pooling = chosen_pooling(model, tokenizer, options.pooling, f"choose --pooling among {', '.join(POOLINGS)}")
        every = [
            sentence_states(model, tokenizer, texts, pooling, length, restored.inference) for texts in groups.values()
        ]
        states = [one.embeddings for one in every]
        measured = view_distances(states[0], states[1], states[2] if len(states) > 2 else None, options.margin)
        unread = sum(equal_tokens(tokenizer, views.originals, group, length) for group in views[1:] if group)
        row = {"model": name, "max_length": length, "pooling": pooling, **measured, "unread": unread}
        if pictures is not None:
            row |= pictures.add(name, every, measured, model.config)
        numbers.append({**row, **restored.card})
    legend = f"Mean cosine distances of pooled last hidden states; margin {options.margin:g}.\n"
    legend += f"{_unread_note(numbers)}{remarks}"
    if pictures is None:
        return f"{_distance_table(numbers)}\n{legend}"
    settings = {"pooling": options.pooling, "margin": options.margin, "seed": options.seed}
    settings["perplexity"] = pictures.perplexity
    text = f"{_distance_table(numbers)}\n{legend}Picture: {pictures.fit}.\n"
    card = {**settings, "models": numbers}
    return write_result(options.output_dir, "space", text, card, {"space": pictures.figure(len(views.originals))})


def _unread_note(numbers: Sequence[dict[str, Any]]) -> str:
    """Return a line for each model that reads both texts of some pairs as the same tokens."""
    return "".join(
        f"{row['model']} reads the same tokens for both texts of {row['unread']} pairs, because the changed word is "
        f"cut "
        "off or not in its vocabulary; their distance is 0. Raise --max_seq_length.\n"
        for row in numbers
        if row["unread"]
    )


def _distance_table(numbers: Sequence[dict[str, Any]]) -> str:
    from hf_robust.reports import markdown_table, percent

    headers = {
        "fickle": "d(text, fickle)",
        "obstinate": "d(text, obstinate)",
        "between_originals": "d(text, other text)",
        "between_obstinate": "d(obstinate, other's)",
        "obstinate_further": "obstinate further, %",
        "obstinate_further_by_margin": "further by the margin, %",
    }
    keys = [key for key in headers if key in numbers[0]]
    rows = [
        [row["model"], row["pooling"], str(row["texts"])]
        + [percent(row[key]) if "%" in headers[key] else f"{row[key]:.3f}" for key in keys]
        for row in numbers
    ]
    return markdown_table(["model", "pooling", "texts", *(headers[key] for key in keys)], rows)


# ---- conflict ----


def add_conflict_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="Output folders of runs; the others are compared with the first."
    )
    parser.add_argument("--force", action="store_true", help="Compare runs even if their texts differ.")
    add_output_flag(parser)


def conflict(options: argparse.Namespace) -> str:
    """Compare accuracy on clean texts after training on clean or adversarial texts (TaiChi, Table 4)."""
    from hf_robust.reports import clean_accuracies, conflict_figure, conflict_table

    rows, reasons = clean_accuracies(options.runs, options.force)
    card = {"not_comparable": reasons, "runs": [row.to_json() for row in rows]}
    return write_result(
        options.output_dir, "conflict", conflict_table(rows, reasons), card, {"conflict": conflict_figure(rows)}
    )


TASKS: dict[str, Command] = {
    "pairs": Command(
        "Measure distances of texts from their adversarial forms and from texts with other labels.",
        add_pairs_flags,
        pairs,
    ),
    "space": Command(
        "Draw where each model places texts and their views: distances and t-SNE.", add_space_flags, space
    ),
    "errors": Command(
        "Count the errors that a new model fixes, introduces and keeps, by slice.", add_errors_flags, errors
    ),
    "conflict": Command("Compare the accuracy of several runs on the same clean texts.", add_conflict_flags, conflict),
}
"""Task of `hf-robust interpret` -> its help, flags and function."""
