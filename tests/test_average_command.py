"""`hf-robust average`: checkpoints between two models, their results, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import SYNONYMS, build_model, build_tokenizer, review_rows
from transformers import AutoModelForSequenceClassification

from hf_robust.cli import main
from hf_robust.reports import average_figure
from hf_robust.trainers.twin import linear_average


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
        assert f"| {point['lambda']:g} † | {100 * point['accuracy']:.1f} " in printed
    assert (out / "linear_average.png").exists() and (out / "linear_average.svg").exists()
    assert str(tmp_path) not in (out / "linear_average.json").read_text()


def test_the_picture_has_a_line_for_each_attack() -> None:
    rates = {"robust_accuracy": 0.3, "robust_accuracy_low": 0.2, "robust_accuracy_high": 0.4, "num_examples": 60}
    kept = {key: math.nan if key != "num_examples" else 60 for key in rates}  # of an attack that has no such rate
    points = [{"lambda": lam, "accuracy": lam, "attacks": {"a": rates, "c": kept, "b": rates}} for lam in (0.0, 1.0)]
    axes = average_figure(points).axes[0]
    assert "N = 60" in axes.figure.get_supxlabel()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    assert [text.get_text() for text in axes.texts] == ["0", "1", "0", "1"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--lambdas", "1.5"], "--lambdas are shares between 0 and 1, got 1.5"),
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
    assert "has no folder _twin; train it with --robust_method taichi" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--attacks", "antonym"], ["--attack_query_budget", "0"], ["--data", "gone.jsonl"]])
def test_what_cannot_be_attacked_leaves_no_average_behind(
    flags: list[str], run_folder: Path, corpus: dict[str, str], tmp_path: Path
) -> None:
    assert average(run_folder, corpus, tmp_path / "out", *flags) == 2
    assert not (tmp_path / "out").exists()
