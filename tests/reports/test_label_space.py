"""Panels of texts by label over the regions of the predicted classes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from hf_robust.reports.label_space import LabelPanel, label_space_figure
from hf_robust.reports.palette import COLOURS

GRID = np.linspace(0, 1, 20)


def panel(classes: np.ndarray) -> LabelPanel:
    points = {"originals": np.array([[0.2, 0.5], [0.8, 0.5]]), "fickle": np.array([[0.3, 0.5], [0.4, 0.4]])}
    return LabelPanel("model_a", points, [0, 1], (GRID, GRID, classes), "note")


def test_points_have_the_colour_of_their_label_and_the_boundary_lies_between_the_classes() -> None:
    classes = np.where(GRID[None, :] < 0.5, 0, 1).repeat(20, axis=0)
    (axes,) = label_space_figure([panel(classes)], ["bad", "good"], "caption").axes
    originals, fickle = axes.collections[-2:]
    colours = [to_rgba(COLOURS[0]), to_rgba(COLOURS[1])]
    assert [tuple(colour) for colour in originals.get_facecolors()] == colours
    assert [tuple(colour) for colour in fickle.get_edgecolors()] == colours and not len(fickle.get_facecolors())
    lines = [
        path.vertices for one in axes.collections[:-2] for path in one.get_paths() if one.get_linewidths()[0] == 0.7
    ]
    boundary = np.concatenate([line for line in lines if len(line)])
    assert boundary[:, 0] == pytest.approx(0.5, abs=0.06)


def test_one_class_has_no_boundary_and_the_legend_names_classes_and_texts() -> None:
    figure = label_space_figure([panel(np.ones((20, 20), int))] * 2, ["bad", "_good"], "caption")
    assert len(figure.axes) == 2 and len(figure.axes[0].collections) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["bad", " _good", "originals", "fickle"]
