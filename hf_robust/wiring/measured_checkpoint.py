"""Measure a saved model on labelled texts, with the text length and inference of its training."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from hf_robust.attacks import Attack, Example, Victim, attack_dataset, choose_examples, examples_of
from hf_robust.attacks.engine.batches import Encoded
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.data import TextDataset
from hf_robust.data.label_order import permuted_labels
from hf_robust.data.labels import Labels, label_key, same_names
from hf_robust.data.splits import Splits, describe_data
from hf_robust.metrics import AttackSummary, Guessing, wilson_interval
from hf_robust.metrics.means import Mean, mean_interval
from hf_robust.metrics.permutation import confusion, label_permutation
from hf_robust.reports.training_overlap import leaked_splits
from hf_robust.runs import measured_card
from hf_robust.wiring.attack_results import AttackResults
from hf_robust.wiring.checkpoint_attack import AttackOptions, load_classifier, splits_of
from hf_robust.wiring.restored import RestoredInference, restore_inference, training_card


class Outputs(NamedTuple):
    """Outputs of a model for some texts: true label ids [n] in its own numbering, logits [n, K], and the time."""

    labels: np.ndarray[Any, Any]
    logits: np.ndarray[Any, Any]
    seconds: float = 0.0
    steps: int = 0
    """Number of batches in these seconds."""

    @property
    def predictions(self) -> list[int]:
        label_ids: list[int] = self.logits.argmax(-1).tolist()
        return label_ids

    @property
    def correct(self) -> np.ndarray[Any, Any]:
        """1 where the prediction is the label, else 0."""
        correct: np.ndarray[Any, Any] = (self.logits.argmax(-1) == self.labels).astype(np.float64)
        return correct

    @property
    def losses(self) -> np.ndarray[Any, Any]:
        """Cross-entropy of each text, in nats."""
        logits = self.logits.astype(np.float64)
        losses: np.ndarray[Any, Any] = np.logaddexp.reduce(logits, axis=-1) - np.take_along_axis(
            logits, self.labels[:, None], axis=-1
        ).squeeze(-1)
        return losses

    @property
    def accuracy(self) -> Mean:
        """The share of correct predictions with its Wilson interval."""
        correct = int(self.correct.sum())
        return Mean(correct / len(self.labels), *wilson_interval(correct, len(self.labels)))

    @property
    def loss(self) -> Mean:
        return mean_interval(self.losses.tolist())


@dataclass(frozen=True)
class Checkpoint:
    """A loaded model with its data: texts cut at its own length, labels in its own numbering."""

    source: str
    victim: Victim
    splits: Splits
    restored: RestoredInference

    @classmethod
    def load(cls, source: str, data: str, options: AttackOptions) -> Checkpoint:
        """Load the model from the folder or Hub id ``source``; ``options`` set how ``data`` is read and the device.

        Raises:
            ValueError: there is no such model, or the data does not fit it.
        """
        options = dataclasses.replace(options, model=source)
        model, tokenizer = load_classifier(source, options.device)
        restored = restore_inference(source, model, tokenizer)
        splits = splits_of(options, data, model, tokenizer)
        victim = Victim(model, tokenizer, max_length=splits.max_length, inference=restored.inference)
        return cls(source, victim, splits, restored)

    @cached_property
    def dataset(self) -> TextDataset:
        """The labelled rows."""
        return self.splits.labelled("validation")

    def examples(self, count: int, seed: int) -> list[Example]:
        """Draw ``count`` labelled rows by ``seed``, all for 0; the same rows for every model."""
        return choose_examples(self.dataset, count, seed)

    def outputs(self, examples: Sequence[Example], texts: Sequence[tuple[str, ...]] | None = None) -> Outputs:
        """Run the model on the texts of the examples, or on ``texts`` instead of them."""
        with self.victim.measuring():
            scores = self.victim.score([example.texts for example in examples] if texts is None else texts)
        return Outputs(_labels(examples), np.asarray(scores.logits))

    def token_outputs(self, examples: Sequence[Example], sequences: Sequence[Encoded]) -> Outputs:
        """Run the model on token sequences instead of the texts; some are the tokens of no text."""
        with self.victim.measuring():
            scores = self.victim.score_tokens(sequences)
        return Outputs(_labels(examples), np.asarray(scores.logits))

    def timed_outputs(self, examples: Sequence[Example], batch_size: int) -> Outputs:
        """Run and time the model in batches of ``batch_size`` in the order of the rows, as the Trainer evaluates.

        Tokenisation and a first warm-up batch are not timed.
        """
        texts = [example.texts for example in examples]
        sequences = TextTokenizer(self.victim.tokenizer, self.victim.max_length).encode(texts)
        parts = [sequences[start : start + batch_size] for start in range(0, len(sequences), batch_size)]
        with self.victim.measuring():
            self.victim.batch_logits(parts[0])
            start = time.perf_counter()
            logits = [self.victim.batch_logits(part) for part in parts]
            seconds = time.perf_counter() - start
        return Outputs(_labels(examples), np.concatenate(logits), seconds, len(parts))

    def guessing(self, outputs: Outputs) -> Guessing:
        """Compare the model with guessing on these texts."""
        return Guessing.of(outputs.labels.tolist(), outputs.predictions, self.splits.labels.num_labels)

    def permuted(self, outputs: Outputs) -> str:
        """Return a warning if these predictions fit another order of the labels far better, else ""."""
        labels = self.splits.labels
        counts = confusion(outputs.labels.tolist(), outputs.predictions, labels.num_labels)
        return permuted_labels(label_permutation(counts), self.splits.corpus, labels)

    def remarks(self, name: str, outputs: Outputs) -> str:
        """Return warnings about the numbers, in lines that begin with ``name``, or "".

        Labels may be permuted, the plain model was measured, or evaluation texts were trained on.
        """
        splits = " and ".join(leaked_splits(training_card(self.source)))
        leak = f"Leaked: the model was trained on texts of the {splits} split, so its numbers on them are too good."
        sentences = (self.permuted(outputs), self.restored.remark, leak if splits else "")
        return "".join(f"{name}: {sentence.strip()}\n" for sentence in sentences if sentence)

    def attacked(
        self,
        attacks: Mapping[str, Attack],
        examples: Sequence[Example],
        *,
        command_line: list[str],
        seed: int,
        data: Mapping[str, Any],
        label_permutation: str = "",
    ) -> AttackResults:
        """Attack the examples, or those that an attack brings, so that reports can read the results like any other.

        Args:
            data: entries of the run card beside the description of the rows.
            label_permutation: result of `permuted`.
        """
        records = {
            name: attack_dataset(attack, self.victim, examples_of(attack, examples), progress=False)
            for name, attack in attacks.items()
        }
        labels = self.splits.labels
        card = measured_card(
            self.source,
            command_line,
            data={**describe_data(self.splits.corpus, None, self.dataset, labels), **data},
            attacks={name: attack.describe() for name, attack in attacks.items()},
            **labels.describe(),
            seed=seed,
        )
        if label_permutation:
            card["label_permutation"] = label_permutation
        card |= self.restored.card
        summaries = {name: AttackSummary.from_records(found) for name, found in records.items()}
        return AttackResults(records, summaries, attacks, card)

    def describe(self) -> dict[str, Any]:
        """Describe text length, labels and inference, for result files."""
        return {"max_length": self.splits.max_length, **self.splits.labels.describe(), **self.restored.card}


def renumbered(labels: Labels, others: Labels) -> dict[int, int]:
    """Map the label ids of one model to those of another on the same data: by name, else unchanged."""
    if not same_names(labels.names, others.names):
        return {index: index for index in range(len(labels.names))}
    theirs = {label_key(name): index for index, name in enumerate(others.names)}
    return {index: theirs[label_key(name)] for index, name in enumerate(labels.names)}


def _labels(examples: Sequence[Example]) -> np.ndarray[Any, Any]:
    return np.array([example.label for example in examples])
