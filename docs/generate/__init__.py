"""A Sphinx extension: pages made from the code and the committed results, formulas as MathML, links checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def setup(app: Any) -> dict[str, bool]:
    # Here and not above: the tests of pages run where Sphinx is not installed.
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
    """The arguments of a method's config are transformers' hundred and some more; its own are its fields."""
    from transformers import TrainingArguments

    return ("", None) if isinstance(thing, type) and issubclass(thing, TrainingArguments) else None
