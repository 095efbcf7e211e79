"""Put a checkpoint back into a run: to resume it, and to end it with its best weights, whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from transformers import TrainerState
from transformers.trainer import OPTIMIZER_NAME, SCALER_NAME, SCHEDULER_NAME, TRAINER_STATE_NAME

from hf_robust.models.adapter_files import ADAPTER
from hf_robust.models.conversion import load_weights, refuse_names
from hf_robust.models.files import ADAPTER_FILES, check_files, read_weights, weight_files
from hf_robust.runs import is_training, portable_path, read_card, read_json, redact
from hf_robust.training.arguments import RobustTrainingArguments

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)


class Remedy(NamedTuple):
    """The way out where a file is broken, and where it is whole and of another run."""

    broken: str
    foreign: str


_LAST = "the last weights are in the newest checkpoint: resume from it with --load_best_model_at_end False"
RESUME = Remedy(
    "delete the folder and resume from the checkpoint before it, or begin anew",
    "resume with the model and the flags of the run that wrote it",
)
BEST = Remedy(_LAST, _LAST)
_ADAPTER_SETTINGS = ("peft_type", "r", "lora_alpha", "use_rslora", "use_dora", "target_modules", "modules_to_save")
"""What adapters of one size need alike to be one function of their weights."""


def check_checkpoint(trainer: RobustTrainer, folder: str | Path) -> None:
    """Ask, before anything is loaded, whether all that a resumed run reads from ``folder`` is there and whole.

    Raises:
        ValueError: a file is missing or broken, or the best checkpoint that the run is to end with is gone.
    """
    folder, args = Path(folder), trainer.args
    if not folder.is_dir():
        raise ValueError(f"--resume_from_checkpoint {folder} is no folder; give one that is called checkpoint-<step>.")
    check_files([folder / TRAINER_STATE_NAME], RESUME.broken)
    state = TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME))
    _check_run(trainer, folder, state)
    if shards_elsewhere(trainer):
        return
    if not (folder / OPTIMIZER_NAME).exists() and not (folder / SCHEDULER_NAME).exists():
        raise ValueError(
            f"{folder} holds a model without {OPTIMIZER_NAME} and {SCHEDULER_NAME} (--save_only_model leaves them "
            "out), so that no training can go on from it; start another from it by --model_name_or_path."
        )
    own = folder / (f"rng_state_{args.process_index}.pth" if args.world_size > 1 else "rng_state.pth")
    random_state = sorted(folder.glob("rng_state*.pth")) or [own]
    if own not in random_state:
        logger.warning("%s was saved by another number of processes: dropout is drawn anew.", folder)
    scaler = [folder / SCALER_NAME] if (folder / SCALER_NAME).exists() else []
    check_files([folder / OPTIMIZER_NAME, folder / SCHEDULER_NAME, *random_state, *scaler], RESUME.broken)
    best = state.best_model_checkpoint
    if args.load_best_model_at_end and best and not Path(best).is_dir():
        raise ValueError(
            f"{folder} names {best} as the best checkpoint so far, and it is not there; put it back (a relative path "
            "starts where the run was started), or resume with --load_best_model_at_end False."
        )


def _check_run(trainer: RobustTrainer, folder: Path, state: TrainerState) -> None:
    """Refuse another method's checkpoint, since the run would not be of one method; say where nothing is left to do.

    Raises:
        ValueError: the run card beside the checkpoint is of another method.
    """
    args, card = trainer.args, read_card(folder.parent)
    method = card.get("method", trainer.name) if is_training(card) else trainer.name
    if method != trainer.name:
        raise ValueError(
            f"{folder} is of a run of --robust_method {method}, and this is one of {trainer.name}: resume with the "
            "method that wrote it, or start from its weights by --model_name_or_path."
        )
    written = card.get("config") or {}
    own = _own_arguments(trainer)
    changed = {name: written[name] for name, mine in own.items() if written.get(name) not in (None, mine)}
    if changed:
        logger.warning(
            "%s was written with %s, and training goes on with the values of now, which the run card will say alone.",
            folder,
            ", ".join(f"{name} {value}" for name, value in changed.items()),
        )
    by_steps = args.max_steps > 0
    done, asked = (state.global_step, args.max_steps) if by_steps else (state.epoch or 0.0, args.num_train_epochs)
    if done >= asked:
        unit, flag = ("step", "--max_steps") if by_steps else ("epoch", "--num_train_epochs")
        logger.warning("%s is of %s %g of %g: nothing is trained; raise %s to go on.", folder, unit, done, asked, flag)


def _own_arguments(trainer: RobustTrainer) -> dict[str, Any]:
    """The method's own numbers and choices as a run card has them, but for those that it finds itself."""
    args, shared = trainer.args, RobustTrainingArguments.__dataclass_fields__
    own = {name: redact(getattr(args, name)) for name in type(args).__dataclass_fields__ if name not in shared}
    own |= trainer.used_arguments()
    return {name: value for name, value in own.items() if isinstance(value, int | float | str) and value != "auto"}


def shards_elsewhere(trainer: RobustTrainer) -> bool:
    """Whether weights and optimizer are kept by DeepSpeed or FSDP, in files of their own."""
    return bool(trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled)


def restore(trainer: RobustTrainer, folder: str | Path, remedy: Remedy) -> bool:
    """Give the trainer's model the weights in ``folder``; False where the Trainer itself has to (adapters, shards).

    Raises:
        ValueError: a file is missing or broken, or does not hold exactly the model's tensors.
    """
    model: Any = trainer.model
    folder = Path(folder)
    if shards_elsewhere(trainer):
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
    """Ask whether ``folder`` holds all of the adapter in training, which PEFT would load in part with a warning.

    Raises:
        ValueError: the adapter's file is missing or broken, is of other settings, or lacks a tensor.
    """
    from peft import get_peft_model_state_dict

    active = model.active_adapters[0]
    places = [folder / name for name in ADAPTER_FILES] + [folder / active / name for name in ADAPTER_FILES]
    file = next((path for path in places if path.is_file()), places[0])
    check_files([file, file.with_name(ADAPTER)], remedy.broken)
    ours, theirs = model.peft_config[active].to_dict(), read_json(file.with_name(ADAPTER))
    for name in _ADAPTER_SETTINGS:
        mine, other = (_plain(one.get(name)) for one in (ours, theirs))
        if mine != other:
            raise ValueError(
                f"{folder} holds an adapter with {name} {other}, this run one with {mine}; {remedy.foreign}."
            )
    own = get_peft_model_state_dict(model, adapter_name=active, save_embedding_layers=False)
    lacking = own.keys() - read_weights([file]).keys()
    refuse_names(lacking, f"{file} lacks tensors of the adapter", remedy.broken)


def _plain(value: Any) -> Any:
    """A setting as JSON has it, without an order of names."""
    return sorted(value) if isinstance(value, (set, list, tuple)) else getattr(value, "value", value)


@contextmanager
def portable(state: TrainerState) -> Iterator[None]:
    """For the copy of the state that is published, and never resumed from: no folder of this machine is in it."""
    folder = state.best_model_checkpoint
    state.best_model_checkpoint = folder and portable_path(folder)
    try:
        yield
    finally:
        state.best_model_checkpoint = folder
