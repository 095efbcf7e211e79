"""Tries a training step before time is spent, so that a model that a method cannot train is refused."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.adversary import evaluating, preserved_random_state
from hf_robust.attacks import Example
from hf_robust.data.stream import TextStream
from hf_robust.models.passes import uncounted
from hf_robust.modules import auxiliary
from hf_robust.views import GeneratedViews, View
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

logger = logging.getLogger(__name__)

ROWS = 2
TEXT_COLUMNS = ("input_ids", "attention_mask", "token_type_ids")


class TryFirstStep(TrainerCallback):
    """Runs :func:`check_first_step` when a new training begins; a resumed one has made steps already."""

    def __init__(self, trainer: RobustTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.global_step:
            check_first_step(self.trainer)


def check_first_step(trainer: RobustTrainer) -> None:
    """Run forward and backward of the method's loss on two rows, each with its own text as its generated view.

    Weights, buffers, gradients, random states, logged means and generated views (there are none before the first
    round) stay as they were. Sharded models (FSDP, DeepSpeed) are not tried.

    Raises:
        ValueError: the step failed, or the model predicts the same for different texts.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return
    model: Any = trainer.model
    with _own_texts_as_views(trainer), _unchanged(trainer), uncounted(), preserved_random_state():
        batch = _first_batch(trainer)
        try:
            _check_reads_text(model, {name: batch[name] for name in TEXT_COLUMNS if name in batch})
            model.train()
            with trainer.compute_loss_context_manager():
                loss = trainer.compute_loss(model, batch)
            loss.backward()
        except (ValueError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # The sentence hides where a method of one's own fails.
            logger.debug("%s: the first step failed.", trainer.name, exc_info=True)
            reason = f"{type(error).__name__}: {error}".rstrip(".")
            raise ValueError(
                f"{trainer.name} cannot train this {type(model).__name__} ({reason}); use another model or method."
            ) from error


def _first_batch(trainer: RobustTrainer) -> dict[str, Any]:
    """The first rows, as the Trainer gives them to the model."""
    # Private in transformers: the collator that drops columns which the model does not take.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    rows: Any = trainer.train_dataset
    rows = rows.head if isinstance(rows, TextStream) else rows
    mapped = hasattr(rows, "__len__")
    first = [rows[row] for row in range(min(ROWS, len(rows)))] if mapped else list(islice(rows, ROWS))
    batch: dict[str, Any] = trainer._prepare_inputs(collate(first))
    return batch


def _check_reads_text(model: nn.Module, batch: dict[str, Tensor]) -> None:
    """Refuse a model that does not read the text: for two texts its logits are equal, and their gradients too.

    Weights of zero in the head make equal logits too, but their gradients differ.
    """
    ids = batch.get("input_ids")
    if ids is None or len(ids) < ROWS or torch.equal(ids[0], ids[1]):
        return
    with evaluating(model):
        with torch.no_grad():
            first, second = model(**batch)["logits"]
        blind = _same(first, second) and _same_gradients(model, batch)
    if blind:
        raise ValueError(
            f"{type(model).__name__} predicts the same for two different texts, so that training and attacks mean "
            f"nothing: on a {ids.device.type} it does not read the text (some architectures need the kernel of a "
            "GPU); use another model or device."
        )


def _same_gradients(model: nn.Module, batch: dict[str, Tensor]) -> bool:
    """Whether the gradients of both rows' logits by the weights are equal."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        sums = [
            model(**{name: rows[row : row + 1] for name, rows in batch.items()})["logits"].float().cumsum(-1).sum()
            for row in range(ROWS)
        ]
    by_row = [torch.autograd.grad(total, trained, materialize_grads=True) for total in sums]
    return all(_same(first, second) for first, second in zip(*by_row, strict=True))


def _same(first: Tensor, second: Tensor) -> bool:
    """Whether two tensors are equal but for the rounding of sums in another order."""
    return not first.numel() or bool((first - second).abs().max() <= 1e-5 * first.abs().max())


@contextmanager
def _own_texts_as_views(trainer: RobustTrainer) -> Iterator[None]:
    """Give the first rows their own texts as generated views inside the block."""
    sources: list[GeneratedViews] = [] if trainer.generation is None else list(trainer.generation.sources.values())
    if sources:
        rows: Any = trainer.train_dataset.dataset
        examples = [Example(row, rows.texts(row), rows.label(row)) for row in range(min(ROWS, len(rows)))]
        for source in sources:
            source.fill({example.idx: _same_text(example) for example in examples}, examples)
    try:
        yield
    finally:
        for source in sources:
            source.fill({}, ())


@contextmanager
def _unchanged(trainer: RobustTrainer) -> Iterator[None]:
    """Undo what passes in the block do to the model and to the trainer."""
    model: Any = trainer.model
    modes = [(module, module.training) for module in model.modules()]
    means = dict(trainer.means._sums)
    with auxiliary.detached(model):
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        model.zero_grad(set_to_none=True)
        trainer.means._sums = means
        trainer.forget_passes()
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _same_text(example: Example) -> View:
    """The text as a view of itself, with its first word as the changed one."""
    text = Text(example.texts)
    words = (0,) if text.words else ()
    return View(text, True, words, tuple((word, word) for word in words))
