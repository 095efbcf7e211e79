"""Bars of the scores of each class for two models."""

from __future__ import annotations

import math

import pytest

from hf_robust.metrics import ClassScores, SliceReport, Transition
from hf_robust.reports import class_figure
from hf_robust.reports.class_bars import SCORES, methods_class_figure
from hf_robust.reports.points import Rate

NONE = ClassScores(math.nan, 0.0, 0.0)


def test_a_panel_for_each_score_of_each_slice_that_has_texts() -> None:
    reports = {
        "all": SliceReport(
            Transition(6, 1, 3, 10),
            {0: ClassScores(0.5, 0.25, 1 / 3), 1: NONE},
            {0: ClassScores(1.0, 0.75, 6 / 7), 1: ClassScores(0.2, 0.3, 0.24)},
        ),
        "empty": SliceReport(Transition(0, 0, 0, 0), {0: NONE, 1: NONE}, {0: NONE, 1: NONE}),
        "mine": SliceReport(Transition(1, 0, 0, 1), {0: NONE, 1: NONE}, {0: NONE, 1: NONE}),
    }
    figure = class_figure(reports, ["no"])
    assert len(figure.axes) == 6
    heights = [[patch.get_height() for patch in axes.patches] for axes in figure.axes[:3]]
    assert heights[0] == [0.5, 0.0, 1.0, 0.2] and heights[1] == [0.25, 0.0, 0.75, 0.3]
    assert heights[2] == pytest.approx([1 / 3, 0.0, 6 / 7, 0.24])
    places = [patch.get_x() + patch.get_width() / 2 for patch in figure.axes[0].patches]
    assert places[0] < 0 < places[2] and places[1] < 1 < places[3], "baseline left, new right of each class"
    assert [tick.get_text() for tick in figure.axes[3].get_xticklabels()] == ["no", "1"]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["all\nn = 20", "mine\nn = 2"]


def test_bars_of_methods_have_the_deviation_over_seeds() -> None:
    rate = Rate(0.5, 0.4, 0.6)
    single = Rate(0.7, 0.7, 0.7)
    methods = {
        "normal": {"no": dict.fromkeys(SCORES, rate), "yes": dict.fromkeys(SCORES, single)},
        "safer": {"yes": dict.fromkeys(SCORES, single)},
    }
    figure = methods_class_figure(methods)
    precision, _, f1 = figure.axes
    assert [axes.get_ylabel() for axes in figure.axes] == ["precision ↑", "recall ↑", "F1 ↑"]
    assert [patch.get_height() for patch in f1.patches] == [0.5, 0.7, 0.0, 0.7]
    assert [list(lines.get_segments()[0][:, 1]) for lines in precision.collections] == [[0.4, 0.6]]
    assert [tick.get_text() for tick in f1.get_xticklabels()] == ["no", "yes"]
