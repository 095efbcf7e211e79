"""The evidence of `hf-robust suggest`: what each method gained and cost in each experiment of the study.

    python -m benchmarks.study.evidence

Reads the committed runs, and writes ``hf_robust/reports/evidence.json``, which the package ships. An experiment counts
if it has runs of `normal` and of another method at one setting each; sweeps do not. Costs are those of a whole
training where they were counted (`benchmarks.performance.cost_trainings`), else of a step.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.study import readme
from benchmarks.study.experiment import TextExperiment
from benchmarks.study.paired import accuracy_difference, accuracy_of, outcomes, read, robust_difference, runs_of
from benchmarks.study.stored import COMMITTED, EXPERIMENTS, RESULTS, ROOT
from hf_robust.metrics import Difference
from hf_robust.metrics.paired import POINTS, robust
from hf_robust.reports.suggestion import BASELINE, EVIDENCE_FILE, Evidence, Measured, Task
from hf_robust.runs import write_json
from hf_robust.trainers import METHODS

FILE = ROOT / "hf_robust" / "reports" / EVIDENCE_FILE
FAILED = "does not hold"
OBSTINATE = "antonym"
DECIDING = ("standard", "textfooler", "synonym")
"""Attacks by which methods are compared, the first that all runs have."""
DIGITS = 1


class Data(NamedTuple):
    """A data set of the study; ``words`` is the mean number of words in the texts of a row (its first 2,000 rows)."""

    title: str
    columns: int
    classes: int
    words: float


DATA = {
    "sst2": Data("SST-2", 1, 2, 19.0),
    "trec": Data("TREC", 1, 6, 10.2),
    "ag_news": Data("AG News", 1, 4, 38.3),
    "qnli": Data("QNLI", 2, 2, 36.4),
    "qqp": Data("QQP", 2, 2, 22.6),
    "snli": Data("SNLI", 2, 3, 20.0),
}
MODELS = {
    "{bert_tiny}": ("BERT-tiny", "bert", 4_386_178),
    "google/bert_uncased_L-2_H-128_A-2": ("BERT-tiny", "bert", 4_386_178),
    "{minilm}": ("MiniLM", "bert", 22_713_986),
    "{mpnet}": ("MPNet-base", "mpnet", 109_488_516),
    "lstm": ("LSTM", "hf_robust_lstm", None),
    "cnn": ("CNN", "hf_robust_cnn", None),
}
"""Models of the experiment files: title, type and number of parameters, where it does not depend on a vocabulary."""


def evidence(results: Path = RESULTS, files: Path = EXPERIMENTS) -> list[Evidence]:
    """Every experiment that compares methods with `normal`, in the order of its name."""
    found = [TextExperiment(path, results / path.stem) for path in sorted(files.glob("*.json"))]
    return [_described(experiment) for experiment in found if _compares(experiment)]


def _compares(experiment: TextExperiment) -> bool:
    """Whether the runs compare methods, and not settings of one method."""
    if "larger_class" not in experiment.spec or not _data_name(experiment):
        return False
    return BASELINE in experiment.methods and bool(_others(experiment)) and bool(_deciding(experiment))


def _others(experiment: TextExperiment) -> list[str]:
    """Methods at the setting that has their name, which have an attack and a seed in common with `normal`."""
    return [
        name
        for name in experiment.methods
        if name in METHODS and name != BASELINE and experiment.share_seed(name, BASELINE)
    ]


def _data_name(experiment: TextExperiment) -> str:
    path = str(experiment.spec.get("args", {}).get("train_file", ""))
    return next((name for name in DATA if f"/{name}/" in path), "")


def _deciding(experiment: TextExperiment) -> str:
    names = [BASELINE, *_others(experiment)]
    shared = set.intersection(*(_attacks(experiment, name) for name in names))
    return next((attack for attack in DECIDING if attack in shared), "")


def _attacks(experiment: TextExperiment, name: str) -> set[str]:
    return set.intersection(*(set(read(run / "statuses.json")) for run in runs_of(experiment.folder, name)))


def _described(experiment: TextExperiment) -> Evidence:
    data, args = DATA[_data_name(experiment)], experiment.spec["args"]
    title, kind, parameters = MODELS[args["model_name_or_path"]]
    card = read(runs_of(experiment.folder, BASELINE)[0] / "run_card.json")
    parameters = parameters or card.get("architecture", {}).get("parameters")
    deciding = _deciding(experiment)
    return Evidence(
        name=experiment.name,
        title=f"{title} on {data.title}",
        task=Task(data.columns, data.classes, card["data"]["train_samples"], data.words, kind, parameters),
        attack=deciding,
        examples=outcomes(experiment.folder, BASELINE, deciding).shape[1],
        methods=list(_measured(experiment, deciding)),
        failed_claims=_failed_claims(experiment),
    )


def _measured(experiment: TextExperiment, deciding: str) -> Iterator[Measured]:
    folder = experiment.folder
    for name in (BASELINE, *_others(experiment)):
        fickle = [attack for attack in sorted(_attacks(experiment, name)) if readme.attack_kind(attack) == "fickle"]
        shared = [attack for attack in fickle if experiment.share_attack(attack, BASELINE, name)]
        yield Measured(
            name=name,
            seeds=len(runs_of(folder, name)),
            near_chance=experiment.near_chance(name),
            cost=_cost(name),
            accuracy=_rounded(POINTS * statistics.mean(map(accuracy_of, runs_of(folder, name)))),
            robust_accuracy=_rounded(float(POINTS * robust(outcomes(folder, name, deciding)).mean())),
            accuracy_gain=_gain(accuracy_difference(folder, BASELINE, name)),
            robust_gains={attack: _gain(robust_difference(folder, BASELINE, name, attack)) for attack in shared},
            **(_obstinate(folder, name) if experiment.share_attack(OBSTINATE, BASELINE, name) else {}),
        )


def _obstinate(folder: Path, name: str) -> dict[str, Any]:
    return {
        "obstinate_accuracy": _rounded(float(POINTS * robust(outcomes(folder, name, OBSTINATE)).mean())),
        "obstinate_gain": _gain(robust_difference(folder, BASELINE, name, OBSTINATE)),
    }


def _cost(name: str) -> float | None:
    """Cost of the whole training where texts are made for it, else of a step, in those of `normal`."""
    if name == BASELINE:
        return 1.0
    if whole := readme.read_trainings(COMMITTED).get("methods", {}).get(name):
        return _rounded(whole["all"])
    step = readme.read_cost(COMMITTED)["methods"].get(name)
    return _rounded(step["relative"]["median"]) if step else None


def _failed_claims(experiment: TextExperiment) -> dict[str, list[str]]:
    """Claim -> the texts of its checks in this experiment whose interval contradicts it."""
    found: dict[str, list[str]] = {}
    for claim, judged in read(COMMITTED / "study.json").items():
        for check in judged["checks"]:
            if check.get("experiment") == experiment.name and check["verdict"] == FAILED:
                found.setdefault(claim, []).append(f"{check['text']}: {_signed(check)}")
    return found


def _signed(check: Mapping[str, Any]) -> str:
    return f"{check['value']:+.1f} [{check['low']:+.1f}, {check['high']:+.1f}]"


def _gain(difference: Difference) -> tuple[float, float, float]:
    return _rounded(difference.value), _rounded(difference.low), _rounded(difference.high)


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def as_json(entries: Iterable[Evidence]) -> list[dict[str, Any]]:
    """The evidence as it is written."""
    return [dataclasses.asdict(entry) for entry in entries]


def main() -> None:
    write_json(FILE, as_json(evidence()))
    print(f"written to {FILE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
