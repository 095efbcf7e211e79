"""Auxiliary modules, which train beside the classifier: in its optimizer and checkpoints, never in its export.

A module in the optimizer but outside the model would keep stale gradients, and would be neither clipped nor saved. So
the auxiliary module is the attribute ``model.robust_aux`` (of the base model under PEFT), and is detached while the
model itself is saved or loaded.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from hf_robust.models.adapter_files import write_config
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE, without_peft
from hf_robust.models.files import check_files

STATE_FILE = "robust_state.safetensors"
PEER_FOLDER = "_twin"
"""Subfolder in which a second classifier is saved; the Hub upload ignores names with a leading underscore."""


@dataclass(frozen=True)
class Auxiliary:
    """A module that a method trains beside the classifier, and how it is trained.

    It has no weight decay. By default its gradient is clipped together with the classifier's, because the Trainer
    clips ``model.parameters()`` by one norm.

    Attributes:
        module: the module.
        learning_rate: learning rate of the module; None for the classifier's.
        maximize: whether the optimizer group ascends the loss.
        after_step: called after each optimizer step and before anything is saved, for values that are not learnt by
            gradients (a moving average) or must stay in a set.
        forget: called after passes that no optimizer step follows, to drop what ``after_step`` would use of them.
        peer: whether the module is a second classifier: then it has the optimizer settings of the first one, is
            clipped by its own norm, keeps its frozen parameters frozen, and is saved as a model in `PEER_FOLDER`.
        frozen: names of the parameters of the classifier that the method froze; the plain victim trains them.
        plain_steps: whether the module takes plain gradient steps, with its learning rate and the run's schedule, with
            any optimizer. Its gradient is not clipped and does not count in the norm of the classifier's gradient.
    """

    module: nn.Module
    learning_rate: float | None = None
    maximize: bool = False
    after_step: Callable[[], None] | None = None
    forget: Callable[[], None] | None = None
    peer: bool = False
    frozen: tuple[str, ...] = ()
    plain_steps: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


class AfterStep(TrainerCallback):
    """Calls the ``after_step`` of an auxiliary module."""

    def __init__(self, auxiliary: Auxiliary) -> None:
        self._auxiliary = auxiliary

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._auxiliary.after_step is not None:
            self._auxiliary.after_step()


def attach(model: nn.Module, auxiliary: Auxiliary, device: torch.device | None = None) -> None:
    """Attach the auxiliary module to the model, and make it trainable even if PEFT froze the model.

    ``device`` is that of the model by default.
    """
    device = next(model.parameters()).device if device is None else device
    if not auxiliary.peer:
        auxiliary.module.requires_grad_()
    setattr(without_peft(model), AUXILIARY_ATTRIBUTE, auxiliary.module.to(device))


def set_up_ddp(trainer: Any, auxiliary: Auxiliary) -> None:
    """Switch off DDP's search for unused parameters, with which it reports auxiliary ones as "marked ready twice".

    The reason is that methods use them outside the wrapped forward pass.
    """
    if auxiliary.parameters and trainer.args.ddp_find_unused_parameters is None:
        trainer.args.ddp_find_unused_parameters = False
        # transformers 5.23 passes the default to accelerate before this line, 5.17 after it.
        if trainer.accelerator.ddp_handler is not None:
            trainer.accelerator.ddp_handler.find_unused_parameters = False


@contextmanager
def detached(model: nn.Module) -> Iterator[nn.Module | None]:
    """Detach the auxiliary module from the model inside the block; yields the module, or None."""
    base = without_peft(model)
    module = getattr(base, AUXILIARY_ATTRIBUTE, None)
    if module is not None:
        delattr(base, AUXILIARY_ATTRIBUTE)
    try:
        yield module
    finally:
        if module is not None:
            setattr(base, AUXILIARY_ATTRIBUTE, module)


def is_checkpoint(folder: str | Path) -> bool:
    """Whether the folder has the name of a checkpoint; a user's folder may be called ``checkpoints``."""
    return re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-\d+", Path(folder).name) is not None


