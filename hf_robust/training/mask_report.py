"""Report on a learnt word mask: word importances after each epoch, and its effect on accuracy after training."""

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

from hf_robust.adversary import Noise, evaluating, preserved_random_state
from hf_robust.metrics import sampled_rows
from hf_robust.models.passes import uncounted
from hf_robust.modules.mask_rank import RankCorrelation, leave_one_out_importances, rank_correlation
from hf_robust.runs import MaskLine, clear_mask_lines, mask_defect, mask_line, write_mask_line

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FLATTrainer

logger = logging.getLogger(__name__)

MIN_OCCURRENCES = 3
"""Minimum number of occurrences of a word in the examined texts; rarer words are left out."""
ROWS, DRAWS = 1000, 5
"""Maximum number of evaluation texts for the accuracies, and number of sampled masks for each."""
OCCURRENCES = 3000
"""Approximate number of word occurrences that are deleted, one by one, to measure their importance to the model."""
Predict = Callable[[nn.Module, dict[str, Any]], Any]


class MaskReport(TrainerCallback):
    """Writes ``word_mask.jsonl``, logs the quality of the word mask, and warns about a useless mask.

    After each epoch it logs ``phi_mean`` and ``phi_std``: mean and standard deviation of the importances of the words
    that occur at least three times in at most 2,000 training texts. The importance of a word is the mean over its
    occurrences (they are equal with ``--mask_input word``).

    After training it logs, on at most 1,000 evaluation texts, ``mask_accuracy_expected`` (at phi, as in inference),
    ``mask_accuracy_none`` and ``mask_accuracy_sampled`` (the mean over five sampled masks for each text, with its
    ``_std``). It also logs ``phi_rank``: the rank correlation of the importances with the effect of deleting a word
    without a mask (:func:`leave_one_out_importances`), on about 3,000 word occurrences in training texts.

    The random state is preserved, and the passes are not counted. A warning appears if the importances do not differ
    between words, or do not agree with the model.
    """

    def __init__(self, trainer: FLATTrainer) -> None:
        self.trainer = trainer
        self.line: MaskLine | None = None
        self.accuracies: dict[str, float] = {}
        self.rank: RankCorrelation | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.line, self.accuracies, self.rank = None, {}, None
        if state.is_world_process_zero and not state.global_step:
            clear_mask_lines(str(args.output_dir))

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if (line := self._mask_line(state)) is None:
            return
        self.trainer.log({"phi_mean": line["mean"], "phi_std": line["std"]})
        if state.is_world_process_zero:
            write_mask_line(str(args.output_dir), line)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # The final weights may be those of an earlier epoch.
        self.line, self.accuracies, self.rank = self._mask_line(state), self._accuracies(), self._rank()
        entry = self.card_entry()
        numbers = {name: value for name, value in entry.items() if name.startswith(("mask_", "phi_rank"))}
        if numbers:
            self.trainer.log(numbers)
        if not state.is_world_process_zero:
            return
        if self.accuracies:
            logger.info(_accuracy_message(self.accuracies))
        if entry and (reason := mask_defect(entry)):
            logger.warning(
                "The word mask does not distinguish words as the model does: %s. So the training was adv_iter with "
                "noise, not FLAT: train longer, or try other values of --flat_beta and --mask_learning_rate.",
                reason,
            )

    def card_entry(self) -> dict[str, Any]:
        """The results for the run card; empty before the end of training."""
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
        """Rows of the training set with their words and the token positions of these; needs a fast tokenizer."""
        data = self._dataset
        if not getattr(data.tokenizer, "is_fast", False):
            name = type(data.tokenizer).__name__
            logger.warning("The report on the word mask has no word importances: %s is no fast tokenizer.", name)
            return []
        texts = ((row, data.text(row)) for row in sampled_rows(len(data)))
        return [(row, [word.text.lower() for word in text.words], data.word_positions(text)) for row, text in texts]

    def word_importances(self) -> dict[str, float]:
        """Mean importance phi of each word, in lower case, of the examined texts."""
        trainer, by_word = self.trainer, defaultdict[str, list[float]](list)
        size = trainer.args.per_device_eval_batch_size
        rows = sorted(self._rows, key=lambda row: len(row[1]))
        with _measuring(trainer):
            for start in range(0, len(rows), size):
                batch = rows[start : start + size]
                items = [self._dataset[row] for row, _, _ in batch]
                importances = trainer.masking.token_importances(prepared_batch(trainer, items)).cpu()
                for (_, words, positions), item, values in zip(batch, items, importances, strict=True):
                    padded = len(values) - len(item["input_ids"])
                    unpadded = values[padded:] if trainer.processing_class.padding_side == "left" else values
                    for word, places in zip(words, positions, strict=True):
                        if places:
                            by_word[word].append(float(unpadded[places].max()))
        return {word: statistics.fmean(values) for word, values in by_word.items() if len(values) >= MIN_OCCURRENCES}

    def _mask_line(self, state: TrainerState) -> MaskLine | None:
        importances = self.word_importances()
        epoch, texts = float(state.epoch or 0.0), len(self._rows)
        return mask_line(epoch, state.global_step, importances, texts) if importances else None

    def _rank(self) -> RankCorrelation | None:
        # Evenly spaced rows, because data sets are often sorted.
        step = max(1, math.ceil(sum(len(words) for _, words, _ in self._rows) / OCCURRENCES))
        texts = [self._dataset.texts(row) for row, _, _ in self._rows[::step]]
        if not texts:
            return None
        deletion = leave_one_out_importances(self._logits, texts, MIN_OCCURRENCES)
        return rank_correlation(self.word_importances(), deletion)

    def _logits(self, texts: Sequence[tuple[str, ...]]) -> torch.Tensor:
        """(N, K) logits on the CPU, without a mask; texts of similar length share a batch."""
        items = [self._dataset.encode(columns) for columns in texts]
        order = sorted(range(len(items)), key=lambda index: len(items[index]["input_ids"]))
        size, logits = self.trainer.args.per_device_eval_batch_size, dict[int, torch.Tensor]()
        for start in range(0, len(order), size):
            indices = order[start : start + size]
            batch = prepared_batch(self.trainer, [items[index] for index in indices])
            with _measuring(self.trainer):
                outputs = predict_unmasked(self.trainer.model, batch)
            logits |= dict(zip(indices, outputs["logits"].float().cpu(), strict=True))
        return torch.stack([logits[index] for index in range(len(items))])

    # ---- accuracies ----

    def _accuracies(self) -> dict[str, float]:
        trainer, data = self.trainer, self.trainer.eval_dataset
        if isinstance(data, dict) or not hasattr(data, "__len__"):
            return {}
        rows = sampled_rows(len(data), ROWS)

        def accuracy(predict: Predict) -> float:
            return float(correct_rows(trainer, data, rows, predict).float().mean())

        sampled = [accuracy(predict_sampled(trainer, draw)) for draw in range(1, DRAWS + 1)]
        accuracies = {
            "accuracy_expected": accuracy(trainer.inference),
            "accuracy_none": accuracy(predict_unmasked),
            "accuracy_sampled": statistics.fmean(sampled),
            "accuracy_sampled_std": statistics.stdev(sampled),
            "accuracy_rows": len(rows),
        }
        return {name: round(value, 4) for name, value in accuracies.items()}


