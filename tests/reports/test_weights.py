"""Learnt weights of the adversary: lines from a log, the file, and the contents of the pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_robust.reports import (
    adversary_weights_figure,
    clear_adversary_weights,
    draw_adversary_weights,
    largest_move,
    linearisation_figure,
)
from hf_robust.runs import adversary_weight_lines, read_adversary_weights, write_adversary_weights


def entry(step: int, *weights: float, **extra: float) -> dict[str, Any]:
    named = {f"w_{index}": weight for index, weight in enumerate(weights, start=1)}
    return {"step": step, "epoch": step / 10, "loss": 0.5, **named, "w_entropy": 0.7, **extra}


def test_lines_are_the_entries_with_weights_in_the_order_of_steps() -> None:
    log = [
        entry(20, 0.4, 0.6),
        {"step": 10, "eval_loss": 1.0},
        entry(10, 0.5, 0.5),
        {"step": 20, "train_runtime": 3.0},
    ]
    assert adversary_weight_lines(log) == [
        {"step": 10, "epoch": 1.0, "w": [0.5, 0.5], "entropy": 0.7},
        {"step": 20, "epoch": 2.0, "w": [0.4, 0.6], "entropy": 0.7},
    ]


def test_a_step_that_a_resumed_run_logged_again_is_one_line() -> None:
    assert [line["w"] for line in adversary_weight_lines([entry(10, 1.0, 0.0), entry(10, 0.0, 1.0)])] == [[0.0, 1.0]]


def test_ten_weights_keep_their_numbers() -> None:
    weights = [index / 55 for index in range(1, 11)]
    assert adversary_weight_lines([entry(1, *weights)])[0]["w"] == weights


def test_linearisation_is_in_the_lines_where_it_was_logged() -> None:
    plain, linear = adversary_weight_lines(
        [entry(1, 1.0), entry(2, 1.0, linearised_loss=0.4, linearisation_error=0.1)]
    )
    assert "loss" not in plain
    assert (linear["loss"], linear["linearised_loss"], linear["linearisation_error"]) == (0.5, 0.4, 0.1)


@given(st.lists(st.lists(st.floats(-1, 2), min_size=3, max_size=3), min_size=1, max_size=5))
def test_file_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, rows: list[list[float]]) -> None:
    folder = tmp_path_factory.mktemp("run")
    lines = adversary_weight_lines([entry(index, *row) for index, row in enumerate(rows)])
    write_adversary_weights(folder, lines)
    assert read_adversary_weights(folder) == lines
    assert [path.name for path in folder.iterdir()] == ["adversary_weights.jsonl"]


def test_a_weight_that_is_not_a_number_is_null_in_the_file(tmp_path: Path) -> None:
    write_adversary_weights(tmp_path, adversary_weight_lines([entry(1, math.nan, 0.5)]))
    assert json.loads((tmp_path / "adversary_weights.jsonl").read_text())["w"] == [None, 0.5]
    assert math.isnan(read_adversary_weights(tmp_path)[0]["w"][0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "does not exist; give the folder of a run with --robust_method adaptive"),
        ("[]\n", "line 1: needs a step and weights w"),
        ('{"step": 1}\n', "line 1: needs a step and weights w"),
        ('{"step": 1, "w": [1]}\n{"step"', "line 2: needs a step and weights w"),
        ("", "needs the same number of weights in all lines"),
        ('{"step": 1, "w": [1]}\n{"step": 2, "w": [0.5, 0.5]}\n', "needs the same number of weights in all lines"),
    ],
)
def test_what_is_not_such_a_file_is_one_sentence(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "adversary_weights.jsonl").write_text(text)
    with pytest.raises(ValueError, match=says):
        draw_adversary_weights(tmp_path)


def test_one_curve_for_each_weight_and_the_entropy() -> None:
    lines = adversary_weight_lines([entry(10, 0.5, 0.3, 0.2), entry(20, 0.6, 0.3, 0.1)])
    above, below = adversary_weights_figure(lines, "adaptive_pgd on reviews").axes
    curves = {line.get_label(): line.get_ydata() for line in above.lines}
    assert list(curves) == ["w1", "w2", "w3", "1/k"]
    assert np.allclose(curves["w1"], [0.5, 0.6]) and np.allclose(curves["w3"], [0.2, 0.1])
    assert len({str(line.get_color()) for line in above.lines[:3]}) == 3
    entropy, most = below.lines
    assert np.allclose(entropy.get_ydata(), [0.7, 0.7]) and np.allclose(most.get_ydata(), math.log(3))
    assert list(entropy.get_xdata()) == [10, 20]


def test_how_far_the_point_moved_has_a_panel_of_its_own_in_percent() -> None:
    lines = adversary_weight_lines([entry(10, 0.5, 0.5, point_moved=0.0), entry(20, 0.6, 0.4, point_moved=0.034)])
    *_, moved = adversary_weights_figure(lines, "title").axes
    curves = {line.get_label(): list(line.get_ydata()) for line in moved.lines}
    assert curves["move of the point"] == pytest.approx([0.0, 3.4])
    assert curves["1%: no effect"] == [1.0, 1.0] and moved.get_ylabel() == "% of its norm"
    assert largest_move(lines) == 0.034
    warning = "moved the point by less than 1% of its norm"
    little = adversary_weights_figure(adversary_weight_lines([entry(10, 0.5, 0.5, point_moved=0.009)]), "title")
    assert warning in little.get_supxlabel() and warning not in moved.figure.get_supxlabel()
    # A file of an earlier version says nothing of it.
    assert len(adversary_weights_figure(adversary_weight_lines([entry(10, 0.5, 0.5)]), "title").axes) == 2
    assert math.isnan(largest_move(adversary_weight_lines([entry(10, 0.5, 0.5)])))


def test_linearisation_has_the_clean_loss_and_divides_by_what_the_adversary_added() -> None:
    more: dict[str, float] = {"linearised_loss": 0.49, "linearisation_error": 0.01, "clean_loss": 0.45}
    lines = adversary_weight_lines(
        [entry(1, 1.0, **more, loss_increase=0.05), entry(2, 1.0, **more, loss_increase=-0.01), entry(3, 1.0, **more)]
    )
    above, below = linearisation_figure(lines, "title").axes
    curves = {line.get_label(): list(line.get_ydata()) for line in above.lines}
    assert curves["loss at the point"] == [0.5] * 3 and curves["linearised loss"] == [0.49] * 3
    assert curves["clean loss"] == [0.45] * 3
    (error,) = below.lines
    assert error.get_ydata()[0] == pytest.approx(20.0)  # of the loss itself it is 2 %
    assert np.isnan(error.get_ydata()[1:]).all()  # nothing to divide by, or not known


@pytest.mark.slow
def test_pictures_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "run_card.json").write_text(json.dumps({"method": "adaptive_tavat", "data": {"name": "reviews"}}))
    write_adversary_weights(tmp_path, adversary_weight_lines([entry(1, 0.5, 0.5)]))
    assert [path.name for path in draw_adversary_weights(tmp_path)] == [
        "adversary_weights.png",
        "adversary_weights.svg",
    ]
    svg = (tmp_path / "adversary_weights.svg").read_text()
    assert all(label in svg for label in ("adaptive_tavat on reviews", "w1", "w2", "entropy", "step"))
    write_adversary_weights(tmp_path, adversary_weight_lines([entry(1, 0.5, 0.5, linearised_loss=0.4)]))
    assert len(draw_adversary_weights(tmp_path)) == 4
    first = (tmp_path / "linearisation.svg").read_bytes()
    draw_adversary_weights(tmp_path)
    assert (tmp_path / "linearisation.svg").read_bytes() == first  # same file, same picture
    clear_adversary_weights(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run_card.json"]
