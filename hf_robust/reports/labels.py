"""Texts beside the points of a picture, of which none covers another or a point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_SIZE = 7.0
_RINGS, _ANGLES = 40, 16
_NEAREST, _STEP, _CLEARANCE = 9.0, 5.0, 3.5
"""In points: the centre of the first place from its point, the distance of rings, what a marker takes."""


def label_points(
    axes: Axes, labels: Sequence[tuple[str, float, float]], avoid: Sequence[tuple[float, float]] = ()
) -> list[Annotation]:
    """Write each text at the nearest free place around its point, with a thin line to the point.

    Call it when all else is drawn: places are found in the picture as it then is.

    Args:
        labels: (text, x, y), in the data's units.
        avoid: further points that no text may cover.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure: Any = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()  # settles limits and layout
    taken = [_marker_box(axes, point) for point in (*((x, y) for _, x, y in labels), *avoid)]
    return [_written(axes, label, taken, renderer) for label in labels]


def _written(axes: Axes, label: tuple[str, float, float], taken: list[Bbox], renderer: RendererBase) -> Annotation:
    """The text at the first place where it lies inside the axes and on nothing; its box is taken then."""
    from matplotlib.patheffects import withStroke

    text, x, y = label
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": "#888888", "shrinkA": 0, "shrinkB": 2}
    note = axes.annotate(
        text, (x, y), (0, 0), textcoords="offset points", fontsize=_SIZE, ha="center", va="center", zorder=5,
        arrowprops=line, path_effects=[withStroke(linewidth=1.5, foreground="white")],
    )  # fmt: skip
    note.set_in_layout(False)
    frame = axes.get_window_extent(renderer)
    for place in _places():  # in a picture so full that nothing is free the last one stays
        note.set_position(place)
        box = text_box(note, renderer)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    taken.append(box)
    return note


def text_box(note: Annotation, renderer: RendererBase) -> Bbox:
    """In pixels, of the text alone, without the line to its point."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)


def _places() -> Iterator[tuple[float, float]]:
    """Offsets in points, ring by ring, up and to the right first."""
    for ring in range(_RINGS):
        for step in range(_ANGLES):
            angle = math.pi / 4 + 2 * math.pi * step / _ANGLES
            radius = _NEAREST + _STEP * ring
            yield radius * math.cos(angle), radius * math.sin(angle)


def _marker_box(axes: Axes, point: tuple[float, float]) -> Bbox:
    from matplotlib.transforms import Bbox

    x, y = axes.transData.transform(point)
    half = _CLEARANCE * axes.figure.dpi / 72
    return Bbox.from_extents(x - half, y - half, x + half, y + half)
