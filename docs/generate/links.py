"""Checks the links inside the built site: every linked page, picture and anchor must exist."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """Parses a page into its link targets and its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name, tag) in (("href", "a"), ("src", "img"), ("src", "script"), ("href", "link")):
                self.targets.add(value)
            elif value and name == "id":
                self.anchors.add(value)


def broken_links(site: Path) -> list[str]:
    """A line for each broken link; links to other sites are not followed."""
    return sorted(line for page in site.rglob("*.html") for line in _broken_on(page, site))


def _broken_on(page: Path, site: Path) -> Iterator[str]:
    for target in _read(page).targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not file.is_file():
            yield f"{page.relative_to(site)}: {target} does not exist"
        elif parts.fragment and file.suffix == ".html" and unquote(parts.fragment) not in _read(file).anchors:
            yield f"{page.relative_to(site)}: {target} has no such anchor"


@cache
def _read(page: Path) -> _Page:
    parser = _Page()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def check_links(app: Any, exception: Exception | None) -> None:
    """Fail the build where a link inside the site is broken."""
    from sphinx.errors import ExtensionError

    if exception is None and app.builder.format == "html":
        if broken := broken_links(Path(app.outdir)):
            raise ExtensionError("broken links:\n" + "\n".join(broken))
