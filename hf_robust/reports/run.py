"""What one training run left in its output folder, read back for tables, pictures and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_robust.reports.history import HistoryLine, read_history

RUN_CARD_FILE = "run_card.json"
RESULTS_FOLDER, CERTIFICATES_FOLDER = "attack_results", "certificates"
TRAINER_STATE_FILE = "trainer_state.json"


@dataclass(frozen=True)
class Run:
    """A run folder: its history, its run card (empty when there is none) and which epoch its weights are of."""

    path: Path
    history: list[HistoryLine]
    card: dict[str, Any]
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


def is_training(card: Mapping[str, Any]) -> bool:
    """Whether a run card is of a training run; `hf-robust attack` notes no training arguments."""
    return "training" in card or "final_step" in card


def load_run(folder: str | Path) -> Run:
    """Read a run folder; ``ValueError`` says in one sentence what is missing or malformed."""
    folder = Path(folder)
    history = read_history(folder)
    if not history:
        raise ValueError(f"{folder} has no measured epoch yet; wait for the first evaluation with --attacks.")
    card = read_json(folder / RUN_CARD_FILE)
    return Run(path=folder, history=history, card=card, best_step=_best_step(folder, card))


def label_names(run: Run) -> dict[int, str]:
    """Names of the label ids, as the run's card or its model tells them; none where neither does."""
    told = run.card.get("label_names")
    if isinstance(told, list):
        return {label: str(name) for label, name in enumerate(told)}
    told = read_json(run.path / "config.json").get("id2label")
    return {int(label): str(name) for label, name in told.items()} if isinstance(told, dict) else {}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an absent file is an empty one, since a run may be read before it ends."""
    if not path.is_file():
        return {}
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error.msg}, line {error.lineno}); delete it or run again.") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"{path} must hold an object, got {type(parsed).__name__}; delete it or run again.")
    return parsed


def _best_step(folder: Path, card: dict[str, Any]) -> int | None:
    """A best step is noted also where the best model was not loaded at the end: only the run card tells them apart."""
    if not card.get("load_best_model_at_end", True):
        return None
    step = read_json(folder / TRAINER_STATE_FILE).get("best_global_step") or card.get("best_step")
    return int(step) if step else None
