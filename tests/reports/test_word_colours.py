"""Texts with coloured words: nothing in a text is taken for markup, and pictures show every word."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hf_robust.reports import ColouredText, draw_words
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
