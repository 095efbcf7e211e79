"""Send the tradeoff curves and the run card to the trackers that a run reports to."""

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
    """A tracker that takes a card and a picture; it sends nothing if its run is not open."""

    def show_card(self, card: Card, step: int, complete: bool) -> None: ...

    def show_picture(self, name: str, picture: Path, step: int) -> None: ...


class TrackersCallback(TrainerCallback):
    """Send ``tradeoff_curves.png`` of each measured epoch and ``run_card.json`` to TensorBoard, Trackio and wandb.

    >>> TrackersCallback().attach(trainer)   # doctest: +SKIP

    Scalars need no callback: the metrics of an attack belong to the evaluation, and transformers' callbacks log them.
    This callback writes into the runs that those callbacks opened, if ``report_to`` names them. An evaluation after
    training reopens Trackio's run instead of starting a second one. The run card is sent as config (as text to
    TensorBoard) before the first step and, complete, at the end of training, when TensorBoard gets hparams too. Only
    the main process sends. A tracker that fails is a warning, since a picture must not end training.
    """

    def __init__(self) -> None:
        self.trackers: dict[str, Tracker] = {}
        self._trackio: _Trackio | None = None
        self._stamp_before: tuple[int, int] | None = None
        self._sent_hash = ""
        self._card_sent = False

    def attach(self, trainer: Trainer) -> TrackersCallback:
        """Add this callback to ``trainer``, move the trackers' callbacks to the end, and return the callback.

        In the Trainer's own order they come first, and close their runs before the last picture is drawn.
        """
        trainer.add_callback(self)
        handler = trainer.callback_handler
        # The printer removes entries from the logs that it prints, so that it must come after the trackers.
        last = (TensorBoardCallback, TrackioCallback, WandbCallback, PrinterCallback)
        moved = [callback for callback in handler.callbacks if isinstance(callback, last)]
        handler.callbacks = [callback for callback in handler.callbacks if callback not in moved] + moved
        for callback in moved:
            if isinstance(callback, TensorBoardCallback):
                self.trackers["TensorBoard"] = _TensorBoard(callback)
            elif isinstance(callback, TrackioCallback):
                self.trackers["Trackio"] = self._trackio = _Trackio(callback)
            elif isinstance(callback, WandbCallback):
                self.trackers["wandb"] = _Wandb()
        self._stamp_before = _stamp(_picture(trainer.args))
        return self

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._stamp_before, self._sent_hash, self._card_sent = _stamp(_picture(args)), "", False
        if self._trackio is not None:
            self._trackio.run_name = None

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # The trackers' callbacks come last, and open their runs at the event before this one.
        if not self._card_sent:
            self._card_sent = True
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
        # A picture with the stamp from before this run belongs to an earlier run.
        if not self.trackers or not state.is_world_process_zero or _stamp(picture) in (None, self._stamp_before):
            return
        content = hashlib.sha256(picture.read_bytes()).hexdigest()
        if content == self._sent_hash:
            return
        self._sent_hash = content
        for name, tracker in self.trackers.items():
            try:
                tracker.show_picture(CURVES_STEM, picture, state.global_step)
            except Exception as error:  # any error, since trackers depend on networks and servers
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
            # SummaryWriter.add_hparams would open a second run in another folder.
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
    """Trackio's run, which transformers finishes after training and would start anew for a later evaluation.

    Attributes:
        run_name: name of the run of the training that has ended; None during training.
    """

    def __init__(self, callback: Any) -> None:
        self.trackio = importlib.import_module("trackio")
        self.run_name: str | None = None
        self._card: Card = {}
        self._setup = callback.setup
        callback.setup = self._set_up

    def _set_up(self, args: TrainingArguments, state: TrainerState, model: Any = None, **kwargs: Any) -> None:
        original_name = args.run_name
        args.run_name = self.run_name or original_name
        try:
            self._setup(args, state, model, **kwargs)
        finally:
            args.run_name = original_name
        if self._run() is None:
            return
        # A push publishes this config, and the model's config names the folder that it was loaded from.
        self.trackio.config.update(redact(dict(self.trackio.config)))
        if self.run_name:
            # The config of the reopened run replaces its earlier config.
            self.trackio.config.update({CARD_NAME: self._card})

    def _run(self) -> Any:
        return self.trackio.context_vars.current_run.get()

    def show_card(self, card: Card, step: int, complete: bool) -> None:
        run = self._run()
        if run is None:
            return
        self._card = card
        self.trackio.config.update({CARD_NAME: card})
        # Private in trackio: the config is sent only with the first log entry, and of several entries that wait to be
        # written together only the first config counts (a test pins it).
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
    """The choices in a run card, flat, for a table of runs: method, model, seed, data and arguments."""
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
