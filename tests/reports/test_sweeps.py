"""Runs that differ in a few flags: settings, metrics, table and pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from run_folders import attack_line, make_run

from benchmarks.study import stored
from hf_robust.metrics import AttackRecord, wilson_interval
from hf_robust.reports import (
    Setting,
    flag_value,
    front_figure,
    front_of,
    load_evaluated,
    metric_label,
    metric_rate,
    metrics_of,
    save_figure,
    settings_of,
    sweep_figure,
    sweep_table,
)
from hf_robust.runs import Run, load_run, write_history_line, write_records

RESULTS = stored.RESULTS / "embedding_sst2_sweep"
GRID = {8: (60, 20, 0.70), 16: (40, 40, 0.80), 32: (30, 50, 0.75)}


def runs_of(folder: Path, method: str = "safer", seeds: tuple[int, ...] = (1,), **config: Any) -> list[Run]:
    """A run for each batch size and seed; each seed adds a point of accuracy."""
    found = []
    for size, (succeeded, failed, accuracy) in GRID.items():
        for seed in seeds:
            path = folder / f"{method}-{size}-{seed}"
            card = {"config": config, "training": {} if size == 8 else {"per_device_train_batch_size": size}}
            make_run(path, [(succeeded, failed)], method=method, seed=seed, accuracy=accuracy + seed / 100, **card)
            found.append(load_run(path))
    return found


def write_answers(run: Run, predictions: list[int]) -> None:
    records = [
        AttackRecord(index, index % 2, "failed", ["a"], ["a"], [], 1, prediction, prediction, 0.5, 0.5, "exhausted", 0)
        for index, prediction in enumerate(predictions)
    ]
    write_records(run.path / "attack_results" / "epoch-1" / "synonym.jsonl", records)


# ---- flags ----


def test_a_flag_is_looked_up_in_the_card_then_among_the_defaults(tmp_path: Path) -> None:
    run = runs_of(tmp_path, bat_margin=0.5)[1]
    assert flag_value(run, "bat_margin") == 0.5 and flag_value(run, "per_device_train_batch_size") == 16
    assert flag_value(run, "seed") == 1 and flag_value(run, "robust_method") == "safer"
    assert flag_value(run, "weight_decay") == 0.0 and flag_value(run, "adv_steps") is None
    (run.path / "_arguments.json").write_text(json.dumps({"bat_margin": 0.7, "max_train_samples": 9}))
    assert flag_value(run, "bat_margin") == 0.7 and flag_value(run, "max_train_samples") == 9


def test_settings_join_seeds_in_the_order_of_the_runs(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, seeds=(1, 2))
    settings = settings_of(runs[::-1], ["robust_method", "per_device_train_batch_size", "seed", "adv_lr"])
    assert [setting.flags["per_device_train_batch_size"] for setting in settings] == [32, 16, 8]
    assert [run.card["seed"] for run in settings[0].runs] == [2, 1] and "adv_lr" not in settings[0].flags


def test_committed_runs_of_a_sweep_are_read() -> None:
    runs = [load_evaluated(path) for path in sorted(RESULTS.iterdir()) if path.is_dir()]
    settings = settings_of(runs, ["robust_method", "adv_steps", "adv_lr"])
    assert len(settings) == 21 and {one.flags["robust_method"] for one in settings} == {
        "pgd",
        "freelb",
        "adaptive_pgd",
    }
    assert flag_value(runs[0], "per_device_train_batch_size") == 32


# ---- metrics ----


def test_metrics_with_their_intervals(tmp_path: Path) -> None:
    run = runs_of(tmp_path)[0]
    assert metric_rate(run, "eval_synonym_asr") == (0.75, *wilson_interval(60, 80))
    assert metric_rate(run, "synonym_robust_accuracy") == (0.2, *wilson_interval(20, 100))
    assert metric_rate(run, "eval_accuracy") == pytest.approx((0.71, *wilson_interval(142, 200)))
    assert metric_rate(run, "eval_synonym_queries") == (12.5, 12.5, 12.5)
    assert metric_rate(run, "eval_antonym_asr") is None and metric_rate(run, "eval_loss") is None
    (run.path / "all_results.json").write_text('{"eval_loss": 0.3, "train_runtime": 4.0}')
    assert metric_rate(run, "eval_loss") == metric_rate(run, "loss") == (0.3, 0.3, 0.3)
    assert metric_rate(run, "train_runtime") == (4.0, 4.0, 4.0)
    assert {"eval_accuracy", "eval_synonym_asr", "eval_loss"} <= set(metrics_of(run))


def test_unions_and_certificates_are_metrics_too(tmp_path: Path) -> None:
    line = {"epoch": 1.0, "step": 1, "accuracy": 0.5, "attacks": {"synonym": attack_line(1, 1, 2)}}
    union = {"attacks": ["synonym", "pwws"], "num_examples": 10, "robust_accuracy": 0.3,
             "robust_accuracy_low": 0.1, "robust_accuracy_high": 0.6}  # fmt: skip
    certified = {
        "certified_accuracy": 0.4,
        "certified_accuracy_low": 0.3,
        "certified_accuracy_high": 0.5,
        "radius": None,
    }
    write_history_line(tmp_path, {**line, "union": union, "certified": certified})
    run = load_run(tmp_path)
    assert metric_rate(run, "eval_union_robust_accuracy") == (0.3, 0.1, 0.6)
    assert metric_rate(run, "eval_certified_accuracy") == (0.4, 0.3, 0.5)
    radius = metric_rate(run, "radius")
    assert radius is not None and math.isnan(radius.value)


def test_a_run_without_attacks_is_read_from_its_results(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no evaluation yet; run it to its end"):
        load_evaluated(tmp_path)
    (tmp_path / "all_results.json").write_text('{"eval_accuracy": 0.5, "epoch": 2.0}')
    (tmp_path / "run_card.json").write_text('{"final_step": 7, "data": {"eval_samples": 4}}')
    run = load_evaluated(tmp_path)
    assert run.published["step"] == 7 and metric_rate(run, "accuracy") == (0.5, *wilson_interval(2, 4))


@pytest.mark.parametrize(
    ("metric", "label"),
    [
        ("eval_accuracy", "clean accuracy ↑"), ("eval_antonym_asr", "antonym ASR ↓"), ("eval_loss", "loss ↓"),
        ("eval_textfooler_robust_accuracy", "textfooler robust accuracy ↑"), ("train_runtime", "train runtime ↓"),
    ],
)  # fmt: skip
def test_labels(metric: str, label: str) -> None:
    assert metric_label(metric) == label


# ---- the table ----


def test_one_seed_has_an_interval_several_their_spread(tmp_path: Path) -> None:
    objectives = {"eval_accuracy": True, "eval_synonym_asr": False}
    one = sweep_table(settings_of(runs_of(tmp_path / "1"), ["per_device_train_batch_size"]), objectives)
    low, high = wilson_interval(162, 200)
    assert f"| 16 | 1 | 81.0 [{100 * low:.1f}, {100 * high:.1f}] | 50.0 [" in one
    three = sweep_table(
        settings_of(runs_of(tmp_path / "3", seeds=(1, 2, 3)), ["per_device_train_batch_size"]), objectives
    )
    assert "| 16 | 3 | 82.0 ± 1.0 | 50.0 ± 0.0 | ✓ |" in three
    assert "| 8 | 3 | 72.0 ± 1.0 | 75.0 ± 0.0 |  |" in three


def test_a_model_of_one_answer_is_marked_and_on_no_front(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    write_answers(runs[1], [1] * 20)
    write_answers(runs[2], [1] * 19)  # too few to tell
    settings = settings_of(runs, ["per_device_train_batch_size"])
    assert [setting.guesses for setting in settings] == [False, True, False]
    objectives = {"eval_accuracy": True, "eval_synonym_asr": False}
    assert front_of(settings, objectives) == [2]
    assert "| 16 | 1 † |" in sweep_table(settings, objectives)
    hollow = [line for line in front_figure(settings, objectives).axes[0].get_lines() if line.get_marker() in "s^Dv"]
    assert [line.get_markerfacecolor() == "white" for line in hollow] == [False, True, False]


# ---- pictures ----


def bars(figure: Any) -> list[list[Any]]:
    """(place, value, low, high) of every line of every panel."""
    found = []
    for axes in figure.axes:
        for container in axes.containers:
            line, _, (bar,) = container.lines
            ends = [segment[:, 1].tolist() for segment in bar.get_segments()]
            found.append(list(zip(line.get_xdata(), line.get_ydata(), ends, strict=True)))
    return found


def test_a_line_for_each_metric_and_a_panel_for_each_method(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, "safer") + runs_of(tmp_path, "bat_triplet")
    settings = settings_of(runs, ["robust_method", "per_device_train_batch_size"])
    figure = sweep_figure(
        settings, ["per_device_train_batch_size"], ["eval_accuracy", "eval_synonym_asr"], ["robust_method"]
    )
    assert [axes.get_title() for axes in figure.axes] == ["safer", "bat_triplet"]
    accuracy, synonym, *_ = bars(figure)
    assert [(x, y) for x, y, _ in accuracy] == [(8, 0.71), (16, 0.81), (32, 0.76)]
    low, high = wilson_interval(60, 80)
    assert synonym[0][:2] == (8, 0.75) and synonym[0][2] == pytest.approx([low, high])
    assert figure.axes[0].get_xscale() == "linear" and figure.axes[0].get_ylim() == (0, 1)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["clean accuracy ↑", "synonym ASR ↓"]
    png, svg = save_figure(figure, tmp_path, "by_size")
    assert png.stat().st_size > 10_000 and "N for clean accuracy: 200." in svg.read_text(encoding="utf-8")


def test_bars_over_seeds_are_standard_deviations(tmp_path: Path) -> None:
    settings = settings_of(runs_of(tmp_path, seeds=(1, 2, 3)), ["per_device_train_batch_size"])
    ((first, *_),) = bars(sweep_figure(settings, ["per_device_train_batch_size"], ["accuracy"]))
    assert first[1] == pytest.approx(0.72) and first[2] == pytest.approx([0.71, 0.73])


def setting_of(run: Run, **flags: Any) -> Setting:
    return Setting(flags, (run,))


def test_flags_that_change_together_share_the_ticks(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    places = [(10, 0.04), (1, 0.4), (5, 0.08)]
    settings = [setting_of(run, adv_steps=k, adv_lr=a) for run, (k, a) in zip(runs, places, strict=True)]
    figure = sweep_figure(settings, ["adv_steps", "adv_lr"], ["eval_accuracy"])
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1\n0.4", "5\n0.08", "10\n0.04"]
    ((*points,),) = bars(figure)
    assert [(x, y) for x, y, _ in points] == [(0, 0.81), (1, 0.76), (2, 0.71)]
    assert axes.get_xlabel() == "adv_steps, adv_lr"


def test_wide_ranges_are_logarithmic_texts_are_not_joined_and_other_units_have_their_own_height(
    tmp_path: Path,
) -> None:
    runs = runs_of(tmp_path)
    rates = [setting_of(run, learning_rate=rate) for run, rate in zip(runs, (1e-5, 1e-4, 1e-3), strict=True)]
    (axes,) = sweep_figure(rates, ["learning_rate"], ["eval_synonym_queries"]).axes
    assert axes.get_xscale() == "log" and axes.get_ylim()[1] > 12.5
    texts = [setting_of(run, robust_method=name) for run, name in zip(runs, ("pgd", "fgm", "$x$"), strict=True)]
    (axes,) = sweep_figure(texts, ["robust_method"], ["eval_accuracy"]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == [r"\$x\$", "fgm", "pgd"]
    assert axes.containers[0].lines[0].get_linestyle() == "None"


def test_pictures_that_cannot_be_drawn_say_why(tmp_path: Path) -> None:
    settings = [setting_of(run, seed=index) for index, run in enumerate(runs_of(tmp_path) * 5)]
    with pytest.raises(ValueError, match="no run has the flags adv_lr of the x axis of a picture"):
        sweep_figure(settings, ["adv_lr"], ["eval_accuracy"])
    with pytest.raises(ValueError, match='would have 15 panels, one for each seed; name fewer flags as its "panel"'):
        sweep_figure(
            [Setting({**one.flags, "x": 1}, one.runs) for one in settings], ["x"], ["eval_accuracy"], ["seed"]
        )


@pytest.mark.parametrize(("more", "steps"), [((True, False), "steps-pre"), ((False, False), "steps-post")])
def test_the_front_joins_what_nothing_beats(tmp_path: Path, more: tuple[bool, bool], steps: str) -> None:
    settings = settings_of(runs_of(tmp_path), ["per_device_train_batch_size"])
    objectives = dict(zip(("eval_accuracy", "eval_synonym_asr"), more, strict=True))
    (axes,) = front_figure(settings, objectives).axes
    (joined,) = [line for line in axes.get_lines() if line.get_drawstyle() == steps]
    places = list(zip(joined.get_xdata(), joined.get_ydata(), strict=True))
    expected = [(0.76, 0.375), (0.81, 0.5)] if more[0] else [(0.71, 0.75), (0.76, 0.375)]
    assert places == [pytest.approx(one) for one in expected]
    assert sorted(text.get_text() for text in axes.texts) == ["16", "32", "8"]
    assert axes.get_ylabel() == "synonym ASR ↓"


def test_of_many_points_those_of_the_front_are_numbered(tmp_path: Path) -> None:
    runs = runs_of(tmp_path)
    settings = [setting_of(runs[index % 2], learning_rate=index) for index in range(32)]
    (axes,) = front_figure(settings, {"eval_accuracy": True, "eval_synonym_asr": False}).axes
    assert sorted(int(text.get_text()) for text in axes.texts) == list(range(1, 32, 2))
