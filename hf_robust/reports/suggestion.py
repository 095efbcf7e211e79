"""Which methods to try on a task: what was measured on the most similar one, and what was not measured at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from math import exp, log
from typing import Any

from hf_robust.metrics import pareto_front
from hf_robust.reports.cells import markdown_table

EVIDENCE_FILE = "evidence.json"
BASELINE = "normal"
FACTORS = {"rows": 5.0, "words": 3.0, "parameters": 3.0}
"""How far apart two tasks may be in a number before it is named as a difference: our choice."""
MOST_DIFFERENCES, MOST_TIMES = 2, 100.0
"""With more differences, or a number further apart than by this factor, it counts as another task: our choice."""
OWN_MODEL = "hf_robust_"
"""Beginning of the architectures of this package's own models, LSTM and CNN, which read words."""
NOUNS = {"rows": "training rows", "words": "words in a row", "parameters": "parameters"}
UNKNOWN = "–"


@dataclass(frozen=True)
class Task:
    """What is known of a data set and a model; None where it is not.

    ``words`` is the mean number of words in the texts of a row.
    """

    columns: int
    classes: int
    rows: int | None
    words: float
    architecture: str | None = None
    parameters: int | None = None

    def describe(self) -> str:
        """The task in one line."""
        texts = "pairs of texts" if self.columns == 2 else "single texts"
        known = [texts, f"{self.classes} classes"]
        known += [f"{self.rows:,} training rows"] if self.rows else []
        known.append(f"{self.words:.0f} words in a row")
        known += [f"{self.architecture}"] if self.architecture else []
        known += [f"{self.parameters:,} parameters"] if self.parameters else []
        return ", ".join(known)


@dataclass(frozen=True)
class Measured:
    """A method in an experiment. Rates in percent; a gain over `normal` in points: its value, low and high."""

    name: str
    seeds: int
    near_chance: bool
    cost: float | None
    """Cost of training in trainings of ``normal``; None where it was not measured."""
    accuracy: float
    robust_accuracy: float
    accuracy_gain: tuple[float, float, float]
    robust_gains: Mapping[str, tuple[float, float, float]]
    """By attack, those that keep the meaning."""
    obstinate_accuracy: float | None = None
    """Share of the texts that withstand `antonym`, which changes the meaning; None where it was not run."""
    obstinate_gain: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Evidence:
    """One experiment: its task, the attack that decides the order, and what was measured."""

    name: str
    title: str
    task: Task
    attack: str
    examples: int
    methods: Sequence[Measured]
    failed_claims: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Claim of a paper -> its checks that do not hold in this experiment."""

    def front(self, most_cost: float | None = None) -> list[Measured]:
        """Methods that no other beats in clean accuracy, robust accuracy and cost together, cheapest first.

        Where all runs have it, accuracy under `antonym` is one more quantity. Left out are models near chance, and
        methods above ``most_cost`` or, if there is a limit, of unknown cost.
        """
        known = [method for method in self.methods if not _is_left_out(method, most_cost)]
        obstinate = [method.obstinate_accuracy or 0.0 if self.has_obstinate else 0.0 for method in known]
        points = [
            (method.accuracy, method.robust_accuracy, withstood, _cost(method))
            for method, withstood in zip(known, obstinate, strict=True)
        ]
        return sorted((known[index] for index in pareto_front(points, (True, True, True, False))), key=_cost)

    @property
    def has_obstinate(self) -> bool:
        """Whether all runs were attacked by `antonym`."""
        return all(method.obstinate_accuracy is not None for method in self.methods)


def load_evidence() -> list[Evidence]:
    """The evidence that the package ships."""
    return read_evidence(files("hf_robust.reports").joinpath(EVIDENCE_FILE).read_text(encoding="utf-8"))


def read_evidence(text: str) -> list[Evidence]:
    """The evidence in a JSON text."""
    return [_read(entry) for entry in json.loads(text)]


def _read(entry: Mapping[str, Any]) -> Evidence:
    methods = [Measured(**method) for method in entry["methods"]]
    return Evidence(**{**entry, "task": Task(**entry["task"]), "methods": methods})


def _cost(method: Measured) -> float:
    """A method whose cost is unknown counts as dearer than any other."""
    return float("1e9") if method.cost is None else method.cost


def _is_left_out(method: Measured, most_cost: float | None) -> bool:
    return method.near_chance or not _is_affordable(method, most_cost)


def _is_affordable(method: Measured, most_cost: float | None) -> bool:
    return most_cost is None or (method.cost is not None and method.cost <= most_cost)


# ---- the nearest experiment ----


def differences(task: Task, other: Task) -> list[str]:
    """What separates a task from one that was measured, in words; empty if they are alike."""
    found = []
    if (task.classes > 2) != (other.classes > 2):
        found.append(f"{task.classes} classes, measured with {other.classes}")
    for key, factor in FACTORS.items():
        mine, its = getattr(task, key), getattr(other, key)
        if mine and its and abs(log(mine / its)) > log(factor):
            found.append(f"{mine:,.0f} {NOUNS[key]}, measured with {its:,.0f}")
    if task.architecture and other.architecture and task.architecture != other.architecture:
        found.append(f"the architecture {task.architecture}, measured with {other.architecture}")
    return found


def _most_times(task: Task, other: Task) -> float:
    """How many times one of the numbers is as large as the other task's, for the number that differs most."""
    return exp(max(map(abs, _logarithms(task, other)), default=0.0))


def _logarithms(task: Task, other: Task) -> list[float]:
    """Logarithm of the ratio of each number that both tasks have."""
    pairs = [(getattr(task, key), getattr(other, key)) for key in FACTORS]
    return [log(mine / its) for mine, its in pairs if mine and its]


