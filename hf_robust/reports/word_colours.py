"""Texts with words coloured by their attribution, as a picture and as an HTML page."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hf_robust.reports.curves import STYLE, save_figure
from hf_robust.runs import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORDS_STEM = "word_attributions"
FOR, AGAINST = (0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)
"""Blue and vermilion of Okabe and Ito: words for the class, and words against it."""
_STRONGEST = 0.75  # black stays readable on it
_COLUMNS = 100
_SIZE, _LINE, _MARGIN = 9.0, 15.0, 18.0  # points
_ADVANCE = 0.602  # width of a character of DejaVu Sans Mono, in font sizes


@dataclass(frozen=True)
class ColouredText:
    """A text as pieces, each with its number; pieces that are not words have None.

    Colours are relative to the largest number of the same text.
    """

    title: str
    pieces: tuple[tuple[str, float | None], ...]

    def shades(self) -> Iterator[tuple[str, str | None]]:
        """Each piece with its background colour, as ``#rrggbb``."""
        largest = max((abs(value) for _, value in self.pieces if value is not None), default=0.0)
        for text, value in self.pieces:
            yield text, None if value is None or not largest else shade(value / largest)


def shade(strength: float) -> str:
    """Background colour of a number in [-1, 1]; white for 0.

    >>> shade(0.0), shade(1.0)
    ('#ffffff', '#4095c5')
    """
    colour, opacity = FOR if strength > 0 else AGAINST, _STRONGEST * min(abs(strength), 1.0)
    return "#" + "".join(f"{round(255 + (part - 255) * opacity):02x}" for part in colour)


def draw_words(groups: Sequence[Sequence[ColouredText]], folder: str | Path, heading: str, note: str) -> list[Path]:
    """Write ``word_attributions.png``, ``.svg`` and ``.html`` into a folder, which is made, and return their paths.

    Args:
        groups: texts that belong together, such as a text and its perturbed form.
        note: one line on the meaning of the colours.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    page = Path(folder) / f"{WORDS_STEM}.html"
    write_text(page, words_page(groups, heading, note))
    return [*save_figure(words_figure(groups, heading, note), Path(folder), WORDS_STEM), page]


def words_page(groups: Sequence[Sequence[ColouredText]], heading: str, note: str) -> str:
    """HTML page that loads nothing from the network; all texts are escaped."""
    blocks = []
    for group in groups:
        rows = []
        for text in group:
            words = "".join(_span(piece, colour) for piece, colour in text.shades())
            rows.append(f"<h2>{html.escape(text.title)}</h2>\n<p>{words}</p>")
        blocks.append("<section>\n" + "\n".join(rows) + "\n</section>")
    body = "\n".join(blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(heading)}</title>\n<style>\n"
        "body { font: 16px/1.8 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }\n"
        "section { border-top: 1px solid #ccc; padding: .5em 0; }\n"
        "h2 { font-size: 13px; color: #555; margin: .8em 0 0; font-weight: normal; }\n"
        "p { margin: 0; white-space: pre-wrap; } span { border-radius: 3px; color: #000; }\n"
        f"</style>\n</head>\n<body>\n<h1>{html.escape(heading)}</h1>\n<p>{html.escape(note)}</p>\n{body}\n"
        "</body>\n</html>\n"
    )


def _span(piece: str, colour: str | None) -> str:
    return html.escape(piece) if colour is None else f'<span style="background:{colour}">{html.escape(piece)}</span>'


def words_figure(groups: Sequence[Sequence[ColouredText]], heading: str, note: str) -> Figure:
    """The texts as a matplotlib Figure in a monospaced font, wrapped at 100 characters."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    lines = [line for group in groups for text in group for line in (*_lines(text), [])]
    height, width = _LINE * (len(lines) + 2), _COLUMNS * _ADVANCE * _SIZE
    inches = (width + 2 * _MARGIN) / 72, (height + 2 * _MARGIN) / 72
    with rc_context({**STYLE, "font.family": "DejaVu Sans Mono"}):
        figure = Figure(figsize=inches, dpi=150)
        axes = figure.add_axes((_MARGIN / 72 / inches[0], 0, 1 - 2 * _MARGIN / 72 / inches[0], 1))
        axes.set_axis_off()
        axes.set_xlim(0, _COLUMNS)
        axes.set_ylim(height + 2 * _MARGIN, 0)
        axes.text(0, _MARGIN, heading, fontsize=10.5, va="center", parse_math=False)
        axes.text(0, _MARGIN + _LINE, note, fontsize=7, color="#555555", va="center", parse_math=False)
        for number, line in enumerate(lines):
            place = 0
            for piece, colour in line:
                box = {"facecolor": colour, "edgecolor": "none", "pad": 1.2} if colour else None
                grey = "#555555" if colour is None else "#000000"
                down = _MARGIN + _LINE * (number + 2)
                axes.text(place, down, piece, fontsize=_SIZE, color=grey, va="center", bbox=box, parse_math=False)
                place += len(piece)
    return figure


def _lines(text: ColouredText) -> list[list[tuple[str, str | None]]]:
    """Title and pieces of the text as lines; longer pieces are split."""
    lines: list[list[tuple[str, str | None]]] = [[(text.title[:_COLUMNS], None)], []]
    used = 0
    for piece, colour in text.shades():
        flat = re.sub(r"\s", " ", piece)
        if used and used + len(flat) > _COLUMNS:
            lines.append([])
            used = 0
            flat = flat.lstrip()
        while len(flat) > _COLUMNS:
            lines[-1].append((flat[:_COLUMNS], colour))
            lines.append([])
            flat = flat[_COLUMNS:]
        if flat:
            lines[-1].append((flat, colour))
            used += len(flat)
    return lines
