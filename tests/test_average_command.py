"""`hf-robust average`: the averaged checkpoints, their results, and errors."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from tiny import SYNONYMS, build_model, build_tokenizer, review_rows
from transformers import AutoModelForSequenceClassification

from hf_robust.cli.main import main
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.metrics import wilson_interval
from hf_robust.models.adapter_files import write_config
from hf_robust.reports import average_figure
from hf_robust.reports.average import label_points, text_box
from hf_robust.training.twin import linear_average
from hf_robust.wiring.checkpoints import load_config, load_model

pytestmark = pytest.mark.slow


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A model and its twin, as a run of taichi leaves them."""
    for seed, folder in enumerate((tmp_path / "run", tmp_path / "run" / "_twin")):
        build_model(seed=seed).save_pretrained(folder)
        build_tokenizer().save_pretrained(folder)
    return tmp_path / "run"


@pytest.fixture
def corpus(tmp_path: Path) -> dict[str, str]:
    """Paths of a data file and of a lexicon table."""
    paths = {"data": tmp_path / "reviews.jsonl", "lexicon": tmp_path / "synonyms.json"}
    paths["data"].write_text("".join(json.dumps(row) + "\n" for row in review_rows(30)))
    paths["lexicon"].write_text(json.dumps(SYNONYMS))
    return {name: str(path) for name, path in paths.items()}


def average(run: Path, corpus: dict[str, str], output: Path, *more: str) -> int:
    flags = ["--data", corpus["data"], "--lexicon", corpus["lexicon"], "--pos_tagger", "none", "--attacks", "synonym"]
    return main(["average", str(run), *flags, "--attack_num_examples", "10", "--output_dir", str(output), *more])


