"""Checks of the task, its labels and the type of the model, before model and data are processed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hf_robust.attacks import AttackArguments, goal_of, resolve_skip_labels
from hf_robust.attacks.parts.goals import Remain
from hf_robust.certify.intervals import check_bounded
from hf_robust.data.labels import Labels
from hf_robust.trainers import RobustTrainer
from hf_robust.training.architectures import check_architecture
from hf_robust.wiring.parsing import Arguments


def needs_classes(args: Arguments) -> bool:
    """Whether the run needs one class for each row, so that labels such as 1.0 are classes and not scores."""
    return args.method.name != "normal" or bool(args.attack.attacks) or args.certify.certify != "no"


def check_model_type(args: Arguments, config: Any) -> None:
    """Refuse a model that the method does not train, or that has no interval bounds for ``--certify``."""
    if args.training.do_train:
        check_architecture(args.method, config)
    if args.certify.by_intervals:
        check_bounded(config)


def check_skip_labels(labels: Labels, args: Arguments) -> None:
    """Refuse antonym views and obstinate attacks if it is unknown which classes they must leave out."""
    attacked = {"antonym", "negation"} & set(args.attack.attacks) and args.attack.attack_strategy != "no"
    if attacked or (args.training.do_train and "antonyms" in args.method.needs):
        resolve_skip_labels(args.attack.skip_labels, labels.names)


def check_task(labels: Labels, method: type[RobustTrainer], attacks: AttackArguments, certify: str = "no") -> None:
    """Refuse methods, attacks and certificates that do not work with the labels of the task."""
    if labels.is_single:
        return
    task = "a regression" if labels.is_regression else "a task with several labels for each row"
    trains = method.trains_multi_label if labels.is_multi else method.trains_regression
    if not trains:
        others = "normal, or a method that perturbs embeddings, such as freelb" if labels.is_multi else "normal"
        raise ValueError(
            f"--robust_method {method.name} needs one class for each row, and this is {task}: give --robust_method "
            f"{others}."
        )
    if attacks.attacks and labels.is_regression:
        raise ValueError(
            f"--attacks {' '.join(attacks.attacks)} needs one class for each row, and this is {task}: leave it out."
        )
    check_attacked_labels(labels, attacks)
    if certify != "no":
        raise ValueError(f"--certify {certify} needs one class for each row, and this is {task}: leave it out.")


def check_attacked_labels(labels: Labels, attacks: AttackArguments, replay: Sequence[str] = ()) -> None:
    """Refuse attacks that do not work with a set of labels for each text."""
    if not labels.is_multi:
        return
    given = {
        **{f"--attacks {name}": goal_of(name) is Remain for name in attacks.attacks},
        "--attack_backend textattack": bool(attacks.attacks) and attacks.attack_backend == "textattack",
        f"--attack_votes {attacks.attack_votes}": bool(attacks.attack_votes),
        f"--attack_target {attacks.attack_target}": attacks.attack_target is not None,
        f"--replay {' '.join(replay)}": bool(replay),
    }
    for flag, is_given in given.items():
        if is_given:
            raise ValueError(f"{flag} needs one class for each text, and this task has several labels: leave it out.")


def refuse_label_sets(labels: Labels, model: str) -> None:
    """Refuse, for commands that read one class for each text, a model that gives a text several labels."""
    if labels.is_multi:
        raise ValueError(
            f"this command needs one class for each text, and {model} gives a text several labels; `hf-robust attack` "
            "takes such models."
        )
