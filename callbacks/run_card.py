"""Write ``run_card.json``: everything one needs to know to trust, compare or repeat a run."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.models.architecture import architecture, auxiliary_module
from hf_robust.models.passes import ForwardCounter
from hf_robust.runs import RunCard, clear_results, redact_command, versions, write_card

_NOT_TRAINING = (
    "output_dir", "seed", "data_seed", "run_name", "report_to", "project", "trackio_space_id", "disable_tqdm",
    "do_train", "do_eval", "do_predict", "resume_from_checkpoint",
)  # fmt: skip
_NOT_TRAINING_PREFIXES = ("hub_", "push_to_", "log_", "logging_", "save_", "eval_", "dataloader_", "accelerator_", "_")
SPENT = "hf_robust_spent"
"""What a checkpoint's ``trainer_state.json`` keeps under ``stateful_callbacks`` for a run that goes on from it."""


class Generation(Protocol):
    """What the card is told about views that were generated; ``hf_robust.training.generation`` has one."""

    seconds: dict[str, float]
    rounds: list[dict[str, Any]]


class RunCardCallback(TrainerCallback):
    """Gather the run card: at the begin of training (so that a run that dies leaves one) and, complete, at its end.

    Forward passes are those of training steps, on this process, whatever mode the model is in: an adversary's ascent,
    a teacher and a twin count, evaluation, attacks and views do not. They are counted by rows: a batch and its views
    that go through the model together are two passes. ``forwards["per_step"]`` is all of them, plain trainings before
    this one included, for each batch of texts that was trained on.

    ``seconds["train"]`` is the loop without evaluation and attacks; what those took is read from the metrics of each
    evaluation. The attacks' own metrics may be those of an earlier run that was killed; where the caller keeps what
    this run spent in ``seconds["attack"]``, that counts instead. A run that goes on from a checkpoint adds what was
    spent up to that checkpoint, and lists its rounds of views; what was done after it and lost does not count.

    Args:
        data: ``name, variant, train_samples, eval_samples, fingerprint, attack_split``.
        lexicons: ``Lexicon.describe()`` of each lexicon used, by role.
        attacks: ``Attack.describe()`` of each attack, by name.
        method: key of METHODS.
        citation: key of the method's paper in ``hf_robust/hub/citations.bib``.
        trained_on: roles of the lexicons that training draws on (``needs`` of the method), not only an attack.
        seconds: by phase (``attack``, ``certify``) what the caller goes on updating (``AttackCallback.seconds``).
        measured: what else the card says of how the model was measured: ``vote``, ``certify``.
        generation: the phase that makes views, where the method has one: its ``seconds`` and ``rounds``.
        plain_runs: seconds and texts of plain trainings before the method's own (``RobustTrainer.plain_runs``).
        used: gives what took the place of arguments left to the method (``RobustTrainer.used_arguments``).
        found: gives what the run made of them (``RobustTrainer.measured_in_training``).
        command: the command line behind the run; None for this process's own.
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
        used: Callable[[], Mapping[str, Any]] = dict,
        found: Callable[[], Mapping[str, Any]] = dict,
        command: Sequence[str] | None = None,
    ) -> None:
        self.used, self.found = used, found
        self.stated: RunCard = {
            "method": method,
            "citation": citation,
            "data": dict(data),
            "lexicons": dict(lexicons),
            "trained_on": list(trained_on),
            "attacks": {name: dict(described) for name, described in attacks.items()},
            **(measured or {}),  # type: ignore[typeddict-item]
        }
        self.command = redact_command(sys.argv if command is None else command)
        self.told = {} if seconds is None else seconds
        self.generation = generation
        self.plain_runs = {} if plain_runs is None else plain_runs
        self._told_before: dict[str, float] = {}
        self._measured = self._nothing_yet()
        self._forwards = ForwardCounter()
        self._running, self._began, self._before_it_began = False, 0.0, 0.0
        self._since: dict[str, float] = {"step": 0, "epoch": 0.0}
        self._earlier: dict[str, Any] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._forwards.stop()
        self._forwards = ForwardCounter()
        self._forwards.watch("train", model)
        twin = auxiliary_module(model)
        # A classifier of its own, not a mask or an adversary's weights.
        if twin is not None and hasattr(twin, "config"):
            self._forwards.watch("twin", twin)
        self._measured = self._nothing_yet()
        self._told_before = dict(self.told)
        self._earlier = _earlier(state)
        self._since = self._earlier.get("since") or {"step": state.global_step, "epoch": float(state.epoch or 0.0)}
        self._running, self._began = True, time.perf_counter()
        # A plain run of a callback that stands before this one came before the clock.
        self._before_it_began = sum(seconds for seconds, _ in self.plain_runs.values())
        if state.is_world_process_zero:
            # Without attacks too: this card would claim what an earlier run in this folder measured.
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
        self._keep(state)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._keep(state)

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
        # The runtime is that of attacks and certificates too.
        spent = {
            phase: told - self._told_before.get(phase, 0.0) - self._measured[phase]
            for phase, told in self.told.items()
        }
        if not self.told:
            spent["attack"] = min(sum(value for key, value in metrics.items() if key.endswith("_seconds")), runtime)
        for phase, seconds in spent.items():
            self._measured[phase] += seconds
        self._measured["evaluate"] += runtime - sum(spent.values())
        self._keep(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._forwards.stop()
        self._write(args, state, model, final_step=state.global_step, **kwargs)
        # Only checkpoints are gone on from.
        self._running = False
        kept: Any = state.stateful_callbacks
        kept.pop(SPENT, None)

    # ---- what was spent ----

    def _nothing_yet(self) -> dict[str, float]:
        return {"evaluate": 0.0, "attack": 0.0, **dict.fromkeys(self.told, 0.0)}

    def _keep(self, state: TrainerState) -> None:
        """Leave in the state, which checkpoints hold, what a run that goes on from there has to add to its own."""
        if not self._running:
            return
        spent = {"since": self._since, "seconds": self._seconds(), "texts": self._texts(), "views": self._views()}
        kept: Any = state.stateful_callbacks
        kept[SPENT] = spent

    def _seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._began + self._before_it_began
        spent = {**self._measured, **({} if self.generation is None else self.generation.seconds)}
        spent |= {name: seconds for name, (seconds, _) in self.plain_runs.items()}
        parts = {"train": max(total - sum(spent.values()), 0.0), **spent, "total": total}
        return {name: round(value, 3) for name, value in _added(parts, self._earlier.get("seconds")).items()}

    def _texts(self) -> dict[str, float]:
        own = {**self._forwards.texts, **{name: texts for name, (_, texts) in self.plain_runs.items()}}
        return _added(own, self._earlier.get("texts"))

    def _views(self) -> list[dict[str, Any]]:
        """The rounds of views, those before a resumption too; one that was read again was made then."""
        rounds = list(self._earlier.get("views", ()))
        known = {(one["view"], one["round"]) for one in rounds}
        own = [] if self.generation is None else self.generation.rounds
        return [*rounds, *(one for one in own if (one["view"], one["round"]) not in known)]

    def _passes(self, args: TrainingArguments, state: TrainerState, rows: int | None) -> dict[str, float]:
        """Passes of whole batches by part, and all of them for each batch of texts that was trained on."""
        texts = self._texts()
        batch = _batch_size(args, state)
        trained_on = batch * (state.global_step - self._since["step"]) * args.gradient_accumulation_steps
        if rows:  # exact, where the last batch of an epoch is a smaller one
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
        found = self.found()
        card: RunCard = {
            **self.stated,
            "config": {**method_config(args), **self.used(), **found},
            "found": sorted(found),
            "views": self._views(),
            "training": changed_arguments(args) | _found_batch(args, state),
            "model": str(getattr(model.config, "_name_or_path", "") or f"{type(model).__name__}, from scratch"),
            "architecture": architecture(model),
            "seed": args.seed,
            "load_best_model_at_end": args.load_best_model_at_end,
            "best_step": state.best_global_step,
            "final_step": final_step,
            "versions": versions(),
            "hardware": hardware(args),
            "seconds": self._seconds(),
            "forwards": self._passes(args, state, len(dataset) if hasattr(dataset, "__len__") else None),
            "command": self.command,
        }
        if self._since["step"]:
            card["counted_from"] = int(self._since["step"])
        write_card(str(args.output_dir), card)


def _earlier(state: TrainerState) -> dict[str, Any]:
    """What was spent up to the checkpoint that training goes on from; empty where it begins, or nobody kept it."""
    kept: Any = state.stateful_callbacks or {}
    return dict(kept.get(SPENT) or {}) if state.global_step else {}


def _added(own: Mapping[str, float], earlier: Mapping[str, float] | None) -> dict[str, float]:
    earlier = earlier or {}
    return {name: own.get(name, 0.0) + earlier.get(name, 0.0) for name in dict.fromkeys([*own, *earlier])}


def _found_batch(args: TrainingArguments, state: TrainerState) -> dict[str, int]:
    """The batch size that fits, where transformers looked for it."""
    return {"per_device_train_batch_size": _batch_size(args, state)} if args.auto_find_batch_size else {}


def _batch_size(args: TrainingArguments, state: TrainerState) -> int:
    """Texts of one pass on this process; smaller than asked for where transformers looked for one that fits."""
    found = state.train_batch_size if args.auto_find_batch_size else None
    return int(found or args.train_batch_size)


def method_config(args: TrainingArguments) -> dict[str, Any]:
    """Fields that the method's dataclass has beyond ``TrainingArguments``, as JSON values."""
    known = {field.name for field in dataclasses.fields(TrainingArguments)}
    return {
        field.name: _plain(getattr(args, field.name)) for field in dataclasses.fields(args) if field.name not in known
    }


def changed_arguments(args: TrainingArguments) -> dict[str, Any]:
    """Training arguments that differ from their defaults, without those that cannot change what is learnt."""
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
    """Processor and accelerator counts and names."""
    card: dict[str, Any] = {"cpu_count": os.cpu_count(), "processes": args.world_size, "device": args.device.type}
    if torch.cuda.is_available():
        card["gpu"], card["gpu_count"] = torch.cuda.get_device_name(), torch.cuda.device_count()
    return card


def _plain(value: Any) -> Any:
    """An enum as its value and a dataclass as a dict; JSON takes the rest or its text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return getattr(value, "value", value)
