"""Interpretation consistency and word importance as table and pictures, and texts with coloured words."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hf_robust.reports import (
    ColouredText,
    draw_importance,
    draw_interpretation,
    draw_words,
    interpretation_table,
    percent,
)
from hf_robust.reports.interpretation import interpretation_figure
from hf_robust.reports.word_colours import shade, words_figure, words_page

EVIL = ColouredText(
    "<b>title</b>", (("<script>alert('x')</script>", 1.0), (" & ", None), ('"good"', -0.5), ("was", 0.0))
)


def test_html_escapes_text() -> None:
    page = words_page([[EVIL]], "a <model>", "note & more")
    assert "<script" not in page and "<b>" not in page and "<model>" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;" in page and "&quot;good&quot;" in page
    assert "note &amp; more" in page and "<title>a &lt;model&gt;</title>" in page
    assert not re.findall(r"(?:src|href|@import|url)\s*[=(]", page)  # loads nothing from elsewhere


def test_colours_are_relative_to_the_largest() -> None:
    shades = dict(EVIL.shades())
    assert shades["<script>alert('x')</script>"] == shade(1.0)
    assert shades['"good"'] == shade(-0.5) and shades[" & "] is None and shades["was"] == "#ffffff"
    assert list(ColouredText("", (("a", 0.0),)).shades()) == [("a", None)]  # nothing to compare with


def test_files_are_written(tmp_path: Path) -> None:
    paths = draw_words([[EVIL, EVIL]], tmp_path / "new", "heading", "note")
    assert [path.name for path in paths] == [f"word_attributions.{ending}" for ending in ("png", "svg", "html")]
    assert all(path.stat().st_size > 500 for path in paths)
    assert paths[0].read_bytes().startswith(b"\x89PNG") and "alert" in paths[2].read_text()


def drawn(text: ColouredText) -> list[str]:
    (axes,) = words_figure([[text]], "heading", "note").axes
    return [label.get_text() for label in axes.texts][2:]


def test_lines_are_wrapped_and_long_words_cut() -> None:
    words = tuple((f"word{index} ", float(index)) for index in range(60))
    figure = words_figure([[ColouredText("title", words)]], "heading", "note")
    (axes,) = figure.axes
    ends = [label.get_position()[0] + len(label.get_text()) for label in axes.texts]
    assert max(ends) <= 100 and len({label.get_position()[1] for label in axes.texts}) > 5
    assert drawn(ColouredText("t", (("x" * 250, 1.0),)))[1:] == ["x" * 100, "x" * 100, "x" * 50]


@given(st.lists(st.text(alphabet="ab$_\\{^\n\t<é", min_size=1, max_size=8), max_size=6))
def test_pictures_take_any_character_as_it_is(words: list[str]) -> None:
    text = ColouredText("$title", tuple((word, 1.0) for word in words))
    shown = drawn(text)
    assert shown[0] == "$title" and "".join(shown[1:]) == re.sub(r"\s", " ", "".join(words))
    (axes,) = words_figure([[text]], "$", "_{").axes
    assert not any(label.get_parse_math() for label in axes.texts)


def result(**changes: Any) -> dict[str, Any]:
    top = [{"k": k, "mean": k / 10, "low": k / 20, "high": 1.0} for k in range(1, 11)]
    tau = {"mean": 0.414, "low": 0.3, "high": 0.5}
    found = {"kendall_tau": tau, "top_k": top, "num_pairs": 1200, "num_undefined": 2, "words": 17.25}
    return {**found, "changed_share": 0.2, "complete_share": 0.975, "worst_completeness": 0.031,
            "seconds_per_pair": 1.5, **changes}  # fmt: skip


def test_table() -> None:
    none = {"mean": None, "low": None, "high": None}
    single = {"mean": 0.5, "low": None, "high": None}
    unknown = result(kendall_tau=none, complete_share=None, worst_completeness=None)
    text = interpretation_table({"ig": result(), "lime": unknown, "one": result(kendall_tau=single)})
    header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert header[:4] == ["attribution", "tau", "top-1", "top-2"] and "top-10" in header
    assert rows[0][:3] == ["ig", "0.41 [0.30, 0.50]", "0.10"] and rows[0][6] == "0.50 [0.25, 1.00]"
    assert rows[0][-7:] == ["1,200", "2", "17.2", "20.0 %", "97.5 %", "3.1 %", "1.50"]
    assert rows[1][1] == "–" and rows[1][-3:-1] == [percent(math.nan)] * 2 and rows[2][1] == "0.50"


def test_one_curve_for_each_attribution(tmp_path: Path) -> None:
    results = {"ig": result(), "lime": result()}
    (axes,) = interpretation_figure(results, "title").axes
    assert [list(line.get_xdata()) for line in axes.lines] == [list(range(1, 11))] * 2
    assert [line.get_label() for line in axes.lines][0] == "ig: tau 0.41 [0.30, 0.50], n = 1,200"
    paths = draw_interpretation(results, tmp_path / "new", "title")
    assert [path.name for path in paths] == ["interpretation.png", "interpretation.svg"]
    assert all(path.stat().st_size > 1000 for path in paths)


def test_scatter(tmp_path: Path) -> None:
    panels: dict[str, Any] = {"frequency": ([(1, 0.5), (10, 0.7)], 1.0), "replacements": ([], float("nan"))}
    paths = draw_importance(panels, tmp_path)
    assert all(path.stat().st_size > 1000 for path in paths)
    assert "Pearson r not defined, 0 words" in paths[1].read_text()
