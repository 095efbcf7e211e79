"""What a word mask has learnt: which words it keeps, in each epoch, and what it costs in accuracy, at the end."""

from __future__ import annotations

import logging
import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_robust.adversary import Noise, evaluating, kept_random_state
from hf_robust.metrics import sampled_rows
from hf_robust.models.passes import uncounted
from hf_robust.modules.mask_rank import Rank, left_out_importances, rank
from hf_robust.runs import MaskLine, clear_mask_lines, mask_defect, mask_line, write_mask_line
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FLATTrainer

logger = logging.getLogger(__name__)

LEAST_OFTEN = 3
"""Words that the texts looked at have less often are left out: the mask has hardly met them."""
ROWS, DRAWS = 1000, 5
"""Evaluation texts that accuracies are of at most, and sampled masks for each."""
PLACES = 3000
"""Words of training texts that are left out, one by one, to see what the model looks at."""
Predict = Callable[[nn.Module, dict[str, Any]], Any]


class MaskReport(TrainerCallback):
    """Keeps ``word_mask.jsonl`` and says what the mask is worth.

    At the end of each epoch ``phi_mean`` and ``phi_std`` join the log: of the importances of the words that at most
    2,000 training texts hold three times or more, of a word their mean over the places where it stands (the same
    everywhere with ``--mask_input word``). At the end of training ``mask_accuracy_expected`` (at phi, as the model
    predicts), ``mask_accuracy_none`` and ``mask_accuracy_sampled``, the mean over five draws for each text with its
    ``_std``, of at most 1,000 evaluation texts; and ``phi_rank``, the rank correlation of the importances with what
    leaving a word out changes without a mask (:func:`left_out_importances`), of about 3,000 places in training texts.
    No random number of the run's is drawn, and such passes are counted nowhere. A mask that tells no words apart, or
    other words than the model does, is a warning.
    """

    def __init__(self, trainer: FLATTrainer) -> None:
        self.trainer = trainer
        self.line: MaskLine | None = None
        self.accuracies: dict[str, float] = {}
        self.rank: Rank | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.line, self.accuracies, self.rank = None, {}, None
        if state.is_world_process_zero and not state.global_step:
            clear_mask_lines(str(args.output_dir))

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if (line := self._look(state)) is None:
            return
        self.trainer.log({"phi_mean": line["mean"], "phi_std": line["std"]})
        if state.is_world_process_zero:
            write_mask_line(str(args.output_dir), line)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # Of the weights that are kept, which may be an earlier epoch's.
        self.line, self.accuracies, self.rank = self._look(state), self._accuracies(), self._ranked()
        found = self.found()
        numbers = {name: value for name, value in found.items() if name.startswith(("mask_", "phi_rank"))}
        if numbers:
            self.trainer.log(numbers)
        if not state.is_world_process_zero:
            return
        if self.accuracies:
            logger.info(_said_of(self.accuracies))
        if found and (reason := mask_defect(found)):
            logger.warning(
                "The word mask tells no words apart as the model does: %s. What was trained is adv_iter behind noise, "
                "not FLAT: train longer, or try other --flat_beta and --mask_learning_rate.",
                reason,
            )

    def found(self) -> dict[str, Any]:
        """For the run card, once training has ended; empty before that."""
        if self.line is None:
            return {}
        words = {f"phi_{key}": self.line[key] for key in ("mean", "std", "words", "top", "bottom")}
        if self.rank is not None and math.isfinite(self.rank.correlation):
            words |= {"phi_rank": round(self.rank.correlation, 4), "phi_rank_words": self.rank.words}
        return {**words, **{f"mask_{name}": value for name, value in self.accuracies.items()}}

    # ---- words ----

    @property
    def _dataset(self) -> Any:
        return self.trainer.train_dataset.dataset  # without its views

    @cached_property
    def _rows(self) -> list[tuple[int, list[str], list[list[int]]]]:
        """Rows of the training set with their words and the places of their tokens; none where no tokenizer says."""
        data = self._dataset
        if not getattr(data.tokenizer, "is_fast", False):
            name = type(data.tokenizer).__name__
            logger.warning("The importances of words are not reported: %s is no fast tokenizer.", name)
            return []
        texts = ((row, Text(data.texts(row))) for row in sampled_rows(len(data)))
        return [(row, [word.text.lower() for word in text.words], data.word_positions(text)) for row, text in texts]

    def word_importances(self) -> dict[str, float]:
        """phi of each word that is looked at, by word in lower case."""
        trainer, found = self.trainer, defaultdict[str, list[float]](list)
        size = trainer.args.per_device_eval_batch_size
        rows = sorted(self._rows, key=lambda one: len(one[1]))
        with _measuring(trainer):
            for start in range(0, len(rows), size):
                some = rows[start : start + size]
                items = [self._dataset[row] for row, _, _ in some]
                importances = trainer.masking.token_importances(batch_of(trainer, items)).cpu()
                for (_, words, positions), item, values in zip(some, items, importances, strict=True):
                    padded = len(values) - len(item["input_ids"])
                    own = values[padded:] if trainer.processing_class.padding_side == "left" else values
                    for word, places in zip(words, positions, strict=True):
                        if places:
                            found[word].append(float(own[places].max()))
        return {word: statistics.fmean(values) for word, values in found.items() if len(values) >= LEAST_OFTEN}

    def _look(self, state: TrainerState) -> MaskLine | None:
        importances = self.word_importances()
        epoch, texts = float(state.epoch or 0.0), len(self._rows)
        return mask_line(epoch, state.global_step, importances, texts) if importances else None

    def _ranked(self) -> Rank | None:
        # Evenly spread: data are often sorted.
        step = max(1, math.ceil(sum(len(words) for _, words, _ in self._rows) / PLACES))
        texts = [self._dataset.texts(row) for row, _, _ in self._rows[::step]]
        if not texts:
            return None
        return rank(self.word_importances(), left_out_importances(self._logits, texts, LEAST_OFTEN))

    def _logits(self, texts: Sequence[tuple[str, ...]]) -> torch.Tensor:
        """(N, K) on the CPU, without a mask; texts of like length share a batch."""
        items = [self._dataset.encode(columns) for columns in texts]
        order = sorted(range(len(items)), key=lambda place: len(items[place]["input_ids"]))
        size, found = self.trainer.args.per_device_eval_batch_size, dict[int, torch.Tensor]()
        for start in range(0, len(order), size):
            some = order[start : start + size]
            with _measuring(self.trainer):
                logits = unmasked(self.trainer.model, batch_of(self.trainer, [items[place] for place in some]))
            found |= dict(zip(some, logits["logits"].float().cpu(), strict=True))
        return torch.stack([found[place] for place in range(len(items))])

    # ---- accuracies ----

    def _accuracies(self) -> dict[str, float]:
        trainer, data = self.trainer, self.trainer.eval_dataset
        if isinstance(data, dict) or not hasattr(data, "__len__"):
            return {}
        rows = sampled_rows(len(data), ROWS)

        def accuracy(predict: Predict) -> float:
            return float(right(trainer, data, rows, predict).float().mean())

        drawn = [accuracy(sampled(trainer, draw)) for draw in range(1, DRAWS + 1)]
        found = {
            "accuracy_expected": accuracy(trainer.inference),
            "accuracy_none": accuracy(unmasked),
            "accuracy_sampled": statistics.fmean(drawn),
            "accuracy_sampled_std": statistics.stdev(drawn),
            "accuracy_rows": len(rows),
        }
        return {name: round(value, 4) for name, value in found.items()}


