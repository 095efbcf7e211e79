"""Redraw the tradeoff curves of a run after each measured epoch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.reports import CURVES_STEM, draw_tradeoff_curves
from hf_robust.runs import history_path, read_history

logger = logging.getLogger(__name__)


class CurvesCallback(TrainerCallback):
    """Draw ``tradeoff_curves.png`` and ``.svg`` into the output folder whenever the history has a new line.

    Only the main process draws, from ``robustness_history.jsonl``. Without a measurement nothing is drawn. A history
    that cannot be read is a warning, since a picture must not end hours of training.

    Args:
        baseline_runs: output folders of other runs, drawn dashed for comparison.

    Raises:
        ValueError: the folder of a baseline has no readable history.
    """

    def __init__(self, baseline_runs: Sequence[str | Path] = ()) -> None:
        for folder in baseline_runs:
            read_history(folder)
        self.baseline_runs = tuple(baseline_runs)
        self._drawn_stamp: tuple[int, int] | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        folder = Path(str(args.output_dir))
        if state.is_world_process_zero and not history_path(folder).is_file():
            for ending in (".png", ".svg"):  # pictures of an earlier run
                (folder / f"{CURVES_STEM}{ending}").unlink(missing_ok=True)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._redraw(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._drawn_stamp = None  # since then the run card and the best model may have changed
        self._redraw(args, state)
        picture = Path(str(args.output_dir)) / f"{CURVES_STEM}.png"
        if state.is_world_process_zero and picture.is_file():
            tqdm.write(f"curves: {picture}")

    def _redraw(self, args: TrainingArguments, state: TrainerState) -> None:
        history = history_path(str(args.output_dir))
        if not state.is_world_process_zero or not history.is_file():
            return
        stat = history.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._drawn_stamp:
            return
        try:
            draw_tradeoff_curves(history.parent, self.baseline_runs)
        except (ValueError, OSError) as error:
            logger.warning("The tradeoff curves were not drawn: %s", error)
        self._drawn_stamp = stamp
