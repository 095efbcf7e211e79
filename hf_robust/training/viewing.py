"""Trainers that evaluate on the clean task loss, and train on views of each example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from hf_robust.data import VIEW_COLUMNS, PairedCollator, TextDataset, valid_rows
from hf_robust.training.generation import GenerateViews, generated_sources
from hf_robust.training.plain_victim import plain_copy
from hf_robust.training.task_loss import Batch, TaskTrainer
from hf_robust.views import RefreshViews, ViewedDataset, ViewSource


class EvaluatingTrainer(TaskTrainer):
    """Evaluates and predicts by ``inference``, on the task loss of the clean texts."""

    def _evaluation_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the task loss of the clean text for all methods, and predict rows without labels by ``inference``
        too."""
        predictor: Any = model
        if not all(inputs.get(name) is not None for name in self.label_names):
            # Without labels the Trainer calls the model directly, not compute_loss, which uses ``inference``.
            def predictor(**batch: Any) -> Any:
                return self.inference(model, batch)

        # An instance attribute shadows the method, so that no method's compute_loss needs a check for evaluation.
        self.__dict__["compute_loss"] = self._evaluation_loss
        try:
            return super().prediction_step(predictor, inputs, *args, **kwargs)
        finally:
            del self.__dict__["compute_loss"]


class ViewingTrainer(EvaluatingTrainer):
    """Trains on the examples and on their views from `view_sources`."""

    train_dataset: Any
    data_collator: Any
    view_dataset: TextDataset | None
    view_names: tuple[str, ...] = ()
    generation: GenerateViews | None = None
    untrained: nn.Module | None = None
    """A copy of the model before FSDP shards it, from which a plain victim starts; None without FSDP or victim."""

    def view_sources(self) -> Mapping[str, ViewSource]:
        """The view sources of the method, by view name; none by default."""
        return {}

    def _set_up_views(self) -> None:
        # Evaluation needs no views.
        sources: Mapping[str, ViewSource] = {} if self.train_dataset is None else self.view_sources()
        self.view_names = tuple(sources)
        self.generation: GenerateViews | None = None
        if not sources:
            return
        if not hasattr(self.train_dataset, "texts"):
            raise ValueError(
                f"{self.name} makes views from the texts of the data set, and a {type(self.train_dataset).__name__} "
                "has no texts; wrap the rows in hf_robust.data.TextDataset."
            )
        viewed = ViewedDataset(
            self.train_dataset,
            sources,
            seed=self.args.seed,
            mask_token_id=getattr(self.processing_class, "mask_token_id", None),
            num_labels=self.model.config.num_labels,
        )
        generated = generated_sources(sources)
        if generated:
            self.generation = GenerateViews(self, generated, self.train_dataset, self.data_collator)
            self.add_callback(self.generation)
            if self.is_fsdp_enabled and self.generation.trains_victim:
                self.untrained = plain_copy(self.model)
        self.train_dataset = viewed
        self.data_collator = PairedCollator(self.data_collator, self.view_names)
        self.add_callback(RefreshViews(viewed))

    @property
    def view_share(self) -> float:
        """M / N: current number of ``ok`` generated views for each example of the training set."""
        return sum(source.share for source in self.generation.sources.values()) if self.generation else 0.0

    def _set_signature_columns_if_needed(self) -> None:
        # Private in transformers: without it remove_unused_columns drops every view (a test pins it).
        known = self._signature_columns is not None
        super()._set_signature_columns_if_needed()
        if not known:
            self._signature_columns += [f"{view}_{column}" for view in self.view_names for column in VIEW_COLUMNS]

    def training_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Tensor:
        """Run a step of the Trainer, and log the share of ``ok`` rows of each view."""
        for name, ok in valid_rows(inputs, self.view_names).items():
            self.means.add(f"view_ok_{name}", ok.to(self.args.device))
        loss: Tensor = super().training_step(model, inputs, *args, **kwargs)
        return loss
