"""adv_iter: in several rounds, attack the model in training and train on the texts that fool it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hf_robust.models import WordModel
from hf_robust.models.architecture import without_peft
from hf_robust.training.arguments import check_range
from hf_robust.training.base import Batch, RobustTrainer
from hf_robust.training.follow import FollowArguments, Reading
from hf_robust.training.step_passes import Passes, union_passes
from hf_robust.training.text_views import attacked_views, planned_epochs, union_loss
from hf_robust.training.view_arguments import AttackedViewArguments
from hf_robust.views import Refresh, ViewSource
from hf_robust.views.attacked import DROP, FAILED_VIEWS, LAST

logger = logging.getLogger(__name__)


READINGS = {"failed_views": Reading(DROP, LAST)}


@dataclass
class RoundArguments(FollowArguments, AttackedViewArguments):
    """When the model in training is attacked: 3 to 5 times in FLAT, whose code attacks before epochs 10, 20 and 30."""

    n_rounds: int = field(
        default=3, metadata={"help": "Number of rounds of attacking and training, after the clean epochs."}
    )
    clean_epochs: int | None = field(
        default=None,
        metadata={"help": "Epochs on clean texts before the first round. Default: --epochs_per_round."},
    )
    epochs_per_round: int | None = field(
        default=None, metadata={"help": "Epochs between attacks. Default: all epochs / (--n_rounds + 1)."}
    )

    failed_views: str | None = field(  # type: ignore[assignment]
        default=None,
        metadata={
            "help": "View of a text whose attack failed. drop: none; clean: the text itself; last: the text at "
            f"which the search ended. {READINGS['failed_views'].words}",
            "choices": list(FAILED_VIEWS),
        },
    )

    @staticmethod
    def readings() -> Mapping[str, Reading]:
        return READINGS

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("n_rounds", self.n_rounds, 0, None, "0 trains on clean texts alone")
        if self.clean_epochs is not None:
            check_range("clean_epochs", self.clean_epochs, 0, None, "0 attacks before the first epoch")
        if self.epochs_per_round is not None:
            check_range("epochs_per_round", self.epochs_per_round, 1, None, "1 attacks before each epoch")
        if self.view_victim is not None:
            raise ValueError(
                f"--view_victim {self.view_victim} has no effect here: {self.robust_method} attacks the model in "
                "training; leave it out."
            )

    def rounds(self, epochs: int) -> Refresh:
        """The policy for a run of ``epochs`` epochs.

        Raises:
            ValueError: the first round would come after the last epoch.
        """
        each = self.epochs_per_round or max(1, epochs // (self.n_rounds + 1))
        first = each if self.clean_epochs is None else self.clean_epochs
        if self.n_rounds and first >= epochs:
            raise ValueError(
                f"{self.robust_method} first attacks after {first} clean epochs, and the run has {epochs}; raise "
                "--num_train_epochs or lower --clean_epochs."
            )
        done = sum(first + number * each < epochs for number in range(self.n_rounds))
        if done < self.n_rounds:
            logger.warning("Only %d of --n_rounds %d fit into the %d epochs of the run.", done, self.n_rounds, epochs)
        return Refresh(first, each, self.n_rounds)


def used_rounds(trainer: RobustTrainer) -> dict[str, Any]:
    """First epoch and interval of the rounds of a trainer with ``RoundArguments``, for the run card."""
    sources = () if trainer.generation is None else trainer.generation.sources.values()
    return {
        key: value
        for source in sources
        for key, value in (("clean_epochs", source.refresh.first), ("epochs_per_round", source.refresh.every))
    }


def round_loss(trainer: Any, model: nn.Module, inputs: Batch) -> tuple[Tensor, Any]:
    """:func:`union_loss`; for the LSTM and the CNN under ``--follow code`` the cross-entropy of a softmax of a
    softmax, since the models of FLAT's code return probabilities."""
    net = without_peft(trainer.model)
    if not (trainer.args.follow_code and isinstance(net, WordModel)):
        return union_loss(trainer, model, inputs)
    with _softmax_behind(net.classifier):
        return union_loss(trainer, model, inputs)


@contextmanager
def _softmax_behind(layer: nn.Module) -> Iterator[None]:
    handle = layer.register_forward_hook(lambda module, args, logits: logits.softmax(-1))
    try:
        yield
    finally:
        handle.remove()


@dataclass
class AdvIterConfig(RoundArguments):
    """The rounds are the only arguments."""

    code_reading = "UVa-NLP/FLAT: the LSTM and the CNN take the cross-entropy of a softmax of a softmax"


class AdvIterTrainer(RobustTrainer):
    r"""Chen and Ji 2022 (FLAT), arXiv:2203.12709, Eq. 5: the "-adv" models that FLAT is compared with.

    .. math:: \min_\theta \frac{1}{|D\cup D'_t|}\sum_{(x,y)\in D\cup D'_t}\mathrm{CE}(f_\theta(x), y)

    ``x`` is (B, L) token ids and ``y`` (B,) class ids. D'_t holds the texts by which the attack fools the weights of
    the beginning of round t, and replaces D'_{t-1}; with ``--view_fraction`` below 1 each round draws anew which texts
    it attacks. One forward and one backward a step, of up to twice the rows. ``--load_best_model_at_end`` chooses
    among checkpoints after the first round.

    Differs from the paper and its code: the number of rounds is a flag (the text says 3 to 5, the README's settings
    give 2 or 3); a failed attack gives no view. ``--follow code`` also trains on the texts where failed attacks ended
    and, for the LSTM and the CNN, takes the cross-entropy of a softmax of a softmax. ``flat`` has the same flags, and
    so the same budget.
    """

    name = "adv_iter"
    family = "attacked or masked texts"
    citation = "chen2022flat"
    config = AdvIterConfig
    needs = ("attacks",)
    presets = ("adv_iter.json", "adv_iter_code.json", "adv_iter_lstm.json", "adv_iter_cnn.json")
    zero_strength = {"view_fraction": 0.0}
    mid_run = {"clean_epochs": 0}
    weakened_by = {"loss_views": "view_fraction"}

    if TYPE_CHECKING:
        args: RoundArguments

    @classmethod
    def step_passes(cls, args: Any) -> Passes:
        return union_passes(args)

    def view_sources(self) -> Mapping[str, ViewSource]:
        args, net = self.args, without_peft(self.model)
        if args.follow_code and args.failed_views == DROP and not isinstance(net, WordModel):
            raise ValueError(
                f"--follow code with --failed_views {DROP} has no effect on a {type(net).__name__}; leave out one "
                "of the two."
            )
        return attacked_views(self, refresh=self.args.rounds(planned_epochs(self)), victim="model")

    def used_arguments(self) -> dict[str, Any]:
        return used_rounds(self)

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        loss, outputs = round_loss(self, model, inputs)
        return (loss, outputs) if return_outputs else loss
