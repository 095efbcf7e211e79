"""Forward and backward passes of one training step, as the class of a method counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from hf_robust.models.architecture import REVERSIBLE

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


class Passes(NamedTuple):
    """Number of passes, each over one batch of texts; the views of a batch are further batches.

    A backward pass goes through the graph of one forward pass, to the parameters or to the word embeddings alone.
    """

    forwards: int
    backwards: int

    @property
    def steps_of_normal(self) -> float:
        """Steps of plain training that cost at most as much: a backward pass counts as two forward passes.

        A backward pass to the word embeddings alone costs less than that, so a method that makes many is cheaper.

        >>> Passes(forwards=6, backwards=6).steps_of_normal
        6.0
        """
        return (self.forwards + 2 * self.backwards) / 3


def passes_of(method: type[RobustTrainer], **options: Any) -> Passes:
    """Passes of a step of a method at the defaults of its arguments, but for ``options``."""
    args = method.config(output_dir="out", robust_method=method.name, report_to="none", use_cpu=True, **options)
    return method.step_passes(args)


def check_repeatable(trainer: RobustTrainer) -> None:
    """Refuse a model that can make one pass in a step to a method that makes several.

    A reversible layer draws its dropout masks in the backward pass from the seeds of the latest forward pass, and adds
    to the gradients of its weights even if only those of the embeddings are asked for.

    Raises:
        ValueError: the model has reversible layers, and a step has more than one pass.
    """
    forwards, backwards = trainer.step_passes(trainer.args)
    if trainer.model.config.model_type in REVERSIBLE and forwards + backwards > 2:
        raise ValueError(
            f"{trainer.name} makes {forwards} forward and {backwards} backward passes in a step, and the reversible "
            f"layers of {type(trainer.model).__name__} give right gradients for one of each; use another model, or "
            "--robust_method normal."
        )


def streamed_passes(args: Any, count: int) -> Passes:
    """Passes of ``count`` training passes in a row, each at the point that the one before leads to.

    With ``--multi_backward sum`` all but the last have a backward pass more, which gives the next point.
    """
    return Passes(count, count + (count - 1 if args.multi_backward == "sum" else 0))


def union_passes(args: Any) -> Passes:
    """Passes over the texts of a batch and all their views, joined to one larger batch."""
    count = 1 + args.views_per_text
    return Passes(count, count)
