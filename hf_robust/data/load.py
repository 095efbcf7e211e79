"""Load the rows that the data flags name: GLUE, a data set of the Hub or of a folder, files, or the demo corpus.

Local files are read without the `datasets` library. The roles of splits are those of run_glue: ``train``,
``validation``, ``test``, and for MNLI ``validation_mismatched`` and ``test_mismatched``.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import columns_of, comma_separated, no_label_column, without_columns
from hf_robust.data.files import Rows, extension_of
from hf_robust.data.labels import Labels
from hf_robust.data.sources import HubAccess, Source, datasets_source, folder_source
from hf_robust.data.stream import RowStream
from hf_robust.data.tasks import GLUE_TASKS

logger = logging.getLogger(__name__)

INTEGER = re.compile(r"[-+]?[0-9]+")
DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
GLUE_ON_THE_HUB = "nyu-mll/glue"
ROLES: dict[str, tuple[str, ...]] = {  # role -> possible names of its split; the first that exists is used
    "train": ("train",),
    "validation": ("validation", "validation_matched", "dev", "dev_matched"),
    "validation_mismatched": ("validation_mismatched", "dev_mismatched"),
    "test": ("test", "test_matched"),
    "test_mismatched": ("test_mismatched",),
}
NEEDED_BY = {"train": "--do_train", "validation": "--do_eval", "test": "--do_predict"}


@dataclass
class Corpus:
    """Rows by role.

    Attributes:
        name: name of the data set.
        splits: the rows, by role.
        origins: the file or Hub data set of each role, for errors and the run card.
        split_names: the source's own name of the split of each role.
        label_names: class names that the source declares, by id.
        label_column: column of the labels.
        available_splits: names of all splits of the source.
        stream: the training rows under ``--streaming``, which are then not in ``splits``.
    """

    name: str
    splits: dict[str, Rows]
    origins: dict[str, str] = field(default_factory=dict)
    split_names: dict[str, str] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    label_column: str = "label"
    available_splits: list[str] = field(default_factory=list)
    stream: RowStream | None = None

    def rows(self, role: str) -> Rows:
        """Return the rows of a split.

        Raises:
            ValueError: there is no such split, or it is empty.
        """
        if role not in self.splits:
            raise ValueError(
                f"{NEEDED_BY.get(role, role)} needs a {role} split, and {self.name} has "
                f"{self.available_splits or 'none'}: "
                f"give --{role}_file, or name a split by --{role}_split_name."
            )
        if not self.splits[role]:
            raise ValueError(f"the {role} split ({self.origins[role]}) is empty: give at least one row.")
        return self.splits[role]

    def label_values(self, role: str) -> list[Any]:
        """Return the labels of a split as its source writes them; None for a row without a label.

        Raises:
            ValueError: no row has the label column, or there are no rows.
        """
        columns = columns_of(self.rows(role))
        if self.label_column not in columns:
            raise ValueError(no_label_column(self.describe_split(role), columns, self.label_column))
        return [row.get(self.label_column) for row in self.rows(role)]

    @property
    def loaded_rows(self) -> list[Rows]:
        """The rows in memory, of the training split first: all rows of each split, the first ones of a stream."""
        return [*([self.stream.head] if self.stream else []), *self.splits.values()]

    def read_labels(self) -> None:
        """Convert the labels of csv files, which are text, by `read_labels`; those of a stream when they are read."""
        if self.stream is None:
            self.splits = read_labels(self.splits, self.label_column)
            return
        converted = read_labels({"train": self.stream.head, **self.splits}, self.label_column)
        self.stream = replace(self.stream, head=converted.pop("train"), has_text_labels=True)
        self.splits = converted

    def describe_split(self, role: str) -> str:
        """Describe a split in errors by its role and its file."""
        return f"{role} ({self.origins[role]})"


def load_corpus(args: DataTrainingArguments, access: HubAccess | None = None) -> Corpus:
    """Read the splits that the flags name.

    Raises:
        ValueError: the data cannot be read, or a split does not exist.
    """
    source = _find_source(args, access or HubAccess())
    label_column = (args.label_column_name or "label").strip()
    names = _split_names(source, args)
    corpus = Corpus(source.name, {}, label_column=label_column, available_splits=source.split_names)
    dropped = comma_separated(args.remove_columns)
    for role, splits in names.items():
        corpus.origins[role] = ", ".join(source.describe(split) for split in splits)
        corpus.split_names[role] = ",".join(splits)
        if args.streaming and role == "train":
            corpus.stream = RowStream.of([source.stream(split) for split in splits], dropped, corpus.origins[role])
            continue
        rows = without_columns([row for split in splits for row in source.read(split)], dropped)
        corpus.splits[role] = rows
        logger.info("%s: %d rows from %s", role, len(rows), corpus.origins[role])
    if any(extension_of(path) in (".csv", ".tsv") for path in source.paths):
        corpus.read_labels()
    if args.task_name == "mnli" and "validation" in names and "validation_mismatched" not in names:
        logger.warning(f"{source.name} has no validation_mismatched split, so only the matched rows are evaluated.")
    corpus.label_names = GLUE_TASKS[args.task_name].label_names if args.task_name else source.label_names(label_column)
    if args.shuffle_train_dataset and "train" in corpus.splits:
        order = np.random.default_rng(args.shuffle_seed).permutation(len(corpus.splits["train"]))
        corpus.splits["train"] = [corpus.splits["train"][index] for index in order]
    return corpus


def _find_source(args: DataTrainingArguments, access: HubAccess) -> Source:
    if args.task_name is not None:
        return _glue_source(args, args.task_name, access)
    if args.dataset_name == "demo":
        return DemoSource()
    if args.dataset_name is not None:
        folder = Path(args.dataset_name)
        if folder.is_dir():
            return folder_source(folder, args.dataset_config_name, access, args.streaming)
        return datasets_source(args.dataset_name, args.dataset_config_name, access, args.streaming)
    files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
    paths = {split: Path(path) for split, path in files.items() if path is not None}
    extensions = {extension_of(path) for path in paths.values()}
    if len(extensions - {".jsonl"} | ({".json"} if ".jsonl" in extensions else set())) > 1:
        raise ValueError(
            f"train, validation and test files must be of one kind, got {', '.join(sorted(extensions))}: convert them."
        )
    return Source(name_of_files(list(paths.values())), {split: [path] for split, path in paths.items()})


def name_of_files(paths: Sequence[Path]) -> str:
    """Name data of single files: by the folder of all files, else by the files.

    File names are often those of splits. The home folder and the working folder are not used: their names say nothing
    about the data.

    >>> name_of_files([Path("/data/reviews/train.jsonl"), Path("/data/reviews/dev.jsonl")])
    'reviews'
    >>> name_of_files([Path("/a/train.jsonl"), Path("/b/test.jsonl")])
    'train.jsonl, test.jsonl'
    """
    folders = {path.resolve().parent for path in paths}
    folder = folders.pop()
    if folders or not folder.name or folder in (Path.home().resolve(), Path.cwd()):
        return ", ".join(dict.fromkeys(path.name for path in paths))
    return folder.name


def _glue_source(args: DataTrainingArguments, task: str, access: HubAccess) -> Source:
    if args.glue_dir is None:
        return datasets_source(GLUE_ON_THE_HUB, task, access, args.streaming)
    parent = Path(args.glue_dir)
    if not parent.is_dir():
        raise ValueError(f"--glue_dir {parent} is not a folder: give a folder with files such as {task}/train.jsonl.")
    # The folders of GLUE's archive have names like SST-2 and CoLA.
    folders = [path for path in parent.iterdir() if path.is_dir() and path.name.lower().replace("-", "") == task]
    if folders:
        source = folder_source(sorted(folders)[0], None, access, args.streaming)
    else:
        source = folder_source(parent, task, access, args.streaming)
    source.name = f"glue/{task}"
    return source


def read_labels(splits: Mapping[str, Rows], label_column: str) -> dict[str, Rows]:
    """Convert the labels of csv files, which are text: to lists if all are JSON lists, to numbers if all are numbers.

    Numbers become integers in a split where all are integers, else floats. An empty cell is a missing label (None).
    Labels that are not text stay: a folder may have a json file and a csv file.

    Raises:
        ValueError: the labels are in brackets, and one is no JSON list.
    """
    texts_by_role = {
        role: {text for row in rows if isinstance(text := row.get(label_column), str) and text.strip()}
        for role, rows in splits.items()
    }
    every = [text.strip() for texts in texts_by_role.values() for text in texts]
    lists = bool(every) and all(text[0] == "[" and text[-1] == "]" for text in every)
    numbers = all(DECIMAL.fullmatch(text) for text in every)
    converted = {}
    for role, rows in splits.items():
        whole = all(INTEGER.fullmatch(text.strip()) for text in texts_by_role[role])
        kind: Callable[[str], Any] = _read_list if lists else str if not numbers else int if whole else float
        converted[role] = [
            {**row, label_column: kind(row[label_column]) if row[label_column].strip() else None}
            if isinstance(row.get(label_column), str)
            else row
            for row in rows
        ]
    return converted


def read_label(raw: Any, labels: Labels) -> Any:
    """Convert one label of a csv file by the kind of the task; text that does not fit stays, so that it is refused.

    Raises:
        ValueError: a label in brackets is no JSON list.
    """
    if not isinstance(raw, str):
        return raw
    text = raw.strip()
    if labels.is_multi and text[:1] == "[" and text[-1:] == "]":
        return _read_list(text)
    return float(text) if labels.is_regression and DECIMAL.fullmatch(text) else text or None


def _read_list(text: str) -> list[Any]:
    try:
        return list(json.loads(text))
    except json.JSONDecodeError as error:
        raise ValueError(f'the label {text} is no JSON list: write ["joy", "love"], with double quotes.') from error


class DemoSource(Source):
    """The built-in corpus of :mod:`hf_robust.data.demo`."""

    def __init__(self) -> None:
        super().__init__("demo", {"train": [], "validation": [], "test": []})

    def read(self, split: str) -> Rows:
        from hf_robust.data.demo import demo_rows

        return [dict(row) for row in demo_rows(split)]

    def stream(self, split: str) -> Any:
        raise ValueError("the demo corpus is in memory, so it cannot be streamed: leave --streaming out.")

    def describe(self, split: str) -> str:
        return f"built-in demo corpus, {split}"


def _split_names(source: Source, args: DataTrainingArguments) -> Mapping[str, list[str]]:
    removed = comma_separated(args.remove_splits)
    available = [name for name in source.split_names if name not in removed]
    chosen: dict[str, list[str]] = {}
    for role, usual in ROLES.items():
        named = comma_separated(getattr(args, f"{role}_split_name", None))
        missing = [name for name in named if name not in available]
        if missing:
            raise ValueError(
                f"--{role}_split_name: {source.name} has no split {', '.join(missing)}: choose among {available}."
            )
        names = named or [name for name in usual if name in available][:1]
        if names and (args.task_name == "mnli" or not role.endswith("mismatched")):
            chosen[role] = names
    return chosen
