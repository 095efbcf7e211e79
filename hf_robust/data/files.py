"""Read a file of rows with the standard library; every value stays as written.

Text in csv files stays text, also "NA", "null" and "007", which pandas would turn into missing values and numbers.
"""

import csv
import gzip
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

logger = logging.getLogger(__name__)

Rows = list[dict[str, Any]]
EXTENSIONS = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
OTHER_SEPARATORS = (";", "\t", "|")
"""Separators that some programs write into csv files."""


def extension_of(path: str | Path) -> str:
    """Return the extension by which a file is read: ``.csv`` for ``x.csv`` and ``x.csv.gz``."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_rows(path: str | Path) -> Rows:
    """Read all rows of a file as a list: see `iterate_rows`."""
    return list(iterate_rows(path))


def iterate_rows(path: str | Path) -> Iterator[dict[str, Any]]:
    """Read the rows of a csv, tsv, json (lines or one list), jsonl or parquet file; text files may be gzipped.

    Rows are read one by one, those of a json list all at once. A tsv file is read without quoting, like those of GLUE;
    csv follows the usual quoting rules. A csv file whose header has no comma but one of ``OTHER_SEPARATORS`` is read
    with that separator.

    Raises:
        ValueError: the file does not exist, has an unknown extension or other content than its extension says, or two
            columns (or keys of one JSON object) have one name.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist or is not a file: check the path.")
    extension = extension_of(path)
    if extension not in EXTENSIONS:
        raise ValueError(f"{path} must end in one of {', '.join(EXTENSIONS)}, or in one of these and .gz.")
    if extension == ".parquet":
        yield from _read_parquet(path)
        return
    try:
        with _open(path) as lines:
            if extension in (".csv", ".tsv"):
                yield from _read_separated(lines, path, tab=extension == ".tsv")
            else:
                yield from _read_json(lines, path)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: convert it to UTF-8.") from error
    except (gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} is not a complete gzip file ({error}): write it again.") from error


def _open(path: Path) -> IO[str]:
    # utf-8-sig: spreadsheets write a byte order mark, which would become part of the first column's name.
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read_separated(lines: IO[str], path: Path, tab: bool) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(sys.maxsize)  # the default refuses a long document
    separator = "\t" if tab else _separator(lines)
    # Strict: a quote that is never closed would else swallow the rows after it.
    if tab:
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=separator, strict=True)
    hint = "" if separator == "," or tab else f"if it is separated by {separator!r}, "
    try:
        header = [name.strip() for name in next(reader, [])]
        check_column_names(header, f"{path}")
        for values in reader:
            if values:
                yield _row(header, values, f"{path}, line {reader.line_num}", hint)
    except csv.Error as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}: {hint}put texts that contain a quote, the separator or a line "
            f"break "
            "into quotes, and double the quotes in them."
        ) from error
    if hint:
        logger.warning(f"{path.name} is read with the separator {separator!r}; its columns are {', '.join(header)}.")


def _separator(lines: IO[str]) -> str:
    first = lines.readline()
    if first[:4] == "sep=" and first[4:].strip() in OTHER_SEPARATORS:  # a spreadsheet's line before the header
        return first[4:].strip()
    lines.seek(0)
    candidates = (",", *OTHER_SEPARATORS)
    return next((mark for mark in candidates if len(next(csv.reader([first], delimiter=mark), [])) > 1), ",")


def check_column_names(names: list[str], where: str) -> None:
    """Refuse columns with the same name, of which only one could be read.

    Raises:
        ValueError: two columns have one name, or no name.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        called = f"called '{twice}'" if twice else "without a name"
        raise ValueError(f"{where} has {names.count(twice)} columns {called}: rename or remove all but one.")


def _row(header: list[str], values: list[str], where: str, hint: str) -> dict[str, Any]:
    if len(values) != len(header):
        raise ValueError(
            f"{where}: {len(values)} values for the {len(header)} columns {header}: {hint}"
            "put texts that contain the separator or a line break into quotes."
        )
    return dict(zip(header, values, strict=True))


def _read_json(lines: IO[str], path: Path) -> Iterator[dict[str, Any]]:
    start = lines.read(1)
    while start.isspace():
        start = lines.read(1)
    try:
        if start == "[":
            rows: Iterable[Any] = json.loads(start + lines.read(), object_pairs_hook=_object)
        else:
            # The lines of a file, unlike splitlines(), do not end at U+2028, which JSON strings may contain.
            json_lines = chain([start + lines.readline()], lines)
            rows = (json.loads(line, object_pairs_hook=_object) for line in json_lines if line.strip())
        for number, row in enumerate(rows):
            if not isinstance(row, dict):
                raise ValueError(
                    f'{path}: row {number} must be an object such as {{"sentence": ...}}, got {row!r:.60}.'
                )
            yield row
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is neither JSON lines nor one JSON list of rows: {error}.") from error
    except _DuplicateKey as error:
        raise ValueError(f"{path}: an object has {error}: rename or remove all but one.") from error


class _DuplicateKey(Exception):
    """A JSON object has a key twice; Python would keep the last."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise _DuplicateKey(f"several keys '{next(name for name in names if names.count(name) > 1)}', {row!r:.60}")
    return row


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    try:
        from pyarrow import parquet  # type: ignore[import-untyped]
    except ImportError as error:
        raise ValueError(
            f"{path} needs pyarrow (pip install pyarrow): install it, or convert the file to jsonl."
        ) from error
    check_column_names(parquet.read_schema(path).names, f"{path}")
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches():
            yield from batch.to_pylist()
