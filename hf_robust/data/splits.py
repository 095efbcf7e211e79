"""From rows to tokenised splits: choose rows, encode labels, tokenise, and log the result."""

import logging
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import JOINED, choose_text_columns, columns_of, join_columns, no_label_column
from hf_robust.data.dataset import TextDataset
from hf_robust.data.files import Rows
from hf_robust.data.labels import UNLABELLED, Labels, check_label_lists, is_missing, label_key
from hf_robust.data.length import usable_length
from hf_robust.data.load import Corpus, read_label
from hf_robust.data.rows import Label
from hf_robust.data.stream import TextStream
from hf_robust.words import UNICODE_WORDS, WordRule

logger = logging.getLogger(__name__)


class Splits:
    """Tokenised splits of a corpus, all with the same columns, labels and length.

    Args:
        corpus: the rows.
        labels: the classes of the task.
        tokenizer, config: their maximum length limits ``--max_seq_length``. Without a tokenizer no text is cut.
        word_rule: the definition of a word, by the language of the texts.
        token_cache: as in ``TextDataset``; ``--overwrite_cache`` tokenises again, once on each machine.
    """

    def __init__(
        self,
        corpus: Corpus,
        labels: Labels,
        tokenizer: Any,
        args: DataTrainingArguments,
        config: Any = None,
        word_rule: WordRule = UNICODE_WORDS,
        token_cache: Path | None = None,
    ) -> None:
        self.word_rule, self.token_cache = word_rule, token_cache
        self.corpus, self.labels, self.tokenizer, self.args = corpus, labels, tokenizer, args
        self.max_length: int | None = None if tokenizer is None else self._cut_at(tokenizer, config)
        first: Rows = next((rows for rows in corpus.loaded_rows if rows), [])
        if not first:
            raise ValueError(f"{corpus.name} has no rows: give data with at least one row.")
        self.text_columns = choose_text_columns(first, args, corpus.label_column)
        if args.text_column_delimiter is not None:
            logger.info("text columns, joined: %s", ", ".join(self.text_columns))
        else:
            logger.info("text columns: %s", ", ".join(self.text_columns))

    def _cut_at(self, tokenizer: Any, config: Any) -> int:
        usable = usable_length(tokenizer, config) or self.args.max_seq_length
        if self.args.max_seq_length > usable:
            logger.warning(
                f"--max_seq_length {self.args.max_seq_length} is more than the model can read, so {usable} is used."
            )
        return min(self.args.max_seq_length, usable)

    def labelled(self, role: str, limit: int | None = None) -> TextDataset:
        """Return the first ``limit`` labelled rows of a split, with labels as ids, without rows of label -1.

        Raises:
            ValueError: there is no such split or column, a row has no label, or a label is no class of the task.
        """
        self.corpus.label_values(role)  # refuses a split without labels
        rows, where = self.corpus.rows(role), self.corpus.describe_split(role)
        labelled = self._labelled_rows(rows)
        if len(labelled) < len(rows):
            unlabelled = len(rows) - len(labelled)
            logger.warning(f"{unlabelled} of {len(rows)} rows of {where} have label -1 and are left out.")
        labelled = labelled[:limit]
        dataset = self._encoded(labelled, where)
        self._log_classes(dataset, where, limited=len(labelled) < len(rows))
        self._warn_of_cut_texts(dataset, "")
        return dataset

    def streamed(self, seed: int | None) -> TextStream:
        """Return the training rows as they are read, in an order by ``seed`` (`TextStream`); checks the first ones.

        Raises:
            ValueError: as in `labelled`, for the first rows now, and for others when they are read.
        """
        stream, where = self.corpus.stream, self.corpus.describe_split("train")
        assert stream is not None
        columns = columns_of(stream.head)
        if self.corpus.label_column not in columns:
            raise ValueError(no_label_column(where, columns, self.corpus.label_column))
        head = self._encoded(self._labelled_rows(stream.head), where)
        self._log_classes(head, where, limited=True)
        self._warn_of_cut_texts(head, "the first ")
        return TextStream(stream.rows, self._encoded_chunk, head, seed)

    def _encoded_chunk(self, rows: Rows, where: str) -> TextDataset | None:
        column = self.corpus.label_column
        if self.corpus.stream and self.corpus.stream.has_text_labels:
            rows = [{**row, column: read_label(row.get(column), self.labels)} for row in rows]
        labelled = self._labelled_rows(rows)
        return self._encoded(labelled, where) if labelled else None

    def _labelled_rows(self, rows: Rows) -> Rows:
        """The rows whose label is not -1."""
        if self.labels.is_regression:
            return rows
        return [row for row in rows if not _is_unlabelled(row.get(self.corpus.label_column), self.labels)]

    def _encoded(self, rows: Rows, where: str) -> TextDataset:
        self._check_labels(rows, where)
        column = self.corpus.label_column
        encoded = [{**row, "label": self.labels.encode(row[column])} for row in self._texts(rows)]
        return self._dataset(encoded, "label", where)

    def _warn_of_cut_texts(self, dataset: TextDataset, which: str) -> None:
        if dataset.cut_rows:
            logger.warning(
                f"{len(dataset.cut_rows):,} of {which}{len(dataset):,} texts of {dataset.name} are longer than "
                f"{self.max_length} tokens (--max_seq_length) and are cut there."
            )

    def unlabelled(self, role: str, limit: int | None = None) -> TextDataset:
        """Return the first ``limit`` rows of a split without labels, which may be missing or hidden."""
        rows = self.corpus.rows(role)[:limit]
        return self._dataset(self._texts(rows), None, self.corpus.describe_split(role))

    def _texts(self, rows: Rows) -> Rows:
        if self.args.text_column_delimiter is None:
            return rows
        return join_columns(rows, self.text_columns, self.args.text_column_delimiter)

    def _dataset(self, rows: Rows, label_column: str | None, where: str) -> TextDataset:
        return TextDataset(
            rows,
            self.text_columns if self.args.text_column_delimiter is None else (JOINED,),
            self.tokenizer,
            max_length=self.max_length,
            padding="max_length" if self.args.pad_to_max_length else False,
            label_column=label_column,
            name=where,
            word_rule=self.word_rule,
            token_cache=self.token_cache,
            overwrite_cache=self.args.overwrite_cache and os.environ.get("LOCAL_RANK", "0") == "0",
        )

    def _check_labels(self, rows: Rows, where: str) -> None:
        column = self.corpus.label_column
        for index, row in enumerate(rows):
            if is_missing(row.get(column)):
                raise ValueError(f"labelled row {index} of {where} has no label: write one, or remove the row.")
        if self.labels.is_multi:
            check_label_lists([row[column] for row in rows], where)
        unknown = {repr(row[column]) for row in rows if not self.labels.knows(row[column])}
        if unknown:
            known = "numbers" if self.labels.is_regression else list(self.labels.names)
            remedy = "add training rows with these labels, remove these rows, or set --class_names"
            if self.labels.origin == "--class_names" or (self.labels.origin == "data" and self.corpus.stream):
                remedy = "name every class of the data by --class_names, or remove these rows"
            elif self.labels.origin == "checkpoint":
                remedy = (
                    "remove these rows or, if the data has other names for the model's classes, give them in the "
                    "model's "
                    "order by --class_names"
                )
            raise ValueError(
                f"{where} has labels that are no class of the task: {', '.join(sorted(unknown)[:5])} (known: "
                f"{known}); "
                f"{remedy}."
            )

    def _log_classes(self, dataset: TextDataset, where: str, limited: bool) -> None:
        """Log the shares of the classes; warn of a single class, missing classes, and contradictory labels."""
        if not self.labels.is_single or self.labels.num_labels < 2:
            return
        _warn_of_contradictions(dataset, where)
        shares = class_shares(dataset, self.labels)
        logger.info("Class distribution in %s: %s", where, {name: f"{share:.3f}" for name, share in shares.items()})
        present = [name for name, share in shares.items() if share]
        absent = [name for name in shares if name not in present]
        if len(present) == 1 and len(dataset) > 1:
            rows = f"All of the {'first ' * limited}{len(dataset):,} rows"
            logger.warning(
                f"{rows} of {where} have one class, {present[0]}, so classes cannot be distinguished. If the file is "
                "sorted by label, shuffle it, or use all of it."
            )
        elif absent:
            logger.warning(
                f"No row of {where} that is used has the class {', '.join(absent)}, so no score depends on it."
            )


