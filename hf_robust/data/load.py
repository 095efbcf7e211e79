"""From the data flags to rows: GLUE, a data set of the hub or of a folder, plain files, or the demo corpus.

Local files are read without the `datasets` library, so that a machine that lacks it can train. Upstream's roles stay:
``train``, ``validation``, ``test``, and for MNLI ``validation_mismatched`` and ``test_mismatched``.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import columns_of, comma_separated, no_label_column
from hf_robust.data.files import Rows, extension_of
from hf_robust.data.sources import HubAccess, Source, datasets_source, folder_source
from hf_robust.data.tasks import GLUE_TASKS

logger = logging.getLogger(__name__)

INTEGER = re.compile(r"[-+]?[0-9]+")
DECIMAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
GLUE_ON_THE_HUB = "nyu-mll/glue"
ROLES: dict[str, tuple[str, ...]] = {  # role -> names of its split, the first that exists is taken
    "train": ("train",),
    "validation": ("validation", "validation_matched", "dev", "dev_matched"),
    "validation_mismatched": ("validation_mismatched", "dev_mismatched"),
    "test": ("test", "test_matched"),
    "test_mismatched": ("test_mismatched",),
}
NEEDED_BY = {"train": "--do_train", "validation": "--do_eval", "test": "--do_predict"}


@dataclass
class Corpus:
    """Rows by role, where they came from (a file or the hub; the source's name of the split), and its label names."""

    name: str
    splits: dict[str, Rows]
    where: dict[str, str] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    label_names: tuple[str, ...] = ()
    label_column: str = "label"
    offered: list[str] = field(default_factory=list)

    def rows(self, role: str) -> Rows:
        """Rows of a split that the run needs.

        Raises:
            ValueError: there is no such split (the sentence says which flag asked and what is there), or it is empty.
        """
        if role not in self.splits:
            raise ValueError(
                f"{NEEDED_BY.get(role, role)} needs a {role} split, and {self.name} has {self.offered or 'none'}: "
                f"give --{role}_file or name one by --{role}_split_name."
            )
        if not self.splits[role]:
            raise ValueError(f"the {role} split ({self.where[role]}) is empty: it needs at least one row.")
        return self.splits[role]

    def label_values(self, role: str) -> list[Any]:
        """The labels of a split as its source writes them; None where a row has none.

        Raises:
            ValueError: no row has the label column, or there are no rows.
        """
        columns = columns_of(self.rows(role))
        if self.label_column not in columns:
            raise ValueError(no_label_column(self.label(role), columns, self.label_column))
        return [row.get(self.label_column) for row in self.rows(role)]

    def label(self, role: str) -> str:
        """How errors call a split: its role and its file."""
        return f"{role} ({self.where[role]})"


def load_corpus(args: DataTrainingArguments, access: HubAccess | None = None) -> Corpus:
    """Read the splits that the flags name.

    Raises:
        ValueError: one sentence on what is missing and which flag gives it.
    """
    source = _find_source(args, access or HubAccess())
    label_column = (args.label_column_name or "label").strip()
    names = _split_names(source, args)
    corpus = Corpus(source.name, {}, label_column=label_column, offered=source.split_names)
    dropped = comma_separated(args.remove_columns)
    for role, splits in names.items():
        rows = [row for split in splits for row in source.read(split)]
        if dropped:
            rows = [{key: value for key, value in row.items() if key not in dropped} for row in rows]
        corpus.splits[role] = rows
        corpus.where[role] = ", ".join(source.where(split) for split in splits)
        corpus.called[role] = ",".join(splits)
        logger.info("%s: %d rows from %s", role, len(rows), corpus.where[role])
    if any(extension_of(path) in (".csv", ".tsv") for path in source.paths):
        corpus.splits = read_numbers(corpus.splits, label_column)
    if args.task_name == "mnli" and "validation" in names and "validation_mismatched" not in names:
        logger.warning(f"{source.name} has no validation_mismatched split: only matched rows are evaluated.")
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
            return folder_source(folder, args.dataset_config_name, access)
        return datasets_source(args.dataset_name, args.dataset_config_name, access)
    files = {"train": args.train_file, "validation": args.validation_file, "test": args.test_file}
    given = {split: [Path(path)] for split, path in files.items() if path is not None}
    extensions = {extension_of(paths[0]) for paths in given.values()}
    if len(extensions - {".jsonl"} | ({".json"} if ".jsonl" in extensions else set())) > 1:
        raise ValueError(f"train, validation and test files must be of one kind, got {', '.join(sorted(extensions))}.")
    return Source(name_of_files([paths[0] for paths in given.values()]), given)


def name_of_files(paths: Sequence[Path]) -> str:
    """What to call data of single files: the folder that holds all of them, else the files.

    A file's own name is often that of its split; but a home folder's is that of its user, and the working folder's
    says nothing of the data.

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
        return datasets_source(GLUE_ON_THE_HUB, task, access)
    parent = Path(args.glue_dir)
    if not parent.is_dir():
        raise ValueError(f"--glue_dir {parent} is not a folder: it should hold {task}/train.jsonl or the like.")
    # The folders of GLUE's own archive are called SST-2, CoLA, ...
    folders = [path for path in parent.iterdir() if path.is_dir() and path.name.lower().replace("-", "") == task]
    if folders:
        source = folder_source(sorted(folders)[0], None, access)
    else:
        source = folder_source(parent, task, access)
    source.name = f"glue/{task}"
    return source


def read_numbers(splits: Mapping[str, Rows], label_column: str) -> dict[str, Rows]:
    """csv writes every label as text: numbers again where all of them are, each split's integers or else floats.

    An empty cell is a missing label (None). Text columns are left alone, and so are labels that are no text: a folder
    may hold a json file beside a csv file.
    """
    written = {
        role: {text for row in rows if isinstance(text := row.get(label_column), str) and text.strip()}
        for role, rows in splits.items()
    }
    numbers = all(DECIMAL.fullmatch(text.strip()) for texts in written.values() for text in texts)
    read = {}
    for role, rows in splits.items():
        whole = all(INTEGER.fullmatch(text.strip()) for text in written[role])
        kind: Callable[[str], Any] = str if not numbers else int if whole else float
        read[role] = [
            {**row, label_column: kind(row[label_column]) if row[label_column].strip() else None}
            if isinstance(row.get(label_column), str)
            else row
            for row in rows
        ]
    return read


class DemoSource(Source):
    """The built-in corpus of :mod:`hf_robust.data.demo`."""

    def __init__(self) -> None:
        super().__init__("demo", {"train": [], "validation": [], "test": []})

    def read(self, split: str) -> Rows:
        from hf_robust.data.demo import demo_rows

        return [dict(row) for row in demo_rows(split)]

    def where(self, split: str) -> str:
        return f"built-in demo corpus, {split}"


def _split_names(source: Source, args: DataTrainingArguments) -> Mapping[str, list[str]]:
    removed = comma_separated(args.remove_splits)
    offered = [name for name in source.split_names if name not in removed]
    chosen: dict[str, list[str]] = {}
    for role, usual in ROLES.items():
        named = comma_separated(getattr(args, f"{role}_split_name", None))
        missing = [name for name in named if name not in offered]
        if missing:
            raise ValueError(f"--{role}_split_name: {source.name} has no split {', '.join(missing)}, only {offered}.")
        found = named or [name for name in usual if name in offered][:1]
        if found and (args.task_name == "mnli" or not role.endswith("mismatched")):
            chosen[role] = found
    return chosen
