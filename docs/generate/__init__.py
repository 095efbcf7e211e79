"""Sphinx extension: makes pages from the code and the committed results, renders formulas as MathML, checks links."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def setup(app: Any) -> dict[str, bool]:
    """Connect the extension to Sphinx."""
    # Imported here, since the tests of pages also run without Sphinx.
    from docs.generate.formulas import add_renderer
    from docs.generate.links import check_links
    from docs.generate.pages import write_pages

    add_renderer(app)
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    app.connect("autodoc-process-signature", without_long_signature)
    app.connect("build-finished", check_links)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def without_long_signature(
    app: Any, what: str, name: str, thing: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str, None] | None:
    """Leave out the signature of a config: its fields are listed, and the rest is transformers' hundred arguments."""
    from transformers import TrainingArguments

    return ("", None) if isinstance(thing, type) and issubclass(thing, TrainingArguments) else None
