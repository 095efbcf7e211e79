"""Which columns of a row are the text: one, or two for sentence pairs."""

import logging
import re
from collections.abc import Sequence

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.files import Rows
from hf_robust.data.tasks import GLUE_TASKS

logger = logging.getLogger(__name__)

JOINED = "sentence"  # the column that --text_column_delimiter makes, named as in run_classification
ROW_NUMBERS = frozenset({"", "id", "idx", "index", "guid", "unnamed: 0"})
LABEL_LIKE = re.compile(r"labels?|label_.*|.*_labels?|targets?|class(es)?|category|categories|gold|sentiment|y", re.I)
"""Names of columns that mark the rows."""
NO_WORDS = re.compile(r"[^\w]*|\S*\d\S*|\S+://\S+")
PAIRS = [set(task.columns) for task in GLUE_TASKS.values() if len(task.columns) == 2]
LOOKED_AT = 1000
MARKS_EACH = 10
"""Rows of each value from which on it is a mark."""


def comma_separated(value: str | None) -> list[str]:
    """``"a, b"`` -> ``["a", "b"]``; None -> ``[]``."""
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def choose_text_columns(rows: Rows, args: DataTrainingArguments, label_column: str) -> tuple[str, ...]:
    """Text columns: the task's, those that were named, sentence1 and sentence2, else the one or two that hold text.

    A guess passes over columns that number or mark the rows: numbers, ids, links, further labels, few distinct
    values. It is said wherever other columns hold words too, unless a pair has the names of a GLUE task's.

    Raises:
        ValueError: a named column is missing, more than two are named without a delimiter, or a guess finds none or
            more than two.
    """
    columns = columns_of(rows)
    named = comma_separated(args.text_column_names)
    if not named and args.task_name is not None:
        named = list(GLUE_TASKS[args.task_name].columns)
    missing = [column for column in named if column not in columns]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} among {columns}: name yours by --text_column_names.")
    if named:
        if len(named) > 2 and args.text_column_delimiter is None:
            raise ValueError(f"a model reads two texts at most, got {named}: join them by --text_column_delimiter.")
        return tuple(named)
    return _guessed(rows, [column for column in columns if column != label_column], label_column)


def _guessed(rows: Rows, columns: Sequence[str], label_column: str) -> tuple[str, ...]:
    worded = [column for column in columns if column.lower() not in ROW_NUMBERS and _holds_words(rows, column)]
    whole = [column for column in worded if not LABEL_LIKE.fullmatch(column) and all(column in row for row in rows)]
    texts = [column for column in whole if not _holds_marks(rows, column)] or whole
    if "sentence1" in texts and "sentence2" in texts:
        texts = ["sentence1", "sentence2"]
    if not texts:
        raise ValueError(
            f"no text column beside '{label_column}' among {list(columns)}, since numbers, ids and further labels "
            "are passed over: add one, or name it by --text_column_names."
        )
    if len(texts) > 2:
        raise ValueError(
            f"the columns {', '.join(texts)} all hold text, and a model reads two at most: name the one or two by "
            "--text_column_names."
        )
    others = [column for column in worded if column not in texts]
    if others or (len(texts) == 2 and set(texts) not in PAIRS):
        logger.warning(
            f"The text is guessed to be {' and '.join(texts)}{', not ' * bool(others)}{', '.join(others)}; name other "
            "columns by --text_column_names."
        )
    return tuple(texts)


def columns_of(rows: Rows) -> list[str]:
    """The columns that any row has, in order."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _holds_words(rows: Rows, column: str) -> bool:
    """Whether any of the first values is more than a number, an id (with a digit, without a blank) or a link."""
    return any(
        isinstance(text, str) and text.strip() and not NO_WORDS.fullmatch(text.strip())
        for text in (row.get(column) for row in rows[:LOOKED_AT])
    )


def _holds_marks(rows: Rows, column: str) -> bool:
    """Whether the first values are the same few short ones again and again: a genre, a source."""
    values = [str(row.get(column)) for row in rows[:LOOKED_AT]]
    few = MARKS_EACH * len(set(values)) <= len(values)
    return few and len(values) >= LOOKED_AT // 20 and all(len(value.split()) <= 3 for value in set(values))


def no_label_column(where: str, columns: Sequence[str], label_column: str) -> str:
    """The error about a missing label column, with what may be the reason."""
    likely = [column for column in columns if LABEL_LIKE.fullmatch(column) or column.lower() == label_column.lower()]
    separators = [one for one in (";", "\t", "|", ",") if any(one in column for column in columns)]
    hint = ""
    if likely:
        hint = f" (is it {' or '.join(likely)}?)"
    elif any(_is_number(column) or len(column.split()) > 2 for column in columns):
        hint = "; or is the first line of the file no header? Then add one"
    elif separators:
        hint = f"; or is the file separated by {separators[0]!r}? A .csv file is by commas, a .tsv file by tabs"
    return (
        f"{where} has no column '{label_column}', its columns are {list(columns)}: name yours by "
        f"--label_column_name{hint}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def join_columns(rows: Rows, columns: Sequence[str], delimiter: str) -> Rows:
    """Rows with their ``columns`` joined into one text; what is not text is left for the data set to refuse."""
    joined: Rows = []
    for row in rows:
        values = [row.get(column) for column in columns]
        strange = [value for value in values if not isinstance(value, str)]
        joined.append({**row, JOINED: strange[0] if strange else delimiter.join(map(str, values))})
    return joined
