"""The parts of a report, and the report as one HTML page; `hf_robust.reports.markdown` writes the same parts.

The page contains its style, pictures and script and loads nothing from the network; a content security policy forbids
it. jinja2 escapes all texts, so markup in them is shown and not interpreted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from hf_robust.reports.cells import NOTHING
from hf_robust.reports.marked import Pieces


@dataclass(frozen=True)
class Cell:
    """Text of a table cell, the number to sort by (without one, cells are sorted by their text), and a link."""

    text: str
    value: float | None = None
    link: str = ""


@dataclass(frozen=True)
class Table:
    """A table with a caption; ``long`` tables scroll on the page, ``filtered`` ones have a field to filter rows."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    filtered: bool = False

    @property
    def long(self) -> bool:
        return len(self.rows) > 30

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return any(row[column].value is not None for row in self.rows)

    def without_empty_columns(self) -> Table:
        """The table without its empty columns."""
        filled = [place for place in range(len(self.header)) if any(row[place].text != NOTHING for row in self.rows)]
        rows = [[row[place] for place in filled] for row in self.rows]
        return Table(self.caption, [self.header[place] for place in filled], rows, self.filtered)


@dataclass(frozen=True)
class Picture:
    """A picture: stem of its files beside the report (``<stem>.png``), title, and SVG for the page."""

    stem: str
    title: str
    svg: str


@dataclass(frozen=True)
class Version:
    """An attacked text in one run. ``outcome`` says whether the model fell, withstood or was wrong before."""

    name: str
    outcome: str
    detail: str
    pieces: Pieces


@dataclass(frozen=True)
class AttackedText:
    """A text with the changed words marked, and its perturbed form in each run."""

    title: str
    pieces: Pieces
    versions: Sequence[Version]


@dataclass
class Section:
    """A part of the report under a heading."""

    title: str
    paragraphs: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    examples: list[AttackedText] = field(default_factory=list)

    @property
    def anchor(self) -> str:
        return self.title.lower().replace(" ", "-")


@dataclass
class Document:
    """A whole report."""

    title: str
    introduction: str
    warnings: list[str]
    sections: list[Section]


def text_cell(text: object) -> Cell:
    """A cell of text; a dash for None and the empty string."""
    return Cell(NOTHING if text is None or text == "" else str(text))


def number_cell(value: float, form: str = ".1f", text: str | None = None) -> Cell:
    """A cell of a number, shown by the format or as ``text``; a dash for nan without a text."""
    if not math.isfinite(value):
        return Cell(NOTHING if text is None else text)
    return Cell(format(value, form) if text is None else text, value)


_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERS = ("href", f"{{{_XLINK}}}href", "clip-path", "fill", "mask", "style")


def page(document: Document) -> str:
    """The HTML page of a report."""
    return _template().render(document=document)


@cache
def _template() -> Template:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def inline_svg(path: str | Path, stem: str, title: str) -> Markup:
    """An SVG file of matplotlib as markup for an HTML page.

    Ids get the stem as prefix, since pictures of one page must not share ids. Metadata and style sheet are removed;
    the style sheet would apply to the whole page, and the style of the page contains its rules.
    """
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.parse(path).getroot()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    for element in root.iter():
        if "id" in element.attrib:
            element.set("id", f"{stem}-{element.get('id')}")
        for name in _REFERS:
            if name in element.attrib:
                value = element.attrib[name].replace("url(#", f"url(#{stem}-")
                element.set(name, f"#{stem}-{value[1:]}" if value.startswith("#") and "href" in name else value)
    root.set("role", "img")
    root.set("aria-label", title)
    width = float(root.attrib.pop("width").removesuffix("pt"))
    root.attrib.pop("height")
    # On wide screens at most 1.6 times its size; on narrow screens it scrolls, so that its labels stay readable.
    root.set("style", f"max-width:{1.6 * width:.0f}px;min-width:min(34rem,{width:.0f}px)")
    return Markup(ElementTree.tostring(root, encoding="unicode"))