def _warn_of_contradictions(dataset: TextDataset, where: str) -> None:
    """Warn of texts that occur with several labels, so that some predictions are always wrong."""
    labels: dict[tuple[str, ...], Label] = {}
    contradictory: set[tuple[str, ...]] = set()
    for index in range(len(dataset)):
        texts, label = dataset.texts(index), dataset.label(index)
        if labels.setdefault(texts, label) != label:
            contradictory.add(texts)
    if contradictory:
        logger.warning(
            f"{len(contradictory):,} texts of {where} occur with several labels, so no model can be always correct."
        )


def train_texts(corpus: Corpus, args: DataTrainingArguments) -> list[str]:
    """Return every text of the training split, for the vocabulary of a new model.

    Raises:
        ValueError: there is no training split, or no such column.
    """
    rows = corpus.rows("train")
    columns = choose_text_columns(rows, args, corpus.label_column)
    # The data set refuses values that are not text, and names the row.
    return [row[column] for row in rows for column in columns if isinstance(row.get(column), str)]


def _is_unlabelled(raw: Any, labels: Labels) -> bool:
    return bool(label_key(raw) == UNLABELLED) and not labels.knows(raw)


def log_samples(dataset: TextDataset, seed: int, count: int = 3) -> None:
    """Log a few training rows, drawn by a separate random generator so that training does not change."""
    for index in random.Random(seed).sample(range(len(dataset)), min(count, len(dataset))):
        logger.info("Sample %d of the training set: %s %s", index, dataset.texts(index), dataset[index])


