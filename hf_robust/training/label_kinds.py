"""Refuses labels of a kind that a method does not train: scores, or several labels for each row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hf_robust.data.labels import MULTI
from hf_robust.data.stream import TextStream

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer


def check_labels(trainer: RobustTrainer) -> None:
    """Refuse, before training, labels that the method or its arguments do not train.

    Raises:
        ValueError: the model is a regression or gives several labels and the method trains neither, the labels are
            lists and the model has one class for each row, or classes are weighted or smoothed that have no order.
    """
    args, config = trainer.args, trainer.model.config
    if config.num_labels == 1 and not trainer.trains_regression:
        raise ValueError(
            f"{trainer.name} needs class labels, got a regression task (num_labels 1); use --robust_method normal."
        )
    if not trainer.multi_label:
        if isinstance(_first_label(trainer.train_dataset), (list, tuple)):
            raise ValueError(
                "the labels are lists of one 0 or 1 for each class, and the model's problem_type is "
                f"{config.problem_type}; load it with problem_type={MULTI!r}."
            )
        return
    if not trainer.trains_multi_label:
        raise ValueError(
            f"{trainer.name} needs one class for each row, and this model gives a text several labels; use "
            "--robust_method normal, or a method that perturbs embeddings, such as freelb."
        )
    for flag, given in {
        "class_weights": args.class_weights is not None,
        "label_smoothing_factor": args.label_smoothing_factor > 0,
    }.items():
        if given:
            raise ValueError(f"--{flag} needs one class for each row, and this model gives several: leave it out.")


def _first_label(dataset: Any) -> Any:
    """The label of the first row of a data set with texts; None for others."""
    dataset = dataset.head if isinstance(dataset, TextStream) else dataset
    return dataset.label(0) if hasattr(dataset, "label") and len(dataset) else None
