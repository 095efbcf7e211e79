"""The metrics of attacks as modules of the package evaluate: numbers of the engine's own summaries, and its tools."""

from __future__ import annotations

import doctest
import importlib.util
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_attack_records import record
from tiny import NEGATIVE, POSITIVE, build_model, build_tokenizer

from hf_robust.metrics import AttackSummary, union_of_attacks, wilson_interval
from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES

pytestmark = pytest.mark.skipif(importlib.util.find_spec("evaluate") is None, reason="evaluate is not installed")
SKIPPED = -100
ROWS = st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=12)  # label, clean, after one, after another


def load(name: str, *config: str) -> Any:
    import evaluate

    return evaluate.load(EVALUATE_MODULES[name], *config, keep_in_memory=True)


@pytest.fixture(scope="module")
def modules() -> dict[tuple[str, ...], Any]:
    names = [(name, *config) for name in EVALUATE_MODULES for config in ((), ("evaluator",))]
    return {name: load(*name) for name in names}


def status(label: int, clean: int, attacked: int) -> str:
    return "skipped" if clean != label else "failed" if attacked == label else "succeeded"


def equal(one: float, other: float) -> bool:
    return one == other or math.isnan(one) and math.isnan(other)


@pytest.mark.slow
@given(rows=ROWS)
def test_they_are_the_rates_of_the_attack_callback(modules: dict[tuple[str, ...], Any], rows: list[Any]) -> None:
    labels, clean, first, second = map(list, zip(*rows, strict=True))
    columns = {"predictions": first, "references": labels, "clean_predictions": clean}
    asr = modules[("attack_success_rate",)].compute(**columns)
    robust = modules[("robust_accuracy",)].compute(**columns)
    worst = modules[("worst_case",)].compute(**columns | {"predictions": list(zip(first, second, strict=True))})

    attacks = {
        name: [
            record(index, status(label, was, now), label=label, original=["a"])
            for index, (label, was, now) in enumerate(zip(labels, clean, column, strict=True))
        ]
        for name, column in {"first": first, "second": second}.items()
    }
    summary, union = AttackSummary.from_records(attacks["first"]), union_of_attacks(attacks)
    assert equal(asr["attack_success_rate"], summary.asr) and equal(asr["attack_success_rate_low"], summary.asr_low)
    assert equal(asr["attack_success_rate_high"], summary.asr_high) and asr["num_attacked"] == summary.num_attacked
    assert robust["robust_accuracy"] == summary.robust_accuracy and robust["num_examples"] == len(rows)
    assert (robust["robust_accuracy_low"], robust["robust_accuracy_high"]) == (
        summary.robust_accuracy_low,
        summary.robust_accuracy_high,
    )
    assert union is not None and worst["worst_case_robust_accuracy"] == union.robust_accuracy
    assert (worst["worst_case_robust_accuracy_low"], worst["worst_case_robust_accuracy_high"]) == union.interval
    assert worst["num_examples"] == union.num_examples and worst["num_attacked"] == summary.num_attacked
    fooled = worst["num_attacked"] - union.num_robust
    assert equal(
        worst["worst_case_attack_success_rate"],
        fooled / worst["num_attacked"] if worst["num_attacked"] else math.nan,
    )


@pytest.mark.slow
@given(rows=ROWS)
def test_the_configuration_for_the_evaluator_gives_the_same_numbers(
    modules: dict[tuple[str, ...], Any], rows: list[Any]
) -> None:
    labels, clean, first, second = map(list, zip(*rows, strict=True))
    marked = [label if label == was else SKIPPED for label, was in zip(labels, clean, strict=True)]
    for name in ("attack_success_rate", "robust_accuracy"):
        plain = modules[(name,)].compute(predictions=first, references=labels, clean_predictions=clean)
        assert str(modules[(name, "evaluator")].compute(predictions=first, references=marked)) == str(plain)
    pairs = list(zip(first, second, strict=True))
    plain = modules[("worst_case",)].compute(predictions=pairs, references=labels, clean_predictions=clean)
    texts = [[index, label] for index, label in enumerate(marked)]
    by_text = modules[("worst_case", "evaluator")].compute(predictions=first + second, references=texts + texts)
    assert str(by_text) == str(plain)


