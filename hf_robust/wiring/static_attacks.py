"""From ``--attacks file:PATH`` and ``--replay FILE`` to attacks, with the columns and labels of the task."""

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
from hf_robust.data.labels import GENERIC, are_unnamed, label_key, same_names
from hf_robust.data.load import Corpus, read_numbers
from hf_robust.data.splits import Splits
from hf_robust.metrics import AttackRecord
from hf_robust.runs import portable_path, read_json

logger = logging.getLogger(__name__)

_RUN_FILES = ("attack_summary.json", "config.json")


def file_attacks(specs: Sequence[str], splits: Splits) -> dict[str, Attack]:
    """An attack for each ``file:PATH`` among ``specs``, by its metric name; other names are passed over.

    A file's columns are those of the data: the same text columns and label column, labels by name or id; rows with
    label -1 are left out with a warning. All rows are used, whatever ``--attack_num_examples`` says.

    Raises:
        ValueError: a file is missing, empty, torn, or of other columns or labels than the data.
    """
    return {name: _file_attack(name, path, splits) for name, path in named_files(specs).items()}


def _file_attack(name: str, path: Path, splits: Splits) -> Attack:
    try:
        rows = read_rows(path)
    except ValueError as error:
        raise ValueError(f"--attacks {FILE_PREFIX}{path}: {error}") from error
    label = splits.corpus.label_column
    if not rows:
        raise ValueError(f"--attacks {FILE_PREFIX}{path} holds no row; give a file of labelled adversarial texts.")
    missing = [column for column in (*splits.text_columns, label) if column not in rows[0]]
    if missing:
        raise ValueError(
            f"--attacks {FILE_PREFIX}{path} has no column {', '.join(missing)}, only {', '.join(rows[0])}; it needs "
            f"those of the data: text in {', '.join(splits.text_columns)}, labels in {label}."
        )
    if extension_of(path) in EXTENSIONS[:2]:
        rows = read_numbers({name: rows}, label)[name]
    corpus = Corpus(path.name, {"file": rows}, {"file": path.name}, label_column=label)
    if has_integers(corpus) and not (has_integers(splits.corpus) or splits.corpus.label_names):
        logger.warning(
            "The labels of %s are integers and those of the data are names: taken for the ids of the model's classes, "
            "%s. If that is wrong, write names into the file.",
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
    """An attack for each results file of another run, by its metric name.

    Args:
        paths: ``attack_results/<attack>.jsonl`` files.
        label_names: this model's labels, by id; the other run's ids are translated where its folder names them.
        columns: how many text columns the data has; None where there is no data to compare with.
        taken: names that are in use.
        class_names: see `relabelled`.

    Raises:
        ValueError: a file has nothing to replay, or its labels or columns are not this task's.
    """
    attacks: dict[str, Attack] = {}
    for path in paths:
        records = relabelled(read_replay(path), Path(path), label_names, class_names=class_names)
        if columns is not None and len(records[0].original) != columns:
            raise ValueError(
                f"--replay {path} has texts of {len(records[0].original)} columns and the data has {columns}; replay "
                "an attack on the same task."
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
    """The records with this model's label ids: two checkpoints of one task may number its labels differently.

    Args:
        records: of another model.
        path: their file, which lies in that model's folder or in that of its attack.
        names: this model's labels, by id.
        flag: what the file was given by, for errors.
        class_names: those of --class_names: what the file's label ids are called where nothing beside it says so,
            else what this model's are.

    Raises:
        ValueError: the labels are not those of this model.
    """
    theirs, names = _matched_names(path, names, class_names)
    known = {label_key(name): index for index, name in enumerate(names)}
    if not same_names(theirs, names):
        raise ValueError(
            f"{flag} {path} is of a model with the labels {', '.join(theirs)}, and this one has {', '.join(names)}; "
            "give the results of an attack on the same task, or the names of the model's classes by --class_names."
        )
    unknown = sorted({record.label for record in records if not 0 <= record.label < len(theirs)})
    if unknown:
        raise ValueError(
            f"{flag} {path} has the labels {', '.join(map(str, unknown))}, which are no ids of the {len(names)} "
            f"labels {', '.join(names)}; give the results of an attack on the same task."
        )
    return [dataclasses.replace(record, label=known[label_key(theirs[record.label])]) for record in records]


def _matched_names(
    path: Path, names: Sequence[str], class_names: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    """What the file's label ids are called, and what this model's are: said by names, set, or guessed aloud."""
    theirs: Sequence[str] = label_names_beside(path) or ()
    if class_names:
        if are_unnamed(theirs):
            generic = [GENERIC.fullmatch(name) for name in class_names]
            theirs = [names[int(one[1])] for one in generic if one and int(one[1]) < len(names)] or class_names
        ours = class_names if same_names(class_names, theirs) and not same_names(theirs, names) else names
        return theirs, ours
    ids_alone = all(GENERIC.fullmatch(name) for name in theirs)  # one LABEL_0 need not mean the other
    if ids_alone or (not same_names(theirs, names) and (are_unnamed(theirs) or are_unnamed(names))):
        logger.warning(
            "Label ids of %s are taken for those of the model, %s, since one of the two does not name them. If that "
            "is wrong, name the file's in their order by --class_names.",
            path,
            numbered_names(names),
        )
        theirs = names
    return theirs, names


def label_names_beside(path: Path) -> list[str] | None:
    """The other run's labels by id, from its summary or its model beside or above the results; None where neither."""
    for folder in list(path.resolve().parents)[:3]:
        for file in _RUN_FILES:
            stated: dict[str, Any] = read_json(folder / file)
            if stated.get("label_names"):
                return [str(name) for name in stated["label_names"]]
            if stated.get("id2label"):
                named = {int(index): str(name) for index, name in stated["id2label"].items()}
                return [named[index] for index in sorted(named)]
    return None
