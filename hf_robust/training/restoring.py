"""Restoring of a checkpoint, to resume a run or to end it with its best weights, completely or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import TrainerState
from transformers.trainer import FSDP_MODEL_NAME, OPTIMIZER_NAME, SCALER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME
from transformers.training_args import OptimizerNames

from hf_robust.models.adapter_files import ADAPTER
from hf_robust.models.conversion import load_weights, refuse_names
from hf_robust.models.files import ADAPTER_FILES, check_files, read_weights, weight_files
from hf_robust.runs import is_training, portable_path, read_card, read_json, redact
from hf_robust.training.arguments import RobustTrainingArguments

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)


class Remedy(NamedTuple):
    """Remedies for error messages: for a broken file, and for a complete file of another run."""

    broken: str
    foreign: str


_LAST = "the last weights are in the newest checkpoint: resume from it with --load_best_model_at_end False"
RESUME = Remedy(
    "delete the folder and resume from the checkpoint before it, or start a new run",
    "resume with the model and the flags of the run that wrote it",
)
BEST = Remedy(_LAST, _LAST)
_ADAPTER_SETTINGS = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "modules_to_save")
"""Settings that must be equal, besides the size, so that two adapters with equal weights compute the same."""


def check_checkpoint(trainer: RobustTrainer, folder: str | Path) -> None:
    """Check, before anything is loaded, that all files for a resumption from ``folder`` exist and are complete.

    Raises:
        ValueError: a file is missing or broken, or the best checkpoint so far is missing.
    """
    folder, args = Path(folder), trainer.args
    if not folder.is_dir():
        raise ValueError(f"--resume_from_checkpoint {folder} is no folder; give a folder named checkpoint-<step>.")
    check_files([folder / TRAINER_STATE_NAME], RESUME.broken)
    state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
    _check_run(trainer, folder, state)
    _check_sharding(trainer, folder)
    if uses_sharding(trainer):
        return
    if not (folder / OPTIMIZER_NAME).exists() and not (folder / SCHEDULER_NAME).exists():
        raise ValueError(
            f"{folder} holds a model without {OPTIMIZER_NAME} and {SCHEDULER_NAME} (--save_only_model leaves them "
            "out), so that training cannot be resumed; start a new run from it by --model_name_or_path."
        )
    random_state = folder / (f"rng_state_{args.process_index}.pth" if args.world_size > 1 else "rng_state.pth")
    saved_states = sorted(folder.glob("rng_state*.pth")) or [random_state]
    if random_state not in saved_states:
        logger.warning("%s was saved by another number of processes: dropout masks will differ.", folder)
    scaler = [folder / SCALER_NAME] if (folder / SCALER_NAME).exists() else []
    check_files([folder / OPTIMIZER_NAME, folder / SCHEDULER_NAME, *saved_states, *scaler], RESUME.broken)
    best = state.best_model_checkpoint
    if args.load_best_model_at_end and best and not Path(best).is_dir():
        raise ValueError(
            f"{folder} names {best} as the best checkpoint so far, and it is missing; put it back (a relative path "
            "starts in the folder where the run was started), or resume with --load_best_model_at_end False."
        )


def _check_sharding(trainer: RobustTrainer, folder: Path) -> None:
    """Refuse a checkpoint of FSDP in a run without it, and another one in a run of FSDP."""
    shards = folder / f"{FSDP_MODEL_NAME}.bin"
    if shards.exists() and not trainer.is_fsdp_enabled:
        raise ValueError(f"{folder} was written under --fsdp; resume with --fsdp, or start a new run from its model.")
    if not trainer.is_fsdp_enabled:
        return
    if not shards.exists():
        raise ValueError(
            f"{folder} was written without --fsdp (it holds no {shards.name}); resume without it, or start a new run "
            "from its model."
        )
    check_files([folder / SCHEDULER_NAME], RESUME.broken)
    if trainer.args.optim == OptimizerNames.SGD:
        raise ValueError(
            "--optim sgd has no state, without which torch's FSDP cannot resume; train with --optim adamw_torch, or "
            f"start a new run from the model of {folder}."
        )


def _check_run(trainer: RobustTrainer, folder: Path, state: TrainerState) -> None:
    """Refuse the checkpoint of another method; warn about changed arguments, and if no training is left to do.

    Raises:
        ValueError: the run card of the checkpoint names another method.
    """
    args, card = trainer.args, read_card(folder.parent)
    method = card.get("method", trainer.name) if is_training(card) else trainer.name
    if method != trainer.name:
        raise ValueError(
            f"{folder} belongs to a run of --robust_method {method}, and this run uses {trainer.name}: resume with "
            "the method that wrote it, or start from its weights by --model_name_or_path."
        )
    written = card.get("config") or {}
    current = _method_arguments(trainer)
    changed = {name: written[name] for name, value in current.items() if written.get(name) not in (None, value)}
    if changed:
        logger.warning(
            "%s was written with %s; training goes on with the current values, and the run card contains only these.",
            folder,
            ", ".join(f"{name} {value}" for name, value in changed.items()),
        )
    by_steps = args.max_steps > 0
    done, total = (state.global_step, args.max_steps) if by_steps else (state.epoch or 0.0, args.num_train_epochs)
    if done >= total:
        unit, flag = ("step", "--max_steps") if by_steps else ("epoch", "--num_train_epochs")
        logger.warning("%s is at %s %g of %g: nothing is trained; raise %s to go on.", folder, unit, done, total, flag)


def _method_arguments(trainer: RobustTrainer) -> dict[str, Any]:
    """The method's own arguments (numbers and choices) as in a run card, without those that it determines itself."""
    args, shared = trainer.args, RobustTrainingArguments.__dataclass_fields__
    values = {name: redact(getattr(args, name)) for name in type(args).__dataclass_fields__ if name not in shared}
    values |= trainer.used_arguments()
    return {name: value for name, value in values.items() if isinstance(value, int | float | str) and value != "auto"}


