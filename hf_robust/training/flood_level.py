"""Measures the level of flooding_x: where, in ordinary fine-tuning, micro-batches stop agreeing on the way down."""

from __future__ import annotations

import copy
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_robust.adversary import evaluating, kept_random_state
from hf_robust.modules import auxiliary
from hf_robust.runs import write_json
from hf_robust.training.embedding_space import FP16_SCALE
from hf_robust.training.plain_victim import PlainTraining
from hf_robust.training.task_loss import Batch, TaskTrainer

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

AUTO = "auto"
LEVEL_FILE = "flood_level.json"
BATCHES = 8
"""[S] micro-batches whose gradients are compared at the end of each epoch."""
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
# What the level depends on beside data and weights.
_SETTINGS = (
    "seed", "data_seed", "learning_rate", "optim", "weight_decay", "lr_scheduler_type", "warmup_steps",
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size",
    "label_smoothing_factor", "class_weights", "max_grad_norm", "fp16", "bf16",
)  # fmt: skip


class Epoch(NamedTuple):
    """What is known of an epoch of the plain run: its mean training loss, the accordance at its end."""

    loss: float
    accordance: float


def accordance(gradients: Iterable[Tensor]) -> Tensor:
    r"""Mean cosine over all pairs of gradients (P,), in [-1, 1]; one running sum, whatever their number.

    .. math:: \frac{\|\sum_s u_s\|^2 - \sum_s\|u_s\|^2}{S(S-1)},\qquad u_s = g_s/\|g_s\|

    >>> import torch
    >>> accordance([torch.tensor([1.0, 0.0]), torch.tensor([-3.0, 0.0])]).item()
    -1.0
    """
    total: Any = 0.0
    squares: Any = 0.0
    number = 0
    for gradient in gradients:
        unit = nn.functional.normalize(gradient.float(), dim=0)
        total, squares, number = total + unit, squares + unit.square().sum(), number + 1
    if number < 2:
        raise ValueError(
            f"--flood_level auto compares the gradients of micro-batches and found {number} of them in an epoch; "
            "lower --per_device_train_batch_size, or pass --flood_level 0.1."
        )
    mean: Tensor = (total.square().sum() - squares) / (number * (number - 1))
    return mean


def chosen(epochs: list[Epoch]) -> int:
    """The first epoch whose accordance is not above 0, else the one with the smallest; an index."""
    values = [epoch.accordance for epoch in epochs]
    return next((index for index, value in enumerate(values) if value <= 0), values.index(min(values)))


