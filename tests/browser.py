"""Headless Chromium for tests of pages.

Needs playwright (``pip install -c constraints.txt -e ".[browser]"``) and an installed Chromium, found on the path or
named by ``CHROMIUM``. ``HF_ROBUST_REQUIRE_BROWSER=1`` turns the skip without them into a failure.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


def missing() -> str:
    """What a browser test lacks here; nothing where it can run."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed; pip install -c constraints.txt -e '.[browser]'."
    return "" if chromium() else "no Chromium was found; install one or name it by CHROMIUM."


def chromium() -> str | None:
    names = (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def opened_browser() -> Iterator[Any]:
    """A started browser, closed afterwards; the body of a fixture."""
    reason = missing()
    if reason and os.environ.get("HF_ROBUST_REQUIRE_BROWSER") == "1":
        pytest.fail(f"HF_ROBUST_REQUIRE_BROWSER is set, but {reason}")
    if reason:
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()
