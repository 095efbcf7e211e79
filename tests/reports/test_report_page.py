"""The report in a browser: it renders, sorts, logs no error and loads nothing from the network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import opened_browser
from report_folders import record, run_with_records

from hf_robust.reports import load_runs, write_report
from hf_robust.reports.document import Document, Section, Table, number_cell, text_cell
from hf_robust.reports.document import page as document_page
from hf_robust.runs import write_text

HOSTILE = "<img src='http://127.0.0.1:9/x.png'><script>document.title = 'taken'</script>"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs over two epochs, whose accuracies and rates sort differently as numbers and as text."""
    folder = tmp_path_factory.mktemp("browser")
    found = [record(idx, "s", f"a good film {HOSTILE}", f"a fine film {HOSTILE}") for idx in range(12)]
    runs = [
        run_with_records(folder / "a", "", epochs=2, records=found, accuracy=0.09, seconds={"train": 100.0}),
        run_with_records(
            folder / "b", "", epochs=2, records=found, accuracy=0.8, method="safer", seconds={"train": 9.0}
        ),
        run_with_records(folder / "c", "", epochs=2, records=found, accuracy=0.5, method=HOSTILE, seconds={}),
    ]
    page, _ = write_report(load_runs(runs), folder / "report")
    return page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from opened_browser()


@pytest.fixture
def page(browser: Any, page_file: Path) -> Iterator[Any]:
    """The opened report; afterwards it must have loaded nothing else, and the console must be empty."""
    opened = browser.new_page(viewport={"width": 1200, "height": 900})
    said: list[str] = []
    asked: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(page_file.as_uri())
    yield opened
    opened.close()
    assert said == [] and asked == [page_file.as_uri()]


def test_pictures_are_there(page: Any) -> None:
    assert page.title() == "Robustness report"
    boxes = [picture.bounding_box() for picture in page.locator("figure svg").all()]
    assert len(boxes) == 4 and all(box["width"] > 300 and box["height"] > 150 for box in boxes)
    drawn = page.locator("figure svg path").evaluate_all("paths => paths.map(path => path.getBBox().width)")
    assert sum(width > 0 for width in drawn) > 20


def column(table: Any, index: int) -> list[str]:
    return [row.locator("td").nth(index).inner_text() for row in table.locator("tbody tr").all()]


def test_a_header_sorts_by_number_rising_then_falling(page: Any) -> None:
    table = page.locator("#cost table")
    head = table.locator("th", has_text="training")
    assert head.get_attribute("aria-sort") == "none" and column(table, 1) == ["100.0", "9.0", "–"]
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending" and column(table, 1) == ["9.0", "100.0", "–"]
    assert "↑" in head.locator("button").evaluate("button => getComputedStyle(button, '::after').content")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending" and column(table, 1) == ["100.0", "9.0", "–"]
    assert "↓" in head.locator("button").evaluate("button => getComputedStyle(button, '::after').content")


def test_the_keyboard_sorts_names_and_one_column_at_a_time(page: Any) -> None:
    table = page.locator("#cost table")
    table.locator("th button").nth(1).press("Enter")
    table.locator("th button").nth(0).press("Space")
    assert [head.get_attribute("aria-sort") for head in table.locator("th").all()][:2] == ["ascending", "none"]
    assert column(table, 0) == sorted([HOSTILE, "normal", "safer"], key=str.lower)


def test_markup_in_texts_is_shown_and_neither_run_nor_loaded(page: Any) -> None:
    assert HOSTILE in page.locator("article .original").first.inner_text()
    assert page.locator("img").count() == 0 and page.locator("script").count() == 1


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_but_tables_and_pictures_is_wider_than_the_screen(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_print_shows_whole_tables(page: Any) -> None:
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    styles = page.locator(".scrolled").evaluate_all("all => all.map(one => getComputedStyle(one).overflowX)")
    assert set(styles) == {"visible"}


def test_a_filtered_table_hides_rows_and_shows_them_again(browser: Any, tmp_path: Path) -> None:
    rows = [
        [text_cell(name), number_cell(rate)] for name, rate in (("freelb", 27.0), ("pgd", 25.0), ("freelb_pp", 3.0))
    ]
    table = Table("Most robust first", ["method", "robust"], rows, filtered=True)
    write_text(tmp_path / "board.html", document_page(Document("Board", "", [], [Section("Rows", tables=[table])])))
    opened = browser.new_page()
    opened.goto((tmp_path / "board.html").as_uri())
    field, shown = opened.locator("input[type=search]"), opened.locator("tbody tr:visible")
    assert shown.count() == 3
    field.fill("FreeLB")
    assert [row.locator("td").first.inner_text() for row in shown.all()] == ["freelb", "freelb_pp"]
    field.fill("freelb 27")
    assert shown.count() == 1
    field.fill("")
    assert shown.count() == 3
    opened.close()