def test_an_obstinate_attack_succeeds_if_the_prediction_stays(modules: dict[tuple[str, ...], Any]) -> None:
    columns = {"predictions": [0, 1, 1, 0], "references": [0, 1, 0, 1], "clean_predictions": [0, 1, 0, 0]}
    scores = modules[("attack_success_rate",)].compute(**columns, obstinate=True)
    low, high = wilson_interval(2, 3)
    assert scores == {
        "attack_success_rate": 2 / 3,
        "attack_success_rate_low": low,
        "attack_success_rate_high": high,
        "num_attacked": 3,
    }


def test_batches_are_collected(modules: dict[tuple[str, ...], Any]) -> None:
    metric = modules[("robust_accuracy",)]
    metric.add_batch(predictions=[1, 1], references=[0, 1], clean_predictions=[0, 1])
    metric.add(prediction=0, reference=0, clean_predictions=0)
    assert metric.compute()["robust_accuracy"] == 2 / 3


@pytest.mark.parametrize("name", EVALUATE_MODULES)
def test_they_are_described_with_examples_that_run(modules: dict[tuple[str, ...], Any], name: str) -> None:
    metric = modules[(name,)]
    assert metric.name == name and metric.module_type == "metric" and metric.info.license == "Apache-2.0"
    assert metric.description.strip() and metric.citation.strip().startswith("@inproceedings{")
    test = doctest.DocTestParser().get_doctest(metric.inputs_description, {}, name, None, 0)
    assert test.examples and doctest.DocTestRunner().run(test).failed == 0
    for column in metric.features:
        assert f"    {column} (" in metric.inputs_description
    scores = set(modules[(name, "evaluator")].compute(predictions=[0], references=[[0, 0]] if "w" == name[0] else [0]))
    assert all(score in metric.inputs_description or score.startswith(name) for score in scores)


