"""Shared code of the methods that train on attacked texts: their view sources, and the loss on texts and views."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from hf_robust.attacks import Attack, Plans, resolve_skip_labels
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.data import split_views, stack_rows
from hf_robust.data.labels import checkpoint_names
from hf_robust.lexicons import cache_folder
from hf_robust.metrics import aim_of
from hf_robust.views import AttackedAntonym, AttackedViews, GeneratedViews, Refresh, StoredViews, ViewMaker
from hf_robust.views.generated import Extra
from hf_robust.words import UNICODE_WORDS, WordRule

if TYPE_CHECKING:
    from hf_robust.training.base import Batch, RobustTrainer


ONCE = Refresh()


def word_rule_of(trainer: RobustTrainer) -> WordRule:
    """The word rule of the training texts; that of English for a data set without one."""
    dataset = getattr(trainer.train_dataset, "dataset", trainer.train_dataset)  # without its views
    rule: WordRule = getattr(dataset, "word_rule", UNICODE_WORDS)
    return rule


def attacked_views(
    trainer: RobustTrainer,
    *,
    refresh: Refresh = ONCE,
    victim: Literal["plain", "model"] = "plain",
    extras: tuple[Extra, ...] = ("labels",),
    **limits: Any,
) -> dict[str, GeneratedViews]:
    """A view source for each of ``--view_attacks``, by the attack's name, or for each of ``--view_file``.

    ``limits`` are passed to :class:`AttackedViews`.

    Raises:
        ValueError: there is neither an attack nor a file, or an attack changes the label of its texts.
    """
    if not trainer.args.view_file:
        check_attacks(trainer.name, trainer.attacks)
    limits["failed"] = trainer.args.failed_views
    makers = {name: AttackedViews(attack, **limits) for name, attack in trainer.attacks.items()}
    return generated_views(trainer, makers, refresh=refresh, victim=victim, extras=extras)


def generated_views(
    trainer: RobustTrainer,
    makers: Mapping[str, ViewMaker],
    *,
    refresh: Refresh = ONCE,
    victim: Literal["plain", "model"] = "plain",
    extras: tuple[Extra, ...] = ("labels",),
) -> dict[str, GeneratedViews]:
    """A view source for each of ``makers``, by its name; files of ``--view_file`` replace the makers."""
    files = [StoredViews(path) for path in trainer.args.view_file or ()]
    sources: Mapping[str, ViewMaker | StoredViews] = {file.name: file for file in files} or makers
    return {
        name: GeneratedViews(make, refresh=refresh, victim=victim, extras=extras) for name, make in sources.items()
    }


def check_attacks(name: str, attacks: Mapping[str, AttackOrForeign]) -> None:
    """Refuse to make views without an attack, or with one that changes the meaning of its texts."""
    if not attacks:
        raise ValueError(f"{name} needs attacks to make its views, got none; pass attacks=... (--view_attacks).")
    for attack_name, attack in attacks.items():
        if aim_of(attack.describe()).keeps_prediction:
            raise ValueError(
                f"--view_attacks {attack_name} changes the label of its texts, and {name} trains on the labels of the "
                "original texts; choose attacks that keep the meaning, such as textfooler."
            )


def skipped_labels(trainer: RobustTrainer) -> frozenset[int]:
    """Label ids that an antonym leaves true: the trainer's ``skip_labels``, or found by the model's label names.

    Raises:
        ValueError: ``skip_labels`` is None and the label names do not tell.
    """
    labels = trainer.skip_labels
    return labels if labels is not None else resolve_skip_labels(None, checkpoint_names(trainer.model.config))


def attacked_antonyms(trainer: RobustTrainer) -> AttackedAntonym:
    """Obstinate views by the rule of the antonym attack; call ``plan_antonyms`` before the first view is drawn.

    Raises:
        ValueError: the trainer has no antonym attack.
    """
    attack = trainer.attacks.get("antonym")
    if not isinstance(attack, Attack):
        raise ValueError(
            f'{trainer.name} with --antonym_views matched needs the antonym attack; pass attacks={{"antonym": '
            "ATTACKS['antonym'](Resources(antonyms=..., tagger=...))}."
        )
    return AttackedAntonym(attack, Plans(cache_folder() / "plans"), skipped_labels(trainer))


def plan_antonyms(trainer: RobustTrainer) -> None:
    """Plan the antonym attack on all training texts, for each view source that draws from its candidates.

    Raises:
        ValueError: the attack has no candidate in all training texts.
    """
    data, progress = trainer.train_dataset.dataset, trainer.is_world_process_zero() and not trainer.args.disable_tqdm
    for views in trainer.train_dataset.sources.values():
        texts = ((data.text(row), data.label(row), data.read_words(row)) for row in range(len(data)))
        if isinstance(views, AttackedAntonym) and not views.prepare(texts, len(data), progress):
            raise ValueError(
                f"none of the {len(data)} training texts has a word that the model reads and the antonym attack may "
                "change; give a larger --antonym_lexicon (`hf-robust lexicon preview` shows what a table does)."
            )


def planned_epochs(trainer: RobustTrainer) -> int:
    """Number of epochs by the arguments, rounded up."""
    if trainer.args.max_steps <= 0 or trainer.train_dataset is None:
        epochs: float = trainer.args.num_train_epochs
        return max(1, math.ceil(epochs))
    steps, rows = int(trainer.args.max_steps), int(trainer.args.train_batch_size * trainer.args.world_size)
    batches = len(trainer.train_dataset) / rows
    full_batches = math.floor(batches) if trainer.args.dataloader_drop_last else math.ceil(batches)
    updates = max(1, math.ceil(full_batches / int(trainer.args.gradient_accumulation_steps)))
    return math.ceil(steps / updates)


def union_rows(trainer: RobustTrainer, inputs: Batch) -> tuple[Batch, Batch]:
    """A batch without its views, and the batch followed by the ``ok`` rows of its views."""
    main, views = split_views(inputs, trainer.view_names)
    trainable = [trainable_rows(view) for view in views.values()]
    trainable = [view for view in trainable if len(view["labels"])]
    return main, stack_rows([main, *trainable], trainer.processing_class) if trainable else main


def union_loss(trainer: RobustTrainer, model: nn.Module, inputs: Batch, weight: float = 1.0) -> tuple[Tensor, Any]:
    r"""Mean task loss over the training set and its views, by one forward pass over a batch and its views.

    .. math:: L = \frac{1}{B(1+\rho)}\sum_b\Big[\mathrm{CE}(f(x_b),y_b)
              + w\sum_v ok_{bv}\,\mathrm{CE}(f(x'_{bv}),y'_{bv})\Big]

    with ``rho`` = M / N, the number of views for each example of the training set (``trainer.view_share``). L is an
    unbiased estimate of the mean over all N + M rows, for any split of the batches, and equals the task loss if M = 0.
    Views are in the batches of their examples: an epoch has as many updates as in plain training, with B (1 + rho)
    rows on average. The two sums are logged as ``loss_clean`` and ``loss_views``.
    """
    main, rows = union_rows(trainer, inputs)
    scale = 1.0 + trainer.view_share
    if rows is main:
        loss, outputs = trainer.task_loss(model, main)
        trainer.log_parts(clean=loss / scale, views=torch.zeros_like(loss))
        return loss / scale, outputs
    labels = rows.pop("labels")
    outputs = model(**rows)
    losses = trainer.sample_losses(outputs["logits"], labels)
    divisor, count = trainer.mean_divisor(main) * scale, len(main["labels"])
    clean, of_views = losses[:count].sum() / divisor, weight * losses[count:].sum() / divisor
    trainer.log_parts(clean=clean, views=of_views)
    return clean + of_views, outputs


def trainable_rows(view: Batch) -> Batch:
    """The rows of a view that are ``ok``, which training may use."""
    ok = view["ok"].bool()
    return {key: value[ok] for key, value in view.items() if key != "ok" and isinstance(value, torch.Tensor)}
