"""Write ``run_card.json``, with everything that is needed to trust, compare or repeat a run."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import has_length

from hf_robust.models.architecture import architecture, auxiliary_module, precision
from hf_robust.models.passes import ForwardCounter
from hf_robust.runs import (
    RunCard,
    clear_results,
    is_training,
    measured_card,
    read_card,
    redact_command,
    versions,
    write_card,
)

_NOT_TRAINING = (
    "output_dir", "seed", "data_seed", "run_name", "report_to", "project", "trackio_space_id", "disable_tqdm",
    "do_train", "do_eval", "do_predict", "resume_from_checkpoint",
)  # fmt: skip
_NOT_TRAINING_PREFIXES = ("hub_", "push_to_", "log_", "logging_", "save_", "eval_", "dataloader_", "accelerator_", "_")
SPENT_KEY = "hf_robust_spent"
"""Key of ``stateful_callbacks`` in a checkpoint's ``trainer_state.json``, for a run that resumes from it."""


class Generation(Protocol):
    """Seconds and rounds of the generation of views; ``hf_robust.training.generation`` has such a class."""

    seconds: dict[str, float]
    rounds: list[dict[str, Any]]


class RunCardCallback(TrainerCallback):
    """Write the run card at the beginning of training, so that a killed run has one, and completely at the end.

    An evaluation by a Trainer that trained nothing writes the card of a measurement, as `hf-robust attack` does,
    unless the folder has the card of a training run.

    Forward passes are those of training steps, on this process, in any mode of the model: those of an adversary's
    ascent, a teacher and a twin count, those of evaluation, attacks and views do not. They are counted by rows: a
    batch and its views that go through the model together are two passes. ``forwards["per_step"]`` is the number of
    all passes, with those of plain trainings before this one, for each batch of texts that was trained on.

    ``seconds["train"]`` is the time of the loop without evaluation and attacks, whose time is read from the metrics of
    each evaluation. The attacks' own metrics may be those of an earlier run that was killed; if the caller counts the
    seconds of this run in ``seconds["attack"]``, these are used instead. A run that resumes from a checkpoint adds the
    seconds and passes up to that checkpoint, and lists its rounds of views; what was lost after it does not count.

    Args:
        data: ``name, variant, train_samples, eval_samples, fingerprint, attack_split``.
        lexicons: ``Lexicon.describe()`` of each lexicon, by role.
        attacks: ``Attack.describe()`` of each attack, by name.
        method: name of the method.
        citation: key of the method's paper in ``hf_robust/hub/citations.bib``.
        trained_on: roles of the lexicons that training uses (``needs`` of the method), and not only an attack.
        seconds: seconds by phase (``attack``, ``certify``), which the caller updates (``AttackCallback.seconds``).
        measured: further entries of the card about how the model was measured: ``vote``, ``certify``, and ``model``,
            where an evaluated model comes from, if its configuration does not say it.
        generation: ``seconds`` and ``rounds`` of the generation of views, if the method has views.
        plain_runs: seconds and texts of plain trainings before the method's own (``RobustTrainer.plain_runs``).
        used_arguments: returns the values of arguments that were left to the method
            (``RobustTrainer.used_arguments``).
        measured_in_training: returns what the run measured or learnt (``RobustTrainer.measured_in_training``).
        command: the command line of the run; None for that of this process.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        lexicons: Mapping[str, Any],
        attacks: Mapping[str, Mapping[str, Any]],
        method: str,
        *,
        citation: str = "",
        trained_on: Sequence[str] = (),
        seconds: Mapping[str, float] | None = None,
        measured: Mapping[str, Any] | None = None,
        generation: Generation | None = None,
        plain_runs: Mapping[str, tuple[float, float]] | None = None,
        used_arguments: Callable[[], Mapping[str, Any]] = dict,
        measured_in_training: Callable[[], Mapping[str, Any]] = dict,
        command: Sequence[str] | None = None,
    ) -> None:
        self.used_arguments, self.measured_in_training = used_arguments, measured_in_training
        self.known_entries: RunCard = {
            "method": method,
            "citation": citation,
            "data": dict(data),
            "lexicons": dict(lexicons),
            "trained_on": list(trained_on),
            "attacks": {name: dict(described) for name, described in attacks.items()},
            **(measured or {}),  # type: ignore[typeddict-item]
        }
        self.command = redact_command(sys.argv if command is None else command)
        self.phase_seconds = {} if seconds is None else seconds
        self.generation = generation
        self.plain_runs = {} if plain_runs is None else plain_runs
        self._phase_seconds_before: dict[str, float] = {}
        self._measured = self._zero_seconds()
        self._forwards = ForwardCounter()
        self._running, self._began, self._before_it_began = False, 0.0, 0.0
        self._since: dict[str, float] = {"step": 0, "epoch": 0.0}
        self._spent_before: dict[str, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._forwards.stop()
        self._forwards = ForwardCounter()
        self._forwards.watch("train", model)
        twin = auxiliary_module(model)
        # A twin is a classifier with a config; a mask or an adversary's weights have none.
        if twin is not None and hasattr(twin, "config"):
            self._forwards.watch("twin", twin)
        self._measured = self._zero_seconds()
        self._phase_seconds_before = dict(self.phase_seconds)
        self._spent_before = _spent_before(state)
        self._since = self._spent_before.get("since") or {
            "step": state.global_step,
            "epoch": float(state.epoch or 0.0),
        }
        self._running, self._began = True, time.perf_counter()
        # An earlier callback may have done a plain run before this clock began.
        self._before_it_began = sum(seconds for seconds, _ in self.plain_runs.values())
        if state.is_world_process_zero:
            # Even without attacks: otherwise this card would stand beside results of an earlier run in this folder.
            clear_results(str(args.output_dir), state.global_step)
        self._write(args, state, model, **kwargs)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._forwards.counting = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._forwards.counting = False
        self._store_spent(state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._store_spent(state)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        metrics = metrics or {}
        runtime = sum(value for key, value in metrics.items() if key.endswith("_runtime"))
        # The runtime includes attacks and certificates.
        spent = {
            phase: seconds - self._phase_seconds_before.get(phase, 0.0) - self._measured[phase]
            for phase, seconds in self.phase_seconds.items()
        }
        if not self.phase_seconds:
            spent["attack"] = min(sum(value for key, value in metrics.items() if key.endswith("_seconds")), runtime)
        for phase, seconds in spent.items():
            self._measured[phase] += seconds
        self._measured["evaluate"] += runtime - sum(spent.values())
        self._store_spent(state)
        if not self._running and not state.global_step:
            self._write_measurement(args, state, kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._forwards.stop()
        self._write(args, state, model, final_step=state.global_step, **kwargs)
        # Only checkpoints need what was spent, and training has ended.
        self._running = False
        stateful: Any = state.stateful_callbacks
        stateful.pop(SPENT_KEY, None)

    # ---- what was spent ----

    def _zero_seconds(self) -> dict[str, float]:
        return {"evaluate": 0.0, "attack": 0.0, **dict.fromkeys(self.phase_seconds, 0.0)}

    def _store_spent(self, state: TrainerState) -> None:
        """Store in the state, which checkpoints hold, the counts that a resumed run adds to its own."""
        if not self._running:
            return
        spent = {"since": self._since, "seconds": self._seconds(), "texts": self._texts(), "views": self._views()}
        stateful: Any = state.stateful_callbacks
        stateful[SPENT_KEY] = spent

    def _seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._began + self._before_it_began
        spent = {**self._measured, **({} if self.generation is None else self.generation.seconds)}
        spent |= {name: seconds for name, (seconds, _) in self.plain_runs.items()}
        parts = {"train": max(total - sum(spent.values()), 0.0), **spent, "total": total}
        return {name: round(value, 3) for name, value in _summed(parts, self._spent_before.get("seconds")).items()}

    def _texts(self) -> dict[str, float]:
        texts = {**self._forwards.texts, **{name: count for name, (_, count) in self.plain_runs.items()}}
        return _summed(texts, self._spent_before.get("texts"))

    def _views(self) -> list[dict[str, Any]]:
        """The rounds of views, with those before the run was resumed; a round that was read again is listed once."""
        earlier = list(self._spent_before.get("views", ()))
        listed = {(each["view"], each["round"]) for each in earlier}
        rounds = [] if self.generation is None else self.generation.rounds
        return [*earlier, *(each for each in rounds if (each["view"], each["round"]) not in listed)]

    def _passes(self, args: TrainingArguments, state: TrainerState, rows: int | None) -> dict[str, float]:
        """Number of passes over whole batches by part of the model, and of all passes for each batch trained on."""
        texts = self._texts()
        batch = _batch_size(args, state)
        trained_on = batch * (state.global_step - self._since["step"]) * args.gradient_accumulation_steps
        if rows:  # exact if the last batch of an epoch is smaller
            batch = min(batch, rows)
            trained_on = (float(state.epoch or 0.0) - self._since["epoch"]) * rows / args.world_size
        passes = {name: count / batch for name, count in texts.items() if count or name == "train"}
        passes["per_step"] = sum(texts.values()) / trained_on if trained_on else 0.0
        return {name: round(value, 4) for name, value in passes.items()}

    # ---- the card ----

    def _write(
        self,
        args: TrainingArguments,
        state: TrainerState,
        model: Any,
        final_step: int | None = None,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero:
            return
        dataset: Any = getattr(train_dataloader, "dataset", None)
        found = self.measured_in_training()
        card: RunCard = {
            **self.known_entries,
            "config": {**method_config(args), **self.used_arguments(), **found},
            "found": sorted(found),
            "views": self._views(),
            "training": changed_arguments(args) | _batch_size_that_fits(args, state),
            "model": _origin(model),
            "architecture": architecture(model),
            "precision": precision(model),
            "seed": args.seed,
            "load_best_model_at_end": args.load_best_model_at_end,
            "best_step": state.best_global_step,
            "final_step": final_step,
            "versions": versions(),
            "hardware": hardware(args),
            "seconds": self._seconds(),
            "forwards": self._passes(args, state, len(dataset) if has_length(dataset) else None),
            "command": self.command,
        }
        if self._since["step"]:
            card["counted_from"] = int(self._since["step"])
        write_card(str(args.output_dir), card)

    def _write_measurement(self, args: TrainingArguments, state: TrainerState, model: Any) -> None:
        """Write the card of a model that this process measured and did not train."""
        folder = str(args.output_dir)
        if not state.is_world_process_zero or is_training(read_card(folder)):
            return
        origin = str(self.known_entries.get("model") or _origin(model))
        card: RunCard = {
            **self.known_entries,
            **measured_card(origin, ()),
            "citation": read_card(origin).get("citation", ""),
            "architecture": architecture(model),
            "precision": precision(model),
            "hardware": hardware(args),
            "seconds": {name: round(value, 3) for name, value in self._measured.items()},
            "command": self.command,
        }
        del card["trained_on"]  # of the method of this process, which has not trained the model
        write_card(folder, card)


def _origin(model: Any) -> str:
    """Where the weights of a model come from, as its configuration says."""
    return str(getattr(model.config, "_name_or_path", "") or f"{type(model).__name__}, from scratch")


def _spent_before(state: TrainerState) -> dict[str, Any]:
    """Counts up to the checkpoint that training resumes from; empty for a new run or if they were not stored."""
    stateful: Any = state.stateful_callbacks or {}
    return dict(stateful.get(SPENT_KEY) or {}) if state.global_step else {}


def _summed(current: Mapping[str, float], earlier: Mapping[str, float] | None) -> dict[str, float]:
    earlier = earlier or {}
    return {name: current.get(name, 0.0) + earlier.get(name, 0.0) for name in dict.fromkeys([*current, *earlier])}


def _batch_size_that_fits(args: TrainingArguments, state: TrainerState) -> dict[str, int]:
    """The batch size that transformers found under ``auto_find_batch_size``."""
    return {"per_device_train_batch_size": _batch_size(args, state)} if args.auto_find_batch_size else {}


def _batch_size(args: TrainingArguments, state: TrainerState) -> int:
    """Texts of one pass on this process; under ``auto_find_batch_size`` it may be smaller than the argument."""
    fitting = state.train_batch_size if args.auto_find_batch_size else None
    return int(fitting or args.train_batch_size)


def method_config(args: TrainingArguments) -> dict[str, Any]:
    """Fields of the method's dataclass that ``TrainingArguments`` does not have, as JSON values."""
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    return {
        field.name: _plain(getattr(args, field.name)) for field in dataclasses.fields(args) if field.name not in known
    }


def changed_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Training arguments that differ from their defaults, without those that cannot change the weights."""
    changed = {}
    for field in dataclasses.fields(TrainingArguments):
        if field.name in _NOT_TRAINING or field.name.startswith(_NOT_TRAINING_PREFIXES) or not field.init:
            continue
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        value = _plain(getattr(args, field.name, default))
        # TrainingArguments itself turns some defaults from None into False or [].
        if value != _plain(default) and (value or default):
            changed[field.name] = value
    return changed


def hardware(args: TrainingArguments) -> dict[str, Any]:
    """Number of processors and processes, and number and name of accelerators."""
    card: dict[str, Any] = {"cpu_count": os.cpu_count(), "processes": args.world_size, "device": args.device.type}
    if torch.cuda.is_available():
        card["gpu"], card["gpu_count"] = torch.cuda.get_device_name(), torch.cuda.device_count()
    return card


def _plain(value: Any) -> Any:
    """An enum's value, a dataclass as a dict, or any other value unchanged."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return getattr(value, "value", value)