def uses_sharding(trainer: RobustTrainer) -> bool:
    """Whether DeepSpeed or FSDP saves weights and optimizer in its own files."""
    return bool(trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled)


def restore(trainer: RobustTrainer, folder: str | Path, remedy: Remedy) -> bool:
    """Load the weights in ``folder`` into the trainer's model; False if the Trainer must do so (adapters, shards).

    Raises:
        ValueError: a file is missing or broken, or its tensors are not exactly those of the model.
    """
    model: Any = trainer.model
    folder = Path(folder)
    if uses_sharding(trainer):
        return False
    files = weight_files(folder, remedy.broken)
    adapters = [folder / name for name in ADAPTER_FILES if (folder / name).is_file()]
    if hasattr(model, "peft_config"):
        if files and not adapters:
            raise ValueError(f"{folder} holds a whole model, and this run trains an adapter; {remedy.foreign}.")
        check_adapter(model, folder, remedy)
        return False
    if not files and adapters:
        raise ValueError(f"{folder} holds an adapter, and this run trains a whole model; {remedy.foreign}.")
    if not files:
        raise ValueError(f"{folder} holds no weights; {remedy.broken}.")
    load_weights(model, read_weights(files), str(folder), remedy.foreign)
    return True


def check_adapter(model: Any, folder: Path, remedy: Remedy) -> None:
    """Check that ``folder`` holds the complete adapter: PEFT loads an incomplete one with only a warning.

    Raises:
        ValueError: the adapter's file is missing or broken, has other settings, or lacks a tensor.
    """
    from peft import get_peft_model_state_dict

    active = model.active_adapters[0]
    candidates = [folder / name for name in ADAPTER_FILES] + [folder / active / name for name in ADAPTER_FILES]
    file = next((path for path in candidates if path.is_file()), candidates[0])
    check_files([file, file.with_name(ADAPTER)], remedy.broken)
    current, saved = model.peft_config[active].to_dict(), read_json(file.with_name(ADAPTER))
    for name in _ADAPTER_SETTINGS:
        value, other = (_comparable(settings.get(name)) for settings in (current, saved))
        if value != other:
            raise ValueError(
                f"{folder} holds an adapter with {name} {other}, this run one with {value}; {remedy.foreign}."
            )
    state = get_peft_model_state_dict(model, adapter_name=active, save_embedding_layers=False)
    missing = state.keys() - read_weights([file]).keys()
    refuse_names(missing, f"{file} lacks tensors of the adapter", remedy.broken)


def _comparable(value: Any) -> Any:
    """A setting as in JSON, with lists sorted."""
    return sorted(value) if isinstance(value, (set, list, tuple)) else getattr(value, "value", value)


@contextmanager
def portable_state(state: TrainerState) -> Iterator[None]:
    """Remove folders of this machine from ``state`` inside the block, for the copy that is published."""
    folder = state.best_model_checkpoint
    state.best_model_checkpoint = folder and portable_path(folder)
    try:
        yield
    finally:
        state.best_model_checkpoint = folder