def predict_unmasked(model: nn.Module, batch: dict[str, Any]) -> Any:
    """The outputs without a mask."""
    return model(**batch)


def predict_sampled(trainer: FLATTrainer, draw: int) -> Predict:
    """A function that predicts under sampled masks; ``draw`` numbers the samples."""
    noise = Noise(trainer.args.seed, trainer.state.global_step, draw)

    def predict(model: nn.Module, batch: dict[str, Any]) -> Any:
        with trainer.masking.sampled(noise):
            return model(**batch)

    return predict


def correct_rows(trainer: FLATTrainer, data: Any, rows: Sequence[int], predict: Predict) -> torch.Tensor:
    """(rows,) bool, whether the model classifies each of ``rows`` correctly, in eval mode."""
    correct, size = [], trainer.args.per_device_eval_batch_size
    with _measuring(trainer):
        for start in range(0, len(rows), size):
            batch = prepared_batch(trainer, [data[row] for row in rows[start : start + size]])
            labels = batch.pop("labels")
            correct.append((predict(trainer.model, batch)["logits"].argmax(-1) == labels).cpu())
    return torch.cat(correct)


@contextmanager
def _measuring(trainer: FLATTrainer) -> Iterator[None]:
    """Run passes in the block in eval mode, without gradients, uncounted, with preserved random state."""
    precision = trainer.compute_loss_context_manager()
    with uncounted(), torch.no_grad(), preserved_random_state(), evaluating(trainer.model), precision:
        yield


def prepared_batch(trainer: FLATTrainer, items: list[Any]) -> dict[str, Any]:
    """Items of a data set as a batch for the model, prepared by the Trainer."""
    # Private in transformers: the collator that drops columns which the model does not take.
    collate = trainer._get_collator_with_removed_columns(trainer.data_collator)
    return dict(trainer._prepare_inputs(collate(items)))


def _accuracy_message(accuracies: dict[str, float]) -> str:
    return (
        f"The word mask on {accuracies['accuracy_rows']:,} evaluation texts: accuracy "
        f"{accuracies['accuracy_expected']:.3f} with its expectation, as in inference, "
        f"{accuracies['accuracy_none']:.3f} without a mask, {accuracies['accuracy_sampled']:.3f} with sampled masks "
        f"(standard deviation {accuracies['accuracy_sampled_std']:.3f} over {DRAWS} draws)."
    )
