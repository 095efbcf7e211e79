"""From ``--attacks file:PATH`` and ``--replay FILE`` to attacks with the columns and labels of the task."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from hf_robust.attacks import Attack, choose_examples
from hf_robust.attacks.static import FILE_PREFIX, labelled_file, named_files, read_replay, static_name, transferred
from hf_robust.data.files import EXTENSIONS, extension_of, read_rows
from hf_robust.data.label_order import has_integers, numbered_names
from hf_robust.data.labels import GENERIC, MULTI, PROBLEM_TYPE, are_unnamed, label_key, same_names
from hf_robust.data.load import Corpus, read_labels
from hf_robust.data.splits import Splits
from hf_robust.metrics import AttackRecord
from hf_robust.runs import portable_path, read_json

logger = logging.getLogger(__name__)

_RUN_FILES = ("attack_summary.json", "config.json")


def file_attacks(specs: Sequence[str], splits: Splits) -> dict[str, Attack]:
    """Make an attack for each ``file:PATH`` among ``specs``, by its metric name; other names are ignored.

    A file has the text columns and the label column of the data, with labels by name or id. Rows with label -1 are
    left out with a warning. All other rows are used, whatever ``--attack_num_examples`` is.

    Raises:
        ValueError: a file is missing, empty or broken, or has other columns or labels than the data.
    """
    return {name: _file_attack(name, path, splits) for name, path in named_files(specs).items()}


def _file_attack(name: str, path: Path, splits: Splits) -> Attack:
    try:
        rows = read_rows(path)
    except ValueError as error:
        raise ValueError(f"--attacks {FILE_PREFIX}{path}: {error}") from error
    label = splits.corpus.label_column
    if not rows:
        raise ValueError(f"--attacks {FILE_PREFIX}{path} has no rows: give a file of labelled adversarial texts.")
    missing = [column for column in (*splits.text_columns, label) if column not in rows[0]]
    if missing:
        raise ValueError(
            f"--attacks {FILE_PREFIX}{path} has no column {', '.join(missing)}, only {', '.join(rows[0])}: rename its "
            f"columns to "
            f"those of the data, {', '.join(splits.text_columns)} for the text and {label} for the labels."
        )
    if extension_of(path) in EXTENSIONS[:2]:
        rows = read_labels({name: rows}, label)[name]
    corpus = Corpus(path.name, {"file": rows}, {"file": path.name}, label_column=label)
    if has_integers(corpus) and not (has_integers(splits.corpus) or splits.corpus.label_names):
        logger.warning(
            "The labels of %s are integers and those of the data are names, so the integers are read as the ids of "
            "the "
            "model's classes, %s. If that is wrong, write names into the file.",
            path,
            numbered_names(splits.labels.names),
        )
    args = dataclasses.replace(splits.args, text_column_names=",".join(splits.text_columns))
    dataset = Splits(corpus, splits.labels, splits.tokenizer, args).labelled("file")
    return labelled_file(name, portable_path(str(path)), choose_examples(dataset, 0, 0))


def replay_attacks(
    paths: Sequence[str | Path],
    label_names: Sequence[str],
    columns: int | None,
    taken: Collection[str] = (),
    class_names: Sequence[str] | None = None,
) -> dict[str, Attack]:
    """Make an attack for each results file of another run, by its metric name.

    Args:
        paths: ``attack_results/<attack>.jsonl`` files.
        label_names: this model's label names by id; the other run's ids are translated if its folder has their names.
        columns: number of text columns of the data; None if there is no data.
        taken: metric names that are already used.
        class_names: see `relabelled`.

    Raises:
        ValueError: a file has nothing to replay, or has other labels or columns than this task.
    """
    attacks: dict[str, Attack] = {}
    for path in paths:
        records = relabelled(read_replay(path), Path(path), label_names, class_names=class_names)
        if columns is not None and len(records[0].original) != columns:
            raise ValueError(
                f"--replay {path} has texts of {len(records[0].original)} columns and the data has {columns}: replay "
                f"an "
                "attack on the same task."
            )
        name = static_name("replay", path, [*taken, *attacks])
        attacks[name] = transferred(name, portable_path(str(path)), records)
    return attacks


def relabelled(
    records: list[AttackRecord],
    path: Path,
    names: Sequence[str],
    flag: str = "--replay",
    class_names: Sequence[str] | None = None,
) -> list[AttackRecord]:
    """Translate the label ids of records to those of this model; two models may number the classes differently.

    Args:
        records: records of an attack on another model.
        path: their file, in the folder of that model or of its attack.
        names: this model's label names, by id.
        flag: the flag of the file, for errors.
        class_names: ``--class_names``: the names of the file's label ids if no file of its run has them, else the
            names of this model's classes.

    Raises:
        ValueError: the file has other labels than this model.
    """
    file_names, names = _matched_names(path, names, class_names)
    ids = {label_key(name): index for index, name in enumerate(names)}
    if not same_names(file_names, names):
        raise ValueError(
            f"{flag} {path} has results of a model with the labels {', '.join(file_names)}, and this model has "
            f"{', '.join(names)}: give results of an attack on the same task, or the names of this model's classes by "
            "--class_names."
        )
    unknown = sorted({record.label for record in records if not 0 <= record.label < len(file_names)})
    if unknown:
        raise ValueError(
            f"{flag} {path} has the label ids {', '.join(map(str, unknown))}, and the {len(names)} labels of the "
            f"model "
            f"are {', '.join(names)}: give results of an attack on the same task."
        )
    return [dataclasses.replace(record, label=ids[label_key(file_names[record.label])]) for record in records]


def _matched_names(
    path: Path, names: Sequence[str], class_names: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the names of the file's label ids and of this model's, from the files, --class_names, or a guess."""
    file_names: Sequence[str] = label_names_of_run(path) or ()
    if class_names:
        if are_unnamed(file_names):
            matches = [GENERIC.fullmatch(name) for name in class_names]
            model_ids = [int(match[1]) for match in matches if match]
            file_names = [names[index] for index in model_ids if index < len(names)] or class_names
        renamed = same_names(class_names, file_names) and not same_names(file_names, names)
        return file_names, class_names if renamed else names
    without_names = all(GENERIC.fullmatch(name) for name in file_names)  # LABEL_0 of two models may differ
    if without_names or (not same_names(file_names, names) and (are_unnamed(file_names) or are_unnamed(names))):
        logger.warning(
            "The label ids in %s are read as the ids of the model's classes, %s, because one of the two has no names. "
            "If that is wrong, give the names of the file's labels in the order of their ids by --class_names.",
            path,
            numbered_names(names),
        )
        file_names = names
    return file_names, names


def label_names_of_run(path: Path) -> list[str] | None:
    """Return the label names of the run of a results file by id, from its summary or model; None if there are none.

    Raises:
        ValueError: the texts of the run have several labels, so that labels are no ids.
    """
    for folder in list(path.resolve().parents)[:3]:
        for file in _RUN_FILES:
            content: dict[str, Any] = read_json(folder / file)
            if content.get(PROBLEM_TYPE) == MULTI:
                raise ValueError(
                    f"the texts of {path} have several labels, and this command needs one class for each text: give "
                    "the results of another run."
                )
            if content.get("label_names"):
                return [str(name) for name in content["label_names"]]
            if content.get("id2label"):
                names = {int(index): str(name) for index, name in content["id2label"].items()}
                return [names[index] for index in sorted(names)]
    return None
