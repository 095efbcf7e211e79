"""A report as one HTML page: style, pictures and script are in it, and it asks the network for nothing.

Texts are escaped by jinja2; markup in them is shown as it is. A content security policy forbids the page to load
anything, so that no text can either.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from hf_robust.reports.document import Document

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
