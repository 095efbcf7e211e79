"""What one training run left in its output folder, read back for tables, pictures and the model card."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """A run folder: its history, its run card (empty when there is none) and which epoch its weights are of."""

    path: Path
    history: list[HistoryLine]
    card: RunCard
    best_step: int | None
    """Step of the best checkpoint where its weights are the ones kept; None where the last step's are."""

    @property
    def method(self) -> str:
        return str(self.card.get("method", self.path.name))

    @property
    def kept_step(self) -> int:
        """Step whose weights the folder holds: the best checkpoint's where it was kept, else the last trained one."""
        return self.best_step or int(self.card.get("final_step") or self.history[-1]["step"])

    @property
    def published(self) -> HistoryLine:
        """The line of the weights that the folder holds.

        Where their own step was not attacked, the nearest measured line before it; `measured_exactly` then says so.
        """
        earlier = [line for line in self.history if line["step"] <= self.kept_step]
        return earlier[-1] if earlier else self.history[0]

    @property
    def measured_exactly(self) -> bool:
        """Whether the numbers of `published` were measured on the very weights that the folder holds."""
        return int(self.published["step"]) == self.kept_step

    @property
    def ended(self) -> bool:
        """Whether training came to its end; a run card is written at its begin too, with seconds that mean nothing."""
        return self.card.get("final_step", 0) is not None

    @property
    def eval_samples(self) -> int | None:
        """Rows that the clean accuracy is a mean over."""
        samples = self.data.get("eval_samples")
        return int(samples) if isinstance(samples, (int, float)) and samples > 0 else None

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.card.get("data") or {})

    def records_file(self, line: HistoryLine, attack: str) -> Path:
        """Where an attack's records lie: by epoch for a training, in one place for `hf-robust attack`."""
        folder = self.path / RESULTS_FOLDER
        by_epoch = is_training(self.card) or not any(folder.glob("*.jsonl"))
        return (folder / f"epoch-{line['epoch']:g}" if by_epoch else folder) / f"{attack}.jsonl"


def load_run(folder: str | Path) -> Run:
    """Read a run folder; ``ValueError`` says in one sentence what is missing or malformed."""
    folder = Path(folder)
    history = read_history(folder)
    if not history:
        raise ValueError(f"{folder} has no measured epoch yet; wait for the first evaluation with --attacks.")
    card = read_card(folder)
    return Run(path=folder, history=history, card=card, best_step=_best_step(folder, card))


def label_names(run: Run) -> dict[int, str]:
    """Names of the label ids, as the run's card or its model tells them; none where neither does."""
    told = run.card.get("label_names")
    if isinstance(told, list):
        return {label: str(name) for label, name in enumerate(told)}
    told = read_json(run.path / "config.json").get("id2label")
    return {int(label): str(name) for label, name in told.items()} if isinstance(told, dict) else {}


def _best_step(folder: Path, card: RunCard) -> int | None:
    """A best step is noted also where the best model was not loaded at the end: only the run card tells them apart."""
    if not card.get("load_best_model_at_end", True):
        return None
    step = read_json(folder / TRAINER_STATE_FILE).get("best_global_step") or card.get("best_step")
    return int(step) if step else None


def clear_results(folder: str | Path, after: int = 0) -> None:
    """Remove what was measured in this folder after a step: it is of other weights than those that are to come.

    Args:
        after: the step that training goes on from; 0 where it begins anew, and nothing of an earlier run stays.

    Raises:
        ValueError: the history is broken, and it is gone on with.
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
