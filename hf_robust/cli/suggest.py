"""`hf-robust suggest`: the methods to try on a task, by what was measured on the most similar one."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_robust.cli.flags import DATA_SOURCES, add_column_flags

if TYPE_CHECKING:
    from hf_robust.reports.suggestion import Task

TEXTS = 2000
"""Rows whose words are counted."""
UNSPACED_LETTERS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Letters of Thai, Lao, Burmese, Khmer, Japanese and Chinese."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add flags of the data, the model to train, and the budget."""
    parser.add_argument("--data", required=True, metavar="DATA", help=f"Labelled texts: {DATA_SOURCES}.")
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="Model to train: a folder or Hub id, of which only the configuration is read, or a new lstm or cnn. "
        "Default: any model.",
    )
    parser.add_argument(
        "--max_cost",
        type=float,
        metavar="TIMES",
        help="Maximum cost of training, in trainings of normal. Default: no limit.",
    )
    add_column_flags(parser, "Default: train if there is one, else validation.")


def run(options: argparse.Namespace) -> str:
    """Describe the task, and return the methods on the front of the most similar experiment.

    Raises:
        ValueError: the data or the configuration cannot be read, or the limit is not positive.
    """
    from hf_robust.reports.suggestion import load_evidence, suggestion

    if options.max_cost is not None and not options.max_cost > 0:
        raise ValueError(f"--max_cost must be above 0, got {options.max_cost:g}: 1 is the cost of normal.")
    return suggestion(_task(options), load_evidence(), options.max_cost)


def _task(options: argparse.Namespace) -> Task:
    from hf_robust.data.columns import choose_text_columns
    from hf_robust.data.labels import is_missing, label_key
    from hf_robust.data.load import load_corpus
    from hf_robust.data.rows import check_texts
    from hf_robust.reports.suggestion import Task
    from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments

    columns = {name: getattr(options, name) for name in ("split", "label_column_name", "text_column_names")}
    arguments = data_arguments(AttackOptions(model="", output_dir=Path(), **columns), options.data)
    corpus = load_corpus(arguments)
    role = "train" if options.split is None and "train" in corpus.splits else "validation"
    rows = corpus.rows(role)
    if not len(rows):
        raise ValueError(f"{corpus.describe_split(role)} has no rows: give another --data or --split.")
    texts = choose_text_columns(rows, arguments, corpus.label_column)
    read = rows[:TEXTS]
    check_texts(read, texts, corpus.describe_split(role))
    words = sum(count_words(str(row[column])) for row in read for column in texts) / len(read)
    labels = [row.get(corpus.label_column) for row in rows]
    if any(isinstance(label, list) or (isinstance(label, float) and not label.is_integer()) for label in labels):
        raise ValueError(
            f"{corpus.describe_split(role)} has numbers or several labels in a row: the study has texts of one class "
            "each, so there is no evidence for this task; train normal and two candidates and compare them."
        )
    classes = len({label_key(label) for label in labels if not is_missing(label)})
    if classes < 2:
        raise ValueError(
            f"{corpus.describe_split(role)} has fewer than two classes: give other --data, or name the column of the "
            "labels by --label_column_name."
        )
    architecture, parameters = _model(options.model) if options.model else (None, None)
    return Task(len(texts), classes, len(rows), words, architecture, parameters)


def count_words(text: str) -> float:
    """Number of words; two letters of a script that has no spaces between words count as one.

    >>> count_words("a good film"), count_words("很好的电影")
    (3.0, 2.5)
    """
    return len(UNSPACED_LETTERS.sub(" ", text).split()) + len(UNSPACED_LETTERS.findall(text)) / 2


def _model(source: str) -> tuple[str, int | None]:
    """Type and number of parameters of a model, from its configuration; None where they depend on the data."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from hf_robust.models import WORD_MODELS

    if source in WORD_MODELS:
        return WORD_MODELS[source].model_type, None
    try:
        config: Any = AutoConfig.from_pretrained(source)
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"--model {source}: no configuration of a classifier can be read ({reason}).") from error
    return config.model_type, sum(weights.numel() for weights in model.parameters())
