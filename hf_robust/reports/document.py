"""The parts of a report, the same for its page and its Markdown.

A report as one HTML page: style, pictures and script are in it, and it asks the network for nothing.

Texts are escaped by jinja2; markup in them is shown as it is. A content security policy forbids the page to load
anything, so that no text can either.
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
    """What a cell shows, and the number that a sort goes by; a cell without one is sorted by its text."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Table:
    """A table under a caption; ``long`` ones are scrolled on the page."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def long(self) -> bool:
        return len(self.rows) > 30

    def numeric(self, column: int) -> bool:
        """Whether a column holds numbers."""
        return any(row[column].value is not None for row in self.rows)

    def without_empty_columns(self) -> Table:
        """The same without the columns in which no cell says anything."""
        kept = [place for place in range(len(self.header)) if any(row[place].text != NOTHING for row in self.rows)]
        rows = [[row[place] for place in kept] for row in self.rows]
        return Table(self.caption, [self.header[place] for place in kept], rows)


@dataclass(frozen=True)
class Picture:
    """A picture's files beside the report (``<stem>.png``), its SVG for the page, and what it shows."""

    stem: str
    title: str
    svg: str


@dataclass(frozen=True)
class Version:
    """What became of an example in one run: ``outcome`` is fell, withstood or was wrong."""

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
    """A cell of words; a dash for None and nothing."""
    return Cell(NOTHING if text is None or text == "" else str(text))


def number_cell(value: float, form: str = ".1f", text: str | None = None) -> Cell:
    """A cell of a number, shown by a format or as the text given; a dash where there is none."""
    if not math.isfinite(value):
        return Cell(NOTHING if text is None else text)
    return Cell(format(value, form) if text is None else text, value)


_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_REFERS = ("href", f"{{{_XLINK}}}href", "clip-path", "fill", "mask", "style")


def page(document: Document) -> str:
    """The page as text."""
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
    """A picture of matplotlib as markup to stand inside a page.

    Ids get the stem before them, since several pictures of one page may not share one; metadata and the style sheet,
    which would hold for the whole page, are left out (the page's own style has its rules).
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
    # On a wide screen not much above its own size; on a narrow one it is scrolled, so that its labels can be read.
    root.set("style", f"max-width:{1.6 * width:.0f}px;min-width:min(34rem,{width:.0f}px)")
    return Markup(ElementTree.tostring(root, encoding="unicode"))
