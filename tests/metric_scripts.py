"""Scripts of metrics as `evaluate.load` reads them, with the inputs and settings of some metrics of the Hub."""

from __future__ import annotations

from pathlib import Path

SCRIPT = """
import evaluate
import numpy
from datasets import Features, Sequence, Value
from sklearn import metrics


class {name}(evaluate.Metric):
    def _info(self):
        config, number, share = self.config_name, Value("int32"), Value("float")
        features = {features}
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=features)

    def _compute(self, {arguments}):
        return {result}
"""
IDS = 'Features({"predictions": number, "references": number})'
SETS = 'Features({"predictions": Sequence(number), "references": Sequence(number)})'
SHARES = 'Features({"predictions": share, "references": share})'
SCORES = 'Features({{"references": {}, "prediction_scores": {}}})'
METRICS: dict[str, tuple[str, str, str]] = {
    "precision": (
        f'{SETS} if config == "multilabel" else {IDS}',
        'predictions, references, average="binary", pos_label=1',
        '{"precision": metrics.precision_score(references, predictions, average=average, pos_label=pos_label)}',
    ),
    "brier_score": (
        f'[{SHARES}, Features({{"predictions": share, "references": Value("string")}})]',
        "predictions, references",
        '{"brier_score": float(((numpy.array(predictions) - references) ** 2).mean())}',
    ),
    "roc_auc": (
        f'{SCORES.format("number", "Sequence(share)")} if config == "multiclass" else '
        f'{SCORES.format("Sequence(number)", "Sequence(share)")} if config == "multilabel" else '
        f"{SCORES.format('number', 'share')}",
        'prediction_scores, references, multi_class="raise"',
        '{"roc_auc": metrics.roc_auc_score(references, prediction_scores, multi_class=multi_class)}',
    ),
    "several": (IDS, "predictions, references", '{"rows": len(references), "ones": sum(predictions)}'),
    "bare": (IDS, "predictions, references", "float(len(references))"),
    "runtime": (IDS, "predictions, references", '{"runtime": 0.0}'),
    "bleu": (
        'Features({"predictions": Value("string"), "references": Sequence(Value("string"))})',
        "predictions, references",
        '{"bleu": 0.0}',
    ),
    "judge": (
        'Features({"predictions": number, "references": number, "texts": Value("string")})',
        "predictions, references, texts",
        '{"judge": 0.0}',
    ),
    "exact": (
        f'{SETS} if config == "multilabel" else {IDS}',
        "predictions, references",
        '{"exact": float(numpy.mean([numpy.all(p == r) for p, r in zip(predictions, references)]))}',
    ),
    "random": (IDS, "predictions, references", '{"random": float(numpy.random.rand())}'),
}
"""Features, arguments and result of each metric."""


def write_metric(folder: Path, name: str) -> str:
    """Write ``folder/name/name.py``, and return the folder that `evaluate.load` takes."""
    features, arguments, result = METRICS[name]
    (folder / name).mkdir(parents=True, exist_ok=True)
    script = SCRIPT.format(name=name.title().replace("_", ""), features=features, arguments=arguments, result=result)
    (folder / name / f"{name}.py").write_text(script, encoding="utf-8")
    return str(folder / name)