def test_adapters_are_merged_before_they_are_averaged(corpus: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("peft")
    base, out, merged = tmp_path / "base", tmp_path / "out", []
    build_model().save_pretrained(base)
    for name in ("run", "twin"):
        args = ModelArguments(model_name_or_path=str(base), lora_rank=2)
        model = load_model(args, load_config(args), named_labels(("bad", "good")))
        for value in model.parameters():
            value.data.add_(0.1 * (len(name) - 2) * value.requires_grad)
        model.save_pretrained(tmp_path / name)
        write_config(model, tmp_path / name)
        build_tokenizer().save_pretrained(tmp_path / name)
        merged.append(model.merge_and_unload().state_dict())
    assert average(tmp_path / "run", corpus, out, "--twin", str(tmp_path / "twin"), "--lambdas", "0.25") == 0
    found = AutoModelForSequenceClassification.from_pretrained(out / "lambda-0.25").state_dict()
    expected = linear_average(*merged, 0.25)
    assert found.keys() == expected.keys()
    for key, value in found.items():
        assert torch.allclose(value, expected[key], rtol=0, atol=1e-6), key
    assert not torch.allclose(merged[0]["classifier.weight"], merged[1]["classifier.weight"])
    card = json.loads((out / "lambda-0.25" / "run_card.json").read_text())
    assert card["precision"] == {"dtype": "float32", "attention": "sdpa"}


def test_each_average_is_saved_and_attacked(
    run_folder: Path, corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert average(run_folder, corpus, out, "--lambdas", "1", "0.25", "0") == 0
    printed = capsys.readouterr().out
    points = json.loads((out / "linear_average.json").read_text())["points"]
    assert [point["lambda"] for point in points] == [0.0, 0.25, 1.0]
    clean, twin = build_model(seed=0).state_dict(), build_model(seed=1).state_dict()
    for point in points:
        model = AutoModelForSequenceClassification.from_pretrained(out / point["folder"])
        expected = linear_average(clean, twin, point["lambda"])
        assert all(torch.equal(value, expected[key]) for key, value in model.state_dict().items())
        found = json.loads((out / point["folder"] / "attack_summary.json").read_text())["results"]["synonym"]
        assert point["attacks"]["synonym"]["robust_accuracy"] == found["robust_accuracy"]
        assert point["accuracy"] == found["extra"]["accuracy"]
        # 10 examples prove nothing, so that each average is marked.
        low, high = wilson_interval(round(10 * point["accuracy"]), 10)
        assert (point["accuracy_low"], point["accuracy_high"]) == (low, high)
        accuracy = f"{100 * point['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"
        assert f"| {point['lambda']:g} † | {accuracy} | " in printed
    assert "run has no run card, so it is unknown whether the two models were trained apart." in printed
    assert (out / "linear_average.png").exists() and (out / "linear_average.svg").exists()
    assert str(tmp_path) not in (out / "linear_average.json").read_text()


def test_the_picture_has_a_line_for_each_attack() -> None:
    rates = {"robust_accuracy": 0.3, "robust_accuracy_low": 0.2, "robust_accuracy_high": 0.4, "num_examples": 60}
    kept = {key: math.nan if key != "num_examples" else 60 for key in rates}  # of an attack that has no such rate
    both = {"accuracy_low": 0.2, "accuracy_high": 0.9, "attacks": {"a": rates, "c": kept, "b": rates}}
    points = [{"lambda": lam, "accuracy": lam, **both} for lam in (0.0, 1.0)]
    figure = average_figure(points)
    assert "N = 60" in figure.get_supxlabel() and "Hollow" not in figure.get_supxlabel()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["0", "1"]  # once each, not once for each attack


def test_the_picture_has_bars_both_ways_and_the_models_beside() -> None:
    def model(accuracy: float, robust: float, **name: object) -> dict[str, object]:
        rates = {
            "robust_accuracy": robust,
            "robust_accuracy_low": robust - 0.02,
            "robust_accuracy_high": robust + 0.03,
        }
        clean = {"accuracy": accuracy, "accuracy_low": accuracy - 0.04, "accuracy_high": accuracy + 0.05}
        return {**name, **clean, "attacks": {"a": {**rates, "num_examples": 1200}}}

    points = [model(0.5, 0.1, **{"lambda": 0.0}), model(0.8, 0.2, **{"lambda": 1.0})]
    beside = [model(0.82, 0.15, name="normal"), model(0.79, 0.4, name="taichi")]
    figure = average_figure(points, beside)
    assert "Hollow: other models.\nBars: 95 % intervals, N = 1,200." in figure.get_supxlabel()
    averages, others = figure.axes[0].containers
    assert averages.has_xerr and averages.has_yerr and others.has_xerr and others.has_yerr
    spans = sorted(tuple(np.ptp(segment, axis=0).round(6)) for bars in others[2] for segment in bars.get_segments())
    assert spans == [(0.0, 0.05), (0.0, 0.05), (0.09, 0.0), (0.09, 0.0)]
    assert list(zip(*others[0].get_data(), strict=True)) == [(0.82, 0.15), (0.79, 0.4)]
    assert others[0].get_markerfacecolor() == "white"
    assert [text.get_text() for text in figure.axes[0].texts] == ["0", "1", "normal", "taichi"]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=8),
    st.sampled_from([0.0, 1e-3, 1.0]),
)
@settings(max_examples=15, deadline=None)
def test_no_label_covers_another_or_a_point(places: list[tuple[float, float]], spread: float) -> None:
    """Also where all points lie in one place, as averages near one another do."""
    figure = Figure(figsize=(4.8, 3.8), dpi=200)
    axes = figure.add_subplot()
    points = [(0.5 + spread * (x - 0.5), 0.5 + spread * (y - 0.5)) for x, y in places]
    axes.plot(*zip(*points, strict=True), "o", markersize=4)
    notes = label_points(axes, [(f"label {index}", x, y) for index, (x, y) in enumerate(points)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text_box(note, renderer) for note in notes]
    for first, second in itertools.combinations(boxes, 2):
        assert not first.overlaps(second)
    for x, y in axes.transData.transform(points):
        assert not any(box.contains(x, y) for box in boxes)


# ---- pairs that KL has fused ----


def write_card(folder: Path, method: str = "taichi", **config: object) -> None:
    (folder / "run_card.json").write_text(json.dumps({"method": method, "config": config}))


@pytest.mark.parametrize("variant", ["full", "no_ctr"])
def test_a_pair_that_kl_has_fused_is_refused(
    variant: str, run_folder: Path, corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_card(run_folder, taichi_variant=variant, taichi_gamma=1.0)
    assert average(run_folder, corpus, tmp_path / "out") == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"were trained with --taichi_variant {variant}, whose KL term makes them agree" in said
    assert "--taichi_variant linear_average" in said and not (tmp_path / "out").exists()
    # The same folder named as the other model is the same pair.
    assert average(run_folder, corpus, tmp_path / "out", "--twin", str(run_folder / "_twin")) == 2


@pytest.mark.parametrize(
    "config",
    [{"taichi_variant": "linear_average", "taichi_gamma": 1.0}, {"taichi_variant": "full", "taichi_gamma": 0.0}],
)
def test_a_pair_that_was_trained_apart_is_averaged(
    config: dict[str, object],
    run_folder: Path,
    corpus: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_card(run_folder, **config)
    assert average(run_folder, corpus, tmp_path / "out", "--lambdas", "1") == 0
    assert "trained apart" not in capsys.readouterr().out


def test_models_beside_are_attacked_and_named(
    run_folder: Path, corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    others = [tmp_path / "first", tmp_path / "second", tmp_path / "plain"]
    for seed, folder in enumerate(others, start=5):
        build_model(seed=seed).save_pretrained(folder)
        build_tokenizer().save_pretrained(folder)
    for folder in others[:2]:
        write_card(folder, "normal")
    out = tmp_path / "out"
    assert average(run_folder, corpus, out, "--lambdas", "1", "--beside", *map(str, others)) == 0
    beside = json.loads((out / "linear_average.json").read_text())["beside"]
    assert [one["name"] for one in beside] == ["normal", "normal-2", "plain"]
    printed = capsys.readouterr().out
    for one in beside:
        found = json.loads((out / one["folder"] / "attack_summary.json").read_text())["results"]["synonym"]
        assert one["attacks"]["synonym"]["robust_accuracy"] == found["robust_accuracy"]
        assert one["folder"] == f"beside-{one['name']}" and f"| {one['name']} † | " in printed


def test_a_model_beside_that_cannot_be_loaded_leaves_nothing_behind(
    run_folder: Path, corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert average(run_folder, corpus, tmp_path / "out", "--beside", str(tmp_path / "nowhere")) == 2
    assert "nowhere cannot be loaded" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--lambdas", "1.5"], "--lambdas must be from 0 (the twin) to 1 (MODEL), got 1.5"),
        (["--twin", "nowhere"], "nowhere cannot be loaded"),
    ],
)
def test_bad_values_are_one_line(
    more: list[str],
    message: str,
    run_folder: Path,
    corpus: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert average(run_folder, corpus, tmp_path / "out", *more) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_an_average_is_not_averaged_again(
    run_folder: Path, corpus: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run_folder / "run_card.json").write_text(json.dumps({"config": {"taichi_lambda": 0.5}}))
    assert average(run_folder, corpus, tmp_path / "out") == 2
    assert "was saved with --taichi_lambda 0.5, so it is an average already" in capsys.readouterr().err


def test_other_classes_are_refused(
    run_folder: Path,
    corpus: dict[str, str],
    model_folder: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert average(run_folder, corpus, tmp_path / "out", "--twin", str(model_folder("bert", 3))) == 2
    assert "these differ in classifier.bias" in capsys.readouterr().err


def test_a_run_without_a_twin_is_one_line(
    corpus: dict[str, str], model_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert average(model_folder(), corpus, tmp_path / "out") == 2
    assert (
        "has no folder _twin, where its twin would be: train it with --robust_method taichi" in capsys.readouterr().err
    )


@pytest.mark.parametrize("flags", [["--attacks", "antonym"], ["--attack_query_budget", "0"], ["--data", "gone.jsonl"]])
def test_what_cannot_be_attacked_leaves_no_average_behind(
    flags: list[str], run_folder: Path, corpus: dict[str, str], tmp_path: Path
) -> None:
    assert average(run_folder, corpus, tmp_path / "out", *flags) == 2
    assert not (tmp_path / "out").exists()
