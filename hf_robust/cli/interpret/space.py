"""`hf-robust interpret space`: choose the texts, their views and their labels."""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hf_robust.attacks import AttackArguments, resolve_skip_labels
from hf_robust.data.label_order import find_labels, model_labels
from hf_robust.data.labels import label_key
from hf_robust.data.load import load_corpus
from hf_robust.data.splits import Splits
from hf_robust.interpret.pair_statistics import States
from hf_robust.interpret.space import NEIGHBOURS, joint_plane, predicted_regions
from hf_robust.lexicons import load_lexicon
from hf_robust.metrics import AttackRecord, records_keep_prediction
from hf_robust.reports import SpacePanel, percent, space_figure
from hf_robust.reports.label_space import LabelPanel, label_space_figure
from hf_robust.runs import read_pairs
from hf_robust.views import DrawnViews, OneAntonym, RandomSynonyms, each_with_views
from hf_robust.wiring.checkpoint_attack import AttackOptions, data_arguments, load_classifier
from hf_robust.wiring.restored import text_length
from hf_robust.wiring.static_attacks import relabelled
from hf_robust.wiring.task_checks import refuse_label_sets
from hf_robust.words import ENGLISH, words_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ChosenTexts(NamedTuple):
    """Texts with their views, and the names of their labels."""

    views: DrawnViews
    labels: list[str]


def chosen_texts(options: argparse.Namespace) -> ChosenTexts:
    """Return texts with their views and labels.

    Views are drawn from ``--data`` by lexicons, or read from ``--fickle`` and ``--obstinate``.

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
    if options.colour_by == "label" and options.output_dir is None:
        raise ValueError(
            "--colour_by label colours the picture, and without --output_dir there is none: give the folder."
        )
    return _views_of_files(options) if options.data is None else _views_of_data(options)


def _views_of_data(options: argparse.Namespace) -> ChosenTexts:
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
    drawn = list(each_with_views(dataset, rows, fickle, obstinate, options.num_texts, options.seed))
    if len(drawn) < 2:
        raise ValueError(
            f"only {len(drawn)} of {len(rows)} texts of --data {options.data} have a synonym and an "
            f"antonym, and "
            "two are needed: give a larger --lexicon, or more texts."
        )
    views = DrawnViews(*(list(column) for column in zip(*(texts for _, texts in drawn), strict=True)))
    return ChosenTexts(
        views, [labels.names[label] for row, _ in drawn if isinstance(label := dataset.label(row), int)]
    )


def _views_of_files(options: argparse.Namespace) -> ChosenTexts:
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
    views = DrawnViews(
        [tuple(fickle[idx].original) for idx in rows],
        [tuple(fickle[idx].perturbed) for idx in rows],
        [tuple(obstinate[idx].perturbed) for idx in rows] if obstinate else [],
    )
    labels = _label_names([fickle[idx] for idx in rows], options) if options.colour_by == "label" else []
    return ChosenTexts(views, labels)


def _label_names(records: list[AttackRecord], options: argparse.Namespace) -> list[str]:
    """Names of the labels of records, in the words of the first model."""
    model, _ = load_classifier(options.model[0], "cpu")
    names = model_labels(model.config, options.class_names).names
    return [names[one.label] for one in relabelled(records, options.fickle, names, "--fickle", options.class_names)]


def _class_ids(names: Sequence[str], classes: Sequence[str], whose: str) -> list[int]:
    """Ids of names among the classes of the first model.

    Raises:
        ValueError: it has no such class.
    """
    ids = {label_key(one): index for index, one in enumerate(classes)}
    unknown = next((name for name in names if label_key(name) not in ids), None)
    if unknown is not None:
        raise ValueError(
            f"--colour_by label compares classes by their names: {whose} {unknown}, and the first model has "
            f"{', '.join(classes)}; give the names by --class_names."
        )
    return [ids[label_key(name)] for name in names]


class SpacePictures:
    """Panels of the picture, one for each model, coloured by view or by label."""

    def __init__(self, options: argparse.Namespace, groups: Sequence[str], labels: Sequence[str]) -> None:
        self._options, self._groups, self._labels = options, groups, labels
        self._by_view: list[SpacePanel] = []
        self._by_label: list[LabelPanel] = []
        self._classes: list[str] = []
        self.perplexity = 0.0

    def add(self, name: str, states: Sequence[States], distances: Mapping[str, float], config: Any) -> dict[str, Any]:
        """Add the panel of a model; return its numbers beside the distances."""
        embeddings = [one.embeddings for one in states]
        points, self.perplexity = joint_plane(embeddings, self._options.seed)
        by_group = dict(zip(self._groups, points, strict=True))
        note = ", ".join(f"d(text, {key}) {distances[key]:.3f}" for key in self._groups if key in distances)
        if self._options.colour_by == "view":
            self._by_view.append(SpacePanel(name, by_group, note))
            return {}
        classes = list(model_labels(config, self._options.class_names).names)
        self._classes = self._classes or classes
        labels = _class_ids(self._labels, self._classes, "a text has the label")
        order = _class_ids(
            classes, self._classes, f"{name} has the class"
        )  # a later model may number the classes differently
        predictions = [order[int(label)] for one in states for label in one.logits.argmax(-1)]
        regions = predicted_regions(np.concatenate(points), predictions)
        note += f"\nregions agree with {percent(regions.agreement)} % of the predictions"
        self._by_label.append(LabelPanel(name, by_group, labels, regions[:3], note))
        return {"regions_agree": regions.agreement}

    @property
    def fit(self) -> str:
        """How the plane was fitted."""
        return f"one joint t-SNE for each model, perplexity {self.perplexity:.3g}, seed {self._options.seed}"

    def figure(self, count: int) -> Figure:
        """The picture of all models, of ``count`` texts."""
        caption = f"{count:,} texts, {self._options.pooling} embeddings; {self.fit}. d: mean cosine distance."
        if not self._by_label:
            return space_figure(self._by_view, caption)
        caption += (
            "\nColours: true labels. Regions: the class that the model predicts for most of the "
            f"{NEIGHBOURS} nearest texts in the plane."
        )
        return label_space_figure(self._by_label, self._classes, caption)
