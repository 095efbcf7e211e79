"""Read a file of rows with the standard library alone; every value is kept as it was written.

csv text stays text ("NA", "null" and "007" included), which pandas would turn into missing values and numbers.
"""

import csv
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

Rows = list[dict[str, Any]]
EXTENSIONS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


def extension_of(path: str | Path) -> str:
    """``.csv`` for ``x.csv`` and ``x.csv.gz``: what decides how a file is read."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_rows(path: str | Path) -> Rows:
    """All rows of a csv, tsv, json (lines or one list), jsonl or parquet file; text files may be gzipped.

    A tsv file is read without quoting, as GLUE's are written; csv follows the usual quoting rules.

    Raises:
        ValueError: no such file, an unknown extension, or content that the extension does not promise.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist or is not a file: check the path.")
    extension = extension_of(path)
    if extension not in EXTENSIONS:
        raise ValueError(f"{path} must end in one of {', '.join(EXTENSIONS)} (or that and .gz).")
    if extension == ".parquet":
        return _read_parquet(path)
    try:
        with _open(path) as lines:
            if extension in (".csv", ".tsv"):
                return _read_separated(lines, path, tab=extension == ".tsv")
            return _read_json(lines, path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: convert it first.") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is not a complete gzip file: {error}.") from error


def _open(path: Path) -> IO[str]:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read_separated(lines: IO[str], path: Path, tab: bool) -> Rows:
    csv.field_size_limit(sys.maxsize)  # the default refuses a long document
    if tab:
        reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines)
    try:
        header = next(reader, [])
        return [_named(header, values, path, reader.line_num) for values in reader if values]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from error


def _named(header: list[str], values: list[str], path: Path, line: int) -> dict[str, Any]:
    if len(values) != len(header):
        raise ValueError(
            f"{path}, line {line}: {len(values)} values for the {len(header)} columns {header}: "
            "quote the texts that hold the separator or a line break."
        )
    return dict(zip(header, values, strict=True))


def _read_json(lines: IO[str], path: Path) -> Rows:
    start = lines.read(1)
    while start.isspace():
        start = lines.read(1)
    rows: Iterator[Any] | list[Any]
    try:
        if start == "[":
            rows = json.loads(start + lines.read())
        else:
            # Not splitlines(): it would also split at U+2028 and the like, which JSON strings may hold.
            rows = (json.loads(line) for line in (start + lines.read()).split("\n") if line.strip())
        rows = list(rows)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is neither JSON lines nor one JSON list of rows: {error}.") from error
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise ValueError(f'{path}: row {number} must be an object such as {{"sentence": ...}}, got {row!r:.60}.')
    return rows


def _read_parquet(path: Path) -> Rows:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise ValueError(f"{path} needs pyarrow (pip install pyarrow); or convert it to jsonl.") from error
    rows: Rows = parquet.read_table(path).to_pylist()
    return rows
