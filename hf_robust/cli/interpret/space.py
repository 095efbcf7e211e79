"""Which texts and views `hf-robust interpret space` shows."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

from hf_robust.attacks import AttackArguments, resolve_skip_labels
from hf_robust.data.label_order import find_labels
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits
from hf_robust.lexicons import load_lexicon
from hf_robust.metrics import records_keep_prediction
from hf_robust.runs import read_pairs
from hf_robust.views import DrawnViews, OneAntonym, RandomSynonyms, draw_views
from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments, load_classifier
from hf_robust.wiring.restored import text_length


def chosen_views(options: argparse.Namespace) -> DrawnViews:
    """Texts with their views: drawn from ``--data`` by lexicons, or from ``--fickle`` and ``--obstinate`` files.

    Raises:
        ValueError: both or neither are given, or there are fewer than two texts with views.
    """
    if (options.data is None) == (options.fickle is None):
        raise ValueError("views come either from lexicons, with --data, or from --fickle FILE; give one of the two.")
    if options.obstinate is not None and options.fickle is None:
        raise ValueError("--obstinate needs --fickle: with --data views are drawn from --antonym_lexicon.")
    if options.num_texts < 2:
        raise ValueError(f"--num_texts must be at least 2, got {options.num_texts}.")
    return _views_of_files(options) if options.data is None else _views_of_data(options)


def _views_of_data(options: argparse.Namespace) -> DrawnViews:
    """Random synonyms and one antonym for each text, as BAT trains on; the texts in an order drawn by the seed.

    They are views of what the first model reads.
    """
    columns = {
        name: getattr(options, name) for name in ("split", "label_column_name", "text_column_names", "class_names")
    }
    antonyms = AttackArguments(lexicon=options.lexicon, antonym_lexicon=options.antonym_lexicon).antonym_source()
    fickle, opposites = RandomSynonyms(load_lexicon(options.lexicon)), load_lexicon(antonyms, "antonym")
    model, tokenizer = load_classifier(options.model[0], "cpu")
    length = text_length(options.max_seq_length, options.model[0], tokenizer, model.config)
    arguments = data_arguments(AttackOptions(model="", output_dir=Path(), **columns), options.data, length)
    corpus = load_corpus(arguments)
    labels = find_labels(corpus, arguments, model.config, training=False, classes=True)
    dataset = Splits(corpus, labels, tokenizer, arguments, model.config).labelled("validation")
    skipped = resolve_skip_labels(options.skip_labels, labels.names)
    obstinate = OneAntonym(opposites, skipped)
    rows = list(range(len(dataset)))
    random.Random(options.seed).shuffle(rows)
    drawn = draw_views(dataset, rows, fickle, obstinate, options.num_texts, options.seed)
    if len(drawn.originals) < 2:
        raise ValueError(
            f"of {len(rows)} texts of --data {options.data} {len(drawn.originals)} have a synonym and an antonym; "
            "give a larger --lexicon, or more texts."
        )
    return drawn


def _views_of_files(options: argparse.Namespace) -> DrawnViews:
    """The successes of one attack, or those that two attacks have in common."""
    found = {record.idx: record for record in read_pairs(options.fickle)}
    others = {} if options.obstinate is None else {record.idx: record for record in read_pairs(options.obstinate)}
    if records_keep_prediction(found.values()):
        raise ValueError(
            f"--fickle {options.fickle} is of an attack that wants the prediction to stay; give the results of one "
            "that wants another prediction, and this file by --obstinate."
        )
    rows = [idx for idx in found if options.obstinate is None or idx in others]
    if any(others[idx].original != found[idx].original for idx in rows if others):
        raise ValueError(
            f"--fickle {options.fickle} and --obstinate {options.obstinate} hold other texts under one number; give "
            "results on one data set."
        )
    if len(rows) < 2:
        given = f"--fickle {options.fickle}" + (f" and --obstinate {options.obstinate} together" if others else "")
        raise ValueError(f"{given} hold {len(rows)} texts with views, and two are needed; give results with more.")
    if len(rows) > options.num_texts:
        rows = sorted(random.Random(options.seed).sample(rows, options.num_texts))
    return DrawnViews(
        [tuple(found[idx].original) for idx in rows],
        [tuple(found[idx].perturbed) for idx in rows],
        [tuple(others[idx].perturbed) for idx in rows] if others else [],
    )
