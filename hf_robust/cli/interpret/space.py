"""`hf-robust interpret space`: choose the texts and their views."""

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
from hf_robust.wiring.task_checks import refuse_label_sets
from hf_robust.words import ENGLISH, words_of


def chosen_views(options: argparse.Namespace) -> DrawnViews:
    """Return texts with their views: drawn from ``--data`` by lexicons, or read from ``--fickle`` and ``--obstinate``.

    Raises:
        ValueError: both or neither are given, or there are fewer than two texts with views.
    """
    if (options.data is None) == (options.fickle is None):
        raise ValueError("views are drawn from --data or read from --fickle: give one of the two flags.")
    if options.obstinate is not None and options.fickle is None:
        raise ValueError("--obstinate needs --fickle: with --data, obstinate views are drawn by --antonym_lexicon.")
    if options.data is None and options.language != ENGLISH:
        raise ValueError(
            f"--language {options.language} decides which words of --data are replaced, and the views of --fickle are "
            "finished texts: leave it out."
        )
    if options.num_texts < 2:
        raise ValueError(f"--num_texts must be at least 2, got {options.num_texts}.")
    return _views_of_files(options) if options.data is None else _views_of_data(options)


def _views_of_data(options: argparse.Namespace) -> DrawnViews:
    """Draw random synonyms and one antonym for each text, as BAT trains on; the seed sets the order of the texts.

    Only words that the first model reads are replaced.
    """
    columns = {
        name: getattr(options, name) for name in ("split", "label_column_name", "text_column_names", "class_names")
    }
    antonyms = AttackArguments(
        lexicon=options.lexicon, antonym_lexicon=options.antonym_lexicon, language=options.language
    ).antonym_source()
    fickle = RandomSynonyms(load_lexicon(options.lexicon, language=options.language))
    opposites = load_lexicon(antonyms, "antonym", options.language)
    model, tokenizer = load_classifier(options.model[0], "cpu")
    length = text_length(options.max_seq_length, options.model[0], tokenizer, model.config)
    arguments = data_arguments(AttackOptions(model="", output_dir=Path(), **columns), options.data, length)
    corpus = load_corpus(arguments)
    labels = find_labels(corpus, arguments, model.config, training=False, classes=True)
    refuse_label_sets(labels, options.model[0])
    rule = words_of(options.language)
    dataset = Splits(corpus, labels, tokenizer, arguments, model.config, rule).labelled("validation")
    skipped = resolve_skip_labels(options.skip_labels, labels.names)
    obstinate = OneAntonym(opposites, skipped)
    rows = list(range(len(dataset)))
    random.Random(options.seed).shuffle(rows)
    drawn = draw_views(dataset, rows, fickle, obstinate, options.num_texts, options.seed)
    if len(drawn.originals) < 2:
        raise ValueError(
            f"only {len(drawn.originals)} of {len(rows)} texts of --data {options.data} have a synonym and an "
            f"antonym, and "
            "two are needed: give a larger --lexicon, or more texts."
        )
    return drawn


def _views_of_files(options: argparse.Namespace) -> DrawnViews:
    """Read the successes of one attack, or the common successes of two."""
    fickle = {record.idx: record for record in read_pairs(options.fickle)}
    obstinate = {} if options.obstinate is None else {record.idx: record for record in read_pairs(options.obstinate)}
    if records_keep_prediction(fickle.values()):
        raise ValueError(
            f"--fickle {options.fickle} has results of an obstinate attack: give it by --obstinate, and by --fickle "
            f"the "
            "results of an attack that changes the prediction."
        )
    rows = [idx for idx in fickle if options.obstinate is None or idx in obstinate]
    if any(obstinate[idx].original != fickle[idx].original for idx in rows if obstinate):
        raise ValueError(
            f"--fickle {options.fickle} and --obstinate {options.obstinate} have different texts under one idx: give "
            "results on the same data."
        )
    if len(rows) < 2:
        files = f"--fickle {options.fickle}" + (f" with --obstinate {options.obstinate}" if obstinate else "")
        raise ValueError(f"{files} has {len(rows)} texts with views, and two are needed: give results with more.")
    if len(rows) > options.num_texts:
        rows = sorted(random.Random(options.seed).sample(rows, options.num_texts))
    return DrawnViews(
        [tuple(fickle[idx].original) for idx in rows],
        [tuple(fickle[idx].perturbed) for idx in rows],
        [tuple(obstinate[idx].perturbed) for idx in rows] if obstinate else [],
    )
