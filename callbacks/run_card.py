"""Write ``run_card.json``: everything one needs to know to trust, compare or repeat a run."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch.utils.hooks import RemovableHandle
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.runs import RunCard, redact_command, write_card

_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "peft", "nltk", "hf_robust")
_NOT_TRAINING = (
    "output_dir", "seed", "data_seed", "run_name", "report_to", "project", "trackio_space_id", "disable_tqdm",
    "do_train", "do_eval", "do_predict", "resume_from_checkpoint",
)  # fmt: skip
_NOT_TRAINING_PREFIXES = ("hub_", "push_to_", "log_", "logging_", "save_", "eval_", "dataloader_", "accelerator_", "_")


class Generation(Protocol):
    """What the card is told about views that were generated; ``hf_robust.trainers.generation`` has one."""

    seconds: dict[str, float]
    rounds: list[dict[str, Any]]


class RunCardCallback(TrainerCallback):
    """Gather the run card: at the begin of training (so that a run that dies leaves one) and, complete, at its end.

    Forward passes are counted by a hook on the model while it trains, on this process; a paired batch that goes
    through the model twice counts twice. ``seconds["train"]`` is the loop without evaluation and attacks; what those
    took is read from the metrics of each evaluation. The attacks' own metrics may be those of an earlier run that was
    killed; where the caller keeps what this run spent in ``seconds["attack"]``, that counts instead.

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
    ) -> None:
        self.stated: RunCard = {
            "method": method,
            "citation": citation,
            "data": dict(data),
            "lexicons": dict(lexicons),
            "trained_on": list(trained_on),
            "attacks": {name: dict(described) for name, described in attacks.items()},
            **(measured or {}),  # type: ignore[typeddict-item]
        }
        self.told = {} if seconds is None else seconds
        self.generation = generation
        self._told_before: dict[str, float] = {}
        self._measured = self._nothing_yet()
        self._forwards = 0
        self._began = 0.0
        self._first_step = 0
        self._hook: RemovableHandle | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._remove_hook()
        self._measured = self._nothing_yet()
        self._told_before = dict(self.told)
        self._forwards, self._first_step, self._began = 0, state.global_step, time.perf_counter()
        self._hook = model.register_forward_pre_hook(self._count)
        self._write(args, state, model)

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

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        self._remove_hook()
        self._write(args, state, model, final_step=state.global_step)

    def _nothing_yet(self) -> dict[str, float]:
        return {"evaluate": 0.0, "attack": 0.0, **dict.fromkeys(self.told, 0.0)}

    def _count(self, module: torch.nn.Module, inputs: Any) -> None:
        self._forwards += module.training

    def _remove_hook(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = None

    def _write(self, args: TrainingArguments, state: TrainerState, model: Any, final_step: int | None = None) -> None:
        if not state.is_world_process_zero:
            return
        steps = state.global_step - self._first_step
        card: RunCard = {
            **self.stated,
            "config": method_config(args),
            "views": [] if self.generation is None else list(self.generation.rounds),
            "training": changed_arguments(args),
            "model": str(getattr(model.config, "_name_or_path", "") or f"{type(model).__name__}, from scratch"),
            "architecture": architecture(model),
            "seed": args.seed,
            "load_best_model_at_end": args.load_best_model_at_end,
            "best_step": state.best_global_step,
            "final_step": final_step,
            "versions": versions(),
            "hardware": hardware(args),
            "seconds": self._seconds(),
            "forwards": {"train": self._forwards, "per_step": self._forwards / steps if steps else 0.0},
            "command": redact_command(sys.argv),
        }
        write_card(str(args.output_dir), card)

    def _seconds(self) -> dict[str, float]:
        total = time.perf_counter() - self._began
        spent = {**self._measured, **({} if self.generation is None else self.generation.seconds)}
        parts = {"train": max(total - sum(spent.values()), 0.0), **spent, "total": total}
        return {name: round(value, 3) for name, value in parts.items()}


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


def architecture(model: Any) -> dict[str, Any]:
    """What a model's name does not say where it is that of a local folder."""
    kind = getattr(model.config, "model_type", "") or type(model).__name__
    return {"type": kind, "parameters": sum(weights.numel() for weights in model.parameters())}


def versions() -> dict[str, str]:
    """Installed versions of what a run depends on, Python included; absent packages are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


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
