"""Modules that train beside the classifier (block D): in its optimizer and its checkpoints, never in its export.

A module that is in the optimizer but not inside the model keeps stale gradients, is not clipped and is not saved, so
it lives at ``model.robust_aux`` (on the base model under PEFT) and is taken out while the model itself is saved or
loaded.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
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
from hf_robust.models.architecture import BESIDE
from hf_robust.models.architecture import owner as owner
from hf_robust.models.files import check_files

ATTRIBUTE = BESIDE
STATE_FILE = "robust_state.safetensors"
PEER_FOLDER = "_twin"
"""Where a second classifier is published, below the first; the Hub upload leaves out names that begin so."""


@dataclass(frozen=True)
class Auxiliary:
    """What a method trains beside the classifier.

    ``maximize`` makes its optimizer group ascend the loss; ``learning_rate`` None means the classifier's. It has no
    weight decay. Its gradient is clipped together with the classifier's, since the Trainer clips all of
    ``model.parameters()`` by one norm. ``after_step`` is called after each optimizer step and before anything is
    saved: for what is not learnt by gradient, as a moving average, or must stay in a set.

    ``peer`` is for a second classifier: it shares the first one's optimizer settings, is clipped by its own norm,
    keeps what is frozen in it frozen, and is published as a model of its own in `PEER_FOLDER`. ``frozen``
    names parameters of the classifier that the method froze; they train in the plain model whose weaknesses views
    show.

    ``plain`` parts go plain gradient steps at their rate and the run's schedule, whatever the optimizer, and are
    neither clipped nor do they count in the norm by which the classifier's gradient is.
    """

    module: nn.Module
    learning_rate: float | None = None
    maximize: bool = False
    after_step: Callable[[], None] | None = None
    peer: bool = False
    frozen: tuple[str, ...] = ()
    plain: bool = False

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What the optimizer moves."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


class AfterStep(TrainerCallback):
    """Calls an auxiliary part's ``after_step``."""

    def __init__(self, auxiliary: Auxiliary) -> None:
        self._auxiliary = auxiliary

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._auxiliary.after_step is not None:
            self._auxiliary.after_step()


def attach(model: nn.Module, part: Auxiliary) -> None:
    """Make ``part`` the model's auxiliary part, trainable even where PEFT froze the rest."""
    device = next(model.parameters()).device
    if not part.peer:
        part.module.requires_grad_()
    setattr(owner(model), ATTRIBUTE, part.module.to(device))


def suit_ranks(trainer: Any, part: Auxiliary) -> None:
    """Used outside the wrapped forward, an auxiliary parameter is "marked ready twice" under DDP's default here."""
    if part.parameters and trainer.args.ddp_find_unused_parameters is None:
        trainer.args.ddp_find_unused_parameters = False
        # transformers 5.23 gave the default to accelerate before this line, 5.17 gives it later.
        if trainer.accelerator.ddp_handler is not None:
            trainer.accelerator.ddp_handler.find_unused_parameters = False


@contextmanager
def detached(model: nn.Module) -> Iterator[nn.Module | None]:
    """The model without its auxiliary part for the length of the block; yields that part, or None."""
    carrier = owner(model)
    module = getattr(carrier, ATTRIBUTE, None)
    if module is not None:
        delattr(carrier, ATTRIBUTE)
    try:
        yield module
    finally:
        if module is not None:
            setattr(carrier, ATTRIBUTE, module)


def is_checkpoint(folder: str | Path) -> bool:
    """Whether the Trainer resumes from what is saved there; a folder of the user's may be called ``checkpoints``."""
    return re.fullmatch(rf"{PREFIX_CHECKPOINT_DIR}-\d+", Path(folder).name) is not None


def save(part: Auxiliary | None, folder: Path, tokenizer: Any) -> None:
    """Write a part beside a checkpoint's weights (tied weights once), or beside what is published a second classifier
    where plain ``from_pretrained`` loads it, in the place of one that an earlier run left there."""
    if is_checkpoint(folder):
        if part is not None:
            safetensors.torch.save_model(part.module, str(folder / STATE_FILE))
        return
    shutil.rmtree(folder / PEER_FOLDER, ignore_errors=True)
    if part is None or not part.peer:
        return
    peer: Any = part.module
    peer.save_pretrained(folder / PEER_FOLDER)
    if hasattr(peer, "peft_config"):
        write_config(peer, folder / PEER_FOLDER)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder / PEER_FOLDER)


def load_state(module: nn.Module, folder: str | Path, remedy: str) -> None:
    """Read the auxiliary part back.

    Raises:
        ValueError: the checkpoint is of a run without one or with another, or its file is broken.
    """
    path = Path(folder) / STATE_FILE
    if not path.exists():
        raise ValueError(
            f"{folder} holds no {STATE_FILE}, so it was not written by this method; "
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


def join(part: Auxiliary, optimizer: Any, learning_rate: float, name: str) -> None:
    """Let the optimizer of the model train ``part`` too, without weight decay, by its own rate or ``learning_rate``.

    Raises:
        ValueError: the part is to ascend, and the optimizer only descends.
    """
    if not part.parameters:
        return
    if part.maximize and not part.plain and "maximize" not in optimizer.defaults:
        raise ValueError(
            f"{name} ascends the loss by a part of its own, and {type(optimizer).__name__} only descends; use --optim "
            "adamw_torch."
        )
    rate = learning_rate if part.learning_rate is None else part.learning_rate
    group = {"params": part.parameters, "lr": rate, "weight_decay": 0.0}
    optimizer.add_param_group(group if part.plain else {**group, "maximize": part.maximize})
    if part.plain:
        # In the step itself, which fp16 leaves out where a gradient overflowed, with the rate that the schedule gives.
        optimizer.register_step_pre_hook(lambda stepped, *_: step_plainly(part, stepped))


@torch.no_grad()
def step_plainly(part: Auxiliary, optimizer: Any) -> None:
    """Move a plain part along its gradient, which the optimizer then does not find any more."""
    rate = next(group["lr"] for group in optimizer.param_groups if group["params"][0] is part.parameters[0])
    scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer is given fp16 gradients as they are
    for parameter in part.parameters:
        if parameter.grad is None:
            continue
        gradient = parameter.grad if scale is None else parameter.grad / scale
        if gradient.isfinite().all():
            parameter.add_(gradient, alpha=rate if part.maximize else -rate)
        parameter.grad = None


def check_holds(optimizer: Any, parameters: Sequence[nn.Parameter], name: str) -> None:
    """Refuse an optimizer of the user's that would leave a method's own parameters as they are."""
    if optimizer is None:
        return
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not held >= {id(parameter) for parameter in parameters}:
        raise ValueError(
            f"{name} trains a part beside the model (model.robust_aux), which the given optimizer does not hold; "
            "leave optimizers out, or pass optimizer_cls_and_kwargs."
        )
