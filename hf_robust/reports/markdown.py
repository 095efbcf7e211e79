"""A report as Markdown, for repositories and issue trackers; its pictures are files beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hf_robust.reports.cells import markdown_table
from hf_robust.reports.document import AttackedText, Document, Section, Table
from hf_robust.reports.marked import Pieces

_MARKUP = re.compile(r"[\\*`]|(?<!\w)_|_(?!\w)|(?<=\])(?=\()")


def markdown(document: Document) -> str:
    """The report as Markdown, with the content and order of the HTML page."""
    blocks = [f"# {escaped(document.title)}", escaped(document.introduction)]
    if document.warnings:
        blocks.append("\n".join(f"> **Warning:** {escaped(warning)}" for warning in document.warnings))
    for section in document.sections:
        blocks += _section(section)
    return "\n\n".join(block.strip() for block in blocks) + "\n"


def escaped(text: str) -> str:
    r"""Escape a text so that Markdown shows it unchanged, in one line.

    >>> escaped("<b> a_b *c*")
    '&lt;b> a_b \\*c\\*'
    """
    flat = re.sub(r"\s+", " ", text).replace("&", "&amp;").replace("<", "&lt;")
    return _MARKUP.sub(lambda match: f"\\{match.group()}", flat)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    yield from map(escaped, section.paragraphs)
    for picture in section.pictures:
        yield f"![{escaped(picture.title)}]({picture.stem}.png)"
    if section.items:
        yield "\n".join(f"- {escaped(item)}" for item in section.items)
    for table in section.tables:
        yield f"### {escaped(table.caption)}"
        yield _table(table)
    for example in section.examples:
        yield from _example(example)


def _table(table: Table) -> str:
    rows = [
        [f"[{escaped(cell.text)}]({cell.link})" if cell.link else escaped(cell.text) for cell in row]
        for row in table.rows
    ]
    return markdown_table([escaped(name) for name in table.header], rows)


def _example(example: AttackedText) -> Iterator[str]:
    yield f"### {escaped(example.title)}"
    yield _marked(example.pieces)
    yield "\n".join(
        f"- **{escaped(version.name)}: {version.outcome}** ({escaped(version.detail)}): {_marked(version.pieces)}"
        for version in example.versions
    )


def _marked(pieces: Pieces) -> str:
    """Marked pieces in HTML bold, since Markdown's stars fail next to some characters."""
    return "".join(f"<b>{escaped(text)}</b>" if marked else escaped(text) for text, marked in pieces)