def unmasked(model: nn.Module, batch: dict[str, Any]) -> Any:
    """The outputs without a mask."""
    return model(**batch)


def sampled(trainer: FLATTrainer, draw: int) -> Predict:
    """The outputs under the masks of one draw."""
    noise = Noise(trainer.args.seed, trainer.state.global_step, draw)

    def predict(model: nn.Module, batch: dict[str, Any]) -> Any:
        with trainer.masking.sampled(noise):
            return model(**batch)

    return predict


def right(trainer: FLATTrainer, data: Any, rows: Sequence[int], predict: Predict) -> torch.Tensor:
    """(rows,) whether each row of the data is classified correctly, in eval mode."""
    found, size = [], trainer.args.per_device_eval_batch_size
    with _measuring(trainer):
        for start in range(0, len(rows), size):
            batch = batch_of(trainer, [data[row] for row in rows[start : start + size]])
            labels = batch.pop("labels")
            found.append((predict(trainer.model, batch)["logits"].argmax(-1) == labels).cpu())
    return torch.cat(found)


@contextmanager
def _measuring(trainer: FLATTrainer) -> Iterator[None]:
    """Passes in the block are in eval mode and without gradients, counted nowhere, and draw nothing of the run's."""
    precision = trainer.compute_loss_context_manager()
    with uncounted(), torch.no_grad(), kept_random_state(), evaluating(trainer.model), precision:
        yield


def batch_of(trainer: FLATTrainer, items: list[Any]) -> dict[str, Any]:
    """Items of a data set as the Trainer gives them to the model."""
    # Private in transformers: what its own loaders drop of rows that hold more than the model takes.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    return dict(trainer._prepare_inputs(collate(items)))


def _said_of(found: dict[str, float]) -> str:
    return (
        f"The word mask on {found['accuracy_rows']:,} evaluation texts: accuracy {found['accuracy_expected']:.3f} at "
        f"its expectation, as the model predicts, {found['accuracy_none']:.3f} without a mask, "
        f"{found['accuracy_sampled']:.3f} with sampled masks (standard deviation {found['accuracy_sampled_std']:.3f} "
        f"over {DRAWS} draws)."
    )