def nearest(task: Task, evidence: Sequence[Evidence]) -> list[Evidence]:
    """The experiments on as many text columns, the most similar first: by differences, then by the numbers.

    A pretrained model and a word model (LSTM, CNN), which starts from random weights, are compared last.
    """
    comparable = [entry for entry in evidence if entry.task.columns == task.columns]
    return sorted(
        comparable,
        key=lambda entry: (
            _is_word_model(task, entry.task) != _is_word_model(entry.task, task),
            len(differences(task, entry.task)),
            -_similarity(task, entry),
        ),
    )


def _is_word_model(task: Task, other: Task) -> bool:
    """Whether the task is of a word model; of an unknown model, whether the other one is."""
    return (task.architecture or other.architecture or "").startswith(OWN_MODEL)


def _similarity(task: Task, entry: Evidence) -> float:
    """Between 0 and 1: how near the numbers are; more methods win a tie."""
    distance = sum(map(abs, _logarithms(task, entry.task)))
    return exp(-distance) * (1 + 0.001 * len(entry.methods))


# ---- what is printed ----


def suggestion(task: Task, evidence: Sequence[Evidence], most_cost: float | None = None) -> str:
    """The front of the most similar experiment, what separates it from the task, or that there is no evidence."""
    lines = [f"Your task: {task.describe()}."]
    found = nearest(task, evidence)
    if not found:
        kind = "pairs of texts" if task.columns == 2 else "single texts"
        return f"{lines[0]}\nThere is no evidence for {kind}. {TRY_YOURSELF}"
    for entry in (entry for entry in found if entry.title == found[0].title):
        lines += ["", f"Nearest experiment: {entry.title} ({entry.name}): {entry.task.describe()}."]
        if apart := differences(task, entry.task):
            another = len(apart) > MOST_DIFFERENCES or _most_times(task, entry.task) > MOST_TIMES
            known = "This is no evidence for your task" if another else "It may not hold for you"
            lines.append(f"{known}: {'; '.join(apart)}. {TRY_YOURSELF}")
        lines += ["", front_table(entry, most_cost), *closing(entry, most_cost)]
    return "\n".join(lines)


TRY_YOURSELF = (
    "Train `normal` and two or three candidates on your data and compare them with --attacks standard: "
    "`hf-robust sweep` does it."
)
HEADER = ("method", "cost", "seeds", "clean accuracy", "gain", "robust accuracy", "gain", "gain elsewhere")
OBSTINATE = ("under `antonym`", "gain")


def front_table(evidence: Evidence, most_cost: float | None = None) -> str:
    """A row for each method on the front, `normal` first."""
    front = evidence.front(most_cost)
    baseline = [method for method in evidence.methods if method.name == BASELINE and method not in front]
    header = (*HEADER, *OBSTINATE) if evidence.has_obstinate else HEADER
    return markdown_table(header, [_row(method, evidence.attack)[: len(header)] for method in [*baseline, *front]])


def _row(method: Measured, attack: str) -> list[str]:
    is_baseline = method.name == BASELINE
    others = [gain for name, gain in method.robust_gains.items() if name != attack]
    decided = sum(gain[1] > 0 for gain in others)
    return [
        f"`{method.name}`",
        UNKNOWN if method.cost is None else f"{method.cost:.1f}",
        str(method.seeds),
        f"{method.accuracy:.1f}",
        "" if is_baseline else _interval(method.accuracy_gain),
        f"{method.robust_accuracy:.1f}",
        "" if is_baseline or attack not in method.robust_gains else _interval(method.robust_gains[attack]),
        "" if is_baseline or not others else f"{decided} of {len(others)} attacks",
        "" if method.obstinate_accuracy is None else f"{method.obstinate_accuracy:.1f}",
        "" if is_baseline or method.obstinate_gain is None else _interval(method.obstinate_gain),
    ]


def _interval(gain: tuple[float, float, float]) -> str:
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*gain)


def closing(evidence: Evidence, most_cost: float | None = None) -> Iterator[str]:
    """How to read the table, what is not on the front, and which claims of papers did not hold."""
    front = {method.name for method in evidence.front(most_cost)}
    others = [method for method in evidence.methods if method.name not in front | {BASELINE}]
    limit = "" if most_cost is None else f" at a cost of at most {most_cost:g}"
    attacks = f"`{evidence.attack}`" + (" and `antonym`" if evidence.has_obstinate else "")
    yield (
        f"On the front{limit}: no other method is better in clean accuracy, accuracy under {attacks} "
        f"({evidence.examples} texts) and cost together. Gains over `{BASELINE}` in points, with 95 % intervals; one "
        "that holds 0 is not decided. Elsewhere: other attacks under which the whole interval of the gain is above 0. "
        f"Cost: in trainings of `{BASELINE}` ({UNKNOWN}: not measured)."
    )
    yield from _left_out("Beaten", [other for other in others if not _is_left_out(other, most_cost)])
    yield from _left_out("Near chance", [other for other in others if other.near_chance])
    dear = [other for other in others if not other.near_chance and not _is_affordable(other, most_cost)]
    yield from _left_out("Dearer, or of unknown cost", dear)
    for claim, checks in evidence.failed_claims.items():
        yield f"The papers' recommendation did not survive here ({claim}): {'; '.join(checks)}."


def _left_out(why: str, methods: Sequence[Measured]) -> Iterator[str]:
    if methods:
        yield f"{why}: {', '.join(f'`{method.name}`' for method in methods)}."