@pytest.mark.parametrize(
    ("name", "columns", "sentence"),
    [
        ("robust_accuracy", {"predictions": [0], "references": [0]}, "inputs are missing: .'clean_predictions'."),
        ("worst_case", {"predictions": [[0], []], "references": [0, 0], "clean_predictions": [0, 0]}, "one has none"),
    ],
)
def test_missing_inputs_are_refused(
    modules: dict[tuple[str, ...], Any], name: str, columns: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        modules[(name,)].compute(**columns)


def test_other_wrong_inputs_are_one_sentence(modules: dict[tuple[str, ...], Any]) -> None:
    with pytest.raises(ValueError, match='no configuration evaluater: leave it out, or give "evaluator"'):
        load("robust_accuracy", "evaluater")
    with pytest.raises(ValueError, match="text 3 has the labels 0 and -100: it needs one label"):
        modules[("worst_case", "evaluator")].compute(predictions=[0, 0], references=[[3, 0], [3, SKIPPED]])


# ---- the tools of the package evaluate ----


def test_they_combine(modules: dict[tuple[str, ...], Any]) -> None:
    import evaluate

    columns = {"predictions": [1, 1, 0, 0], "references": [0, 1, 1, 0], "clean_predictions": [0, 1, 0, 0]}
    pair = [modules[("attack_success_rate",)], modules[("robust_accuracy",)]]
    both = evaluate.combine(pair).compute(**columns)
    assert both == pair[0].compute(**columns) | pair[1].compute(**columns)
    named = evaluate.combine({"textfooler": pair[1], "pwws": pair[1]}, force_prefix=True).compute(**columns)
    assert named["textfooler_robust_accuracy"] == named["pwws_robust_accuracy"] == 0.5
    worst = modules[("worst_case",)]
    alone = evaluate.combine([worst], force_prefix=True).compute(**columns | {"predictions": [[1], [1], [0], [0]]})
    assert alone["worst_case_worst_case_robust_accuracy"] == both["robust_accuracy"]


WORDS = [*POSITIVE, *NEGATIVE]


class Victim:
    """A random model, its predictions on clean texts and on those of two attacks, and labels, some of them wrong."""

    def __init__(self) -> None:
        from transformers import pipeline

        self.model, self.tokenizer = build_model("bert", seed=6), build_tokenizer()
        self.label2id = self.model.config.label2id
        classify = pipeline("text-classification", self.model, tokenizer=self.tokenizer)
        self.texts = [
            [f"{word} film" for word in WORDS],
            [f"a film , {word}" for word in WORDS],
            [f"the {word} the {word} movie" for word in WORDS],
        ]
        self.clean, *self.after = [
            [self.label2id[found["label"]] for found in classify(texts)] for texts in self.texts
        ]
        self.labels = [1 - guess if row % 4 == 0 else guess for row, guess in enumerate(self.clean)]
        self.marked = [
            label if label == guess else SKIPPED for label, guess in zip(self.labels, self.clean, strict=True)
        ]

    def evaluated(self, texts: list[str], labels: list[Any], metric: Any, **options: Any) -> dict[str, Any]:
        import evaluate
        from datasets import Dataset

        return evaluate.evaluator("text-classification").compute(
            model_or_pipeline=self.model,
            tokenizer=self.tokenizer,
            data=Dataset.from_dict({"text": texts, "label": labels}),
            metric=metric,
            label_mapping=self.label2id,
            device=-1,
            **options,
        )


@pytest.fixture(scope="module")
def victim() -> Victim:
    return Victim()


@pytest.mark.parametrize("name", ["attack_success_rate", "robust_accuracy"])
def test_the_evaluator_measures_a_model(modules: dict[tuple[str, ...], Any], victim: Victim, name: str) -> None:
    expected = modules[(name,)].compute(
        predictions=victim.after[0], references=victim.labels, clean_predictions=victim.clean
    )
    assert 0 < expected[name] < 1
    found = victim.evaluated(victim.texts[1], victim.marked, modules[(name, "evaluator")])
    assert {key: found[key] for key in expected} == expected and found["samples_per_second"] > 0


def test_the_evaluator_measures_the_worst_case(modules: dict[tuple[str, ...], Any], victim: Victim) -> None:
    pairs = list(zip(*victim.after, strict=True))
    expected = modules[("worst_case",)].compute(
        predictions=pairs, references=victim.labels, clean_predictions=victim.clean
    )
    references = [[row, label] for row, label in enumerate(victim.marked)] * 2
    metric = modules[("worst_case", "evaluator")]
    found = victim.evaluated(victim.texts[1] + victim.texts[2], references, metric)
    assert {key: found[key] for key in expected} == expected
    assert expected["worst_case_robust_accuracy"] < np.mean(np.equal(victim.after[0], victim.marked))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the number of texts is the same in every sample
def test_the_evaluator_combines_and_resamples(modules: dict[tuple[str, ...], Any], victim: Victim) -> None:
    import evaluate

    names = ("attack_success_rate", "robust_accuracy")
    both = evaluate.combine([modules[(name, "evaluator")] for name in names])
    found = victim.evaluated(victim.texts[1], victim.marked, both)
    assert found["robust_accuracy"] == pytest.approx(
        (1 - found["attack_success_rate"]) * found["num_attacked"] / found["num_examples"]
    )
    one = modules[("robust_accuracy", "evaluator")]
    resampled = victim.evaluated(
        victim.texts[1], victim.marked, one, strategy="bootstrap", n_resamples=30, random_state=0
    )["robust_accuracy"]
    low, high = resampled["confidence_interval"]
    assert resampled["score"] == found["robust_accuracy"] and 0 <= low < resampled["score"] < high <= 1
