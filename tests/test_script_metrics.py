"""--metric_name in run_glue_robust.py and in sweeps: built-in and loaded metrics, and errors before training."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from metric_scripts import write_metric
from sweep_parts import ARGS
from test_script import run, same_weights, weights
from test_sweep_file import SEEDS, read
from tiny import SYNONYMS, review_rows
from transformers import Trainer

from hf_robust.metrics.task import CLASSIFICATION, MULTI_LABEL, REGRESSION
from hf_robust.sweep.checks import check_sweep
from hf_robust.wiring.parsing import parse_arguments
from hf_robust.words import NLTK_STOP_WORDS

needs_evaluate = pytest.mark.skipif(importlib.util.find_spec("evaluate") is None, reason="evaluate is not installed")
DATA: dict[str, Any] = {"train": review_rows(12), "validation": review_rows(8, 1)}
MORE = {"train": review_rows(80), "validation": review_rows(24, 1)}
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
STEPS = ["--do_train", "--do_eval", "--eval_strategy", "epoch", "--metric_for_best_model"]


@pytest.mark.slow
@needs_evaluate
def test_loaded_metrics_stand_beside_built_in_ones_and_change_no_weight(
    model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    names = ["f1_macro", *(write_metric(tmp_path, name) for name in ("precision", "roc_auc", "random"))]
    model = model_folder(dropout=0.1)
    measured = run(model, tmp_path / "loaded", *STEPS, "eval_precision", "--metric_name", *names, **DATA)
    run(model, tmp_path / "plain", *STEPS, "accuracy", **DATA)
    assert {"eval_f1_macro", "eval_precision", "eval_roc_auc", "eval_random"} <= set(measured)
    assert "eval_accuracy" not in measured and "eval_combined_score" not in measured
    assert same_weights(weights(tmp_path / "loaded"), weights(tmp_path / "plain"))
    history = json.loads((tmp_path / "loaded" / "trainer_state.json").read_text())["log_history"]
    assert sum("eval_roc_auc" in entry for entry in history) == 2


# By kind of task: its labels, its built-in metrics, a metric of a folder, and the built-in one that it equals.
KINDS: dict[str, tuple[list[Any], Any, str, str]] = {
    "classes": ([0, 1], CLASSIFICATION, "exact", "accuracy"),
    "label sets": ([[], ["bad"], ["good", "bad"]], MULTI_LABEL, "exact", "accuracy"),
    "numbers": ([0.25, -1.5, 3.5], REGRESSION, "brier_score", "mse"),
}


@pytest.mark.slow
@needs_evaluate
@pytest.mark.parametrize("kind", KINDS)
def test_a_metric_of_a_folder_stands_beside_every_built_in_one(
    kind: str, model_folder: Callable[..., Path], tmp_path: Path
) -> None:
    labels, built_in, loaded, equal = KINDS[kind]
    rows = [{**row, "label": labels[index % len(labels)]} for index, row in enumerate(review_rows(12))]
    names = [write_metric(tmp_path, loaded), *built_in]
    model = model_folder(num_labels=1 if kind == "numbers" else 2)
    measured = run(
        model, tmp_path / "out", "--do_train", "--do_eval", "--metric_name", *names, train=rows, validation=rows
    )
    alone = run(
        model, tmp_path / "alone", "--do_train", "--do_eval", "--metric_name", *built_in, train=rows, validation=rows
    )
    assert measured[f"eval_{loaded}"] == pytest.approx(measured[f"eval_{equal}"])
    for name in built_in:
        assert measured[f"eval_{name}"] == pytest.approx(alone[f"eval_{name}"], nan_ok=True), name


@needs_evaluate
@pytest.mark.slow
@pytest.mark.parametrize("flags", [["precision"], ["user/metric", "--trust_remote_code"]])
def test_a_metric_of_the_hub_without_a_network_is_one_sentence(flags: list[str], tmp_path: Path) -> None:
    offline = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}  # nobody answers there
    command = [sys.executable, "run_glue_robust.py", "examples/demo.json", "--output_dir", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, "--metric_name", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | offline,
    )
    # bitsandbytes, if it is installed, remarks on a CPU that it lacks a package.
    lines = [line for line in done.stderr.splitlines() if "kernels-community" not in line]
    assert done.returncode == 2 and len(lines) == 1
    assert f"--metric_name {flags[0]} is not built in (accuracy, f1, " in lines[0]
    assert "the Hub has no such metric or cannot be reached: correct the name, or give a local folder" in lines[0]
    assert not (tmp_path / "out").exists()


@needs_evaluate
def test_the_best_metric_must_be_a_score_of_the_loaded_ones(
    model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "train", lambda *args, **kwargs: pytest.fail("training began"))
    folder = write_metric(tmp_path, "several")
    with pytest.raises(ValueError, match="several is no metric of this run's evaluations: there are loss, rows, ones"):
        run(model_folder(), tmp_path / "out", *STEPS, "several", "--metric_name", folder, **DATA)


@pytest.mark.slow
@needs_evaluate
def test_the_examples_of_the_docs_run_and_find_the_rates_of_a_run(
    model_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hf_robust.attacks.resources.nltk_stop_words", lambda: NLTK_STOP_WORDS)
    Path("table.json").write_text(json.dumps(SYNONYMS))
    attacks = ["--attacks", "synonym", "deepwordbug", "--lexicon", "table.json", "--pos_tagger", "none"]
    found = run(model_folder(), Path("out"), *STEPS[:2], *attacks, "--num_train_epochs", "1", **MORE)
    first, second = re.findall(r"```python\n(.*?)```", (DOCS / "metrics.md").read_text("utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(first, "metrics.md", "exec"), names)
    assert (names["scores"]["attack_success_rate"], names["scores"]["robust_accuracy"]) == (1 / 3, 0.5)
    exec(compile(second, "metrics.md", "exec"), names)
    for attack in ("synonym", "deepwordbug"):
        assert names["scores"][attack]["robust_accuracy"] == found[f"eval_{attack}_robust_accuracy"]
    worst = names["scores"]["worst case"]["worst_case_robust_accuracy"]
    assert worst == found["eval_union_robust_accuracy"] and 0 < worst < found["eval_accuracy"]


def test_an_args_file_may_name_one_metric_or_several(tmp_path: Path) -> None:
    for given, expected in (("f1_macro", ["f1_macro"]), (["f1", "accuracy"], ["f1", "accuracy"])):
        file = tmp_path / "args.json"
        file.write_text(json.dumps({**ARGS, "output_dir": "out", "metric_name": given}))
        assert parse_arguments([str(file)]).data.metric_name == expected


def test_a_misspelt_metric_is_found_while_flags_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evaluate", None)
    with pytest.raises(ValueError, match=r"--metric_name acuracy is not built in \(accuracy, .*needs evaluate: pip"):
        parse_arguments(["--model_name_or_path", "m", "--train_file", "t.csv", "--metric_name", "acuracy"])


def test_a_sweep_knows_the_built_in_metrics_of_its_runs(tmp_path: Path) -> None:
    several = {**ARGS, "metric_name": ["f1_macro", "f1_micro"]}
    check_sweep(read(tmp_path, grid=SEEDS, args=several, objectives={"eval_f1_micro": "maximize"}), None)
    with pytest.raises(ValueError, match="eval_f1 is not measured by the point seed1: name one of f1_macro, f1_micro"):
        check_sweep(read(tmp_path, grid=SEEDS, args=several, objectives={"eval_f1": "maximize"}), None)


@needs_evaluate
def test_a_sweep_may_aim_at_a_loaded_metric(tmp_path: Path) -> None:
    loaded = {**ARGS, "metric_name": [write_metric(tmp_path, "roc_auc"), "accuracy"]}
    for metric in ("eval_roc_auc", "eval_accuracy"):
        check_sweep(read(tmp_path, grid=SEEDS, args=loaded, objectives={metric: "maximize"}), None)
