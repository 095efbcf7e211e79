"""``Victim``: the model under attack, with probabilities and gradients for texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hf_robust.attacks.engine.answers import SharedAnswers
from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.engine.gradients import Gradients
from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.attacks.engine.requests import Columns, Floats, Scores
from hf_robust.attacks.engine.seeded import seeded
from hf_robust.attacks.engine.tokens import TextTokenizer, check_mask_token
from hf_robust.data.labels import MULTI
from hf_robust.data.length import usable_length
from hf_robust.metrics.label_sets import MOST_LABELS
from hf_robust.models.padding import write_padding
from hf_robust.models.sharded import gathered
from hf_robust.words import Text

CHUNK = 1024
"""Number of texts tokenised and sorted together: a GPU works on one chunk while the next one is tokenised."""
Inference = Callable[[nn.Module, dict[str, Tensor]], Any]


class Victim(Gradients):
    """A classifier under attack, run in large batches with little padding.

    Every distinct token sequence of a request goes through the model once, so texts with equal tokens have bitwise
    equal scores. The model runs in eval mode, and its mode is restored. Scores are computed in ``inference_mode`` and,
    like training, inside ``autocast``. Logits are cast to float32, and their softmax (for a model of several labels
    their sigmoid) is computed in float32 on the CPU, as in TextAttack: near 1 the scores ``1 - p`` are equally coarse
    and tie in the same places. A batch that does not fit into memory is halved, and later batches are smaller too.

    Args:
        model: a sequence classifier, on its device; not wrapped for data parallelism. Its configuration gets the
            tokenizer's padding id.
        tokenizer: its tokenizer, with a padding token; gradients by word need a fast one.
        max_length: number of tokens to which texts are truncated; None for the limit of tokenizer and model.
        token_budget: padded tokens in one batch; None for 1,024 on a CPU and 32,768 on other devices.
        autocast: returns the context in which the model runs (``accelerator.autocast``); None for no context.
        inference: ``inference(model, batch)`` returns logits, or outputs with ``logits``; needed for a method that
            does not predict by ``model(**batch)``. Without it every number of such a method is wrong.

    Attributes:
        queries: number of texts scored so far.
        forwarded: number of sequences that went through the model, each distinct one of a request once.
        answers: scores shared by the attacks of one evaluation; ``answers.recalled`` counts passes saved.
        forwards: number of batches that went through the model.
        seconds: time in which the host ran the model, moved tensors or waited for either. On a GPU work is queued
            without waiting, so the time of a request is counted when its answers are fetched.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        token_budget: int | None = None,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
        inference: Inference | None = None,
    ) -> None:
        config = getattr(model, "config", None)
        if getattr(config, "num_labels", 2) == 1 or getattr(config, "problem_type", None) == "regression":
            raise ValueError(
                "an attack needs a classifier, got a regression model (num_labels 1); its prediction has no class to "
                "change, so leave --attacks out."
            )
        num_labels = getattr(config, "num_labels", 2)
        if getattr(config, "problem_type", None) == MULTI and num_labels > MOST_LABELS:
            raise ValueError(
                f"an attack on a model of several labels for each text takes up to {MOST_LABELS} labels, got "
                f"{num_labels}; leave --attacks out."
            )
        write_padding(model, tokenizer)
        self.model, self.tokenizer = model, tokenizer
        self.max_length = usable_length(tokenizer, config) if max_length is None else max_length
        self.autocast = autocast or nullcontext
        self.inference = inference
        self.queries = self.forwards = self.forwarded = 0
        self.seconds = 0.0
        self.answers = SharedAnswers()
        self._budget = TokenBudget(token_budget)
        self._tokens = TextTokenizer(tokenizer, self.max_length)
        self._pad = Padder(tokenizer)

    @property
    def device(self) -> torch.device:
        """The device of the model's first parameter."""
        return next(self.model.parameters()).device

    @property
    def multi_label(self) -> bool:
        """Whether the model gives a text several labels, each with a probability of its own (a sigmoid)."""
        return getattr(getattr(self.model, "config", None), "problem_type", None) == MULTI

    @property
    def labels_only(self) -> bool:
        """False: a model gives scores."""
        return False

    @property
    def num_classes(self) -> int | None:
        """The number of classes by the model's configuration; None for a model without one."""
        return getattr(getattr(self.model, "config", None), "num_labels", None)

    @property
    def token_budget(self) -> int:
        """Maximum number of padded tokens in one batch, after any lowering for lack of memory."""
        return self._budget.tokens(self.device)

    @property
    def transform(self) -> str:
        """Name of a further transform between texts and scores, such as a vote; part of journal keys. "" for none."""
        return ""

    @property
    def can_align(self) -> bool:
        """Whether words can be aligned with tokens, as ``saliency`` and ``flips`` need."""
        return self._tokens.can_align

    def words_read(self, text: Text) -> frozenset[int] | None:
        """Numbers of the words of which the model reads a token; None if nothing is truncated."""
        return self._tokens.words_read(text)

    def readable(self, columns: Columns) -> Columns:
        """The start of each column that holds every token the model reads; see ``TextTokenizer.readable``."""
        return self._tokens.readable(columns)

    def check_saliency(self, purpose: str = "ranking words by gradient") -> None:
        """Raise before a long run if gradients by word cannot be computed.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        if not self.can_align:
            raise ValueError(
                f"{purpose} needs a fast tokenizer, got {type(self.tokenizer).__name__}; load it with use_fast=True."
            )

    @contextmanager
    def measuring(self, seed: int = 0) -> Iterator[None]:
        """Context with eval mode, seeded random states, and all parameters of a sharded model on every rank.

        Afterwards modes and random states are restored. All ranks enter and leave the context together.
        """
        modes = [(module, module.training) for module in self.model.modules()]
        try:
            with gathered(self.model), seeded(seed, self.device):
                self.model.eval()
                yield
        finally:
            for module, training in modes:
                module.training = training

    def probabilities(self, texts: Sequence[Columns]) -> Floats:
        """Class probabilities [n, K] in float32; a text is a tuple of one or two columns."""
        return self.score(texts).probabilities

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Class probabilities, logits and the key of each text's tokens.

        Logits stay on the model's device until all batches are queued, and are then copied at once.

        Raises:
            ValueError: the output is not finite or has one column, or one text alone does not fit into memory.
        """
        self.queries += len(texts)
        return self._score_texts(texts)

    def sequences(self, texts: Sequence[Columns]) -> list[bytes]:
        """The key of each text's tokens, without a query."""
        return [encoded.key() for encoded in self._tokens.encode(texts)]

    def score_tokens(self, sequences: Sequence[Encoded]) -> Scores:
        """Like ``score``, for token sequences, which need not come from a text; ``queries`` counts them too."""
        self.queries += len(sequences)
        return self._score(sequences[start : start + CHUNK] for start in range(0, len(sequences), CHUNK))

    def batch_logits(self, sequences: Sequence[Encoded]) -> Floats:
        """Logits [n, K] of token sequences in one batch, neither split, sorted nor deduplicated.

        It serves to time the cost of a batch in an evaluation.
        """
        with self._eval(), torch.inference_mode(), self.autocast():
            logits: Floats = self._logits(to_device(self._pad(sequences), self.device)).cpu().numpy()
        return logits

    def _score_texts(self, texts: Sequence[Columns]) -> Scores:
        return self._score(self._tokens.encode(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK))

    def _score(self, chunks: Iterable[Sequence[Encoded]]) -> Scores:
        keys: list[bytes] = []
        new: dict[bytes, None] = {}
        known: dict[bytes, None] = {}
        outputs: list[Tensor] = []
        with self._eval(), torch.inference_mode(), self.autocast():
            for chunk in chunks:
                keys_of_chunk = [encoded.key() for encoded in chunk]
                keys += keys_of_chunk
                known.update((key, None) for key in keys_of_chunk if key in self.answers)
                wanted = dict(zip(keys_of_chunk, chunk, strict=True))
                waiting = [(key, encoded) for key, encoded in wanted.items() if key not in new and key not in known]
                for part, logits in self._batches(waiting):
                    new.update(dict.fromkeys(part))
                    outputs.append(logits)
        if not keys:
            return Scores(np.empty((0, int(getattr(self.model.config, "num_labels", 0))), dtype=np.float32), [])
        rows = {key: row for row, key in enumerate((*known, *new))}
        logits = torch.cat([*self._recalled(list(known)), *self._computed(list(new), outputs)])
        order = [rows[key] for key in keys]
        probabilities = logits.sigmoid() if self.multi_label else logits.softmax(-1)
        return Scores(probabilities.numpy()[order], keys, logits=logits.numpy()[order])

    def _recalled(self, keys: Sequence[bytes]) -> list[Tensor]:
        return [torch.from_numpy(self.answers.recall(keys))] if keys else []

    def _computed(self, keys: Sequence[bytes], outputs: Sequence[Tensor]) -> list[Tensor]:
        """The logits [n, K] of all batches, on the CPU."""
        if not outputs:
            return []
        with self._timed():
            logits = torch.cat(list(outputs)).cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's logits are not finite, so it cannot be attacked; its training diverged.")
        self.answers.keep(keys, logits.numpy())
        return [logits]

    def _batches(self, new: Sequence[tuple[bytes, Encoded]]) -> Iterator[tuple[list[bytes], Tensor]]:
        """Yield the keys and the logits of each batch."""

        def work(places: list[int]) -> Tensor:
            batch = self._pad([new[place][1] for place in places])
            with self._timed():
                return self._logits(to_device(batch, self.device))

        for places, logits in self._budget.run([len(encoded.ids) for _, encoded in new], self.device, work):
            self.forwarded += len(places)
            yield [new[place][0] for place in places], logits

    @property
    def mask_token(self) -> str:
        """The tokenizer's mask token.

        Raises:
            ValueError: the tokenizer has no mask token.
        """
        check_mask_token(self.tokenizer)
        return str(self.tokenizer.mask_token)

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        outputs = self.model(**batch) if self.inference is None else self.inference(self.model, batch)
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        if logits.shape[-1] == 1:
            raise ValueError("an attack needs a classifier, got a model with one output; leave --attacks out.")
        self.forwards += 1
        return logits.float()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    @contextmanager
    def _eval(self) -> Iterator[None]:
        """Context with eval mode, for a request outside ``measuring``."""
        if not self.model.training:
            yield
            return
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
