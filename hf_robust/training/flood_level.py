"""Measures the level of flooding_x: the loss at which micro-batch gradients stop agreeing in plain training."""

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

from hf_robust.adversary import evaluating, preserved_random_state
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
# Arguments that the level depends on, besides data and weights.
_SETTINGS = (
    "seed", "data_seed", "learning_rate", "optim", "weight_decay", "lr_scheduler_type", "warmup_steps",
    "num_train_epochs", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "world_size",
    "label_smoothing_factor", "class_weights", "max_grad_norm", "fp16", "bf16",
)  # fmt: skip


class PlainEpoch(NamedTuple):
    """Mean training loss of an epoch of the plain run, and the accordance at its end."""

    loss: float
    accordance: float


def accordance(gradients: Iterable[Tensor]) -> Tensor:
    r"""Mean cosine over all pairs of gradients (P,), in [-1, 1], computed from running sums.

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


def chosen_epoch(epochs: list[PlainEpoch]) -> int:
    """Index of the first epoch with an accordance of at most 0, else of the epoch with the smallest one."""
    values = [epoch.accordance for epoch in epochs]
    return next((index for index, value in enumerate(values) if value <= 0), values.index(min(values)))


def last_layer_and_head(model: nn.Module) -> list[nn.Parameter]:
    """The trainable parameters from the last encoder layer on, which is the last entry of the longest module list."""
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
    """Auxiliary module that stores the level in checkpoints; NaN before the measurement."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(torch.nan))
        self.value: Tensor


class PlainTrainer(TaskTrainer):
    """Ordinary fine-tuning that records the losses of its current epoch."""

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
        """Log nothing: the log belongs to the run that follows."""

    def end_epoch(self, batches: int) -> PlainEpoch:
        """Mean loss and accordance of the finished epoch, equal on all ranks."""
        with preserved_random_state(), evaluating(self.model):
            agreement = accordance(self._gradients(batches))
        values = torch.stack([torch.stack(self.losses).mean().float(), agreement])
        self.losses = []
        loss, agreed = self.accelerator.reduce(values, reduction="mean").tolist()
        return PlainEpoch(loss, agreed)

    def _gradients(self, batches: int) -> Iterator[Tensor]:
        parameters = last_layer_and_head(self.model)
        scale = FP16_SCALE if self.args.fp16 else 1.0
        for batch in islice(self.get_train_dataloader(), batches):
            loss, _ = self.task_loss(self.model, self._prepare_inputs(batch))
            scaled = torch.autograd.grad(loss.mean() * scale, parameters, allow_unused=True, materialize_grads=True)
            yield torch.cat([gradient.flatten().float() for gradient in scaled])


class MeasureAccordance(TrainerCallback):
    """Measures the accordance after each epoch of a plain run, and stops the run when it is at most 0."""

    def __init__(self, run: PlainTrainer, batches: int) -> None:
        self._run, self._batches = run, batches
        self.epochs: list[PlainEpoch] = []

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.epochs.append(self._run.end_epoch(self._batches))
        control.should_training_stop |= self.epochs[-1].accordance <= 0


class MeasureFloodLevel(TrainerCallback):
    """Sets the level before the first step: from the checkpoint, from ``flood_level.json``, or by a plain run.

    The plain run trains a copy of the model with the trainer's arguments, data and collator, on the same ranks, and
    restores the random state, so that the robust run equals one with a fixed level. Its optimizer is always the one of
    the arguments, even if the trainer got another one. It stops after the epoch that determines the level. A restarted
    run with the same settings and weights reads ``flood_level.json``.
    """

    def __init__(self, trainer: RobustTrainer, level: FloodLevel) -> None:
        self._trainer, self._level = trainer, level

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trainer: Any = self._trainer
        trainer.plain_runs.pop("level", None)
        if self._level.value.isnan():
            self._level.value.fill_(self._read_or_measure(trainer))
        trainer.flood_level = self._level.value.item()

    def _read_or_measure(self, trainer: Any) -> float:
        path = Path(trainer.args.output_dir) / LEVEL_FILE
        settings = level_settings(trainer)
        stored: list[Any] = [read_level(path, settings) if trainer.args.process_index == 0 else None]
        if trainer.args.world_size > 1:
            broadcast_object_list(stored)
        if stored[0] is not None:
            return float(stored[0])
        epochs = measure(trainer)
        index = chosen_epoch(epochs)
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


def measure(trainer: RobustTrainer) -> list[PlainEpoch]:
    """The epochs of a plain run on a copy of the trainer's model, up to the first with an accordance of at most 0."""
    with preserved_random_state():
        run = PlainTrainer(
            model=model_copy(trainer),
            args=silent_arguments(trainer.args),
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
    """A copy of the trainer's model without its auxiliary module, mixed-precision wrapper and hooks.

    A hook may hold any object, for example a counter or a connection to a tracker, which cannot or must not be copied.
    """
    model = trainer.model
    with auxiliary.detached(model), without_hooks(model):
        copied = copy.deepcopy(model)
    return trainer.accelerator.unwrap_model(copied, keep_fp32_wrapper=False)


@contextmanager
def without_hooks(model: nn.Module) -> Iterator[None]:
    """Remove the hooks of all modules of ``model`` inside the block."""
    removed = [(module, {name: module.__dict__[name] for name in _HOOKS}) for module in model.modules()]
    for module, _ in removed:
        module.__dict__.update({name: OrderedDict() for name in _HOOKS})
    try:
        yield
    finally:
        for module, hooks in removed:
            module.__dict__.update(hooks)


def silent_arguments(args: Any) -> Any:
    """The same arguments without evaluation, saving and reporting."""
    changed = copy.copy(args)
    changed.save_strategy, changed.eval_strategy = SaveStrategy.NO, IntervalStrategy.NO
    changed.logging_strategy, changed.report_to = IntervalStrategy.NO, []
    changed.push_to_hub = changed.load_best_model_at_end = changed.eval_on_start = False
    changed.enable_jit_checkpoint = False
    return changed


def level_settings(trainer: Any) -> dict[str, Any]:
    """JSON-ready settings under which a level is measured; ``weights`` is a checksum of the initial parameters."""
    values = {name: getattr(trainer.args, name) for name in _SETTINGS}
    values["rows"] = len(trainer.train_dataset)
    values["weights"] = sum(float(value.detach().abs().sum()) for value in trainer.model.parameters())
    settings: dict[str, Any] = json.loads(json.dumps(values, default=str))
    return settings


def read_level(path: Path, settings: dict[str, Any]) -> float | None:
    """The level in the file, or None if it was measured under other ``settings``."""
    if not path.exists():
        return None
    report = json.loads(path.read_text(encoding="utf-8"))
    return float(report["level"]) if report["settings"] == settings else None


def check_measurable(trainer: Any) -> None:
    """Refuse to measure without epochs."""
    if trainer.train_dataset is not None and not hasattr(trainer.train_dataset, "__len__"):
        raise ValueError(
            "--flood_level auto measures at the end of an epoch, and a data set without a length has no epochs; "
            "pass a number, such as --flood_level 0.1."
        )
