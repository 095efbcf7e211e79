"""Tables that a command prints for the models of each seed, averaged over seeds."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.reports.document import Document, Section, Table, text_cell
from hf_robust.reproduce.commands import MEASURED, OVER_SEEDS
from hf_robust.reproduce.over_seeds import CAPTION, mean_cell, over_seeds
from hf_robust.reproduce.page import measured


def table(*rows: list[str], header: tuple[str, ...] = ("model", "accuracy", "p")) -> Table:
    return Table(MEASURED, header, [[text_cell(cell) for cell in row] for row in rows])


@pytest.mark.parametrize(
    ("texts", "mean"),
    [
        (["62.0 [59.0, 65.0]", "63.0 [60.0, 66.0]"], "62.5 ± 0.7"),
        (["1,000", "1,000"], "1,000"),
        (["1,000", "1,200"], "1,100.0 ± 141.4"),
        (["-0.10", "+0.30"], "+0.10 ± 0.28"),
        (["1.1", "1.103"], "1.102 ± 0.002"),
        (["10 / 80", "20 / 90"], "15.0 ± 7.1 / 85.0 ± 7.1"),
        (["0.5", "n/a"], "–"),
        (["yes", "no"], "–"),
        (["layer3: 0.5", "layer3: 0.7"], "layer3: 0.6 ± 0.1"),
    ],
)
def test_a_cell_has_the_mean_of_each_number_and_no_interval(texts: list[str], mean: str) -> None:
    assert mean_cell(texts).text == mean


@given(st.lists(st.floats(-1e4, 1e4).map(lambda value: round(value, 3)), min_size=2, max_size=5))
def test_a_cell_sorts_by_its_mean(values: list[float]) -> None:
    texts = [f"{value:,.3f}" for value in values]
    cell = mean_cell(texts)
    if len(set(texts)) > 1:
        assert cell.value == pytest.approx(statistics.mean(values), abs=1e-9)
        assert cell.text == f"{statistics.mean(values):,.3f} ± {statistics.stdev(values):,.3f}"


def test_places_become_rows_of_one_table_and_p_values_are_left_out() -> None:
    """Two models on one data set with two seeds each: the data set, which is the same, has no column."""
    made = {
        ("sst2", model, "flat"): [[table(["own", f"{base}.0", "0.1"])], [table(["own", f"{base + 2}.0", "0.9"])]]
        for model, base in (("lstm", 10), ("cnn", 20))
    }
    (found,) = over_seeds(made, ("data", "model", "setting"))
    assert list(found.header) == ["model", "model", "accuracy"] and found.caption == CAPTION
    assert [[cell.text for cell in row] for row in found.rows] == [
        ["lstm", "own", "11.0 ± 1.4"],
        ["cnn", "own", "21.0 ± 1.4"],
    ]


def test_tables_that_are_not_alike_are_not_averaged() -> None:
    first, second = table(["a", "1.0", "1"]), table(["a", "1.0", "1"], ["b", "2.0", "1"])
    assert over_seeds({("d", "m", ""): [[first], [second]]}, ("data", "model", "setting")) == []
    other = table(["a", "1.0"], header=("model", "loss"))
    assert over_seeds({("d", "m", ""): [[first], [other]]}, ("data", "model", "setting")) == []
    named = over_seeds({("d", "m", ""): [[first], [table(["c", "3.0", "1"])]]}, ("data", "model", "setting"))
    assert [[cell.text for cell in row] for row in named[0].rows] == [["–", "2.0 ± 1.4"]]
    assert over_seeds({}, ("data", "model", "setting")) == []


def test_the_numbers_of_an_item_have_what_its_command_measured() -> None:
    seed = Section("sst2 bert seed 1", tables=[table(["a", "1.0", "0.2"])])
    apart = Section("The paper's numbers", tables=[Table("As printed", ["x"], [[text_cell("1")]])])
    document = Document("t", "i", [], [apart, seed])
    one = {"title": "sst2 bert seed 1", "header": ["model", "accuracy", "p"], "rows": [["a", "1.0", "0.2"]]}
    assert list(measured(document)) == [one]
    both = Section(OVER_SEEDS, tables=[Table(CAPTION, ["model"], [[text_cell("a")]])])
    document.sections.append(both)
    assert list(measured(document)) == [{"title": OVER_SEEDS, "header": ["model"], "rows": [["a"]]}]
