"""A saved model on labelled texts, as it read and predicted in its training: what it predicts, its loss, its speed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hf_robust.attacks import Example, Victim, choose_examples
from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.data import TextDataset
from hf_robust.data.label_order import permuted_labels
from hf_robust.data.labels import Labels, label_key, same_names
from hf_robust.data.splits import Splits
from hf_robust.metrics import Guessing, wilson_interval
from hf_robust.metrics.means import Mean, mean_interval
from hf_robust.metrics.permutation import confusion, label_permutation
from hf_robust.reports.training_overlap import leaked_splits
from hf_robust.wiring.checkpoint_attack import AttackOptions, load_classifier, splits_of
from hf_robust.wiring.restored import Measured, measured_model, run_behind


class Answers(NamedTuple):
    """What a model says of some texts: label ids [n] of its own numbering, logits [n, K], and how long it took."""

    labels: np.ndarray[Any, Any]
    logits: np.ndarray[Any, Any]
    seconds: float = 0.0
    steps: int = 0
    """Batches that went through in these seconds."""

    @property
    def predictions(self) -> list[int]:
        found: list[int] = self.logits.argmax(-1).tolist()
        return found

    @property
    def right(self) -> np.ndarray[Any, Any]:
        """1 where the prediction is the label, else 0."""
        found: np.ndarray[Any, Any] = (self.logits.argmax(-1) == self.labels).astype(np.float64)
        return found

    @property
    def losses(self) -> np.ndarray[Any, Any]:
        """Cross-entropy of each text, in nats."""
        logits = self.logits.astype(np.float64)
        found: np.ndarray[Any, Any] = np.logaddexp.reduce(logits, axis=-1) - np.take_along_axis(
            logits, self.labels[:, None], axis=-1
        ).squeeze(-1)
        return found

    @property
    def accuracy(self) -> Mean:
        """The share of right predictions with its Wilson interval."""
        right = int(self.right.sum())
        return Mean(right / len(self.labels), *wilson_interval(right, len(self.labels)))

    @property
    def loss(self) -> Mean:
        return mean_interval(self.losses.tolist())


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with the data as it reads it: its own length of texts, and its own numbers of the labels."""

    source: str
    victim: Victim
    splits: Splits
    measured: Measured

    @classmethod
    def load(cls, source: str, data: str, options: AttackOptions) -> Checkpoint:
        """Load the model of the folder or Hub id ``source``; ``options`` say how ``data`` is read and where it runs.

        Raises:
            ValueError: there is no such model, or it and the data do not fit together.
        """
        options = dataclasses.replace(options, model=source)
        model, tokenizer = load_classifier(source, options.device)
        measured = measured_model(source, model, tokenizer)
        splits = splits_of(options, data, model, tokenizer)
        victim = Victim(model, tokenizer, max_length=splits.max_length, inference=measured.inference)
        return cls(source, victim, splits, measured)

    @cached_property
    def dataset(self) -> TextDataset:
        """The labelled rows."""
        return self.splits.labelled("validation")

    def examples(self, count: int, seed: int) -> list[Example]:
        """The labelled rows that are measured: ``count`` drawn by ``seed``, all for 0. The same rows for any model."""
        return choose_examples(self.dataset, count, seed)

    def answers(self, examples: Sequence[Example], texts: Sequence[tuple[str, ...]] | None = None) -> Answers:
        """On the texts of the examples, or on others in their places."""
        with self.victim.measuring():
            scores = self.victim.score([one.texts for one in examples] if texts is None else texts)
        return Answers(_labels(examples), np.asarray(scores.logits))

    def token_answers(self, examples: Sequence[Example], sequences: Sequence[Encoded]) -> Answers:
        """On token sequences in the places of the texts, which no text may give."""
        with self.victim.measuring():
            scores = self.victim.score_tokens(sequences)
        return Answers(_labels(examples), np.asarray(scores.logits))

    def timed_answers(self, examples: Sequence[Example], batch_size: int) -> Answers:
        """In batches of ``batch_size`` in the order of the rows, as the Trainer evaluates; tokenising is not timed,
        nor is a first batch, in which a machine warms up."""
        sequences = TextTokenizer(self.victim.tokenizer, self.victim.max_length).encode(
            [one.texts for one in examples]
        )
        parts = [sequences[start : start + batch_size] for start in range(0, len(sequences), batch_size)]
        with self.victim.measuring():
            self.victim.batch_logits(parts[0])
            start = time.perf_counter()
            logits = [self.victim.batch_logits(part) for part in parts]
            seconds = time.perf_counter() - start
        return Answers(_labels(examples), np.concatenate(logits), seconds, len(parts))

    def guessing(self, answers: Answers) -> Guessing:
        """Whether it is better than guessing on these texts."""
        return Guessing.of(answers.labels.tolist(), answers.predictions, self.splits.labels.num_labels)

    def permuted(self, answers: Answers) -> str:
        """What these predictions say about the order of the labels, as a sentence; mostly nothing."""
        labels = self.splits.labels
        counts = confusion(answers.labels.tolist(), answers.predictions, labels.num_labels)
        return permuted_labels(label_permutation(counts), self.splits.corpus, labels)

    def remarks(self, name: str, answers: Answers) -> str:
        """What to know of its numbers, in lines that begin with ``name``: that labels may be permuted, that the plain
        model was measured, or that evaluation texts were trained on; mostly nothing."""
        splits = " and ".join(leaked_splits(run_behind(self.source)))
        leak = f"Leaked: texts of the {splits} split were trained on, so its numbers on these say nothing of others."
        said = (self.permuted(answers), self.measured.remark, leak if splits else "")
        return "".join(f"{name}: {one.strip()}\n" for one in said if one)

    def describe(self) -> dict[str, Any]:
        """What is noted of it beside its numbers."""
        return {"max_length": self.splits.max_length, **self.splits.labels.describe(), **self.measured.card}


def renumbered(labels: Labels, others: Labels) -> dict[int, int]:
    """From the label ids of one model to those of another on the same data: by name, else as they stand."""
    if not same_names(labels.names, others.names):
        return {index: index for index in range(len(labels.names))}
    theirs = {label_key(name): index for index, name in enumerate(others.names)}
    return {index: theirs[label_key(name)] for index, name in enumerate(labels.names)}


def _labels(examples: Sequence[Example]) -> np.ndarray[Any, Any]:
    return np.array([one.label for one in examples])
