"""Sub-tasks of `hf-robust interpret` about pairs of texts: statistics, pictures of the space, errors, label conflict.

Each prints a table in Markdown; ``--output_dir`` also writes it, its numbers as JSON, and its picture if it has one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.command import Command
from hf_robust.cli.flags import add_class_names, add_text_length
from hf_robust.cli.interpret.errors import add_errors_flags, errors
from hf_robust.cli.output import add_output_flag, model_names, write_result
from hf_robust.metrics import records_keep_prediction

if TYPE_CHECKING:
    from hf_robust.metrics import AttackRecord

TEXTS, PAIRS, DRAWS = 500, 1000, 10
POOLINGS = ("classifier", "cls", "last_token", "mean_pool", "max_pool")
"""Those of `hf_robust.interpret.head`, whose import would make `--help` slow."""


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", nargs="+", required=True, metavar="MODEL", help="Folders or Hub ids of fine-tuned classifiers."
    )
    add_text_length(parser)
    parser.add_argument("--device", help="Where the models run. Default: a GPU where there is one.")
    parser.add_argument("--seed", type=int, default=0, help="Of every draw. Default: 0.")


# ---- pairs ----


def add_pairs_flags(parser: argparse.ArgumentParser) -> None:
    _add_model_flags(parser)
    add_class_names(parser)
    add_output_flag(parser, "table and numbers")
    parser.add_argument(
        "--pairs", type=Path, required=True, metavar="FILE",
        help="attack_results/<attack>.jsonl of any run: every model is shown its texts.",
    )  # fmt: skip
    parser.add_argument(
        "--status", nargs="+", choices=("succeeded", "failed"), default=["succeeded"],
        help="Which examples are pairs, by how the attack ended. Default: succeeded.",
    )  # fmt: skip
    parser.add_argument(
        "--num_pairs", type=int, default=PAIRS, help=f"At most so many, drawn by the seed; 0: all. Default: {PAIRS}."
    )
    parser.add_argument(
        "--draws", type=int, default=DRAWS, help=f"Draws of the texts of another label. Default: {DRAWS}."
    )
    parser.add_argument("--tau", type=float, default=1.0, help="Temperature of CTR. Default: 1.")


def pairs(options: argparse.Namespace) -> str:
    """How far apart each model sees the texts of a pair, and texts of other labels (TaiChi, Table 7)."""
    from hf_robust.data.label_order import model_labels
    from hf_robust.interpret.pair_statistics import equal_tokens, pair_statistics, sentence_states
    from hf_robust.reports import markdown_table
    from hf_robust.runs import read_pairs
    from hf_robust.wiring.checkpoint_attack import load_classifier
    from hf_robust.wiring.restored import measured_model, text_length
    from hf_robust.wiring.static_attacks import relabelled

    found = read_pairs(options.pairs, options.status, limit=options.num_pairs, seed=options.seed)
    _refuse_remaining(found, options.pairs)
    numbers: list[dict[str, Any]] = []
    remarks = ""
    for name, source in zip(model_names(options.model), options.model, strict=True):
        model, tokenizer = load_classifier(source, options.device)
        predicting = measured_model(source, model, tokenizer)
        remarks += f"{name}: {predicting.remark}" if predicting.remark else ""
        own = model_labels(model.config, options.class_names)
        records = relabelled(found, options.pairs, own.names, "--pairs", options.class_names)
        length = text_length(options.max_seq_length, source, tokenizer, model.config)
        texts = [[record.original for record in records], [record.perturbed for record in records]]
        clean, changed = (
            sentence_states(model, tokenizer, one, "mean_pool", length, predicting.inference) for one in texts
        )
        labels = [record.label for record in records]
        measured = pair_statistics(clean, changed, labels, tau=options.tau, draws=options.draws, seed=options.seed)
        unread = equal_tokens(tokenizer, texts[0], texts[1], length)
        row = {"model": name, "max_length": length, **own.describe(), **measured.to_json(), "unread": unread}
        numbers.append({**row, **predicting.card})
    keys = ("mse_pos", "mse_neg", "kl_pos", "kl_neg", "ctr")
    header = ["model", "pairs", "MSE(pos) ↓", "MSE(neg) ↑", "KL(pos) ↓", "KL(neg) ↑", "CTR ↓"]
    rows = [[row["model"], str(row["num_pairs"]), *(f"{row[key]:.4g}" for key in keys)] for row in numbers]
    legend = (
        f"pos: a text and its adversarial form; neg: a text and one of another label, mean over {options.draws} "
        f"draws. Mean pooled last hidden states. CTR: contrastive loss over all pairs, temperature {options.tau:g}.\n"
        + _unread_note(numbers)
    )
    card = {"status": options.status, "tau": options.tau, "seed": options.seed, "models": numbers}
    return write_result(options.output_dir, "pairs", f"{markdown_table(header, rows)}\n{legend}{remarks}", card)


def _refuse_remaining(records: Sequence[AttackRecord], path: Path) -> None:
    if records_keep_prediction(records):
        raise ValueError(
            f"--pairs {path} is of an attack that changes the true label (antonym, negation), so its texts are no "
            "pairs of one label; give the results of an attack that keeps it."
        )


# ---- space ----


def add_space_flags(parser: argparse.ArgumentParser) -> None:
    _add_model_flags(parser)
    add_output_flag(parser)
    parser.add_argument("--data", help="Draw views of its texts: a file, a GLUE task, a folder, or a Hub id.")
    parser.add_argument("--split", help="Split of --data. Default: validation.")
    parser.add_argument("--label_column_name", help="Column of the labels. Default: label.")
    parser.add_argument("--text_column_names", help="One or two text columns, comma separated.")
    add_class_names(parser)
    parser.add_argument("--lexicon", default="wordnet", help="Synonyms of the fickle views. Default: wordnet.")
    parser.add_argument("--antonym_lexicon", help="Antonyms of the obstinate views. Default: --lexicon's.")
    parser.add_argument(
        "--skip_labels", nargs="+", help="Labels to leave out, or none. Default: neutral and its like."
    )
    parser.add_argument(
        "--fickle", type=Path, metavar="FILE", help="In place of --data: successes of an attack as fickle views."
    )
    parser.add_argument(
        "--obstinate", type=Path, metavar="FILE", help="With --fickle: successes of an antonym or negation attack."
    )
    parser.add_argument("--num_texts", type=int, default=TEXTS, help=f"At most so many. Default: {TEXTS}.")
    parser.add_argument("--margin", type=float, default=1.0, help="By which obstinate views are further. Default: 1.")
    parser.add_argument(
        "--pooling", choices=POOLINGS, default="classifier",
        help="Last hidden state that represents a text. Default: the one that each model's own head reads.",
    )  # fmt: skip


def space(options: argparse.Namespace) -> str:
    """How far views lie from their texts for each model, and with ``--output_dir`` its t-SNE (BAT, Figure 5)."""
    from hf_robust.cli.interpret.space import chosen_views
    from hf_robust.interpret.head import chosen_pooling
    from hf_robust.interpret.pair_statistics import equal_tokens, sentence_states
    from hf_robust.interpret.space import joint_plane, view_distances
    from hf_robust.reports import SpacePanel, space_figure
    from hf_robust.wiring.checkpoint_attack import load_classifier
    from hf_robust.wiring.restored import measured_model, text_length

    views = chosen_views(options)
    groups = {name: texts for name, texts in views._asdict().items() if texts}
    numbers: list[dict[str, Any]] = []
    panels, perplexity, remarks = [], None, ""
    for name, source in zip(model_names(options.model), options.model, strict=True):
        model, tokenizer = load_classifier(source, options.device)
        predicting = measured_model(source, model, tokenizer)
        remarks += f"{name}: {predicting.remark}" if predicting.remark else ""
        length = text_length(options.max_seq_length, source, tokenizer, model.config)
        pooling = chosen_pooling(model, tokenizer, options.pooling, f"choose --pooling among {', '.join(POOLINGS)}")
        states = [
            sentence_states(model, tokenizer, texts, pooling, length, predicting.inference).embeddings
            for texts in groups.values()
        ]
        measured = view_distances(states[0], states[1], states[2] if len(states) > 2 else None, options.margin)
        unread = sum(equal_tokens(tokenizer, views.originals, group, length) for group in views[1:] if group)
        row = {"model": name, "max_length": length, "pooling": pooling, **measured, "unread": unread}
        numbers.append({**row, **predicting.card})
        if options.output_dir is not None:
            points, perplexity = joint_plane(states, options.seed)
            far = [f"d(text, {key}) {measured[key]:.3f}" for key in ("fickle", "obstinate") if key in measured]
            panels.append(SpacePanel(name, dict(zip(groups, points, strict=True)), ", ".join(far)))
    settings = {"pooling": options.pooling, "margin": options.margin, "seed": options.seed, "perplexity": perplexity}
    legend = f"Mean cosine distances of pooled last hidden states; margin {options.margin:g}.\n"
    legend += f"{_unread_note(numbers)}{remarks}"
    if not panels:
        return f"{_distance_table(numbers)}\n{legend}"
    fit = f"one joint t-SNE for each model, perplexity {perplexity:.3g}, seed {options.seed}"
    caption = f"{len(views.originals):,} texts, {options.pooling} embeddings; {fit}. d: mean cosine distance."
    text = f"{_distance_table(numbers)}\n{legend}Picture: {fit}.\n"
    return write_result(
        options.output_dir, "space", text, {**settings, "models": numbers}, {"space": space_figure(panels, caption)}
    )


def _unread_note(numbers: Sequence[dict[str, Any]]) -> str:
    """A line for each model to which some pairs are one text."""
    return "".join(
        f"To {row['model']} both texts are the same in {row['unread']} pairs, whose distance is 0: what differs is "
        "cut off or unknown to it; raise --max_seq_length.\n"
        for row in numbers
        if row["unread"]
    )


def _distance_table(numbers: Sequence[dict[str, Any]]) -> str:
    from hf_robust.reports import markdown_table, percent

    named = {
        "fickle": "d(text, fickle)",
        "obstinate": "d(text, obstinate)",
        "between_originals": "d(text, other text)",
        "between_obstinate": "d(obstinate, other's)",
        "obstinate_further": "obstinate further, %",
        "obstinate_further_by_margin": "further by the margin, %",
    }
    keys = [key for key in named if key in numbers[0]]
    rows = [
        [row["model"], row["pooling"], str(row["texts"])]
        + [percent(row[key]) if "%" in named[key] else f"{row[key]:.3f}" for key in keys]
        for row in numbers
    ]
    return markdown_table(["model", "pooling", "texts", *(named[key] for key in keys)], rows)


# ---- conflict ----


def add_conflict_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="Output folders; the first is what others differ from.")
    parser.add_argument("--force", action="store_true", help="Show runs of different texts all the same.")
    add_output_flag(parser)


def conflict(options: argparse.Namespace) -> str:
    """What training on adversarial texts does to accuracy on clean ones (TaiChi, Table 4)."""
    from hf_robust.reports import clean_accuracies, conflict_figure, conflict_table

    rows, reasons = clean_accuracies(options.runs, options.force)
    card = {"not_comparable": reasons, "runs": [row.to_json() for row in rows]}
    return write_result(
        options.output_dir, "conflict", conflict_table(rows, reasons), card, {"conflict": conflict_figure(rows)}
    )


TASKS: dict[str, Command] = {
    "pairs": Command("Distances of texts from their adversarial forms and from other labels.", add_pairs_flags, pairs),
    "space": Command("Where each model places texts and their views: distances and t-SNE.", add_space_flags, space),
    "errors": Command("Which errors a new model fixed, introduced and left, by slice.", add_errors_flags, errors),
    "conflict": Command("Accuracy of several runs on the same clean texts.", add_conflict_flags, conflict),
}
"""Name of each sub-task of `hf-robust interpret` -> its help, flags and function."""
