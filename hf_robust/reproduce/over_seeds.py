"""Tables that a command printed for the models of each seed, as one table of means and deviations."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence

from hf_robust.reports.document import Cell, Table, text_cell

INTERVAL = re.compile(r" ?\[[^\]]*\]")
NUMBER = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?")
P_VALUE = "p"
"""Column whose mean says nothing."""
CAPTION = "Mean ± sample standard deviation over seeds"

Lead = tuple[str, ...]


def over_seeds(made: Mapping[Lead, Sequence[Sequence[Table]]], lead: Sequence[str]) -> list[Table]:
    """One table for each that all seeds have, with a row for each of its rows and places.

    Args:
        made: place (data, model, setting) -> the tables of each seed.
        lead: heads of the columns for the places.
    """
    if not made:
        return []
    shown = [place for place in range(len(lead)) if len({key[place] for key in made}) > 1]
    number = min(len(tables) for of_seeds in made.values() for tables in of_seeds)
    merged = []
    for index in range(number):
        header = next(iter(made.values()))[0][index].header
        kept = [column for column, name in enumerate(header) if name != P_VALUE]
        rows = []
        for key, of_seeds in made.items():
            front = [text_cell(key[place]) for place in shown]
            rows += [
                [*front, *(row[column] for column in kept)]
                for row in _means([tables[index] for tables in of_seeds], header)
            ]
        if rows:
            heads = [*(lead[place] for place in shown), *(header[column] for column in kept)]
            merged.append(Table(CAPTION, heads, rows))
    return merged


def _means(tables: Sequence[Table], header: Sequence[str]) -> Iterator[list[Cell]]:
    """The rows of tables that are alike; none if a seed has another header or other rows.

    The first column names the row; a name that differs between seeds is left out.
    """
    if any(list(table.header) != list(header) or len(table.rows) != len(tables[0].rows) for table in tables):
        return
    for rows in zip(*(table.rows for table in tables), strict=True):
        label, *others = zip(*rows, strict=True)
        same = len({cell.text for cell in label}) == 1
        yield [
            label[0] if same else text_cell(None),
            *(mean_cell([cell.text for cell in cells]) for cells in others),
        ]


def mean_cell(texts: Sequence[str]) -> Cell:
    """A cell with the mean and the deviation of each number in cells of one form; intervals in brackets are left out.

    >>> mean_cell(["62.0 [59.0, 65.0]", "63.0 [60.0, 66.0]"]).text
    '62.5 ± 0.7'
    """
    if len(set(texts)) == 1:
        return text_cell(texts[0])
    plain = [INTERVAL.sub("", text) for text in texts]
    found = [NUMBER.findall(text) for text in plain]
    if len({NUMBER.sub("#", text) for text in plain}) > 1 or not found[0]:
        return text_cell(None)
    by_place = [[float(number.replace(",", "")) for number in numbers] for numbers in zip(*found, strict=True)]
    signed = any(number.startswith("+") for numbers in found for number in numbers)
    digits = [max(len(number.partition(".")[2]) for number in numbers) or 1 for numbers in zip(*found, strict=True)]
    shown = iter(_spread(values, number, signed) for values, number in zip(by_place, digits, strict=True))
    return Cell(NUMBER.sub(lambda match: next(shown), plain[0]), statistics.mean(by_place[0]))


def _spread(values: Sequence[float], digits: int, signed: bool) -> str:
    """Mean and deviation; counts get one digit."""
    return f"{statistics.mean(values):{'+' if signed else ''},.{digits}f} ± {statistics.stdev(values):,.{digits}f}"
