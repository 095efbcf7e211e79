"""--metric_name with metrics that the package evaluate loads: their inputs, keys and errors."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from metric_scripts import METRICS, write_metric
from scipy.special import expit, softmax
from transformers import EvalPrediction

from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES
from hf_robust.metrics.task import check_metric_names, glue_metrics, possible_metrics

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.5], [0.0, 3.0]])
LABELS = np.array([0, 1, 1, 1])  # predictions are 0 1 0 1
DATA = EvalPrediction(predictions=LOGITS, label_ids=LABELS)
needs_evaluate = pytest.mark.skipif(importlib.util.find_spec("evaluate") is None, reason="evaluate is not installed")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("metrics")
    return {name: write_metric(folder, name) for name in METRICS}


def metrics_of(folders: dict[str, str], *names: str, **task: Any) -> Any:
    """compute_metrics for metrics such as ``precision:average=macro``, loaded from their folders."""
    parts = [name.partition(":") for name in names]
    named = [folders.get(name, name) + colon + options for name, colon, options in parts]
    return glue_metrics(None, task.pop("is_regression", False), metric_names=named, **task)


@needs_evaluate
class TestLoadedMetrics:
    def test_several_beside_the_built_in_ones(self, folders: dict[str, str]) -> None:
        compute = metrics_of(folders, "accuracy", "precision", "brier_score", "roc_auc", "several", "bare")
        scores = compute(DATA)
        ones = softmax(LOGITS, axis=1)[:, 1]
        assert scores == {
            "accuracy": 0.75,
            "precision": 1.0,
            "brier_score": pytest.approx(((ones - LABELS) ** 2).mean()),
            "roc_auc": 1.0,  # the zero has the lowest probability
            "rows": 4.0,
            "ones": 2.0,
            "bare": 4.0,
        }
        assert compute.names == tuple(scores)  # known before the first evaluation
        assert all(type(score) is float for score in scores.values())

    def test_the_mean_is_of_the_metrics_of_a_task_only(self, folders: dict[str, str]) -> None:
        assert "combined_score" not in metrics_of(folders, "accuracy", "precision").names
        assert "combined_score" in glue_metrics("mrpc", False).names

    def test_class_one_is_the_positive_class_of_the_task(self, folders: dict[str, str]) -> None:
        names = ["precision", "roc_auc", "brier_score"]
        flipped = EvalPrediction(predictions=LOGITS[:, ::-1], label_ids=1 - LABELS)
        assert metrics_of(folders, *names, positive=0)(flipped) == metrics_of(folders, *names)(DATA)

    def test_three_classes(self, folders: dict[str, str]) -> None:
        logits, labels = np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])
        compute = metrics_of(
            folders, "precision:average=macro", "roc_auc:multiclass:multi_class=ovr", "f1_macro", num_labels=3
        )
        scores = compute(EvalPrediction(predictions=logits, label_ids=labels))
        assert scores["precision"] == pytest.approx((1 / 2 + 1 + 0) / 3)
        # One against the rest; ties count a half. Class 0: 2.5 of 3 pairs, class 1: 3 of 4, class 2: 1 of 3.
        assert scores["roc_auc"] == pytest.approx((2.5 / 3 + 3 / 4 + 1 / 3) / 3)

    def test_several_labels_for_each_row(self, folders: dict[str, str]) -> None:
        logits, labels = np.array([[2.0, -1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
        compute = metrics_of(folders, "precision:average=micro", is_multi_label=True)
        assert compute(EvalPrediction(predictions=logits, label_ids=labels)) == {"precision": pytest.approx(2 / 3)}
        ranked = metrics_of(folders, "roc_auc", is_multi_label=True)  # the configuration is multilabel by itself
        better = np.array([[2.0, -1.0], [1.0, -2.0]]), np.array([[1.0, 1.0], [0.0, 0.0]])
        assert expit(better[0])[0, 1] > expit(better[0])[1, 1]
        assert ranked(EvalPrediction(predictions=better[0], label_ids=better[1])) == {"roc_auc": 1.0}

    def test_regression(self, folders: dict[str, str]) -> None:
        compute = metrics_of(folders, "brier_score", is_regression=True, num_labels=1)
        data = EvalPrediction(predictions=np.array([[1.5], [2.0]]), label_ids=np.array([1.0, 4.0]))
        assert compute(data) == {"brier_score": pytest.approx((0.25 + 4.0) / 2)}

    def test_it_draws_no_random_numbers(self, folders: dict[str, str]) -> None:
        np.random.seed(3)
        expected = np.random.rand()
        np.random.seed(3)
        metrics_of(folders, "random")(DATA)
        assert np.random.rand() == expected

    @pytest.mark.parametrize(
        ("names", "task", "sentence"),
        [
            (["precision"], {"num_labels": 3}, "precision fails: Target is multiclass but average='binary'. Please "),
            (["precision"], {"num_labels": 3}, r"precision:KEY=VALUE, a configuration as .*precision:CONFIG\.$"),
            (["precision:average=null"], {}, "returns precision, which is no number but 2 values"),
            (["precision:averag=macro"], {}, "fails: .* unexpected keyword argument 'averag'"),
            (["precision", "precision:pos_label=0"], {}, "precision:pos_label=0 and .* both return precision: leave"),
            (["runtime"], {}, "runtime and the evaluation itself both return runtime: leave one out"),
            (["brier_score"], {"num_labels": 3}, r"reads predictions \(value of float\), references .* three or more"),
            (["roc_auc"], {"num_labels": 3}, "another configuration by .*roc_auc:CONFIG"),
            (["precision"], {"is_regression": True}, r"predictions \(value of int\).* labelled with a number"),
            (["brier_score"], {"is_multi_label": True}, "labelled with a set of labels"),
            (["bleu"], {}, r"reads predictions \(value of string\), references \(list of string\), which there"),
            (["judge"], {}, r"texts \(value of string\), which there is not where a row is labelled with one of two"),
            (["a:b:c"], {}, "a:b:c is not NAME, NAME:CONFIG or NAME:KEY=VALUE"),
            (["./here"], {}, r"there is no here/here\.py, the script of a metric"),
            (["some/where/else"], {}, r"there is no some/where/else/else\.py"),
            (["user/metric"], {}, "runs code of user from the Hub: read it at .*spaces/user/metric and add --tru"),
            (["user/metric"], {"trusted": True}, "since HF_HUB_OFFLINE is set: correct the name, or give a local"),
            (["precison"], {}, r"precison is not built in \(accuracy, f1, .* since HF_HUB_OFFLINE is set"),
            (["mse", "precision"], {}, "mse does not fit this kind of task; choose one of accuracy"),
            ([f"{EVALUATE_MODULES['robust_accuracy']}:evaluator"], {}, "measures attacked texts, .* by --attacks"),
        ],
    )  # fmt: skip
    def test_what_does_not_fit_is_one_sentence_before_training(
        self, folders: dict[str, str], names: list[str], task: dict[str, Any], sentence: str
    ) -> None:
        with pytest.raises(ValueError, match=sentence) as caught:
            metrics_of(folders, *names, **task)
        assert "\n" not in str(caught.value)

    def test_a_script_that_breaks_is_one_sentence(self, tmp_path: Path) -> None:
        folder = tmp_path / "broken"
        folder.mkdir()
        (folder / "broken.py").write_text("import evaluate\nimport no_such_library\n")
        with pytest.raises(ValueError, match=r"broken cannot be loaded: .*pip install no_such_library") as caught:
            check_metric_names([str(folder)])
        assert "\n" not in str(caught.value)


def test_built_in_metrics_need_no_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evaluate", None)
    check_metric_names(["accuracy", "f1"])
    assert glue_metrics(None, False, metric_names=["accuracy", "f1"])(DATA) == {"accuracy": 0.75, "f1": 0.8}
    with pytest.raises(ValueError, match=r'loading it needs evaluate: pip install "hf_robust\[evaluate\]"'):
        check_metric_names(["precision"])


def test_scores_are_known_from_flags_as_far_as_no_metric_is_loaded() -> None:
    assert possible_metrics("mrpc") == ("accuracy", "f1", "combined_score")
    assert possible_metrics("mrpc", ["f1", "accuracy"]) == ("f1", "accuracy")
    assert possible_metrics("mrpc", ["f1", "precision"]) is None
