"""The built site in a browser: nothing is wider than the screen, pictures and formulas are there, search finds things.

``HF_ROBUST_SITE`` names the folder of the built site. Without it these tests are skipped; with
``HF_ROBUST_REQUIRE_BROWSER=1`` they then fail, as they do without a browser (see ``tests/browser.py``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from browser import opened_browser

PAGES = ["index.html", "quickstart.html", "choosing.html", "methods.html", "attacks.html", "architecture.html"]
PAGES += ["generated/notebook.html", "generated/methods/taichi.html", "generated/methods/bat_triplet.html"]
PAGES += [
    "generated/commands/attack.html",
    "generated/api/attacks.html",
    "generated/results/study.html",
    "papers.html",
]
PICTURES = {"quickstart.html": 1, "architecture.html": 1, "generated/notebook.html": 1, "choosing.html": 1}
"""The pages with pictures, and how many are seen in one colour scheme at least."""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    folder = os.environ.get("HF_ROBUST_SITE")
    if not folder and os.environ.get("HF_ROBUST_REQUIRE_BROWSER") == "1":
        pytest.fail("HF_ROBUST_REQUIRE_BROWSER is set, but HF_ROBUST_SITE names no built site.")
    if not folder:
        pytest.skip("HF_ROBUST_SITE names no built site; sphinx-build -W docs FOLDER makes one.")
    assert (Path(folder) / "index.html").is_file(), f"HF_ROBUST_SITE {folder} holds no index.html."
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser(site: str) -> Iterator[Any]:
    yield from opened_browser()


@pytest.fixture
def visit(browser: Any, site: str) -> Iterator[Any]:
    """Open a page at a width and in a colour scheme; it must ask for nothing but the site, and complain of nothing."""
    opened: list[Any] = []
    elsewhere: list[str] = []
    said: list[str] = []

    def open_page(path: str, width: int = 1280, scheme: str = "light") -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        opened.append(page)
        page.on(
            "request",
            lambda request: None if request.url.startswith((site, "data:")) else elsewhere.append(request.url),
        )
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{site}/{path}")
        return page

    yield open_page
    for page in opened:
        page.close()
    assert elsewhere == [] and said == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_the_screen(visit: Any, path: str, width: int) -> None:
    page = visit(path, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # What is wide scrolls in a box of its own, and no box sticks out of the screen.
    outside = page.locator("article :is(table, pre, img, div.math, h1, h2, p, dt)").evaluate_all(
        """(all, width) => all
            .filter(one => !one.parentElement.closest("table") && one.getBoundingClientRect().right > width + 1)
            .map(one => one.outerHTML.slice(0, 80))""",
        width,
    )
    assert outside == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PICTURES)
def test_pictures_are_there_in_both_colour_schemes(visit: Any, path: str, scheme: str) -> None:
    page = visit(path, scheme=scheme)
    seen = [picture for picture in page.locator("article img").all() if picture.is_visible()]
    assert len(seen) >= PICTURES[path]
    for picture in seen:
        picture.scroll_into_view_if_needed()
        assert picture.evaluate("async one => { await one.decode(); return one.naturalWidth }") > 300


def luminance(page: Any) -> float:
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(float, colour.strip("rgba()").split(",")[:3])) / 3


def test_the_dark_scheme_is_dark_and_has_its_own_picture_of_the_rooms(visit: Any) -> None:
    shown = {}
    for scheme in ("light", "dark"):
        page = visit("architecture.html", scheme=scheme)
        visible = [picture for picture in page.locator("article img").all() if picture.is_visible()]
        shown[scheme] = (luminance(page) > 128, [picture.get_attribute("src").rsplit("-")[-1] for picture in visible])
    assert shown == {"light": (True, ["light.svg"]), "dark": (False, ["dark.svg"])}


def test_a_formula_is_drawn(visit: Any) -> None:
    page = visit("generated/methods/bat_triplet.html")
    box = page.locator("math[display=block], div.math math").first.bounding_box()
    assert box["width"] > 100 and box["height"] > 15


def test_search_finds_a_method(visit: Any) -> None:
    page = visit("search.html?q=bat_triplet")
    page.wait_for_selector("#search-results li a", timeout=20_000)
    found = page.locator("#search-results li a").evaluate_all("all => all.map(one => one.getAttribute('href'))")
    assert any("generated/methods/bat_triplet.html" in link for link in found[:10]), found[:10]
