"""Trainer with an auxiliary module: its optimizer group, its gradient clipping, saving and restoring."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hf_robust.models.adapter_files import save_config
from hf_robust.models.sharded import reshard, whole, whole_state
from hf_robust.modules import auxiliary
from hf_robust.modules.auxiliary import AfterStep, Auxiliary
from hf_robust.modules.saved_inference import SavedInference, write_saved_inference
from hf_robust.training import restoring
from hf_robust.training.sharding import average_gradients, keep_whole
from hf_robust.training.task_loss import Batch
from hf_robust.training.viewing import ViewingTrainer


class AuxiliaryTrainer(ViewingTrainer):
    """Trains, saves and restores the module of `auxiliary` together with the model, but does not export it."""

    _auxiliary: Auxiliary | None = None

    def auxiliary(self) -> Auxiliary | None:
        """The module that trains beside the classifier; none by default. Called only if there is training data."""
        return None

    def saved_inference(self, folder: Path) -> SavedInference | None:
        """The difference between the evaluated model and plain ``from_pretrained`` of ``folder``; None without one."""
        return None

    def exported(self, folder: Path) -> AbstractContextManager[Any]:
        """Context in which the model has the weights to save to ``folder``.

        A method folds its inference into these weights, so that plain ``from_pretrained`` loads it. By default they
        are the weights in training.
        """
        return nullcontext()

    def _set_up_auxiliary(self, has_adversary: bool) -> None:
        # Without training the loaded model is already the result.
        self._auxiliary = None if self.train_dataset is None else self.auxiliary()
        if self.model_init is not None and (self._auxiliary is not None or has_adversary):
            raise ValueError(
                f"{self.name} has modules that belong to its model object, which model_init would replace when "
                "training starts; pass model=... in place of model_init."
            )
        if self._auxiliary is not None:
            auxiliary.attach(self.model, self._auxiliary, self.args.device if self.is_fsdp_enabled else None)
            auxiliary.set_up_ddp(self, self._auxiliary)
            self.add_callback(AfterStep(self._auxiliary))
        keep_whole(self, self._auxiliary)

    def forget_passes(self) -> None:
        """Forget what the auxiliary module recorded in passes that no optimizer step follows."""
        if self._auxiliary is not None and self._auxiliary.forget is not None:
            self._auxiliary.forget()

    def training_step(self, model: nn.Module, inputs: Batch, *args: Any, **kwargs: Any) -> Tensor:
        loss = super().training_step(model, inputs, *args, **kwargs)
        if self.accelerator.sync_gradients:
            average_gradients(self, self._auxiliary)
        return loss

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        parameters = [] if self._auxiliary is None else self._auxiliary.parameters
        if self._auxiliary is None or self._auxiliary.peer or self.optimizer is not None:
            auxiliary.check_in_optimizer(self.optimizer, parameters, self.name)
            return super().create_optimizer(model)
        with auxiliary.detached(self.model):
            optimizer = super().create_optimizer(model)
        auxiliary.add_to_optimizer(
            self._auxiliary, optimizer, self.args.learning_rate, self.name, needs_state=self.is_fsdp_enabled
        )
        return optimizer

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        # Private in transformers: the only hook between the backward pass and the optimizer step (a test pins it).
        if self._auxiliary is None or not (self._auxiliary.peer or self._auxiliary.plain_steps):
            return super()._clip_grad_norm(model)
        with auxiliary.detached(self.model):
            norm = super()._clip_grad_norm(model)
        if self._auxiliary.peer:
            # Clip by torch: a second call of accelerate's clipping would unscale fp16 gradients twice.
            nn.utils.clip_grad_norm_(self._auxiliary.parameters, self.args.max_grad_norm)
        return norm

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if not self.is_fsdp_enabled:
            super().save_model(output_dir, _internal_call)
            return
        reshard(self.model)
        # All ranks gather the weights before one of them saves.
        with self.exported(self._folder(output_dir)), auxiliary.detached(self.model):
            super().save_model(output_dir, _internal_call)

    def _folder(self, output_dir: str | None) -> Path:
        return Path(output_dir if output_dir is not None else str(self.args.output_dir))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        folder = self._folder(output_dir)
        if self.is_fsdp_enabled:
            super()._save(output_dir, {name: whole(value) for name, value in (state_dict or {}).items()})
        else:
            with auxiliary.detached(self.model), self.exported(folder):
                super()._save(output_dir, state_dict)
        peer = self._auxiliary is not None and self._auxiliary.peer and self.is_fsdp_enabled
        state = whole_state(self._auxiliary.module) if peer and self._auxiliary is not None else None
        if self.args.should_save:
            save_config(self.model, folder, self.args)
            write_saved_inference(self.saved_inference(folder), folder)
            auxiliary.save(self._auxiliary, folder, self.processing_class, state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        restoring.check_checkpoint(self, resume_from_checkpoint)
        if self.is_fsdp_enabled:
            # FSDP's own file holds the auxiliary module too.
            super()._load_from_checkpoint(resume_from_checkpoint, model)
        else:
            self._restore(resume_from_checkpoint, model)
        if self.generation is not None:
            self.generation.resumed_from = Path(resume_from_checkpoint).parent

    def _restore(self, resume_from_checkpoint: str, model: nn.Module | None) -> None:
        with auxiliary.detached(self.model) as module:
            if not restoring.restore(self, resume_from_checkpoint, restoring.RESUME):
                super()._load_from_checkpoint(resume_from_checkpoint, model)
        if module is not None:
            auxiliary.load_state(module, resume_from_checkpoint, restoring.RESUME.broken)

    def _load_best_model(self) -> None:
        if self.is_fsdp_enabled:
            super()._load_best_model()
            return
        with auxiliary.detached(self.model) as module:
            if not restoring.restore(self, str(self.state.best_model_checkpoint), restoring.BEST):
                super()._load_best_model()
        if module is not None:
            auxiliary.load_state(module, self.state.best_model_checkpoint, restoring.BEST.broken)
