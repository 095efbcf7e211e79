"""The plain victim, from whose errors views are made: trained before the robust training, or loaded."""

from __future__ import annotations

import copy
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_robust.data import TextDataset
from hf_robust.models.architecture import vocabulary_size
from hf_robust.models.padding import write_padding
from hf_robust.models.trained import load_trained
from hf_robust.modules import auxiliary
from hf_robust.modules.saved_inference import read_saved_inference
from hf_robust.training.task_loss import TaskTrainer

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

FOLDER = "_baseline"


class PlainTraining(NamedTuple):
    """Cost of a plain training before the robust one: seconds, and texts in forward passes on this process."""

    seconds: float
    texts: float

    @classmethod
    def of(cls, trainer: Any, began: float) -> PlainTraining:
        """Cost of a Trainer that has trained since ``began`` (``time.perf_counter``) with one pass for each text."""
        texts = float(trainer.state.epoch or 0.0) * len(trainer.train_dataset) / trainer.args.world_size
        return cls(time.perf_counter() - began, texts)


def train_plain_victim(trainer: RobustTrainer, dataset: TextDataset, collator: Any) -> nn.Module:
    """Train a copy of the untrained model as the method ``normal`` does.

    With the same arguments, seed and rows, the weights equal those of a run of ``normal``. Nothing is evaluated, saved
    or reported; the cost is stored in ``trainer.plain_runs``.
    """
    logger.info("Training a plain victim for the views first (--view_victim gives a trained one instead).")
    args = copy.copy(trainer.args)
    args.output_dir = f"{trainer.args.output_dir}/{FOLDER}"
    args.eval_strategy, args.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    args.load_best_model_at_end = args.push_to_hub = False
    args.metric_for_best_model = args.resume_from_checkpoint = None
    args.report_to = []
    victim, trainer.untrained = trainer.untrained or plain_copy(trainer.model), None
    for name in () if trainer._auxiliary is None else trainer._auxiliary.frozen:
        victim.get_parameter(name).requires_grad_()
    plain = TaskTrainer(
        model=victim,
        args=args,
        train_dataset=dataset,
        data_collator=collator,
        processing_class=trainer.processing_class,
    )
    began = time.perf_counter()
    plain.train()
    trainer.plain_runs["baseline"] = PlainTraining.of(plain, began)
    model: nn.Module = plain.model
    return model


def load_plain_victim(trainer: RobustTrainer, name: str) -> nn.Module:
    """The fine-tuned model ``--view_victim``, on the device of training.

    Raises:
        ValueError: there is no such model, its head was not trained, or its classes or vocabulary differ.
    """
    try:
        model = load_trained(name)
    except ValueError as error:
        raise ValueError(f"--view_victim: {error}") from error
    saved = read_saved_inference(name)
    if saved is not None:
        logger.warning(
            "--view_victim %s: the attacks use the model without its special inference. %s", name, saved.note
        )
    config, other = trainer.model.config, model.config
    if other.num_labels != config.num_labels:
        raise ValueError(
            f"--view_victim {name} has {other.num_labels} classes and this task {config.num_labels}; "
            "give a model that was fine-tuned on this task."
        )
    names, other_names = (
        [str(side.id2label[i]).casefold() for i in range(config.num_labels)] for side in (config, other)
    )
    if names != other_names and sorted(names) == sorted(other_names):
        raise ValueError(
            f"--view_victim {name} has the classes {', '.join(other_names)} in this order and this run "
            f"{', '.join(names)}; give a model whose classes have the same numbers."
        )
    if sorted(names) != sorted(other_names):
        logger.warning(
            f"--view_victim {name} calls its classes {', '.join(other_names)} and this run {', '.join(names)}: the "
            "classes are matched in this order. If that is wrong, give a model with this run's names."
        )
    theirs, ours = vocabulary_size(other), vocabulary_size(config)
    if theirs != ours:
        raise ValueError(
            f"--view_victim {name} has a vocabulary of {theirs} and this model one of {ours}; "
            "give a model with the same tokenizer, or its views by --view_file."
        )
    write_padding(model, trainer.processing_class)
    victim: nn.Module = model.to(trainer.args.device)
    return victim


def plain_copy(model: nn.Module) -> nn.Module:
    """A deep copy without the auxiliary module and without the hooks on the model's forward pass."""
    hooks = model._forward_pre_hooks, model._forward_hooks
    model._forward_pre_hooks, model._forward_hooks = OrderedDict(), OrderedDict()
    try:
        with auxiliary.detached(model):
            return copy.deepcopy(model)
    finally:
        model._forward_pre_hooks, model._forward_hooks = hooks
