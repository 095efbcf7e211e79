import math

import numpy as np
import pytest
from transformers import EvalPrediction

from hf_robust.metrics.task import glue_metrics, logits_of, predicted

GUESS, TRUTH = [1, 0, 1, 1, 0, 1], [1, 0, 0, 1, 1, 1]  # 3 true positives, 1 false, 1 missed, 1 true negative


def evaluated(guess, truth, wrap=lambda logits: logits):
    logits = np.eye(max(guess) + 1)[guess]
    return EvalPrediction(predictions=wrap(logits), label_ids=np.array(truth))


def test_mrpc_and_qqp_by_hand():
    for task in ("mrpc", "qqp"):
        scores = glue_metrics(task, False)(evaluated(GUESS, TRUTH))
        assert scores["accuracy"] == pytest.approx(4 / 6)
        assert scores["f1"] == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
        assert scores["combined_score"] == pytest.approx((4 / 6 + 6 / 8) / 2)
        assert set(scores) == {"accuracy", "f1", "combined_score"}


def test_cola_by_hand():
    scores = glue_metrics("cola", False)(evaluated(GUESS, TRUTH))
    tp, fp, fn, tn = 3, 1, 1, 1
    expected = (tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert scores == {"matthews_correlation": pytest.approx(expected)}


def test_stsb_by_hand():
    guess, truth = np.array([[0.0], [1.0], [2.0], [4.0]]), np.array([0.5, 1.0, 3.0, 2.0])
    scores = glue_metrics("stsb", True)(EvalPrediction(predictions=guess, label_ids=truth))
    x, y = guess[:, 0] - guess.mean(), truth - truth.mean()
    assert scores["pearson"] == pytest.approx((x @ y) / math.sqrt((x @ x) * (y @ y)))
    assert scores["spearmanr"] == pytest.approx(1 - 6 * (1 + 1) / (4 * 15))
    assert scores["combined_score"] == pytest.approx((scores["pearson"] + scores["spearmanr"]) / 2)


@pytest.mark.parametrize("task", ["mnli", "qnli", "rte", "sst2", "wnli", None])
def test_accuracy_otherwise(task):
    assert glue_metrics(task, False)(evaluated(GUESS, TRUTH)) == {"accuracy": pytest.approx(4 / 6)}


def test_f1_is_about_the_named_class():
    flipped = glue_metrics("mrpc", False, positive=0)(evaluated([1 - g for g in GUESS], [1 - t for t in TRUTH]))
    assert flipped == pytest.approx(glue_metrics("mrpc", False)(evaluated(GUESS, TRUTH)))


def test_regression_of_files_is_squared_error_even_of_one_row():
    one = EvalPrediction(predictions=np.array([[1.5]]), label_ids=np.array([1.0]))
    assert glue_metrics(None, True)(one) == {"mse": pytest.approx(0.25)}
    assert glue_metrics(None, True, metric_names=["mae"])(one) == {"mae": pytest.approx(0.5)}
    assert math.isnan(glue_metrics("stsb", True)(one)["pearson"])


def test_multi_label_is_accuracy_of_whole_sets_and_f1_over_labels_and_of_each():
    logits, truth = np.array([[2.0, -1.0], [1.0, 1.0]]), np.array([[1.0, 1.0], [1.0, 0.0]])
    data = EvalPrediction(predictions=logits, label_ids=truth)
    micro, first, second = 2 * 2 / (2 * 2 + 1 + 1), 1.0, 0.0
    assert glue_metrics(None, False, is_multi_label=True)(data) == {
        "accuracy": 0.0,
        "f1": pytest.approx(micro),
        "f1_macro": pytest.approx((first + second) / 2),
    }
    accuracy = glue_metrics(None, False, is_multi_label=True, metric_names=["accuracy"])
    assert accuracy(data) == {"accuracy": 0.0}


@pytest.mark.parametrize("wrap", [lambda logits: (logits, np.zeros(3)), lambda logits: [logits[:4], logits[4:]]])
def test_tuples_and_unjoined_batches(wrap):
    compute = glue_metrics("mrpc", False)
    assert compute(evaluated(GUESS, TRUTH, wrap)) == compute(evaluated(GUESS, TRUTH))


def test_unjoined_batches_of_tuples_and_labels():
    logits = np.eye(2)[GUESS]
    batches = [(logits[:4], 0), (logits[4:], 0)]
    data = EvalPrediction(predictions=batches, label_ids=[np.array(TRUTH[:4]), np.array(TRUTH[4:])])
    assert glue_metrics(None, False)(data) == {"accuracy": pytest.approx(4 / 6)}
    assert np.array_equal(logits_of(batches), logits)


def test_metric_name_chooses_and_unknown_ones_are_refused():
    data = evaluated([0, 1, 2, 0], [0, 1, 1, 2])
    by_hand = np.mean([2 * 1 / (2 * 1 + 1 + 0), 2 * 1 / (2 * 1 + 0 + 1), 0.0])
    assert glue_metrics(None, False, metric_names=["f1_macro"])(data)["f1_macro"] == pytest.approx(by_hand)
    with pytest.raises(ValueError, match="--metric_name mse does not fit this kind of task; choose one of accuracy"):
        glue_metrics(None, False, metric_names=["mse"])


def test_predictions():
    assert predicted(np.array([[1.0, 3.0], [2.0, 0.0]]), False).tolist() == [1, 0]
    assert predicted(np.array([[1.25]]), True).tolist() == [1.25]
    assert predicted(np.array([[1.0, -3.0]]), False, True).tolist() == [[1, 0]]
