"""Show the tradeoff curves and the run card in the trackers that a run reports to."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from transformers import (
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback, TrackioCallback, WandbCallback

from hf_robust.reports import CURVES_STEM
from hf_robust.runs import RUN_CARD_FILE, read_json, redact

logger = logging.getLogger(__name__)

CARD_NAME = "run_card"
_STEP = "train/global_step"  # the axis that transformers gives to what it logs

Card = Mapping[str, Any]


class Tracker(Protocol):
    """What is asked of a tracker; nothing is sent where its run is not open."""

    def show_card(self, card: Card, step: int, complete: bool) -> None: ...

    def show_picture(self, name: str, picture: Path, step: int) -> None: ...


class TrackersCallback(TrainerCallback):
    """Send ``tradeoff_curves.png`` of each measured epoch and ``run_card.json`` to TensorBoard, Trackio and wandb.

    >>> TrackersCallback().attach(trainer)   # doctest: +SKIP

    Scalars need nothing: the metrics of an attack are the evaluation's own, so transformers' callbacks log them. This
    one writes into the runs that those callbacks opened, and only where ``report_to`` asked for them; Trackio's run is
    taken up again, and not a second one begun, by an evaluation after training. The run card is config (text in
    TensorBoard) before the first step, and complete at the end of training, where TensorBoard gets hparams too. On the
    main process only. A tracker that fails is a warning: training must not end for a picture.
    """

    def __init__(self) -> None:
        self.trackers: dict[str, Tracker] = {}
        self._trackio: _Trackio | None = None
        self._found: tuple[int, int] | None = None
        self._sent = ""
        self._begun = False

    def attach(self, trainer: Trainer) -> TrackersCallback:
        """Join ``trainer`` after the callbacks that draw and write: the trackers now come last. Returns the callback.

        In the order of the Trainer they come first, and have closed their runs when the last picture is drawn.
        """
        trainer.add_callback(self)
        handler = trainer.callback_handler
        # The printer takes entries out of what it is given to print, so that it must not come before a tracker.
        last = (TensorBoardCallback, TrackioCallback, WandbCallback, PrinterCallback)
        behind = [callback for callback in handler.callbacks if isinstance(callback, last)]
        handler.callbacks = [one for one in handler.callbacks if one not in behind] + behind
        for callback in behind:
            if isinstance(callback, TensorBoardCallback):
                self.trackers["TensorBoard"] = _TensorBoard(callback)
            elif isinstance(callback, TrackioCallback):
                self.trackers["Trackio"] = self._trackio = _Trackio(callback)
            elif isinstance(callback, WandbCallback):
                self.trackers["wandb"] = _Wandb()
        self._found = _stamp(_picture(trainer.args))
        return self

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._found, self._sent, self._begun = _stamp(_picture(args)), "", False
        if self._trackio is not None:
            self._trackio.run_name = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # The trackers, which come last, have no run before this event.
        if not self._begun:
            self._begun = True
            self._show_card(args, state, complete=False)

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._show_picture(args, state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._show_picture(args, state)
        self._show_card(args, state, complete=True)

    def _show_picture(self, args: TrainingArguments, state: TrainerState) -> None:
        picture = _picture(args)
        # What an earlier run left in the folder is not this run's.
        if not self.trackers or not state.is_world_process_zero or _stamp(picture) in (None, self._found):
            return
        content = hashlib.sha256(picture.read_bytes()).hexdigest()
        if content == self._sent:
            return
        self._sent = content
        for name, tracker in self.trackers.items():
            try:
                tracker.show_picture(CURVES_STEM, picture, state.global_step)
            except Exception as error:  # of any kind: trackers have networks and servers behind them
                logger.warning("%s did not take the tradeoff curves: %s", name, error)

    def _show_card(self, args: TrainingArguments, state: TrainerState, complete: bool) -> None:
        if not self.trackers or not state.is_world_process_zero:
            return
        for name, tracker in self.trackers.items():
            try:
                card = read_json(Path(str(args.output_dir)) / RUN_CARD_FILE)
                if card:
                    tracker.show_card(card, state.global_step, complete)
            except Exception as error:  # as above
                logger.warning("%s did not take the run card: %s", name, error)


class _TensorBoard:
    def __init__(self, callback: Any) -> None:
        self.callback = callback

    def show_card(self, card: Card, step: int, complete: bool) -> None:
        writer = self.callback.tb_writer
        if writer is None:
            return
        writer.add_text(CARD_NAME, _markdown(card), step)
        if complete:
            # SummaryWriter.add_hparams would open a second run in a folder of its own.
            hparams = importlib.import_module("torch.utils.tensorboard.summary").hparams
            metrics = ["eval/accuracy", *(f"eval/{attack}_asr" for attack in card.get("attacks") or {})]
            for summary in hparams(settings(card), dict.fromkeys(metrics, 0.0)):
                writer.file_writer.add_summary(summary)
        writer.flush()

    def show_picture(self, name: str, picture: Path, step: int) -> None:
        writer = self.callback.tb_writer
        if writer is None:
            return
        import numpy as np
        from PIL import Image

        with Image.open(picture) as image:
            writer.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")
        writer.flush()


class _Trackio:
    """Trackio's run, which transformers finishes with training and would begin anew for an evaluation after it.

    Attributes:
        run_name: the run of the training that has ended; None while one goes on.
    """

    def __init__(self, callback: Any) -> None:
        self.trackio = importlib.import_module("trackio")
        self.run_name: str | None = None
        self._card: Card = {}
        self._setup = callback.setup
        callback.setup = self._set_up

    def _set_up(self, args: TrainingArguments, state: TrainerState, model: Any = None, **kwargs: Any) -> None:
        given = args.run_name
        args.run_name = self.run_name or given
        try:
            self._setup(args, state, model, **kwargs)
        finally:
            args.run_name = given
        if self._run() is None:
            return
        # A push publishes what Trackio has, and the model's config names the folder it was loaded from.
        self.trackio.config.update(redact(dict(self.trackio.config)))
        if self.run_name:
            # The config of the run taken up replaces what it had.
            self.trackio.config.update({CARD_NAME: self._card})

    def _run(self) -> Any:
        return self.trackio.context_vars.current_run.get()

    def show_card(self, card: Card, step: int, complete: bool) -> None:
        run = self._run()
        if run is None:
            return
        self._card = card
        self.trackio.config.update({CARD_NAME: card})
        # Private in trackio: the config goes with the first thing logged and then no more, and of several that wait to
        # be written together the first counts (a test pins it).
        with run._queue_lock:
            for waiting in run._queued_logs:
                waiting["config"] = None
            run._config_logged = False
        if complete:
            self.run_name = run.name
            self.trackio.log({CARD_NAME: self.trackio.Markdown(_markdown(card)), _STEP: step})

    def show_picture(self, name: str, picture: Path, step: int) -> None:
        if self._run() is not None:
            self.trackio.log({name: self.trackio.Image(str(picture)), _STEP: step})


class _Wandb:
    def __init__(self) -> None:
        self.wandb = importlib.import_module("wandb")

    def show_card(self, card: Card, step: int, complete: bool) -> None:
        if self.wandb.run is not None:
            self.wandb.config.update({CARD_NAME: card}, allow_val_change=True)

    def show_picture(self, name: str, picture: Path, step: int) -> None:
        if self.wandb.run is not None:
            self.wandb.log({name: self.wandb.Image(str(picture)), _STEP: step})


def settings(card: Card) -> dict[str, bool | int | float | str]:
    """What a run card says was chosen, flat, for a table of runs: method, model, seed and the arguments given."""
    chosen = {key: card.get(key) for key in ("method", "model", "seed")}
    chosen |= {
        "data": (card.get("data") or {}).get("name"),
        **(card.get("training") or {}),
        **(card.get("config") or {}),
    }
    return {
        key: value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
        for key, value in chosen.items()
        if value is not None
    }


def _markdown(card: Card) -> str:
    return f"```json\n{json.dumps(card, indent=2)}\n```"


def _picture(args: TrainingArguments) -> Path:
    return Path(str(args.output_dir)) / f"{CURVES_STEM}.png"


def _stamp(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size
