"""Tradeoff curves: the files and their contents."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from run_folders import attack_line, make_run
from scripted import record

from hf_robust.reports import draw_tradeoff_curves, settings_of, tradeoff_figure
from hf_robust.reports.budget import budget_figure
from hf_robust.reports.overlays import overlaid_curves
from hf_robust.reports.palette import CERTIFIED, COLOURS
from hf_robust.reports.sweep_figures import metric_styles
from hf_robust.runs import load_run, read_history, write_history_line

ORANGE, BLUE = COLOURS[:2]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def share_of(colour: str, picture: np.ndarray) -> float:
    wanted = np.array([round(255 * part) for part in to_rgb(colour)])
    return float((np.abs(picture - wanted).sum(-1) <= 12).mean())


def test_png_holds_each_series_in_its_colour(tmp_path: Path) -> None:
    png, svg = draw_tradeoff_curves(make_run(tmp_path, [(40, 40), (30, 51)], [(20, 60), (22, 59)]))
    assert (png.name, svg.name) == ("tradeoff_curves.png", "tradeoff_curves.svg")
    picture = pixels(png)
    assert picture.shape == (800, 1360, 3)
    assert share_of("#FFFFFF", picture) > 0.5  # not full of ink, and not blank:
    for colour in ("#000000", ORANGE, BLUE):
        assert share_of(colour, picture) > 0.0005, colour
    assert share_of(COLOURS[2], picture) == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("_")) == []


def test_svg_has_readable_labels_and_n(tmp_path: Path) -> None:
    baseline = make_run(tmp_path / "base", [(60, 20)], method="safer")
    run = make_run(tmp_path / "run", [(40, 40), (30, 51)], [(20, 60), (22, 59)], method="bat_triplet", best_step=100)
    text = draw_tradeoff_curves(run, [baseline])[1].read_text()
    title = "bat_triplet on reviews (validation)"
    for label in ("clean accuracy", "synonym ASR", "antonym ASR", title, "safer", "epoch", "60%"):
        assert label in text, label
    assert "N = 200; attacked of N = 100: 80 to 81 by each attack" in text
    assert "95% Wilson" in text and "saved weights" in text


def test_same_history_gives_the_same_svg(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(40, 40), (30, 51)])
    first = draw_tradeoff_curves(run)[1].read_bytes()
    assert draw_tradeoff_curves(run)[1].read_bytes() == first


def test_lines_bands_and_dashes_are_where_they_should_be(tmp_path: Path) -> None:
    baseline = load_run(make_run(tmp_path / "base", [(60, 20), (60, 21)], method="safer"))
    run = load_run(make_run(tmp_path / "run", [(40, 40), (30, 51)]))
    (axes,) = tradeoff_figure(run, [baseline]).axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    assert list(lines[0].get_ydata()) == pytest.approx([0.80, 0.81])
    assert list(lines[1].get_ydata()) == pytest.approx([0.5, 30 / 81])
    assert list(lines[3].get_ydata()) == pytest.approx([0.75, 60 / 81])
    assert [line.get_linestyle() for line in lines] == ["-", "-", "--", "--"]
    assert lines[1].get_color() == lines[3].get_color() == ORANGE
    low, high = attack_line(40, 40, 100)["asr_low"], attack_line(40, 40, 100)["asr_high"]
    edges = np.concatenate([path.vertices for path in axes.collections[1].get_paths()])
    at_first_epoch = edges[edges[:, 0] == 1.0][:, 1]
    assert (at_first_epoch.min(), at_first_epoch.max()) == pytest.approx((low, high))
    assert axes.get_ylim() == (0, 1)


def test_runs_of_one_method_are_named_by_their_folders(tmp_path: Path) -> None:
    runs = [load_run(make_run(tmp_path / name, [(1, 2)])) for name in ("one", "two")]
    (legend,) = tradeoff_figure(runs[0], runs[1:]).legends
    assert [text.get_text() for text in legend.get_texts()][-2:] == ["normal (one)", "normal (two)"]


def test_one_epoch_and_nothing_attacked(tmp_path: Path) -> None:
    figure = tradeoff_figure(load_run(make_run(tmp_path, [(40, 40)], [(0, 0)])))
    (axes,) = figure.axes
    assert [line.get_ydata()[0] for line in axes.lines[:2]] == pytest.approx([0.8, 0.5])
    assert len(axes.collections) == 2  # whiskers of the accuracy and of the one attack that attacked anything
    assert "antonym ASR (nothing attacked)" in [text.get_text() for text in figure.legends[0].get_texts()]
    assert share_of(ORANGE, pixels(draw_tradeoff_curves(tmp_path)[0])) > 0.0001


def test_many_attacks_keep_different_looks(tmp_path: Path) -> None:
    attacks = {f"attack{index}": attack_line(10 + index, 50, 100) for index in range(10)}
    for epoch in (1.0, 2.0):
        write_history_line(tmp_path, {"epoch": epoch, "step": 10 * epoch, "accuracy": None, "attacks": attacks})
    figure = tradeoff_figure(load_run(tmp_path))
    looks = [(line.get_color(), line.get_marker()) for line in figure.axes[0].lines[1:]]
    assert len(set(looks)) == 10
    assert all(math.isnan(value) for value in figure.axes[0].lines[0].get_ydata())
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert box.y0 >= 0 and box.y1 <= figure.bbox.height and box.x1 <= figure.bbox.width


def test_the_certified_accuracy_is_a_line_where_it_was_measured(tmp_path: Path) -> None:
    base = make_run(tmp_path / "base", [(40, 40), (30, 51)])
    run = make_run(tmp_path / "run", [(40, 40), (30, 51)], method="safer", vote={"votes": 8})
    rates = {"certified_accuracy": 0.3, "certified_accuracy_low": 0.2, "certified_accuracy_high": 0.4}
    last = read_history(run)[-1]
    write_history_line(run, {**last, "certified": {**rates, "num_examples": 70}})
    figure = tradeoff_figure(load_run(run), [load_run(base)])
    drawn = [list(line.get_ydata()) for line in figure.axes[0].lines if line.get_color() == CERTIFIED[0]]
    assert len(drawn) == 1 and math.isnan(drawn[0][0]) and drawn[0][1] == 0.3
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == ["clean accuracy ↑", "synonym ASR ↓", "certified accuracy ↑"]
    text = draw_tradeoff_curves(run)[1].read_text()
    assert "certified: share of N = 70" in text and "Accuracy and ASR of a vote of 8" in text
    assert "certified" not in draw_tradeoff_curves(base)[1].read_text()


def test_certificates_without_an_attack_can_be_drawn(tmp_path: Path) -> None:
    rates = {"certified_accuracy": 0.3, "certified_accuracy_low": 0.2, "certified_accuracy_high": 0.4}
    write_history_line(tmp_path, {"epoch": 1.0, "step": 1, "accuracy": 0.8, "attacks": {}, "certified": rates})
    text = draw_tradeoff_curves(tmp_path)[1].read_text()
    assert "certified accuracy" in text and "ASR" not in text


def test_a_folder_without_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        draw_tradeoff_curves(tmp_path)


def test_the_accuracy_of_a_vote_has_no_point_of_the_plain_network(tmp_path: Path) -> None:
    """Certified every epoch and attacked at the end: lines without an attack are those of the plain network."""
    run = make_run(tmp_path, [(40, 40), (30, 51)], vote={"votes": 8})
    first, last = read_history(run)
    rates = {"certified_accuracy": 0.3, "num_examples": 70}
    write_history_line(run, {**first, "attacks": {}, "certified": rates}, keep_later=True)
    drawn = list(tradeoff_figure(load_run(run)).axes[0].lines[0].get_ydata())
    assert math.isnan(drawn[0]) and drawn[1] == last["accuracy"]
    (overlaid,) = overlaid_curves([load_run(run)]).axes[0].lines
    assert math.isnan(overlaid.get_ydata()[0]) and overlaid.get_ydata()[1] == last["accuracy"]


# ---- what a number is of ----


def test_share_of_the_larger_class_is_drawn_and_a_guessing_model_is_marked(tmp_path: Path) -> None:
    def figure(name: str, accuracy: float) -> Figure:
        data = {"name": "reviews", "eval_samples": 200, "class_shares": {"no": 0.4, "yes": 0.6}}
        return tradeoff_figure(load_run(make_run(tmp_path / name, [(40, 40)], data=data, accuracy=accuracy)))

    guess, learnt = figure("guess", 0.61), figure("learnt", 0.9)
    for one in (guess, learnt):
        assert [line.get_ydata()[0] for line in one.axes[0].lines if line.get_color() == "#777777"] == [0.6]
        assert "larger class, 60.0%" in [text.get_text() for text in one.legends[0].get_texts()]
    assert guess.axes[0].get_title() == "accuracy 61.0: no better than the larger class, 60.0"
    assert learnt.axes[0].get_title() == ""


def test_colours_do_not_depend_on_what_else_was_run(tmp_path: Path) -> None:
    both = tradeoff_figure(load_run(make_run(tmp_path / "both", [(40, 40)], [(20, 60)])))
    folder = make_run(tmp_path / "one", [(40, 40)], [(20, 60)])
    line = read_history(folder)[0]
    write_history_line(folder, {**line, "attacks": {"antonym": line["attacks"]["antonym"]}})
    alone = tradeoff_figure(load_run(folder))
    records = {
        name: [record(0, "succeeded", queries=5), record(1, "failed", queries=9)] for name in ("pwws", "antonym")
    }
    budget = budget_figure(records, "title")
    settings = settings_of([load_run(tmp_path / "both")], ["seed"])
    metrics = ["eval_accuracy", "eval_antonym_asr", "eval_synonym_asr"]
    sweep = dict(zip(metrics, metric_styles(metrics, list(settings[0].runs)), strict=True))
    assert [line.get_color() for line in both.axes[0].lines[1:3]] == [ORANGE, BLUE]
    assert alone.axes[0].lines[1].get_color() == BLUE == sweep["eval_antonym_asr"][0]
    assert budget.axes[0].lines[1].get_color() == BLUE and sweep["eval_synonym_asr"][0] == ORANGE
    markers = {alone.axes[0].lines[1].get_marker(), budget.axes[0].lines[1].get_marker(), sweep["eval_antonym_asr"][1]}
    assert len(markers) == 1


def test_two_metrics_of_one_attack_share_its_colour_and_not_its_line(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, [(40, 40)]))
    asr, robust = metric_styles(["synonym_asr", "synonym_robust_accuracy"], [run])
    assert asr[0] == robust[0] == ORANGE and asr[1:] != robust[1:] and asr[2] == "-"


def test_caption_names_a_baseline_that_is_not_comparable(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "run", [(40, 40)]))
    other = load_run(make_run(tmp_path / "other", [(40, 40)], data={"name": "reviews", "fingerprint": "f2"}))
    said = tradeoff_figure(run, [other]).get_supxlabel()
    assert "Not comparable: data fingerprint differs, 'f1' and 'f2' (run, other)." in said
    assert (
        "Not comparable" not in tradeoff_figure(run, [load_run(make_run(tmp_path / "like", [(1, 1)]))]).get_supxlabel()
    )


def test_an_attack_whose_every_example_succeeds_has_no_curve(tmp_path: Path) -> None:
    goals = {"synonym": {"goal": {"name": "misclassify"}}, "antonym": {"goal": {"name": "shorten"}}}
    figure = tradeoff_figure(load_run(make_run(tmp_path, [(40, 40)], [(80, 0)], attacks=goals)))
    assert len([line for line in figure.axes[0].lines if line.get_marker() not in ("None", None, "")]) == 2
