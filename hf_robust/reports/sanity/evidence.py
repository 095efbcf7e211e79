"""Evidence for the checks: a run, further attacks on the same weights, and a baseline run, read from their folders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from hf_robust.metrics import AttackRecord, aim_of
from hf_robust.metrics.paired import OUTCOMES
from hf_robust.reports.aims import is_control, is_static
from hf_robust.reports.compare import require_comparable, same_rows
from hf_robust.runs import (
    ATTACK_SUMMARY_FILE,
    CHECKS_FOLDER,
    MEASURED_FOLDER,
    STATUSES_FILE,
    Run,
    RunCard,
    history_path,
    is_training,
    load_run,
    max_length_of,
    read_card,
    read_json,
    read_records,
    read_statuses,
)

SAME_SCORE = 0.05
"""Largest difference between two scores of one text under the same weights (rounding, batching, half precision)."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class MeasuredAttack:
    """Results of one attack from one folder.

    ``described`` is the attack's description from the run card, empty if there is none. ``result`` holds the numbers
    of the history. ``records`` and ``statuses`` (by row number) are empty if the folder does not have them. ``curve``
    is (budgets, rates).
    """

    name: str
    folder: Path
    described: Mapping[str, Any]
    result: Mapping[str, float]
    records: Sequence[AttackRecord] = ()
    statuses: Mapping[int, str] = field(default_factory=dict)
    curve: tuple[list[int], list[float]] = ((), ())  # type: ignore[assignment]
    main: bool = True

    @property
    def label(self) -> str:
        """Name of the attack in sentences."""
        return self.name if self.main else f"{self.name} ({self.folder.name})"

    @property
    def is_control(self) -> bool:
        """Whether it is the random control of another attack."""
        return is_control(self.described)

    @property
    def searches(self) -> bool:
        """Whether the attack searches for texts by what it learns of the model, and aims at another prediction."""
        # Descriptions of TextAttack's recipes have no "candidates".
        searched = "candidates" in self.described and not is_static(self.described) and not self.is_control
        return searched and not aim_of(self.described).keeps_prediction

    @cached_property
    def outcomes(self) -> dict[Key, float]:
        """Outcome of each example: 1 succeeded, 0 failed, nan skipped.

        Keys are (row, text, label), or (row,) without records.
        """
        if self.records:
            return {(one.idx, tuple(one.original), one.label): OUTCOMES[one.status] for one in self.records}
        return {(idx,): OUTCOMES[status] for idx, status in self.statuses.items()}


@dataclass(frozen=True)
class Folder:
    """A run folder, the results of its attacks on the published weights, and the training behind these weights."""

    run: Run
    attacks: list[MeasuredAttack]
    training: RunCard
    """Run card of the training behind the weights; empty if it was not found."""

    @property
    def trained(self) -> bool:
        """Whether the folder is a training run and not the output of `hf-robust attack`."""
        return is_training(self.run.card)


@dataclass(frozen=True)
class Evidence:
    """Everything that a check may read.

    ``stale`` and ``unrelated`` hold one reason for each folder that was left out: ``stale`` for folders under
    ``checks``, ``unrelated`` for folders under ``measured``, which may be of other data.
    """

    main: Folder
    others: list[Folder] = field(default_factory=list)
    baseline: Folder | None = None
    stale: list[str] = field(default_factory=list)
    unrelated: list[str] = field(default_factory=list)

    @property
    def run(self) -> Run:
        return self.main.run

    @property
    def dataset_records(self) -> list[AttackRecord]:
        """Records of the attack with the most examples, static attacks excluded."""
        attacks = [one for one in self.main.attacks if not is_static(one.described)]
        return max((list(one.records) for one in attacks), key=len, default=[])

    @property
    def measured(self) -> list[MeasuredAttack]:
        """All attacks on these weights, first those of the run itself."""
        return [one for folder in (self.main, *self.others) for one in folder.attacks]


def gather_evidence(
    run: str | Path, others: Sequence[str | Path] = (), baseline: str | Path | None = None, force: bool = False
) -> Evidence:
    """Read a run, the folders ``others``, the folders under its ``checks`` and ``measured``, and the baseline.

    Raises:
        ValueError: a folder cannot be read, one of ``others`` is of other weights or other examples, or the baseline
            was not measured on the same data by the same attacks and ``force`` is not given.
    """
    main = read_folder(run)
    further = [read_folder(one, main=False) for one in others]
    for one in further:
        reason = mismatch_of(main, one)
        if reason:
            raise ValueError(f"--with {one.run.path} {reason}.")
    named = [Path(one).resolve() for one in others]
    left_out: dict[str, list[str]] = {}
    for name in (CHECKS_FOLDER, MEASURED_FOLDER):
        paths = [
            path for path in sorted((Path(run) / name).glob("*")) if path.is_dir() and path.resolve() not in named
        ]
        # Folders under "checks" come from suggested commands; of those under "measured" only attacks matter.
        checks = name == CHECKS_FOLDER
        folders = [_newest(path) if checks else path for path in paths if checks or _has_attacks(path)]
        read = {path: _read_below(main, path) for path in folders}
        further += [one for one in read.values() if isinstance(one, Folder)]
        left_out[name] = [f"{path} {reason}" for path, reason in read.items() if isinstance(reason, str)]
    against = None if baseline is None else read_folder(baseline, main=False)
    if against is not None and not force:
        require_comparable([main.run, against.run])
    return Evidence(main, further, against, left_out[CHECKS_FOLDER], left_out[MEASURED_FOLDER])