def save(
    auxiliary: Auxiliary | None, folder: Path, tokenizer: Any, state: Mapping[str, torch.Tensor] | None = None
) -> None:
    """Save the auxiliary module into the folder of a checkpoint or of an exported model.

    A checkpoint gets the state of the module (tied weights once). An exported model gets only a second classifier, as
    a model that plain ``from_pretrained`` loads; one of an earlier run is removed.

    Args:
        state: the whole state of a sharded second classifier, whose checkpoints FSDP saves.
    """
    if is_checkpoint(folder):
        if auxiliary is not None and state is None:
            safetensors.torch.save_model(auxiliary.module, str(folder / STATE_FILE))
        return
    shutil.rmtree(folder / PEER_FOLDER, ignore_errors=True)
    if auxiliary is None or not auxiliary.peer:
        return
    peer: Any = auxiliary.module
    peer.save_pretrained(folder / PEER_FOLDER, state_dict=state)
    if hasattr(peer, "peft_config"):
        write_config(peer, folder / PEER_FOLDER)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder / PEER_FOLDER)


def load_state(module: nn.Module, folder: str | Path, remedy: str) -> None:
    """Load the state of the auxiliary module from a checkpoint.

    Raises:
        ValueError: the checkpoint has no auxiliary module or another one, or its file is broken.
    """
    path = Path(folder) / STATE_FILE
    if not path.exists():
        raise ValueError(
            f"{folder} holds no {STATE_FILE}, so that another method wrote it; "
            "resume with the --robust_method that wrote it."
        )
    check_files([path], remedy)
    try:
        safetensors.torch.load_model(module, str(path), device="cpu")
    except RuntimeError as error:
        raise ValueError(
            f"{path} does not hold this run's {type(module).__name__} ({' '.join(str(error).split())}); resume with "
            "the flags of the method that wrote it."
        ) from error


def add_to_optimizer(
    auxiliary: Auxiliary, optimizer: Any, learning_rate: float, name: str, *, needs_state: bool = False
) -> None:
    """Add the auxiliary module to the optimizer of the model, with its own rate or ``learning_rate``.

    ``needs_state`` is whether each parameter needs a state of the optimizer, as in checkpoints of FSDP.

    Raises:
        ValueError: the module must ascend the loss, and the optimizer can only descend.
    """
    if not auxiliary.parameters:
        return
    if auxiliary.maximize and not auxiliary.plain_steps and "maximize" not in optimizer.defaults:
        raise ValueError(
            f"{name} has parameters that ascend the loss, and {type(optimizer).__name__} can only descend; use "
            "--optim adamw_torch."
        )
    rate = learning_rate if auxiliary.learning_rate is None else auxiliary.learning_rate
    group = {"params": auxiliary.parameters, "lr": rate, "weight_decay": 0.0}
    optimizer.add_param_group(group if auxiliary.plain_steps else {**group, "maximize": auxiliary.maximize})
    if auxiliary.plain_steps:
        # A hook of the optimizer step, which fp16 skips if a gradient overflows; it uses the scheduled learning rate.
        optimizer.register_step_pre_hook(lambda stepped, *_: take_plain_step(auxiliary, stepped, needs_state))


@torch.no_grad()
def take_plain_step(auxiliary: Auxiliary, optimizer: Any, needs_state: bool = False) -> None:
    """Move the module along its gradient, and remove the gradient so that the optimizer ignores it.

    With ``needs_state`` the gradient becomes 0, so that the optimizer has a state for it and does not move it.
    """
    first = auxiliary.parameters[0]
    rate = next(group["lr"] for group in optimizer.param_groups if any(one is first for one in group["params"]))
    scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer gets scaled fp16 gradients
    for parameter in auxiliary.parameters:
        if parameter.grad is None:
            continue
        gradient = parameter.grad if scale is None else parameter.grad / scale
        if gradient.isfinite().all():
            parameter.add_(gradient, alpha=rate if auxiliary.maximize else -rate)
        parameter.grad = torch.zeros_like(parameter) if needs_state else None


def check_in_optimizer(optimizer: Any, parameters: Sequence[nn.Parameter], name: str) -> None:
    """Refuse a user's optimizer that does not contain the parameters of the auxiliary module."""
    if optimizer is None:
        return
    present = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not present >= {id(parameter) for parameter in parameters}:
        raise ValueError(
            f"{name} trains an auxiliary module (model.robust_aux), which the given optimizer does not contain; "
            "leave optimizers out, or pass optimizer_cls_and_kwargs."
        )
