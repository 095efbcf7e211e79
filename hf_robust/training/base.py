"""Base class of the training methods, with the facts that a method declares about itself.

A method subclasses :class:`RobustTrainer`, declares its facts, and overrides ``compute_loss`` only. The shared code
is in :mod:`task_loss` (loss and log), :mod:`viewing` (views and evaluation) and :mod:`auxiliary_trainer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from torch import nn

from hf_robust.adversary import Adversary
from hf_robust.attacks.attack import AttackOrForeign
from hf_robust.attacks.engine.victim import Inference
from hf_robust.data import TextDataset
from hf_robust.data.stream import TextStream
from hf_robust.lexicons import Lexicon
from hf_robust.models.adapter_files import check_saves
from hf_robust.models.padding import write_padding
from hf_robust.modules.saved_inference import Fetch
from hf_robust.training import restoring
from hf_robust.training.architectures import check_architecture
from hf_robust.training.arguments import RobustTrainingArguments, check_config, check_lexicons
from hf_robust.training.auxiliary_trainer import AuxiliaryTrainer
from hf_robust.training.card_note import complete_card, keep_training_card
from hf_robust.training.covered_texts import check_coverage
from hf_robust.training.embedding_space import EmbeddingSpace
from hf_robust.training.first_step import TryFirstStep
from hf_robust.training.label_kinds import check_labels
from hf_robust.training.leaving_chance import NearChanceWarning
from hf_robust.training.plain_victim import PlainTraining
from hf_robust.training.sharding import check_sharding
from hf_robust.training.step_passes import Passes, check_repeatable
from hf_robust.training.task_loss import Batch, report_split_batches
from hf_robust.words import Protection

__all__ = ["Batch", "RobustTrainer"]


class RobustTrainer(AuxiliaryTrainer):
    """A Hugging Face ``Trainer`` that trains on a robust loss and evaluates on the plain task loss.

    It takes these arguments in addition to those of ``Trainer``:

    Args:
        synonyms: lexicon of substitutes that keep the label; required if ``"synonyms" in needs``.
        antonyms: lexicon of substitutes that change the label; required if ``"antonyms" in needs``.
        attacks: attacks, by name, that make the views; required if ``"attacks" in needs``.
        view_dataset: another split from whose texts the views are made (a leak); None for the training set.
        skip_labels: label ids that an antonym leaves true (neutral, not duplicate); None: by the model's label names.
        protection: parts of a text that no view changes (``--protect``); None for none.

    ``train_dataset`` must be a :class:`hf_robust.data.TextDataset` for methods that train on views; others also take a
    :class:`hf_robust.data.stream.TextStream`. ``card_writers``
    are called with ``output_dir`` each time the model card has been written. ``plain_runs`` holds time and texts of
    the plain trainings before the robust one.

    Raises:
        ValueError: ``args`` are not of the method's config, a lexicon is missing, the data set has no texts, or the
            labels or the model are of a kind that the method does not train (:func:`check_labels`,
            :func:`check_architecture`).
    """

    name: ClassVar[str]
    """Value of ``--robust_method``; the method's file has this name too."""
    family: ClassVar[str] = ""
    """What the method changes: one of :data:`hf_robust.training.methods.FAMILIES`."""
    citation: ClassVar[str] = ""
    """Key of the paper in ``hf_robust/hub/citations.bib``, or a whole BibTeX entry; empty if there is no paper."""
    config: ClassVar[type[RobustTrainingArguments]] = RobustTrainingArguments
    """Dataclass of the method's arguments, which are its flags."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What the trainer must be given: ``"synonyms"``, ``"antonyms"``, ``"attacks"``."""
    presets: ClassVar[tuple[str, ...]] = ()
    """Files of ``examples/`` with published settings, the paper's own first."""
    zero_strength: ClassVar[Mapping[str, Any] | None] = None
    """Arguments under which training gives the weights of ``normal``, bit for bit; None if no arguments do."""
    plain_inference: ClassVar[Mapping[str, Any]] = {}
    """Arguments under which the method predicts as the plain model does; empty if it does so by default."""
    mid_run: ClassVar[Mapping[str, Any]] = {}
    """Arguments under which the first step does what a step in the middle of a run does: no clean epochs before it."""
    trains_regression: ClassVar[bool] = False
    """Whether the method trains a model with one output and no classes."""
    trains_multi_label: ClassVar[bool] = False
    """Whether the method trains a model that gives a text several labels."""
    trains_lora: ClassVar[bool] = True
    """Whether the method trains a model that has LoRA adapters (``--lora_rank``)."""
    needs_dropout: ClassVar[bool] = False
    """Whether the method refuses a model without dropout."""
    architectures: ClassVar[tuple[str, ...]] = ()
    """Types of the models that the method trains (``config.model_type``); empty for all."""
    batch_relative: bool = False
    """Whether the loss depends on which rows share a micro-batch; if batches are split, a warning says so."""
    row_wise: Mapping[str, Any] = {}
    """Arguments under which splitting a batch into micro-batches changes no gradient, the model's dropout aside."""
    weakened_by: ClassVar[Mapping[str, str]] = {}
    """Logged values that can keep the model from learning its task, each with the flag to lower."""

    embedding_space: EmbeddingSpace
    """The embedding space of the adversary; only methods with an adversary have it."""

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
        check_config(type(self).__name__, self.config, kwargs.get("args", args[1] if len(args) > 1 else None))
        check_lexicons(self.name, self.needs, {"synonyms": synonyms, "antonyms": antonyms})
        self.synonyms, self.antonyms = cast("Lexicon", synonyms), cast("Lexicon", antonyms)
        self.attacks = dict(attacks or {})
        self.view_dataset, self.skip_labels, self.protection = view_dataset, skip_labels, protection
        super().__init__(*args, **kwargs)
        self._let_ranks_read()
        check_sharding(type(self), self.args, trains=self.train_dataset is not None)
        write_padding(self.model, self.processing_class)
        check_architecture(type(self), self.model.config)
        check_labels(self)
        check_repeatable(self)
        if self.train_dataset is not None:
            check_saves(self.model, str(self.args.output_dir), self.args.push_to_hub)
        self.card_writers: list[Callable[[Path], None]] = []
        self.plain_runs: dict[str, PlainTraining] = {}
        self._set_up_views()
        adversary = self.adversary()
        self._set_up_auxiliary(has_adversary=adversary is not None)
        if adversary is not None:
            self.embedding_space = EmbeddingSpace(self, adversary)
        report_split_batches(self)
        self.coverage = {} if self.train_dataset is None else check_coverage(self)
        # First, so that no other callback counts its forward passes for the step that begins.
        self.callback_handler.callbacks.insert(0, NearChanceWarning(self))
        self.add_callback(TryFirstStep(self))

    # ---- further methods to override: view_sources, auxiliary, inference, saved_inference, exported ----

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        """Passes of one training step under ``args`` where every text has its views; by default plain training's."""
        return Passes(1, 1)

    @classmethod
    def needs_whole_model(cls, args: Any) -> str:
        """What the method does with the whole model, so that it cannot train a sharded one; "" if it can."""
        return ""

    @classmethod
    def needs_whole_data(cls, args: Any) -> str:
        """What the method does with all training rows, so that they cannot be streamed; "" if it does nothing."""
        return "makes views of all of them" if cls.view_sources is not RobustTrainer.view_sources else ""

    def adversary(self) -> Adversary | None:
        """The adversary on the word embeddings; by default the one that the arguments describe, or none."""
        describe = getattr(self.args, "adversary", None)
        return describe() if describe is not None else None

    @classmethod
    def restored(cls, model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Inference:
        """The inference function of a saved ``model``, from its files and the ``settings`` of `saved_inference`."""
        raise NotImplementedError(f"{cls.__name__} must override restored if its saved_inference has settings.")

    def used_arguments(self) -> dict[str, Any]:
        """Values that the method chose for arguments without a given value, by argument, for the run card."""
        return {}

    def measured_in_training(self) -> dict[str, Any]:
        """Values of the method that training determined, JSON-ready, for the run card."""
        return dict(self.loss_increase.run_mean())

    @property
    def inference_settings(self) -> str:
        """The method's own arguments as text: predictions may depend on them, so that a change invalidates stored
        measurements."""
        shared = RobustTrainingArguments.__dataclass_fields__
        fields = (field for field in type(self.args).__dataclass_fields__ if field not in shared)
        return f"({', '.join(f'{field}={getattr(self.args, field)!r}' for field in fields)})"

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must override compute_loss.")

    def _let_ranks_read(self) -> None:
        """Let each rank read and collate its own batches of a stream, in the order of a data set in memory.

        By default accelerate lets the first rank do so for all, which fails if batches have lengths of their own.
        """
        dataloaders = self.accelerator.dataloader_config
        if isinstance(self.train_dataset, TextStream) and dataloaders.dispatch_batches is None:
            dataloaders.dispatch_batches = False

    # ---- the state and the card of the run ----

    def save_state(self) -> None:
        with restoring.portable_state(self.state):
            super().save_state()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        if not self.state.global_step and keep_training_card(Path(self.args.output_dir)):
            return
        requested = kwargs.get("tags") or []
        tags = [requested] if isinstance(requested, str) else list(requested)
        super().create_model_card(*args, **kwargs)
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        complete_card(folder, self.model, tags, self.saved_inference(folder), trained=self.state.global_step > 0)
        for write in self.card_writers:
            write(folder)