def _has_attacks(path: Path) -> bool:
    return (path / ATTACK_SUMMARY_FILE).is_file()


def _newest(path: Path) -> Path:
    """Folder of the newest attack: a command that runs again writes below the folder of its first measurement."""
    repeats = [below for below in (path / MEASURED_FOLDER).glob("attack-*") if _has_attacks(below)]
    return max(repeats, key=lambda below: int(below.name.rpartition("-")[2]), default=path)


def _read_below(main: Folder, path: Path) -> Folder | str:
    """Read a folder below the run, or return the reason why it says nothing about the run."""
    try:
        one = read_folder(path, main=False)
        return mismatch_of(main, one) or one
    except ValueError as error:
        return f"cannot be read ({error})"


def read_folder(path: str | Path, main: bool = True) -> Folder:
    """Read a training run, a folder of `hf-robust attack`, or one of ``benchmarks/results``.

    Raises:
        ValueError: there is no such folder, nothing was measured in it yet, or a file in it cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"{path} is not a folder; give the output folder of a training or of `hf-robust attack`.")
    summary = read_json(path / ATTACK_SUMMARY_FILE)
    if not history_path(path).is_file() and summary.get("results"):
        run = _run_of_summary(path, summary)
    else:
        run = load_run(path)
    training = run.card if is_training(run.card) else _card_of_the_model(run.card)
    statuses = read_statuses(path) if (path / STATUSES_FILE).is_file() else {}
    described, vote = run.card.get("attacks") or {}, run.card.get("vote")
    curves = summary.get("asr_by_budget") or {}
    attacks = []
    for name, result in run.published["attacks"].items():
        parts = {**(described.get(name) or {}), **({"vote": vote} if vote else {})}
        file = run.records_file(run.published, name)
        records = read_records(file) if file.is_file() else []
        curve = (list((curves.get(name) or {}).get("budget", ())), list((curves.get(name) or {}).get("asr", ())))
        attacks.append(MeasuredAttack(name, path, parts, result, records, statuses.get(name, {}), curve, main))
    return Folder(run, attacks, training)


def _card_of_the_model(card: RunCard) -> RunCard:
    """Run card in the folder of the attacked model; empty if that folder is not a training run."""
    model_card: RunCard = read_card(str(card["model"])) if card.get("model") else {}
    return model_card if is_training(model_card) else {}


def mismatch_of(main: Folder, other: Folder) -> str:
    """Reason why the attacks of another folder say nothing about the run's weights; empty if there is none."""
    if other.trained and other.run.path.resolve() != main.run.path.resolve():
        return f"is another training run, not an attack on the weights of {main.run.path}; give it as --baseline"
    mine = {key: score for attack in main.attacks for key, score in _clean_scores(attack).items()}
    theirs = {key: score for attack in other.attacks for key, score in _clean_scores(attack).items()}
    shared = mine.keys() & theirs.keys()
    if not (mine and theirs) and not same_rows(main.run.data, other.run.data):
        return f"was attacked on other data than {main.run.path}; give a folder with the same --data"
    if mine and theirs and not shared:
        return (
            f"attacked none of the examples of {main.run.path}; give a folder with the same --data, "
            "--attack_num_examples and --attack_seed"
        )
    lengths = [max_length_of(one.run.card) for one in (main, other)]
    if None not in lengths and lengths[0] != lengths[1]:
        return f"cut texts at {lengths[1]} tokens, and {main.run.path} at {lengths[0]}; give one with the same length"
    different = sum(abs(mine[key] - theirs[key]) > SAME_SCORE for key in shared)
    if different:
        return (
            f"was measured on other weights than {main.run.path}: {different} of {len(shared)} clean texts have "
            "another score; attack the model of this run again"
        )
    return ""


def _clean_scores(attack: MeasuredAttack) -> dict[Key, float]:
    if is_static(attack.described):
        return {}
    return {(one.idx, tuple(one.original), one.label): one.original_score for one in attack.records}


def _run_of_summary(path: Path, summary: Mapping[str, Any]) -> Run:
    """Run with the history line that the summary of `hf-robust attack` stands for."""
    attacks = {}
    for name, result in summary["results"].items():
        nested = [dict(result.get(key) or {}) for key in ("extra", "stopping")]
        flat = {key: value for key, value in result.items() if not isinstance(value, dict)} | nested[0] | nested[1]
        attacks[name] = {key: math.nan if value is None else value for key, value in flat.items()}
    accuracy = next((one["accuracy"] for one in attacks.values() if "accuracy" in one), math.nan)
    line = {"epoch": 0.0, "step": 0, "accuracy": accuracy, "attacks": attacks}
    if summary.get("union"):
        line["union"] = summary["union"]
    card = read_card(path) or cast("RunCard", dict(summary))
    return Run(path=path, history=[line], card=card, best_step=None)