def class_shares(dataset: TextDataset, labels: Labels) -> dict[str, float]:
    """Return the share of each class among the rows, by name; empty if rows do not have one class each."""
    if not labels.is_single or not len(dataset):
        return {}
    counts = Counter(dataset.label(index) for index in range(len(dataset)))
    return {name: counts[index] / len(dataset) for index, name in enumerate(labels.names)}


def describe_data(
    corpus: Corpus,
    train: TextDataset | TextStream | None,
    evaluation: TextDataset | None,
    labels: Labels | None = None,
) -> dict[str, Any]:
    """Describe the data for the run card, so that runs on different data are not compared by mistake.

    ``variant`` names the source and number of rows of each split, and ``attack_split`` the split that is attacked;
    ``fingerprint`` covers texts and labels. With both splits, ``seen_in_training`` counts the evaluation rows whose
    text was also trained on. With ``labels``, ``class_shares`` are the shares of the classes among the evaluation
    rows. ``max_length`` is the maximum length in tokens; ``train_cut`` and ``eval_cut`` count the texts that are
    longer. Of a stream, whose rows are not counted, the fingerprint is of the first rows, and ``streaming`` describes
    the order.
    """
    streamed, train_rows = (train, None) if isinstance(train, TextStream) else (None, train)
    sizes = {"train": f"{corpus.origins['train']} (streamed)"} if streamed else {}
    sizes |= {role: f"{corpus.origins[role]} ({len(rows)} rows)" for role, rows in corpus.splits.items()}
    fingerprints = [dataset.fingerprint() for dataset in (train, evaluation) if dataset is not None]
    seen = {}
    if train_rows is not None and evaluation is not None:
        seen = {"seen_in_training": seen_in_training(train_rows, evaluation)}
    measured = [streamed.head if streamed else train_rows, evaluation]
    lengths = [dataset.max_length for dataset in measured if dataset is not None]
    return {
        "name": corpus.name,
        "variant": "; ".join(f"{role}: {size}" for role, size in sizes.items()),
        "max_length": lengths[0] if lengths else None,
        "train_samples": None if streamed else 0 if train_rows is None else len(train_rows),
        "train_cut": None if streamed else 0 if train_rows is None else len(train_rows.cut_rows),
        "eval_samples": 0 if evaluation is None else len(evaluation),
        "eval_cut": 0 if evaluation is None else len(evaluation.cut_rows),
        "fingerprint": "-".join(fingerprints),
        "attack_split": corpus.split_names.get("validation", "validation"),
        **(
            {"class_shares": class_shares(evaluation, labels)} if evaluation is not None and labels is not None else {}
        ),
        **({"extra_rows": extra} if (extra := getattr(train, "extra_rows", None)) else {}),
        **seen,
        **({"streaming": streamed.describe()} if streamed else {}),
    }


def seen_in_training(train: TextDataset, evaluation: TextDataset) -> int:
    """Count the rows of ``evaluation`` whose text is also in ``train``, without regard to case, white space and label.

    All columns of a row are compared.
    """
    training_texts = {_folded(train.texts(index)) for index in range(len(train))}
    return sum(_folded(evaluation.texts(index)) in training_texts for index in range(len(evaluation)))


def _folded(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in texts)
