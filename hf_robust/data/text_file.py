"""Reads the texts of a file without their labels, for commands that take training texts by ``--texts``."""

from pathlib import Path

from hf_robust.data.arguments import DataTrainingArguments
from hf_robust.data.columns import choose_text_columns
from hf_robust.data.files import read_rows
from hf_robust.data.rows import check_texts


def read_texts(path: Path, text_column_names: str | None = None) -> list[tuple[str, ...]]:
    """Read each text of a file as a tuple of its one or two columns, the named ones or those that hold text.

    Raises:
        ValueError: the file has no rows, or no column of texts.
    """
    rows = read_rows(path)
    if not rows:
        raise ValueError(f"--texts {path} has no rows: give the training texts.")
    arguments = DataTrainingArguments(validation_file=str(path), text_column_names=text_column_names)
    columns = choose_text_columns(rows, arguments, "label")
    check_texts(rows, columns, path.name)
    return [tuple(row[column] for column in columns) for row in rows]
