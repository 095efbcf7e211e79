"""From rows to tokenised splits: choose rows, encode labels, tokenise what is left, and say what was done."""

import logging
import random
from collections import Counter
from typing import Any

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import JOINED, choose_text_columns, join_columns
from hf_robust.data.dataset import TextDataset
from hf_robust.data.files import Rows
from hf_robust.data.labels import UNLABELLED, Labels, is_missing, label_key
from hf_robust.data.length import usable_length
from hf_robust.data.load import Corpus

logger = logging.getLogger(__name__)


class Splits:
    """Tokenised splits of a corpus, all with the same columns, labels and length.

    Args:
        corpus: the rows.
        labels: what their labels mean.
        tokenizer, config: what both can read bounds ``--max_seq_length``.
    """

    def __init__(
        self, corpus: Corpus, labels: Labels, tokenizer: Any, args: DataTrainingArguments, config: Any = None
    ) -> None:
        self.corpus, self.labels, self.tokenizer, self.args = corpus, labels, tokenizer, args
        usable = usable_length(tokenizer, config) or args.max_seq_length
        if args.max_seq_length > usable:
            logger.warning(
                f"--max_seq_length {args.max_seq_length} is more than the model can read, so {usable} is used."
            )
        self.max_length: int = min(args.max_seq_length, usable)
        first: Rows = next((rows for rows in corpus.splits.values() if rows), [])
        if not first:
            raise ValueError(f"{corpus.name} has no rows: every split of it is empty.")
        self.text_columns = choose_text_columns(first, args, corpus.label_column)
        if args.text_column_delimiter is not None:
            logger.info("text: columns %s joined", self.text_columns)
        else:
            logger.info("text: column(s) %s", self.text_columns)

    def labelled(self, role: str, limit: int | None = None) -> TextDataset:
        """The first ``limit`` labelled rows of a split, with their labels as ids, without rows of label -1.

        Raises:
            ValueError: no such split or column, a row without label, or labels that no class of the task has.
        """
        self.corpus.label_values(role)  # refuses a split without them
        rows, column, where = self.corpus.rows(role), self.corpus.label_column, self.corpus.label(role)
        if self.labels.is_regression:
            kept = rows
        else:
            kept = [row for row in rows if not _is_unlabelled(row.get(column), self.labels)]
        if len(kept) < len(rows):
            logger.warning(f"{len(rows) - len(kept)} of {len(rows)} rows of {where} have label -1 and are left out.")
        kept = kept[:limit]
        self._check_labels(kept, where)
        encoded = [{**row, "label": self.labels.encode(row[column])} for row in self._texts(kept)]
        dataset = self._dataset(encoded, "label", where)
        self._say_classes(dataset, where, cut=len(kept) < len(rows))
        if dataset.cut_rows:
            logger.warning(
                f"{len(dataset.cut_rows):,} of {len(dataset):,} texts of {where} are longer than {self.max_length} "
                "tokens (--max_seq_length) and are cut there."
            )
        return dataset

    def unlabelled(self, role: str, limit: int | None = None) -> TextDataset:
        """The first ``limit`` rows of a split without their labels, which may be absent or hidden."""
        rows = self.corpus.rows(role)[:limit]
        return self._dataset(self._texts(rows), None, self.corpus.label(role))

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
        )

    def _check_labels(self, rows: Rows, where: str) -> None:
        column = self.corpus.label_column
        for index, row in enumerate(rows):
            if is_missing(row.get(column)):
                raise ValueError(f"labelled row {index} of {where} has no label: fill it in or remove the row.")
        unknown = {repr(row[column]) for row in rows if not self.labels.knows(row[column])}
        if unknown:
            known = "numbers" if self.labels.is_regression else list(self.labels.names)
            otherwise = "add training rows of them, remove these rows, or set --class_names"
            if self.labels.origin == "--class_names":
                otherwise = "name every class by --class_names as the data does, or remove these rows"
            elif self.labels.origin == "checkpoint":
                otherwise = (
                    "remove these rows, or, where the data calls the model's classes otherwise, give its names in the "
                    "model's order by --class_names"
                )
            raise ValueError(
                f"{where} has labels that the task does not know: {', '.join(sorted(unknown)[:5])} (known: {known}); "
                f"{otherwise}."
            )

    def _say_classes(self, dataset: TextDataset, where: str, cut: bool) -> None:
        """Log the shares of the classes; warn of labels that cannot be told apart, cannot be scored, or conflict."""
        if not self.labels.is_single or self.labels.num_labels < 2:
            return
        _say_contradictions(dataset, where)
        shares = class_shares(dataset, self.labels)
        logger.info("Class distribution in %s: %s", where, {name: f"{share:.3f}" for name, share in shares.items()})
        present = [name for name, share in shares.items() if share]
        absent = [name for name in shares if name not in present]
        if len(present) == 1 and len(dataset) > 1:
            which = f"All of the {'first ' * cut}{len(dataset):,} rows"
            logger.warning(
                f"{which} of {where} are of one class, {present[0]}, so nothing is told apart. If the file is sorted "
                "by label, shuffle it, or use all of it."
            )
        elif absent:
            logger.warning(
                f"None of the rows of {where} that are used is of the class {', '.join(absent)}: no score tells of it."
            )


