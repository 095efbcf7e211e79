"""Wrapper of the explained classifier: tokenises texts with their words, and computes logits without side effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DataCollatorWithPadding

from hf_robust.adversary import evaluating, preserved_random_state
from hf_robust.data.length import usable_length
from hf_robust.models.padding import write_padding
from hf_robust.words import UNICODE_WORDS, Text, WordRule, word_token_positions

Columns = Sequence[str]
Predict = Callable[[nn.Module, dict[str, Tensor]], Any]


@dataclass(frozen=True)
class TokenizedText:
    """One text as tokens.

    Attributes:
        inputs: ``input_ids`` and, if the tokenizer returns them, ``token_type_ids``; all of the same length.
        special: for each token, whether it is a special token.
        words: for each word of the text, the positions of its tokens; empty if truncation cut it off.
    """

    inputs: dict[str, list[int]]
    special: list[bool]
    words: list[list[int]]
    text: Text

    @property
    def covered(self) -> list[int]:
        """Indices of the words that have a token."""
        return [index for index, positions in enumerate(self.words) if positions]


class Reader:
    """A classifier with the functions that attributions need.

    Args:
        model: sequence classifier on its device, not wrapped for data parallelism.
        tokenizer: its fast tokenizer, with a padding token.
        max_length: maximum length in tokens; None for the limit of the tokenizer.
        predict: prediction function of the method (``inference`` of a trainer), if it is not ``model(**batch)``;
            ``predict(model, batch)`` returns logits, or outputs with ``logits``.

    Raises:
        ValueError: the tokenizer is not a fast one, or has no padding token.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, max_length: int | None, predict: Predict | None) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"attributions by word need a fast tokenizer, got {type(tokenizer).__name__}; load it with "
                "use_fast=True."
            )
        if tokenizer.pad_token_id is None:
            raise ValueError(
                "attributions need a tokenizer with a padding token, and this one has none; set tokenizer.pad_token "
                "and model.config.pad_token_id."
            )
        write_padding(model, tokenizer)
        self.model, self.tokenizer, self.predict = model, tokenizer, predict
        self.max_length = max_length or usable_length(tokenizer, getattr(model, "config", None))

    @cached_property
    def _collate(self) -> DataCollatorWithPadding:
        return DataCollatorWithPadding(self.tokenizer)

    @property
    def device(self) -> torch.device:
        """Device of the model's first parameter."""
        return next(self.model.parameters()).device

    def tokens(self, columns: Columns, rule: WordRule = UNICODE_WORDS) -> TokenizedText:
        """Tokenise one text, or pair of texts, with the positions of its words by ``rule``.

        Raises:
            ValueError: the text has no column, or more than two.
        """
        if isinstance(columns, str) or not 1 <= len(columns) <= 2:
            raise ValueError(f"a text is a sequence of one or two columns, got {columns!r:.80}.")
        text = Text(tuple(columns), rule)
        options = {"truncation": self.max_length is not None, "max_length": self.max_length}
        encoding = self.tokenizer(*([column] for column in columns), return_offsets_mapping=True, **options)
        inputs = {name: encoding[name][0] for name in ("input_ids", "token_type_ids") if name in encoding}
        sequences = encoding.sequence_ids(0)
        words = word_token_positions(text.words, encoding["offset_mapping"][0], sequences)
        return TokenizedText(inputs, [column is None for column in sequences], words, text)

    def batch(self, inputs: Sequence[dict[str, list[int]]]) -> dict[str, Tensor]:
        """Token sequences padded to the longest, on the model's device."""
        rows = [{**one, "attention_mask": [1] * len(one["input_ids"])} for one in inputs]
        return {name: tensor.to(self.device) for name, tensor in self._collate(rows).items()}

    def logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits [n, K] in float32.

        Raises:
            ValueError: the model has a single output, so there are no classes to explain.
        """
        outputs = self.model(**batch) if self.predict is None else self.predict(self.model, batch)
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        if logits.shape[-1] == 1:
            raise ValueError("attributions are for classes, and this model has a single output; use a classifier.")
        return logits.float()

    def all_logits(self, inputs: Sequence[dict[str, list[int]]], batch_size: int) -> Tensor:
        """Logits [n, K] on the CPU in the order of ``inputs``; batches have similar lengths, to reduce padding."""
        order = sorted(range(len(inputs)), key=lambda place: len(inputs[place]["input_ids"]))
        rows: list[Tensor] = [torch.empty(0)] * len(inputs)
        with torch.no_grad():
            for start in range(0, len(order), batch_size):
                places = order[start : start + batch_size]
                for place, row in zip(places, self.logits(self.batch([inputs[i] for i in places])).cpu(), strict=True):
                    rows[place] = row
        return torch.stack(rows)

    @contextmanager
    def measuring(self, seed: int = 0) -> Iterator[None]:
        """Context with eval mode and a seeded random state; modes and random states are restored afterwards."""
        with preserved_random_state(), evaluating(self.model):
            torch.manual_seed(seed)
            yield


def predicted_labels(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[Columns],
    *,
    max_length: int | None = None,
    predict: Predict | None = None,
    batch_size: int = 64,
) -> list[int]:
    """Predicted class id of each text, a tuple of one or two columns."""
    reader = Reader(model, tokenizer, max_length, predict)
    if not texts:
        return []
    with reader.measuring():
        logits = reader.all_logits([reader.tokens(text).inputs for text in texts], batch_size)
    return [int(label) for label in logits.argmax(-1)]
