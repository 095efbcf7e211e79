"""A run folder, read for tables, pictures and the model card."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.metrics.label_sets import SetNames
from hf_robust.runs.card import RunCard, is_training, read_card
from hf_robust.runs.files import (
    CERTIFICATES_FOLDER,
    HISTORY_FILE,
    METRICS_FILE,
    RESULTS_FOLDER,
    TRAINER_STATE_FILE,
)
from hf_robust.runs.history import HistoryLine, read_history, write_history
from hf_robust.runs.json_files import read_json


@dataclass(frozen=True)
class Run:
    """A run folder: its history, its run card (empty if there is none) and the step of its best checkpoint."""

    path: Path
    history: list[HistoryLine]
    card: RunCard
    best_step: int | None
    """Step of the best checkpoint if the folder holds its weights; None if it holds those of the last step."""

    @property
    def method(self) -> str:
        return str(self.card.get("method", self.path.name))

    @property
    def trained(self) -> bool:
        """Whether a training wrote this folder, and not a command or a Trainer that only measured a model."""
        return is_training(self.card) or not self.card and self.history[-1]["step"] > 0

    @property
    def kept_step(self) -> int:
        """Step of the published weights: that of the best checkpoint if it was loaded at the end, else the last."""
        return self.best_step or int(self.card.get("final_step") or self.history[-1]["step"])

    @property
    def published(self) -> HistoryLine:
        """History line of the published weights.

        If their step was not measured, the nearest line before it; then `measured_exactly` is False.
        """
        earlier = [line for line in self.history if line["step"] <= self.kept_step]
        return earlier[-1] if earlier else self.history[0]

    @property
    def measured_exactly(self) -> bool:
        """Whether the numbers of `published` were measured on the published weights."""
        return int(self.published["step"]) == self.kept_step

    @property
    def ended(self) -> bool:
        """Whether training ended. The run card is also written at its start, when its seconds mean nothing."""
        return self.card.get("final_step", 0) is not None

    @property
    def eval_samples(self) -> int | None:
        """Number of rows behind the clean accuracy."""
        samples = self.data.get("eval_samples")
        return int(samples) if isinstance(samples, (int, float)) and samples > 0 else None

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.card.get("data") or {})

    def records_file(self, line: HistoryLine, attack: str) -> Path:
        """Path of the records of an attack: one folder per epoch for a training, one folder for `hf-robust attack`."""
        folder = self.path / RESULTS_FOLDER
        by_epoch = is_training(self.card) or not any(folder.glob("*.jsonl"))
        return (folder / f"epoch-{line['epoch']:g}" if by_epoch else folder) / f"{attack}.jsonl"


def load_run(folder: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ValueError: a file is missing or malformed, or no epoch was measured yet.
    """
    folder = Path(folder)
    history = read_history(folder)
    if not history:
        raise ValueError(f"{folder} has no measured epoch yet; wait for the first evaluation with --attacks.")
    card = read_card(folder)
    return Run(path=folder, history=history, card=card, best_step=_best_step(folder, card))


def label_names(run: Run) -> Mapping[int, str]:
    """Label names by id, or by the number of a set of labels; from the run card or the model's config, or empty."""
    card_names = run.card.get("label_names")
    if isinstance(card_names, list):
        names = {label: str(name) for label, name in enumerate(card_names)}
    else:
        config_names = read_json(run.path / "config.json").get("id2label")
        by_id = config_names if isinstance(config_names, dict) else {}
        names = {int(label): str(name) for label, name in by_id.items()}
    return SetNames([names[label] for label in sorted(names)]) if has_label_sets(run) else names


def has_label_sets(run: Run) -> bool:
    """Whether a text of the run has several labels, so that labels and predictions are numbers of sets."""
    kind = run.card.get("problem_type") or read_json(run.path / "config.json").get("problem_type")
    return bool(kind == "multi_label_classification")


def _best_step(folder: Path, card: RunCard) -> int | None:
    """Step of the best checkpoint if it was loaded at the end, which only the run card says."""
    if not card.get("load_best_model_at_end", True):
        return None
    step = read_json(folder / TRAINER_STATE_FILE).get("best_global_step") or card.get("best_step")
    return int(step) if step else None


def clear_results(folder: str | Path, after: int = 0) -> None:
    """Remove the measurements of this folder after a step, before training overwrites its weights.

    Args:
        after: step from which training resumes; 0 removes all measurements of an earlier run.

    Raises:
        ValueError: training resumes and the history is malformed.
    """
    folder = Path(folder)
    (folder / METRICS_FILE).unlink(missing_ok=True)
    history = folder / HISTORY_FILE
    if not after:
        history.unlink(missing_ok=True)
        for name in (RESULTS_FOLDER, CERTIFICATES_FOLDER):
            shutil.rmtree(folder / name, ignore_errors=True)
    elif history.is_file():
        lines = read_history(history)
        write_history(history, [line for line in lines if line["step"] <= after])
        for epoch in (f"epoch-{line['epoch']:g}" for line in lines if line["step"] > after):
            shutil.rmtree(folder / RESULTS_FOLDER / epoch, ignore_errors=True)
            (folder / CERTIFICATES_FOLDER / f"{epoch}.jsonl").unlink(missing_ok=True)
