"""Tries a training step before texts are attacked for it, so that a model that a method cannot train is refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hf_robust.adversary import preserved_random_state
from hf_robust.attacks import Example
from hf_robust.models.passes import uncounted
from hf_robust.views import GeneratedViews, View
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer

ROWS = 2


def check_first_step(trainer: RobustTrainer, sources: Iterable[GeneratedViews]) -> None:
    """Run forward and backward of the method's loss on two rows, each with its own text as its view.

    Weights, gradients, random states, logged means and the views of ``sources``, which are empty afterwards, stay as
    they were. Sharded models (FSDP, DeepSpeed) are not tried.

    Raises:
        ValueError: the step failed.
    """
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        return
    viewed: Any = trainer.train_dataset
    rows = range(min(ROWS, len(viewed)))
    examples = [Example(row, viewed.dataset.texts(row), viewed.dataset.label(row)) for row in rows]
    for source in sources:
        source.fill({example.idx: _same_text(example) for example in examples}, examples)
    # Private in transformers: the collator that drops columns which the model does not take.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    model: Any = trainer.model
    modes = [(module, module.training) for module in model.modules()]
    means = dict(trainer.means._sums)
    try:
        with uncounted(), preserved_random_state(), trainer.compute_loss_context_manager():
            model.train()
            trainer.compute_loss(model, trainer._prepare_inputs(collate([viewed[row] for row in rows]))).backward()
    except Exception as error:
        reason = str(error).rstrip(".")
        if not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        raise ValueError(
            f"{trainer.name} cannot train this {type(model).__name__} ({reason}); use another model or method."
        ) from error
    finally:
        model.zero_grad(set_to_none=True)
        trainer.means._sums = means
        for module, training in modes:
            module.training = training
        for source in sources:
            source.fill({}, ())


def _same_text(example: Example) -> View:
    """The text as a view of itself, with its first word as the changed one."""
    text = Text(example.texts)
    words = (0,) if text.words else ()
    return View(text, True, words, tuple((word, word) for word in words))
