"""What every robust trainer shares: accumulation, evaluation on the task loss, views, auxiliary parts, the card.

A method subclasses :class:`RobustTrainer`, declares its config and needs, and overrides ``compute_loss`` only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from transformers import Trainer

from hf_robust.adversary import Adversary, Perturbation, perturbed, sample_norm
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.engine.victim import Inference
from hf_robust.data import VIEW_COLUMNS, PairedCollator, TextDataset, valid_rows
from hf_robust.lexicons import Lexicon
from hf_robust.models.adapter_files import check_saves, save_config
from hf_robust.modules import auxiliary
from hf_robust.modules.auxiliary import AfterStep, Auxiliary
from hf_robust.modules.saved_inference import Fetch, SavedInference, write_saved_inference
from hf_robust.training import restoring
from hf_robust.training.accumulation import say_split_batches
from hf_robust.training.arguments import RobustTrainingArguments, check_lexicons
from hf_robust.training.card_note import complete_card, keeps_card
from hf_robust.training.covered_texts import check_coverage
from hf_robust.training.embedding_space import EmbeddingSpace
from hf_robust.training.generation import GenerateViews, generated_behind
from hf_robust.training.leaving_chance import SayStillAtChance
from hf_robust.training.loss_increase import LossIncrease
from hf_robust.training.plain_victim import PlainTraining
from hf_robust.training.step_means import StepMeans
from hf_robust.views import RefreshViews, ViewedDataset, ViewSource
from hf_robust.words import Protection

Batch = dict[str, Any]


class RobustTrainer(Trainer):
    """A Hugging Face ``Trainer`` whose ``compute_loss`` trains on a robust loss and whose evaluation does not.

    Beside the ``Trainer``'s arguments:

    Args:
        synonyms: lexicon of substitutes that keep the label; needed where ``"synonyms" in needs``.
        antonyms: lexicon of substitutes that change the label; needed where ``"antonyms" in needs``.
        attacks: attacks by name that make the views; needed where ``"attacks" in needs``.
        view_dataset: another split whose texts views are made of, in place of the training set's (a leak).
        skip_labels: label ids that an antonym leaves true (neutral, not duplicate); None: by the model's label names.
        protection: what no view changes (``--protect``); None for nothing.

    ``train_dataset`` must be a :class:`hf_robust.data.TextDataset` for methods that train on other texts of an
    example. ``card_writers`` are called with ``output_dir`` whenever the model card has been written anew;
    ``plain_runs`` says what trainings took that came before the method's own.

    Raises:
        ValueError: a lexicon is missing, the data set holds no texts, or the task is a regression.
    """

    name: ClassVar[str]
    citation: ClassVar[str] = ""
    config: ClassVar[type[RobustTrainingArguments]] = RobustTrainingArguments
    needs: ClassVar[tuple[str, ...]] = ()
    trains_regression: ClassVar[bool] = False
    batch_relative: bool = False
    """Whether the loss depends on which rows share a micro-batch; the log then says so where batches are split."""
    weakened_by: ClassVar[Mapping[str, str]] = {}
    """By the name of a logged value the flag to lower where that value keeps the model from learning its task."""

    train_dataset: Any
    data_collator: Any
    embedding_space: EmbeddingSpace
    """Where a method with an adversary finds it; the others have none."""

    # compute_loss returns the mean over the micro-batch, so the Trainer has to divide by the accumulation steps (X1).
    loss_is_scaled_for_ga = False

    def __init__(
        self,
        *args: Any,
        synonyms: Lexicon | None = None,
        antonyms: Lexicon | None = None,
        attacks: Mapping[str, AttackOrForeign] | None = None,
        view_dataset: TextDataset | None = None,
        skip_labels: frozenset[int] | None = None,
        protection: Protection | None = None,
        **kwargs: Any,
    ) -> None:
        check_lexicons(self.name, self.needs, {"synonyms": synonyms, "antonyms": antonyms})
        self.synonyms, self.antonyms = cast(Lexicon, synonyms), cast(Lexicon, antonyms)
        self.attacks = dict(attacks or {})
        self.view_dataset, self.skip_labels, self.protection = view_dataset, skip_labels, protection
        super().__init__(*args, **kwargs)
        stock_multiplies = bool(vars(self)["model_accepts_loss_kwargs"])
        # transformers 5.17 does not know loss_is_scaled_for_ga; this is the switch that it reads instead (R10).
        self.model_accepts_loss_kwargs = False
        if self.model.config.num_labels == 1 and not self.trains_regression:
            raise ValueError(
                f"{self.name} needs class labels, got a regression task (num_labels 1); use --robust_method normal."
            )
        if self.train_dataset is not None:
            check_saves(self.model, str(self.args.output_dir), self.args.push_to_hub)
        self.card_writers: list[Callable[[Path], None]] = []
        self.means = StepMeans()
        self.increase = LossIncrease(self)
        self.plain_runs: dict[str, PlainTraining] = {}
        self._set_up_views()
        # Without training there is nothing beside the model: what was loaded is the result already.
        self._auxiliary = None if self.train_dataset is None else self.auxiliary()
        if self.model_init is not None and (self._auxiliary is not None or self.adversary() is not None):
            raise ValueError(
                f"{self.name} keeps parts beside its model, which model_init would replace when training starts; "
                "pass model=... in place of model_init."
            )
        if self._auxiliary is not None:
            auxiliary.attach(self.model, self._auxiliary)
            auxiliary.suit_ranks(self, self._auxiliary)
            self.add_callback(AfterStep(self._auxiliary))
        adversary = self.adversary()
        if adversary is not None:
            self.embedding_space = EmbeddingSpace(self, adversary)
        say_split_batches(self, stock_multiplies)
        self.coverage = {} if self.train_dataset is None else check_coverage(self)
        self.callback_handler.callbacks.insert(0, SayStillAtChance(self))  # its pass is none of the step that begins

    # ---- what a method may declare ----

    def view_sources(self) -> Mapping[str, ViewSource]:
        """Other texts of each training example by view name; none by default."""
        return {}

    def auxiliary(self) -> Auxiliary | None:
        """The module that trains beside the classifier; none by default. Not asked for where nothing is trained."""
        return None

    def adversary(self) -> Adversary | None:
        """What perturbs the word embeddings; by default what the arguments describe, or none."""
        describe = getattr(self.args, "adversary", None)
        return describe() if describe is not None else None

    def inference(self, model: nn.Module, batch: Batch) -> Any:
        """The outputs users see: evaluation and the attacks' victim go through here (R14)."""
        return model(**batch)

    def saved_inference(self, folder: Path) -> SavedInference | None:
        """What plain ``from_pretrained`` of ``folder`` lacks of how the run predicts; None where it predicts alike."""
        return None

    @classmethod
    def restored(cls, model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Inference:
        """How a saved ``model`` predicts as in its run, from its files and the ``settings`` of `saved_inference`."""
        raise NotImplementedError(f"{cls.__name__} must override restored where its saved_inference has settings.")

    def exported(self, folder: Path) -> AbstractContextManager[Any]:
        """The model with the weights to be saved to ``folder`` for the length of the block: how a method folds its
        inference into what plain ``from_pretrained`` loads; by default they are the weights in training."""
        return nullcontext()

    def used_arguments(self) -> dict[str, Any]:
        """What took the place of arguments that were left to the method, by argument, for the run card."""
        return {}

    def found_in_training(self) -> dict[str, Any]:
        """What this run's data and seed made of the method's arguments and weights, JSON-ready, for the run card."""
        return dict(self.increase.over_the_run())

    @property
    def inference_settings(self) -> str:
        """The method's own arguments, since predictions may depend on them beside the weights: what was measured under
        others is measured again."""
        shared = RobustTrainingArguments.__dataclass_fields__
        own = (field for field in type(self.args).__dataclass_fields__ if field not in shared)
        return f"({', '.join(f'{field}={getattr(self.args, field)!r}' for field in own)})"

    # ---- losses ----

    def task_loss(
        self, model: nn.Module, batch: Batch, at: Perturbation | None = None, **forward: Any
    ) -> tuple[Tensor, Any]:
        """Mean task loss of a batch with ``labels``: the model's own, or the smoothed or weighted cross-entropy.

        ``at`` is a point in embedding space; None is the clean text.
        """
        noted = self.increase.beside(batch, at)
        with perturbed(self.model, None if at is None else partial(self._perturb, at)):
            return noted(*self._task_loss(model, batch, **forward))

    def _perturb(self, at: Perturbation, embeddings: Tensor) -> Tensor:
        moved = at(embeddings)
        with torch.no_grad():
            # A size means nothing without the embeddings' own, which a model can grow to escape (FGM-3, X19). Both are
            # of the tokens that may be perturbed, and means over all passes that have a point, a point of zeros too.
            self.log_values(
                embedding_norm=sample_norm(embeddings * at.mask).mean(),
                perturbation_norm=sample_norm((moved - embeddings) * at.mask).mean(),
            )
        return moved

    def _task_loss(self, model: nn.Module, batch: Batch, **forward: Any) -> tuple[Tensor, Any]:
        own_loss = self.label_smoother is None and self.args.class_weights is None
        inputs = batch if own_loss else {key: value for key, value in batch.items() if key != "labels"}
        outputs = model(**inputs, **forward) if model.training else self.inference(model, {**inputs, **forward})
        if own_loss:
            return outputs["loss"], outputs
        if self.args.class_weights is None:
            return self.label_smoother(outputs, batch["labels"]), outputs
        return self._weighted_loss(outputs["logits"], batch["labels"]), outputs

    def _weighted_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        weights = self.args.class_weights
        if labels.is_floating_point():
            raise ValueError("--class_weights needs one class for each row, and this task has not: leave it out.")
        if len(weights) != logits.shape[-1]:
            raise ValueError(
                f"--class_weights needs {logits.shape[-1]} values, one for each class, got {len(weights)}."
            )
        return self.sample_losses(logits, labels).sum() / self.mean_divisor({"labels": labels})

    def sample_losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """(B,) task loss of each row, smoothed and weighted as the mean is: what adversaries of the label raise."""
        weights = self.args.class_weights
        if labels.is_floating_point():
            raise ValueError(
                f"{self.name} needs one class for each row, and this task has not; use --robust_method normal."
            )
        return nn.functional.cross_entropy(
            logits.float(),
            labels,
            weight=None if weights is None else torch.tensor(weights, device=logits.device),
            label_smoothing=self.args.label_smoothing_factor,
            reduction="none",
        )

    def mean_divisor(self, batch: Batch) -> float | Tensor:
        """What :meth:`task_loss` divides the sum of :meth:`sample_losses` by: the rows, or their classes' weights."""
        weights = self.args.class_weights
        labels: Tensor = batch["labels"]
        return float(len(labels)) if weights is None else torch.tensor(weights, device=labels.device)[labels].sum()

    def log_parts(self, **parts: Tensor) -> None:
        """Name parts of the loss, the same in every step; their means are logged as ``loss_<name>`` (R16)."""
        self.log_values(**{f"loss_{name}": part for name, part in parts.items()})

    def log_values(self, **values: Tensor) -> None:
        """Name other scalars of a step; their means since the last log entry are logged as they are named."""
        for name, value in values.items():
            self.means.add(name, value)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs.update(self.means.take(partial(self.accelerator.reduce, reduction="sum")))
        super().log(logs, start_time)

    def training_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Tensor:
        """A step of the Trainer's; of a batch with views the share that may be trained on is logged."""
        for name, ok in valid_rows(inputs, self.view_names).items():
            self.means.add(f"view_ok_{name}", ok.to(self.args.device))
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)
        return loss

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must override compute_loss.")

    def _evaluation_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """Evaluate on the task loss of the clean text, whatever ``compute_loss`` trains on (R9), and predict rows
        without labels as they are evaluated: by ``inference`` (R14, X4)."""
        predictor: Any = model
        if not all(inputs.get(name) is not None for name in self.label_names):
            # Without labels the Trainer calls the model itself, past compute_loss and so past ``inference``.
            def predictor(**batch: Any) -> Any:
                return self.inference(model, batch)

        # Shadowing the method on the instance keeps the guard out of every method's compute_loss.
        self.__dict__["compute_loss"] = self._evaluation_loss
        try:
            return super().prediction_step(predictor, inputs, *args, **kwargs)
        finally:
            del self.__dict__["compute_loss"]

    # ---- views ----

    def _set_up_views(self) -> None:
        # Evaluation needs neither views nor what they are made with.
        sources: Mapping[str, ViewSource] = {} if self.train_dataset is None else self.view_sources()
        self.view_names = tuple(sources)
        self.generation: GenerateViews | None = None
        if not sources:
            return
        if not hasattr(self.train_dataset, "texts"):
            raise ValueError(
                f"{self.name} trains on other texts of an example, and a {type(self.train_dataset).__name__} holds "
                "none; wrap the rows in hf_robust.data.TextDataset."
            )
        viewed = ViewedDataset(
            self.train_dataset,
            sources,
            seed=self.args.seed,
            mask_token_id=getattr(self.processing_class, "mask_token_id", None),
            num_labels=self.model.config.num_labels,
        )
        generated = generated_behind(sources)
        if generated:
            self.generation = GenerateViews(self, generated, self.train_dataset, self.data_collator)
            self.add_callback(self.generation)
        self.train_dataset = viewed
        self.data_collator = PairedCollator(self.data_collator, self.view_names)
        self.add_callback(RefreshViews(viewed))

    @property
    def view_share(self) -> float:
        """M / N: generated views that may be trained on now, for each example of the training set."""
        return sum(source.share for source in self.generation.sources.values()) if self.generation else 0.0

    def _set_signature_columns_if_needed(self) -> None:
        # Private in transformers: without it remove_unused_columns drops every view (a test pins it).
        known = self._signature_columns is not None
        super()._set_signature_columns_if_needed()
        if not known:
            self._signature_columns += [f"{view}_{column}" for view in self.view_names for column in VIEW_COLUMNS]

    # ---- auxiliary parts: optimizer, save, resume, best model ----

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        parameters = [] if self._auxiliary is None else self._auxiliary.parameters
        if self._auxiliary is None or self._auxiliary.peer or self.optimizer is not None:
            auxiliary.check_holds(self.optimizer, parameters, self.name)
            return super().create_optimizer(model)
        with auxiliary.detached(self.model):
            optimizer = super().create_optimizer(model)
        auxiliary.join(self._auxiliary, optimizer, self.args.learning_rate, self.name)
        return optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        # Private in transformers: the only place between the backward pass and the step (a test pins it).
        part = self._auxiliary
        if part is None or not (part.peer or part.plain):
            return super()._clip_grad_norm(model)
        with auxiliary.detached(self.model):
            norm = super()._clip_grad_norm(model)
        if part.peer:
            # By torch itself: a second call of accelerate's would unscale fp16 gradients twice.
            nn.utils.clip_grad_norm_(part.parameters, self.args.max_grad_norm)
        return norm

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = Path(output_dir if output_dir is not None else str(self.args.output_dir))
        with auxiliary.detached(self.model), self.exported(folder):
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            save_config(self.model, folder, self.args)
            write_saved_inference(self.saved_inference(folder), folder)
            auxiliary.save(self._auxiliary, folder, self.processing_class)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        restoring.check_checkpoint(self, resume_from_checkpoint)
        with auxiliary.detached(self.model) as module:
            if not restoring.restore(self, resume_from_checkpoint, restoring.RESUME):
                super()._load_from_checkpoint(resume_from_checkpoint, model)
        if module is not None:
            auxiliary.load_state(module, resume_from_checkpoint, restoring.RESUME.broken)
        if self.generation is not None:
            self.generation.resumed_from = Path(resume_from_checkpoint).parent

    def _load_best_model(self) -> None:
        with auxiliary.detached(self.model) as module:
            if not restoring.restore(self, str(self.state.best_model_checkpoint), restoring.BEST):
                super()._load_best_model()
        if module is not None:
            auxiliary.load_state(module, self.state.best_model_checkpoint, restoring.BEST.broken)

    def save_state(self) -> None:
        with restoring.portable(self.state):
            super().save_state()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        if not self.state.global_step and keeps_card(Path(self.args.output_dir)):
            return
        asked = kwargs.get("tags") or []
        tags = [asked] if isinstance(asked, str) else list(asked)
        super().create_model_card(*args, **kwargs)
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        complete_card(folder, self.model, tags, self.saved_inference(folder))
        for write in self.card_writers:
            write(folder)
