"""Picture of weight averages between two models: clean against robust accuracy (TaiChi, Figure 5).

Also places text labels beside the points of a picture so that they cover neither each other nor a point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.palette import attack_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backend_bases import RendererBase
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

_SIZE = 7.0
_RINGS, _ANGLES = 40, 16
_NEAREST, _STEP, _CLEARANCE = 9.0, 5.0, 3.5
"""In points: distance of the first label position from its point, distance between rings, half size of a marker."""


def label_points(
    axes: Axes, labels: Sequence[tuple[str, float, float]], avoid: Sequence[tuple[float, float]] = ()
) -> list[Annotation]:
    """Write each text at the nearest free position around its point, with a thin line to the point.

    Call it after everything else is drawn.

    Args:
        labels: (text, x, y), in the units of the data.
        avoid: further points that no text may cover.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure: Any = axes.figure
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    figure.draw_without_rendering()  # settles limits and layout
    taken = [_marker_box(axes, point) for point in (*((x, y) for _, x, y in labels), *avoid)]
    return [_written(axes, label, taken, renderer) for label in labels]


def _written(axes: Axes, label: tuple[str, float, float], taken: list[Bbox], renderer: RendererBase) -> Annotation:
    """Write the text at the first position inside the axes that covers nothing, and add its box to ``taken``."""
    from matplotlib.patheffects import withStroke

    text, x, y = label
    line = {"arrowstyle": "-", "linewidth": 0.4, "color": "#888888", "shrinkA": 0, "shrinkB": 2}
    note = axes.annotate(
        text, (x, y), (0, 0), textcoords="offset points", fontsize=_SIZE, ha="center", va="center", zorder=5,
        arrowprops=line, path_effects=[withStroke(linewidth=1.5, foreground="white")],
    )  # fmt: skip
    note.set_in_layout(False)
    frame = axes.get_window_extent(renderer)
    for place in _places():  # if no position is free, the last one stays
        note.set_position(place)
        box = text_box(note, renderer)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        if inside and not any(box.overlaps(other) for other in taken):
            break
    taken.append(box)
    return note


def text_box(note: Annotation, renderer: RendererBase) -> Bbox:
    """Box of the text in pixels, without the line to its point."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)


def _places() -> Iterator[tuple[float, float]]:
    """Offsets in points, ring by ring, each from the upper right."""
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


def average_figure(points: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]] = ()) -> Figure:
    """One line for each attack through the averaged models; other models are hollow points with their names.

    Bars in both directions are 95 % Wilson intervals over the attacked examples.

    Args:
        points: ``points`` of ``linear_average.json``, in rising order of lambda.
        others: ``beside`` of that file: other models under the same attacks.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    names = [name for name in points[0]["attacks"] if _has_rate([*points, *others], name)]
    with rc_context(STYLE):
        figure = Figure(figsize=(4.8, 3.8), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        for name, (colour, marker) in attack_styles(points[0]["attacks"]).items():
            if name not in names:  # an attack that keeps the prediction has no such rate
                continue
            style: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 4, "capsize": 2}
            _draw(axes, points, name, label=name, linewidth=1.0, **style)
            _draw(axes, others, name, linestyle="none", markerfacecolor="white", elinewidth=0.7, **style)
        axes.set_xlabel("clean accuracy ↑")
        axes.set_ylabel("robust accuracy ↑")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        figure.legend(loc="outside upper center", ncols=3, fontsize=8, frameon=False)
        figure.supxlabel(_caption(points, others), fontsize=7, color="#555555")
        _label(axes, points, others, names)
    return figure


def _has_rate(points: Sequence[dict[str, Any]], name: str) -> bool:
    return all(math.isfinite(point["attacks"][name]["robust_accuracy"]) for point in points)


def _draw(axes: Axes, points: Sequence[dict[str, Any]], name: str, **style: Any) -> None:
    if not points:
        return
    results = [point["attacks"][name] for point in points]
    x, y = [point["accuracy"] for point in points], [result["robust_accuracy"] for result in results]
    axes.errorbar(x, y, xerr=_errors(points, "accuracy"), yerr=_errors(results, "robust_accuracy"), **style)


def _errors(rates: Sequence[dict[str, Any]], key: str) -> list[list[float]]:
    """Distances from each rate to the lower and to the upper end of its interval."""
    return [[abs(one[key] - one[f"{key}_{end}"]) for one in rates] for end in ("low", "high")]


def _label(
    axes: Axes, points: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], names: Sequence[str]
) -> None:
    """Write the name of each model once, at its highest point; its points for all attacks share one x."""
    named = [*((f"{point['lambda']:g}", point) for point in points), *((plain(one["name"]), one) for one in others)]
    heights = [(text, one, [one["attacks"][name]["robust_accuracy"] for name in names]) for text, one in named]
    labels = [(text, one["accuracy"], max(rates)) for text, one, rates in heights if rates]
    labels = [label for label in labels if math.isfinite(label[1])]
    label_points(axes, labels, [(one["accuracy"], rate) for _, one, rates in heights for rate in rates])


def _caption(points: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> str:
    counts = sorted({one["num_examples"] for point in (*points, *others) for one in point["attacks"].values()})
    hollow = " Hollow: other models." if others else ""
    return (
        f"Numbers: lambda, the weight of the clean model.{hollow}\nBars: 95 % intervals, "
        f"N = {' or '.join(f'{count:,}' for count in counts)}."
    )