def last_layer_and_head(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters from the last encoder layer on: from the last entry of the longest list of modules."""
    parameters = list(model.parameters())
    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module)]
    first = 0
    if stacks:
        longest = max(reversed(stacks), key=len)
        inside = {id(parameter) for parameter in longest[-1].parameters()}
        first = next((index for index, parameter in enumerate(parameters) if id(parameter) in inside), 0)
    late = [parameter for parameter in parameters[first:] if parameter.requires_grad]
    return late or [parameter for parameter in parameters if parameter.requires_grad]


class FloodLevel(nn.Module):
    """The level as part of a checkpoint; NaN until it is measured."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(torch.nan))
        self.value: Tensor


class PlainRun(TaskTrainer):
    """Ordinary fine-tuning that remembers the losses of its current epoch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.losses: list[Tensor] = []

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        self.losses.append(loss.detach().mean())
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Nothing: the log is the run's that follows."""

    def end_epoch(self, batches: int) -> Epoch:
        """Mean loss and accordance of the epoch that ends; equal on all ranks."""
        with kept_random_state(), evaluating(self.model):
            agreement = accordance(self._gradients(batches))
        values = torch.stack([torch.stack(self.losses).mean().float(), agreement])
        self.losses = []
        loss, agreed = self.accelerator.reduce(values, reduction="mean").tolist()
        return Epoch(loss, agreed)

    def _gradients(self, batches: int) -> Iterator[Tensor]:
        parameters = last_layer_and_head(self.model)
        scale = FP16_SCALE if self.args.fp16 else 1.0
        for batch in islice(self.get_train_dataloader(), batches):
            loss, _ = self.task_loss(self.model, self._prepare_inputs(batch))
            found = torch.autograd.grad(loss.mean() * scale, parameters, allow_unused=True, materialize_grads=True)
            yield torch.cat([gradient.flatten().float() for gradient in found])


class MeasureAccordance(TrainerCallback):
    """Ends each epoch of a plain run with a measurement, and the run with the first that is not above 0."""

    def __init__(self, run: PlainRun, batches: int) -> None:
        self._run, self._batches = run, batches
        self.epochs: list[Epoch] = []

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.epochs.append(self._run.end_epoch(self._batches))
        control.should_training_stop |= self.epochs[-1].accordance <= 0


class MeasureFloodLevel(TrainerCallback):
    """Finds the level before a trainer's first step: in its checkpoint, in ``flood_level.json``, or by a plain run.

    The plain run trains a copy of the model with the trainer's arguments, data and collator, on as many ranks, and
    leaves the random state as it was, so that the run itself is the one that a fixed level gives. Its optimizer is the
    arguments' even where the trainer was handed another. It stops after the epoch that decides. ``flood_level.json``
    serves a run that starts anew with the same settings and weights.
    """

    def __init__(self, trainer: RobustTrainer, level: FloodLevel) -> None:
        self._trainer, self._level = trainer, level

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trainer: Any = self._trainer
        trainer.plain_runs.pop("level", None)
        if self._level.value.isnan():
            self._level.value.fill_(self._measured(trainer))
        trainer.flood_level = self._level.value.item()

    def _measured(self, trainer: Any) -> float:
        path = Path(trainer.args.output_dir) / LEVEL_FILE
        settings = settings_of(trainer)
        known: list[Any] = [read_level(path, settings) if trainer.args.process_index == 0 else None]
        if trainer.args.world_size > 1:
            broadcast_object_list(known)
        if known[0] is not None:
            return float(known[0])
        epochs = measure(trainer)
        index = chosen(epochs)
        logger.info("flooding_x: level %.4f, the mean loss of epoch %d", epochs[index].loss, index + 1)
        if trainer.args.should_save:
            report = {
                "level": epochs[index].loss,
                "chosen_epoch": index + 1,
                "epochs": [{"epoch": number, **epoch._asdict()} for number, epoch in enumerate(epochs, start=1)],
                "settings": settings,
            }
            write_json(path, report)
        return epochs[index].loss


def measure(trainer: RobustTrainer) -> list[Epoch]:
    """The epochs of a plain run on a copy of the trainer's model, up to the first whose accordance is not above 0."""
    with kept_random_state():
        run = PlainRun(
            model=model_copy(trainer),
            args=quiet(trainer.args),
            train_dataset=trainer.train_dataset,
            data_collator=trainer.data_collator,
            processing_class=trainer.processing_class,
        )
        measuring = MeasureAccordance(run, BATCHES)
        run.add_callback(measuring)
        began = time.perf_counter()
        run.train()
        trainer.plain_runs["level"] = PlainTraining.of(run, began)
        run.accelerator.free_memory()
    return measuring.epochs


def model_copy(trainer: RobustTrainer) -> Any:
    """The trainer's model anew: without its auxiliary part, mixed-precision wrapper and hooks.

    A hook may hold anything, a counter or a tracker's connection, which a copy would either call or fail to copy.
    """
    model = trainer.model
    with auxiliary.detached(model), without_hooks(model):
        copied = copy.deepcopy(model)
    return trainer.accelerator.unwrap_model(copied, keep_fp32_wrapper=False)


@contextmanager
def without_hooks(model: nn.Module) -> Iterator[None]:
    """``model`` without any module's hooks for the length of the block."""
    kept = [(module, {name: module.__dict__[name] for name in _HOOKS}) for module in model.modules()]
    for module, _ in kept:
        module.__dict__.update({name: OrderedDict() for name in _HOOKS})
    try:
        yield
    finally:
        for module, hooks in kept:
            module.__dict__.update(hooks)


def quiet(args: Any) -> Any:
    """The same arguments for a run that trains and does nothing else."""
    changed = copy.copy(args)
    changed.save_strategy, changed.eval_strategy = SaveStrategy.NO, IntervalStrategy.NO
    changed.logging_strategy, changed.report_to = IntervalStrategy.NO, []
    changed.push_to_hub = changed.load_best_model_at_end = changed.eval_on_start = False
    changed.enable_jit_checkpoint = False
    return changed


def settings_of(trainer: Any) -> dict[str, Any]:
    """What a level was measured under, as json keeps it; ``weights`` tells one starting point from another."""
    values = {name: getattr(trainer.args, name) for name in _SETTINGS}
    values["rows"] = len(trainer.train_dataset)
    values["weights"] = sum(float(value.detach().abs().sum()) for value in trainer.model.parameters())
    kept: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return kept


def read_level(path: Path, settings: dict[str, Any]) -> float | None:
    """The level in the file, where it was measured under ``settings``."""
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    return float(report["level"]) if report["settings"] == settings else None


def check_measurable(trainer: Any) -> None:
    """Refuse to measure where a copy of the model cannot train."""
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise ValueError(
            "--flood_level auto fine-tunes a copy of the model first, and DeepSpeed or FSDP hold it in pieces; "
            "pass a number, such as --flood_level 0.1."
        )
    if trainer.train_dataset is not None and not hasattr(trainer.train_dataset, "__len__"):
        raise ValueError(
            "--flood_level auto measures at the end of an epoch, which a data set without a length has not; "
            "pass a number, such as --flood_level 0.1."
        )
