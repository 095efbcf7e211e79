"""Which columns of a row are the text: one, or two for sentence pairs."""

from collections.abc import Sequence

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.files import Rows
from hf_robust.data.tasks import GLUE_TASKS

JOINED = "sentence"  # the column that --text_column_delimiter makes, named as in run_classification
ROW_NUMBERS = frozenset({"", "id", "idx", "index", "guid", "unnamed: 0"})


def comma_separated(value: str | None) -> list[str]:
    """``"a, b"`` -> ``["a", "b"]``; None -> ``[]``."""
    return [part.strip() for part in (value or "").split(",") if part.strip()]


def choose_text_columns(columns: Sequence[str], args: DataTrainingArguments, label_column: str) -> tuple[str, ...]:
    """Text columns: the task's, those that were named, sentence1 and sentence2, else the first one or two others.

    A guess passes over columns that number the rows (idx, id, ...).

    Raises:
        ValueError: a named column is missing, more than two are named without a delimiter, or none is left.
    """
    named = comma_separated(args.text_column_names)
    if not named and args.task_name is not None:
        named = list(GLUE_TASKS[args.task_name].columns)
    missing = [column for column in named if column not in columns]
    if missing:
        raise ValueError(f"no column {', '.join(missing)} among {list(columns)}: name yours by --text_column_names.")
    if named:
        if len(named) > 2 and args.text_column_delimiter is None:
            raise ValueError(f"a model reads two texts at most, got {named}: join them by --text_column_delimiter.")
        return tuple(named)
    others = [column for column in columns if column != label_column and column.lower() not in ROW_NUMBERS]
    if "sentence1" in others and "sentence2" in others:
        return "sentence1", "sentence2"
    if not others:
        raise ValueError(f"no text column beside '{label_column}' among {list(columns)}: add one, or name it.")
    return tuple(others[:2])


def join_columns(rows: Rows, columns: Sequence[str], delimiter: str) -> Rows:
    """Rows with their ``columns`` joined into one text; what is not text is left for the data set to refuse."""
    joined: Rows = []
    for row in rows:
        values = [row.get(column) for column in columns]
        strange = [value for value in values if not isinstance(value, str)]
        joined.append({**row, JOINED: strange[0] if strange else delimiter.join(map(str, values))})
    return joined
