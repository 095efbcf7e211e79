"""`hf-robust interpret pairs`: the numbers of each model, and of the encoder before fine-tuning."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from hf_robust.cli.output import model_names
from hf_robust.data.label_order import model_labels
from hf_robust.interpret.pair_statistics import equal_tokens, pair_statistics, sentence_states
from hf_robust.interpret.reader import Predict
from hf_robust.metrics import AttackRecord
from hf_robust.models.trained import with_tokenizer
from hf_robust.models.untuned import load_untuned
from hf_robust.runs import portable_path
from hf_robust.wiring.checkpoint_attack import load_classifier
from hf_robust.wiring.restored import restore_inference, text_length
from hf_robust.wiring.static_attacks import relabelled

UNTUNED = "before fine-tuning"


def pair_rows(options: argparse.Namespace, attacked: list[AttackRecord]) -> tuple[list[dict[str, Any]], str]:
    """Measure every model of ``--model`` on the same pairs, and ``--before_fine_tuning`` in a row before them.

    The encoder before fine-tuning reads texts as long as the first model does, and has a head of random weights for
    the classes of the models, as a fine-tuning begins.

    Returns:
        the rows, and remarks of one line each.

    Raises:
        ValueError: a model cannot be loaded, or has other classes than the pairs.
    """
    rows: list[dict[str, Any]] = []
    remarks, classes = "", list[str]()
    for name, source in zip(model_names(options.model), options.model, strict=True):
        model, tokenizer = load_classifier(source, options.device)
        restored = restore_inference(source, model, tokenizer)
        remarks += f"{name}: {restored.remark}" if restored.remark else ""
        length = text_length(options.max_seq_length, source, tokenizer, model.config)
        numbers = _measured(options, attacked, model, tokenizer, length, restored.inference)
        rows.append({"model": name, **numbers, **restored.card})
        classes = classes or list(model_labels(model.config, options.class_names).names)
    encoder = options.before_fine_tuning
    if encoder is None:
        return rows, remarks
    untuned = load_untuned(encoder, classes, options.seed)
    model, tokenizer = with_tokenizer(untuned, encoder, options.device)
    numbers = _measured(options, attacked, model, tokenizer, rows[0]["max_length"], None)
    row = {"model": UNTUNED, **numbers, "encoder": portable_path(encoder), "head_seed": options.seed}
    remarks += f"{UNTUNED}: {portable_path(encoder)} with a head of random weights (seed {options.seed}).\n"
    return [row, *rows], remarks


def _measured(
    options: argparse.Namespace,
    attacked: Sequence[AttackRecord],
    model: Any,
    tokenizer: Any,
    length: int | None,
    inference: Predict | None,
) -> dict[str, Any]:
    classes = model_labels(model.config, options.class_names)
    records = relabelled(list(attacked), options.pairs, classes.names, "--pairs", options.class_names)
    texts = [[record.original for record in records], [record.perturbed for record in records]]
    clean, changed = (sentence_states(model, tokenizer, group, "mean_pool", length, inference) for group in texts)
    labels = [record.label for record in records]
    found = pair_statistics(clean, changed, labels, tau=options.tau, draws=options.draws, seed=options.seed)
    unread = equal_tokens(tokenizer, texts[0], texts[1], length)
    return {"max_length": length, **classes.describe(), **found.to_json(), "unread": unread}
