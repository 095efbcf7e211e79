"""Texts and labels of rows in the forms in which Python programs hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hf_robust.data.labels import Labels, is_missing, label_key, named_labels

Row = Mapping[str, Any]
Label = int | float | list[float] | None


class TextRows(NamedTuple):
    """The text columns of each row, its label (None without labels), and the names of the classes, if known."""

    texts: list[tuple[str, ...]]
    labels: list[Label] | None
    class_names: tuple[str, ...]


def read_text_rows(
    data: Any,
    text_columns: str | Sequence[str],
    label_column: str | None = "label",
    class_names: Sequence[str] | None = None,
    name: str = "the data set",
) -> TextRows:
    """Read the columns of a list of dicts, a ``datasets.Dataset`` or a ``pandas.DataFrame``.

    Args:
        text_columns: one column, or two for sentence pairs.
        label_column: column of the labels; None for unlabelled data.
        class_names: names of the classes in the order of the model's ids, which labels that are names need. Integers
            that a ``datasets.ClassLabel`` names are matched by name, others are ids. Default: the names of the
            ``ClassLabel``; none for labels that are ids, scores or lists of 0/1 floats.
        name: name of the data in errors.

    Raises:
        ValueError: the data has another form or no rows, a column is missing, a text is no text, or a label is
            missing, no class, or a list that is not of one 0 or 1 for each class.
    """
    columns = (text_columns,) if isinstance(text_columns, str) else tuple(text_columns)
    if not 1 <= len(columns) <= 2:
        raise ValueError(f"a model reads one text column or two, got {list(columns)}: choose one or two.")
    rows = rows_of(data, name)
    if len(rows) == 0:
        raise ValueError(f"{name} has no rows: check its file, its split name and max_*_samples.")
    check_texts(rows, columns, name)
    texts = [tuple(row[column] for column in columns) for row in rows]
    if label_column is None:
        return TextRows(texts, None, tuple(class_names or ()))
    raw = _raw_labels(rows, label_column, name)
    declared = declared_names(data, label_column)
    if declared:
        raw = [declared[label] if isinstance(label, int) and 0 <= label < len(declared) else label for label in raw]
    names = tuple(class_names or declared)
    if names:
        return TextRows(texts, _ids(raw, names, label_column, name), names)
    _refuse_names(raw, label_column, name)
    _check_lists(raw, label_column, name)
    return TextRows(texts, raw, ())


def rows_of(data: Any, name: str) -> Sequence[Row]:
    """The rows as mappings.

    Raises:
        ValueError: the data is neither a sequence of mappings, nor a ``datasets.Dataset``, nor a data frame.
    """
    if hasattr(data, "to_list") and hasattr(data, "features"):
        rows: Sequence[Row] = data.to_list()
        return rows
    if hasattr(data, "to_dict") and hasattr(data, "columns"):
        return [{str(column): value for column, value in row.items()} for row in data.to_dict("records")]
    if isinstance(data, Mapping):
        raise ValueError(
            f"{name} must be rows, got a {type(data).__name__} with {', '.join(map(str, data))}: pass one split, "
            "such as data['train'], or, for columns, datasets.Dataset.from_dict(data)."
        )
    if isinstance(data, str) or not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise ValueError(
            f"{name} must be a list of dicts, a datasets.Dataset or a pandas.DataFrame, got a {type(data).__name__}: "
            "pass list(data) where it yields dicts."
        )
    for index, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise ValueError(f"row {index} of {name} must be a dict of its columns, got a {type(row).__name__}.")
    return data  # type: ignore[no-any-return]


def check_texts(rows: Sequence[Row], text_columns: Sequence[str], name: str) -> None:
    """Refuse values that are not text (``None``, NaN, numbers, invalid Unicode); an empty string is text.

    Raises:
        ValueError: a value is not text; the sentence names the split, the row (from 0) and the column.
    """
    for index, row in enumerate(rows):
        for column in text_columns:
            if column not in row:
                raise ValueError(f"row {index} of {name} has no column '{column}': its columns are {list(row)}.")
            text = row[column]
            if not isinstance(text, str):
                raise ValueError(
                    f"row {index} of {name} has {text!r} in column '{column}', which needs text: "
                    "write a text or an empty string, or remove the row."
                )
            if not text.isascii():
                try:
                    text.encode("utf-8")
                except UnicodeEncodeError as error:
                    raise ValueError(
                        f"row {index} of {name} has text that is not valid Unicode in column '{column}' "
                        f"(a lone surrogate at character {error.start}): repair it or remove the row."
                    ) from error


def _raw_labels(rows: Sequence[Row], label_column: str, name: str) -> list[Any]:
    for index, row in enumerate(rows):
        if label_column not in row:
            raise ValueError(
                f"row {index} of {name} has no column '{label_column}': its columns are {list(row)}. Name the column "
                "of the labels by label_column=..., or pass label_column=None for rows without labels."
            )
        if is_missing(row[label_column]):
            raise ValueError(
                f"row {index} of {name} has no label in column '{label_column}': write one, or remove the row."
            )
    return [row[label_column] for row in rows]


def declared_names(data: Any, label_column: str) -> tuple[str, ...]:
    """The names that a ``datasets.ClassLabel`` gives to the integers of a column; none elsewhere."""
    features = getattr(data, "features", None)
    return tuple(getattr((features or {}).get(label_column), "names", None) or ())


def _refuse_names(labels: Sequence[Any], label_column: str, name: str) -> None:
    names = sorted({label for label in labels if isinstance(label, str)})
    if names:
        raise ValueError(
            f"the labels of {name} in column '{label_column}' are texts ({_first(names)}), and a model needs ids: "
            "pass class_names=[...], the names of the classes in the order of the model's ids."
        )


def _check_lists(labels: Sequence[Any], label_column: str, name: str) -> None:
    """Refuse lists of class ids, where a multi-label row needs one 0 or 1 for each class."""
    lists = [label for label in labels if isinstance(label, (list, tuple))]
    if not lists:
        return
    shape = len(lists[0])
    for row, label in enumerate(labels):
        if not isinstance(label, (list, tuple)) or len(label) != shape or not set(label) <= {0, 1}:
            raise ValueError(
                f"row {row} of {name} has the labels {label!r} in column '{label_column}', and row 0 has "
                f"{labels[0]!r}: a row of several labels needs a list of 0.0 or 1.0 for each class."
            )


def _ids(labels: Sequence[Any], class_names: Sequence[str], label_column: str, name: str) -> list[Label]:
    known: Labels = named_labels(class_names)
    unknown = {label_key(label): repr(label) for label in labels if not known.knows(label)}
    if unknown:
        raise ValueError(
            f"{name} has labels in column '{label_column}' that are no class: {_first(sorted(unknown.values()))} "
            f"(the classes are {', '.join(class_names)}): leave these rows out, or name every class by class_names."
        )
    return [known.encode(label) for label in labels]


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
