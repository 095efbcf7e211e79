"""Picture of sentence embeddings by label, with the regions of the predicted classes (TaiChi, Figure 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from hf_robust.reports.curves import STYLE, plain
from hf_robust.reports.palette import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = ("o", *MARKERS[1:3])


class LabelPanel(NamedTuple):
    """One model.

    Attributes:
        name: its name, the title of the panel.
        points: (n, 2) points of each group of texts by its name.
        labels: class id of the true label of each of the n texts.
        regions: places [x] and [y] of a grid, and the predicted class id [y, x] at each place.
        note: line of numbers below the panel.
    """

    name: str
    points: Mapping[str, NDArray[Any]]
    labels: Sequence[int]
    regions: tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
    note: str


def label_space_figure(panels: Sequence[LabelPanel], classes: Sequence[str], caption: str) -> Figure:
    """The panels side by side; axes have no numbers, since t-SNE coordinates have no meaning.

    Args:
        classes: class names by id, the same for all models.
        caption: number of texts, representation, and settings of t-SNE.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(max(3.4 * len(panels), 4.8), 4.6), dpi=200, layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_regions(axes, panel)
            _draw_points(axes, panel)
            axes.set(xticks=[], yticks=[])
            axes.grid(visible=False)
            axes.set_title(plain(panel.name), fontsize=9.5)
            axes.set_xlabel(panel.note, fontsize=7, color="#555555", linespacing=1.35)
        figure.legend(handles=_handles(classes, list(panels[0].points)), loc="outside upper center", ncols=4,
                      frameon=False, fontsize=8)  # fmt: skip
        figure.supxlabel(caption, fontsize=7, color="#555555", linespacing=1.35)
    return figure


def _draw_regions(axes: Axes, panel: LabelPanel) -> None:
    x, y, classes = panel.regions
    present = sorted({int(label) for label in classes.ravel()})
    for label in present:
        here = (classes == label).astype(float)
        axes.contourf(x, y, here, levels=[0.5, 1.5], colors=[_colour(label)], alpha=0.13)
        if len(present) > 1:
            axes.contour(x, y, here, levels=[0.5], colors=["#444444"], linewidths=0.7)


def _draw_points(axes: Axes, panel: LabelPanel) -> None:
    colours = [_colour(label) for label in panel.labels]
    for marker, (group, points) in zip(_MARKERS, panel.points.items(), strict=False):
        hollow = group != next(iter(panel.points))
        axes.scatter(
            points[:, 0], points[:, 1], s=11, marker=marker, linewidths=0.7,
            facecolors="none" if hollow else colours, edgecolors=colours,
        )  # fmt: skip


def _handles(classes: Sequence[str], groups: Sequence[str]) -> list[Any]:
    from matplotlib.lines import Line2D

    none: dict[str, Any] = {"linestyle": "none", "markersize": 5}
    named = [
        Line2D([], [], color=_colour(label), marker="s", label=plain(name), **none)
        for label, name in enumerate(classes)
    ]
    shapes = [
        Line2D(
            [], [], color="#000000", marker=marker, markerfacecolor="none" if place else "#000000", label=group, **none
        )
        for place, (marker, group) in enumerate(zip(_MARKERS, groups, strict=False))
    ]
    return [*named, *shapes]


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]