def _say_contradictions(dataset: TextDataset, where: str) -> None:
    """Warn of texts that occur with several labels: whatever is predicted for them, some count as wrong."""
    labels: dict[tuple[str, ...], set[str]] = {}
    for index in range(len(dataset)):
        labels.setdefault(dataset.texts(index), set()).add(str(dataset.label(index)))
    several = sum(len(found) > 1 for found in labels.values())
    if several:
        logger.warning(f"{several:,} texts of {where} occur with several labels: no model is right about all of them.")


def train_texts(corpus: Corpus, args: DataTrainingArguments) -> list[str]:
    """Every text of the training split, from which a new model learns its words.

    Raises:
        ValueError: there is no training split, or no such column.
    """
    rows = corpus.rows("train")
    columns = choose_text_columns(rows, args, corpus.label_column)
    # What is not text is left for the data set to refuse, which says where it stands.
    return [row[column] for row in rows for column in columns if isinstance(row.get(column), str)]


def _is_unlabelled(raw: Any, labels: Labels) -> bool:
    return bool(label_key(raw) == UNLABELLED) and not labels.knows(raw)


def log_samples(dataset: TextDataset, seed: int, count: int = 3) -> None:
    """Log a few training rows, drawn by a generator of its own so that training is not disturbed."""
    for index in random.Random(seed).sample(range(len(dataset)), min(count, len(dataset))):
        logger.info("Sample %d of the training set: %s %s", index, dataset.texts(index), dataset[index])


def class_shares(dataset: TextDataset, labels: Labels) -> dict[str, float]:
    """The share of each class among the rows, by the class's name; empty where a row has no one class."""
    if not labels.is_single or not len(dataset):
        return {}
    counts = Counter(dataset.label(index) for index in range(len(dataset)))
    return {name: counts[index] / len(dataset) for index, name in enumerate(labels.names)}


def describe_data(
    corpus: Corpus, train: TextDataset | None, evaluation: TextDataset | None, labels: Labels | None = None
) -> dict[str, Any]:
    """What the run card says about the data, so that variants of a data set are not compared with each other and
    nobody need guess which split was trained on and which was attacked.

    ``variant`` names each split's source with its number of rows; ``fingerprint`` covers texts and labels. Where both
    splits are at hand, ``seen_in_training`` counts the evaluation rows whose text was trained on too. With ``labels``
    the shares of the classes among the evaluation rows tell a model that has learnt from one that guesses.
    ``max_length`` is the cut in tokens, ``train_cut`` and ``eval_cut`` count the texts that are longer.
    """
    sizes = {role: f"{corpus.where[role]} ({len(rows)} rows)" for role, rows in corpus.splits.items()}
    prints = [dataset.fingerprint() for dataset in (train, evaluation) if dataset is not None]
    both = {} if train is None or evaluation is None else {"seen_in_training": seen_in_training(train, evaluation)}
    lengths = [dataset.max_length for dataset in (train, evaluation) if dataset is not None]
    return {
        "name": corpus.name,
        "variant": "; ".join(f"{role}: {size}" for role, size in sizes.items()),
        "max_length": lengths[0] if lengths else None,
        "train_samples": 0 if train is None else len(train),
        "train_cut": 0 if train is None else len(train.cut_rows),
        "eval_samples": 0 if evaluation is None else len(evaluation),
        "eval_cut": 0 if evaluation is None else len(evaluation.cut_rows),
        "fingerprint": "-".join(prints),
        "attack_split": corpus.called.get("validation", "validation"),
        **(
            {"class_shares": class_shares(evaluation, labels)} if evaluation is not None and labels is not None else {}
        ),
        **({"extra_rows": extra} if (extra := getattr(train, "extra_rows", None)) else {}),
        **both,
    }


def seen_in_training(train: TextDataset, evaluation: TextDataset) -> int:
    """Rows of ``evaluation`` whose text, all columns together, is a training row's but for case and white space.

    Labels do not count: a text that was trained on with another label was seen as well.
    """
    known = {_folded(train.texts(index)) for index in range(len(train))}
    return sum(_folded(evaluation.texts(index)) in known for index in range(len(evaluation)))


def _folded(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(" ".join(text.casefold().split()) for text in texts)
