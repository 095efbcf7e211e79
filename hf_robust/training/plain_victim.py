"""The plainly trained model whose weaknesses views show: trained on the spot, or loaded."""

from __future__ import annotations

import copy
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import nn
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_robust.data import TextDataset
from hf_robust.models.trained import load_trained
from hf_robust.modules import auxiliary
from hf_robust.modules.saved_inference import read_saved_inference
from hf_robust.training.task_loss import TaskTrainer

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

FOLDER = "_baseline"


class PlainTraining(NamedTuple):
    """What a plain training before a method's own took: seconds, and texts that went forward on this process."""

    seconds: float
    texts: float

    @classmethod
    def of(cls, trainer: Any, began: float) -> PlainTraining:
        """Of a Trainer that has trained since ``began`` (``time.perf_counter``), with one pass for each text."""
        texts = float(trainer.state.epoch or 0.0) * len(trainer.train_dataset) / trainer.args.world_size
        return cls(time.perf_counter() - began, texts)


def train_baseline(trainer: RobustTrainer, dataset: TextDataset, collator: Any) -> nn.Module:
    """A copy of the model, which must still be as it was before training, trained as ``normal`` trains it.

    Same arguments, same seed, same rows: the weights are those of a run of ``normal``. Nothing is evaluated, saved or
    reported; ``trainer.plain_runs`` has what it took.
    """
    logger.info("Training a plain model first, whose weaknesses the views show (--view_victim gives one instead).")
    args = copy.copy(trainer.args)
    args.output_dir = f"{trainer.args.output_dir}/{FOLDER}"
    args.eval_strategy, args.save_strategy = IntervalStrategy.NO, SaveStrategy.NO
    args.load_best_model_at_end = args.push_to_hub = False
    args.metric_for_best_model = args.resume_from_checkpoint = None
    args.report_to = []
    copy_of_it = copied(trainer.model)
    for frozen in () if trainer._auxiliary is None else trainer._auxiliary.frozen:
        copy_of_it.get_parameter(frozen).requires_grad_()
    plain = TaskTrainer(
        model=copy_of_it,
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


def load_baseline(trainer: RobustTrainer, name: str) -> nn.Module:
    """The fine-tuned model that ``--view_victim`` names, on the device of training.

    Raises:
        ValueError: there is none, its head was not trained, or its classes or vocabulary are not this run's.
    """
    try:
        model = load_trained(name)
    except ValueError as error:
        raise ValueError(f"--view_victim: {error}") from error
    saved = read_saved_inference(name)
    if saved is not None:
        logger.warning("--view_victim %s: what is attacked is the plain model. %s", name, saved.note)
    own, other = trainer.model.config, model.config
    if other.num_labels != own.num_labels:
        raise ValueError(
            f"--view_victim {name} has {other.num_labels} classes and this task {own.num_labels}; "
            "give a model that was fine-tuned on this task."
        )
    names, other_names = (
        [str(config.id2label[i]).casefold() for i in range(own.num_labels)] for config in (own, other)
    )
    if names != other_names and sorted(names) == sorted(other_names):
        raise ValueError(
            f"--view_victim {name} has the classes {', '.join(other_names)} in this order and this run "
            f"{', '.join(names)}; give a model whose classes have the same numbers."
        )
    if sorted(names) != sorted(other_names):
        logger.warning(
            f"--view_victim {name} calls its classes {', '.join(other_names)} and this run {', '.join(names)}: they "
            "are taken for one another in this order. If that is wrong, give a model with this run's names."
        )
    if other.vocab_size != own.vocab_size:
        raise ValueError(
            f"--view_victim {name} has a vocabulary of {other.vocab_size} and this model one of {own.vocab_size}; "
            "give a model with the same tokenizer, or its views by --view_file."
        )
    placed: nn.Module = model.to(trainer.args.device)
    return placed


def copied(model: nn.Module) -> nn.Module:
    """A deep copy without auxiliary parts and without the hooks on the model's call, which belong to the original."""
    hooks = model._forward_pre_hooks, model._forward_hooks
    model._forward_pre_hooks, model._forward_hooks = OrderedDict(), OrderedDict()
    try:
        with auxiliary.detached(model):
            return copy.deepcopy(model)
    finally:
        model._forward_pre_hooks, model._forward_hooks = hooks
