"""Picture of sentence embeddings: texts and their views in the plane, one panel for each model (BAT, Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from hf_robust.reports.curves import STYLE
from hf_robust.reports.palette import COLOURS, MARKERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = ("#000000", COLOURS[1], COLOURS[0])


class SpacePanel(NamedTuple):
    """One model: its name, the points [n, 2] of each group of texts by name, and a line of numbers below the panel."""

    name: str
    points: Mapping[str, NDArray[Any]]
    note: str


def space_figure(panels: Sequence[SpacePanel], caption: str) -> Figure:
    """The panels side by side; axes have no numbers, since t-SNE coordinates have no meaning.

    Args:
        caption: number of texts, representation, and settings of t-SNE.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(STYLE):
        figure = Figure(figsize=(max(3.4 * len(panels), 4.2), 4.2), dpi=200, layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for index, (name, points) in enumerate(panel.points.items()):
                axes.scatter(
                    points[:, 0], points[:, 1], s=9, alpha=0.6, linewidths=0, color=_COLOURS[index],
                    marker=("o", *MARKERS[:2])[index], label=name,
                )  # fmt: skip
            axes.set(xticks=[], yticks=[])
            axes.set_aspect("equal", adjustable="datalim")
            axes.set_title(panel.name, fontsize=9.5)
            axes.set_xlabel(panel.note, fontsize=7, color="#555555", linespacing=1.35)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8, markerscale=1.6)
        figure.supxlabel(caption, fontsize=7, color="#555555", linespacing=1.35)
    return figure
