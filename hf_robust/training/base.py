"""Base class of the training methods, with the facts that a method declares about itself.

A method subclasses :class:`RobustTrainer`, declares its facts, and overrides ``compute_loss`` only. The shared code
has a file for each job: :mod:`task_loss` (loss and log), :mod:`viewing` (views and evaluation), :mod:`parts`
(auxiliary modules).
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
from hf_robust.lexicons import Lexicon
from hf_robust.models.adapter_files import check_saves
from hf_robust.modules.saved_inference import Fetch
from hf_robust.training import restoring
from hf_robust.training.arguments import RobustTrainingArguments, check_lexicons
from hf_robust.training.card_note import complete_card, keeps_card
from hf_robust.training.covered_texts import check_coverage
from hf_robust.training.embedding_space import EmbeddingSpace
from hf_robust.training.leaving_chance import SayStillAtChance
from hf_robust.training.parts import PartsTrainer
from hf_robust.training.plain_victim import PlainTraining
from hf_robust.training.step_passes import Passes
from hf_robust.training.task_loss import Batch, say_split_batches
from hf_robust.words import Protection

__all__ = ["Batch", "RobustTrainer"]


class RobustTrainer(PartsTrainer):
    """A Hugging Face ``Trainer`` whose ``compute_loss`` trains on a robust loss and whose evaluation does not.

    It takes the ``Trainer``'s arguments and these:

    Args:
        synonyms: lexicon of substitutes that keep the label; required if ``"synonyms" in needs``.
        antonyms: lexicon of substitutes that change the label; required if ``"antonyms" in needs``.
        attacks: attacks by name that make the views; required if ``"attacks" in needs``.
        view_dataset: another split whose texts views are made of, instead of the training set (a leak).
        skip_labels: ids of labels that stay true under an antonym (neutral, not duplicate); None derives them from the
            model's label names.
        protection: words that no view changes (``--protect``); None for no such words.

    ``train_dataset`` must be a :class:`hf_robust.data.TextDataset` for methods that train on views. Each of
    ``card_writers`` is called with ``output_dir`` after the model card was written; ``plain_runs`` has the seconds and
    texts of plain trainings before the method's own.

    Raises:
        ValueError: a lexicon is missing, the data set has no texts, or the task is a regression.
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
    trains_lora: ClassVar[bool] = True
    """Whether the method trains a model that has LoRA adapters (``--lora_rank``)."""
    batch_relative: bool = False
    """Whether the loss depends on which rows share a micro-batch; the log then says so if batches are split."""
    row_wise: ClassVar[Mapping[str, Any]] = {}
    """Arguments under which splitting a batch into micro-batches changes no gradient, the model's dropout aside."""
    weakened_by: ClassVar[Mapping[str, str]] = {}
    """Name of a logged value -> the flag to lower if that value keeps the model from learning its task."""

    embedding_space: EmbeddingSpace
    """The embedding space of a method with an adversary; other methods have none."""

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
        self.synonyms, self.antonyms = cast("Lexicon", synonyms), cast("Lexicon", antonyms)
        self.attacks = dict(attacks or {})
        self.view_dataset, self.skip_labels, self.protection = view_dataset, skip_labels, protection
        super().__init__(*args, **kwargs)
        if self.model.config.num_labels == 1 and not self.trains_regression:
            raise ValueError(
                f"{self.name} needs class labels, got a regression task (num_labels 1); use --robust_method normal."
            )
        if self.train_dataset is not None:
            check_saves(self.model, str(self.args.output_dir), self.args.push_to_hub)
        self.card_writers: list[Callable[[Path], None]] = []
        self.plain_runs: dict[str, PlainTraining] = {}
        self._set_up_views()
        adversary = self.adversary()
        self._set_up_parts(beside=adversary is not None)
        if adversary is not None:
            self.embedding_space = EmbeddingSpace(self, adversary)
        say_split_batches(self)
        self.coverage = {} if self.train_dataset is None else check_coverage(self)
        self.callback_handler.callbacks.insert(0, SayStillAtChance(self))  # before callbacks that count passes

    # ---- what a method may declare, beside view_sources, auxiliary, inference, saved_inference and exported ----

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        """Passes of one training step under ``args`` where every text has its views; by default plain training's."""
        return Passes(1, 1)

    def adversary(self) -> Adversary | None:
        """The adversary that perturbs the word embeddings, by default that of the arguments; None if there is none."""
        describe = getattr(self.args, "adversary", None)
        return describe() if describe is not None else None

    @classmethod
    def restored(cls, model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Inference:
        """The inference that a saved ``model`` had in its run, by its files and the `saved_inference` settings."""
        raise NotImplementedError(f"{cls.__name__} must override restored, since its saved_inference has settings.")

    def used_arguments(self) -> dict[str, Any]:
        """Values of arguments that were left to the method, by argument, for the run card."""
        return {}

    def found_in_training(self) -> dict[str, Any]:
        """Values that this run measured or learnt, JSON-ready, for the run card."""
        return dict(self.increase.over_the_run())

    @property
    def inference_settings(self) -> str:
        """The method's own arguments, on which predictions may depend besides the weights; a measurement under other
        arguments is not reused."""
        shared = RobustTrainingArguments.__dataclass_fields__
        own = (field for field in type(self.args).__dataclass_fields__ if field not in shared)
        return f"({', '.join(f'{field}={getattr(self.args, field)!r}' for field in own)})"

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must override compute_loss.")

    # ---- the state and the card of the run ----

    def save_state(self) -> None:
        with restoring.portable(self.state):
            super().save_state()

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        if not self.state.global_step and keeps_card(Path(self.args.output_dir)):
            return
        tags = kwargs.get("tags") or []
        tags = [tags] if isinstance(tags, str) else list(tags)
        super().create_model_card(*args, **kwargs)
        if not self.is_world_process_zero():
            return
        folder = Path(self.args.output_dir)
        complete_card(folder, self.model, tags, self.saved_inference(folder))
        for write in self.card_writers:
            write(folder)
