"""Checks of the task and its labels, before model and data are processed."""

from __future__ import annotations

from hf_robust.attacks import resolve_skip_labels
from hf_robust.data.labels import Labels
from hf_robust.trainers import RobustTrainer
from hf_robust.wiring.parsing import Arguments


def needs_classes(args: Arguments) -> bool:
    """Whether the run needs one class for each row, so that labels such as 1.0 are classes and not scores."""
    return args.method.name != "normal" or bool(args.attack.attacks) or args.certify.certify != "no"


def check_skip_labels(labels: Labels, args: Arguments) -> None:
    """Refuse antonym views and obstinate attacks if it is unknown which classes they must leave out."""
    attacked = {"antonym", "negation"} & set(args.attack.attacks) and args.attack.attack_strategy != "no"
    if attacked or (args.training.do_train and "antonyms" in args.method.needs):
        resolve_skip_labels(args.attack.skip_labels, labels.names)


def check_task(labels: Labels, method: type[RobustTrainer], attacks: list[str] | None, certify: str = "no") -> None:
    """Refuse robust methods, attacks and certificates if rows do not have one class each."""
    if labels.is_single:
        return
    task = "a regression" if labels.is_regression else "a task with several labels for each row"
    if method.name != "normal":
        raise ValueError(
            f"--robust_method {method.name} needs one class for each row, and this is {task}: give --robust_method "
            f"normal."
        )
    if attacks:
        raise ValueError(
            f"--attacks {' '.join(attacks)} needs one class for each row, and this is {task}: leave it out."
        )
    if certify != "no":
        raise ValueError(f"--certify {certify} needs one class for each row, and this is {task}: leave it out.")
