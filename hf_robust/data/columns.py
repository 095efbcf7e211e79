"""Choose the text columns: one, or two for sentence pairs."""

import logging
import re
from collections.abc import Sequence

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.files import Rows
from hf_robust.data.tasks import GLUE_TASKS

logger = logging.getLogger(__name__)

JOINED = "sentence"
"""Name of the column that --text_column_delimiter makes, as in run_classification."""
ROW_NUMBERS = frozenset({"", "id", "idx", "index", "guid", "unnamed: 0"})
LABEL_LIKE = re.compile(r"labels?|label_.*|.*_labels?|targets?|class(es)?|category|categories|gold|sentiment|y", re.I)
"""Names of columns that hold labels."""
NO_WORDS = re.compile(r"[^\w]*|\S*\d\S*|\S+://\S+")
PAIRS = [set(task.columns) for task in GLUE_TASKS.values() if len(task.columns) == 2]
INSPECTED_ROWS = 1000
ROWS_PER_CATEGORY = 10
"""Mean number of rows per value from which a column of short values counts as categorical."""


def comma_separated(value: str | None) -> list[str]:
    """``"a, b"`` -> ``["a", "b"]``; None -> ``[]``."""
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def choose_text_columns(rows: Rows, args: DataTrainingArguments, label_column: str) -> tuple[str, ...]:
    """Choose the text columns: the named ones, else the task's, else sentence1 and sentence2, else a guess.

    A guess takes the one or two columns that hold text. It ignores numbers, ids, links, labels, and columns of few
    distinct values. A warning names the guess if other columns hold words too, or if a pair does not have the column
    names of a GLUE task.

    Raises:
        ValueError: a named column is missing, more than two are named without a delimiter, or no column or more than
            two columns hold text.
    """
    columns = columns_of(rows)
    named = comma_separated(args.text_column_names)
    if not named and args.task_name is not None:
        named = list(GLUE_TASKS[args.task_name].columns)
    missing = [column for column in named if column not in columns]
    if missing:
        raise ValueError(
            f"there is no column {', '.join(missing)}, only {columns}: name the text columns by --text_column_names."
        )
    if named:
        if len(named) > 2 and args.text_column_delimiter is None:
            raise ValueError(
                f"a model reads at most two text columns, got {named}: join them by --text_column_delimiter."
            )
        return tuple(named)
    return _guessed(rows, [column for column in columns if column != label_column], label_column)


def _guessed(rows: Rows, columns: Sequence[str], label_column: str) -> tuple[str, ...]:
    with_words = [column for column in columns if column.lower() not in ROW_NUMBERS and _holds_words(rows, column)]
    complete = [
        column for column in with_words if not LABEL_LIKE.fullmatch(column) and all(column in row for row in rows)
    ]
    texts = [column for column in complete if not _is_categorical(rows, column)] or complete
    if "sentence1" in texts and "sentence2" in texts:
        texts = ["sentence1", "sentence2"]
    if not texts:
        raise ValueError(
            f"no column except '{label_column}' holds text: {list(columns)} are numbers, ids or labels. Add a text "
            f"column, or "
            "name it by --text_column_names."
        )
    if len(texts) > 2:
        raise ValueError(
            f"the columns {', '.join(texts)} all hold text, and a model reads at most two: name one or two by "
            "--text_column_names."
        )
    others = [column for column in with_words if column not in texts]
    if others or (len(texts) == 2 and set(texts) not in PAIRS):
        logger.warning(
            f"The text columns are guessed to be {' and '.join(texts)}{', not ' * bool(others)}{', '.join(others)}. "
            f"If that "
            "is wrong, name them by --text_column_names."
        )
    return tuple(texts)


def columns_of(rows: Rows) -> list[str]:
    """Return all columns that occur in a row, in order."""
    return list(dict.fromkeys(column for row in rows for column in row))


def _holds_words(rows: Rows, column: str) -> bool:
    """Whether one of the first values is not a number, an id (with a digit, without a space) or a link."""
    return any(
        isinstance(text, str) and text.strip() and not NO_WORDS.fullmatch(text.strip())
        for text in (row.get(column) for row in rows[:INSPECTED_ROWS])
    )


def _is_categorical(rows: Rows, column: str) -> bool:
    """Whether the first values are few short ones that repeat, such as a genre or a source."""
    values = [str(row.get(column)) for row in rows[:INSPECTED_ROWS]]
    few = ROWS_PER_CATEGORY * len(set(values)) <= len(values)
    return few and len(values) >= INSPECTED_ROWS // 20 and all(len(value.split()) <= 3 for value in set(values))


def no_label_column(where: str, columns: Sequence[str], label_column: str) -> str:
    """Return the error message about a missing label column, with a likely reason."""
    likely = [column for column in columns if LABEL_LIKE.fullmatch(column) or column.lower() == label_column.lower()]
    separators = [mark for mark in (";", "\t", "|", ",") if any(mark in column for column in columns)]
    hint = ""
    if likely:
        hint = f" (is it {' or '.join(likely)}?)"
    elif any(_is_number(column) or len(column.split()) > 2 for column in columns):
        hint = ". If the file has no header line, add one"
    elif separators:
        hint = (
            f". If the columns are separated by {separators[0]!r}, use commas in a .csv file, or tabs in a .tsv file"
        )
    return (
        f"{where} has no column '{label_column}', its columns are {list(columns)}: name the label column by "
        f"--label_column_name{hint}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def without_columns(rows: Rows, dropped: Sequence[str]) -> Rows:
    """Return the rows without the columns ``dropped``."""
    if not dropped:
        return rows
    return [{key: value for key, value in row.items() if key not in dropped} for row in rows]


def join_columns(rows: Rows, columns: Sequence[str], delimiter: str) -> Rows:
    """Join ``columns`` of each row into one text; a value that is not text stays, so that the data set refuses it."""
    joined: Rows = []
    for row in rows:
        values = [row.get(column) for column in columns]
        non_texts = [value for value in values if not isinstance(value, str)]
        joined.append({**row, JOINED: non_texts[0] if non_texts else delimiter.join(map(str, values))})
    return joined
