"""Evaluation on the clean task loss, whatever a method trains on."""

from __future__ import annotations

from typing import Any

from torch import nn

from hf_robust.training.task_loss import Batch, TaskTrainer


class EvaluatingTrainer(TaskTrainer):
    """Evaluates and predicts by ``inference``, on the task loss of the texts as they stand."""

    def _evaluation_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = self.task_loss(model, inputs)
        return (loss, outputs) if return_outputs else loss

    def prediction_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Any:
        """Evaluate on the task loss of the clean text, whatever ``compute_loss`` trains on, and predict rows
        without labels as they are evaluated: by ``inference``."""
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
