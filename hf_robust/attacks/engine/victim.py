"""``Victim``: the model under attack, with probabilities and gradients for texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hf_robust.adversary import at_look_ups, word_embeddings
from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.engine.losses import LOSSES, SET_LOSSES
from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.attacks.engine.requests import Columns, Flip, Flips, Floats, Scores
from hf_robust.attacks.engine.seeded import seeded
from hf_robust.attacks.engine.tokens import Aligned, TextTokenizer, check_mask_token
from hf_robust.attacks.engine.vocabulary import Vocabulary, best_flips, whole_words
from hf_robust.data.labels import MULTI
from hf_robust.data.length import usable_length
from hf_robust.metrics.label_sets import MOST_LABELS
from hf_robust.models.padding import write_padding
from hf_robust.models.sharded import gathered
from hf_robust.words import Text

CHUNK = 1024
"""Number of texts tokenised and sorted together: a GPU works on one chunk while the next one is tokenised."""
_BACKWARD = 8
"""Memory of gradients on a GPU as a multiple of a forward pass, since every layer's activations are stored."""
Inference = Callable[[nn.Module, dict[str, Tensor]], Any]


class GradientNorms(NamedTuple):
    """A text's aligned tokens, L1 norms of the tokens' gradients [tokens] and of the words' mean gradients [words]."""

    aligned: Aligned
    tokens: Floats
    words: Floats


class Victim:
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
        rows: dict[bytes, int] = {}
        outputs: list[Tensor] = []
        with self._eval(), torch.inference_mode(), self.autocast():
            for chunk in chunks:
                new: dict[bytes, Encoded] = {}
                for encoded in chunk:
                    key = encoded.key()
                    keys.append(key)
                    if key not in rows:
                        new[key] = encoded
                for part, logits in self._batches(list(new.items())):
                    for key in part:
                        rows[key] = len(rows)
                    outputs.append(logits)
        if not outputs:
            return Scores(np.empty((0, int(getattr(self.model.config, "num_labels", 0))), dtype=np.float32), [])
        with self._timed():
            logits = torch.cat(outputs).cpu()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's logits are not finite, so it cannot be attacked; its training diverged.")
        order = [rows[key] for key in keys]
        probabilities = logits.sigmoid() if self.multi_label else logits.softmax(-1)
        return Scores(probabilities.numpy()[order], keys, logits=logits.numpy()[order])

    def _batches(self, new: Sequence[tuple[bytes, Encoded]]) -> Iterator[tuple[list[bytes], Tensor]]:
        """Yield the keys and the logits of each batch."""

        def work(places: list[int]) -> Tensor:
            batch = self._pad([new[place][1] for place in places])
            with self._timed():
                return self._logits(to_device(batch, self.device))

        for places, logits in self._budget.run([len(encoded.ids) for _, encoded in new], self.device, work):
            self.forwarded += len(places)
            yield [new[place][0] for place in places], logits

    def saliency(self, texts: Sequence[Text], loss: str = "probability") -> list[Floats]:
        r"""Importance of each word: ``|| mean over its pieces of dL/de ||_1``, e the embedding layer's output.

        L is ``loss`` (a key of LOSSES) of the predicted label. A word that truncation removed has importance 0.
        Each batch takes one forward and one backward pass; the parameters' gradients do not change.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        return [norms.words for norms in self.gradient_norms(texts, loss=loss)]

    def gradient_norms(
        self, texts: Sequence[Text], labels: Sequence[int] | None = None, loss: str = "probability"
    ) -> list[GradientNorms]:
        """Gradient norms by token and by word, with the aligned tokens; see ``saliency``.

        Args:
            labels: class ids of the loss; None for the predicted ones.
            loss: a key of LOSSES.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        self.check_saliency()
        norms: dict[int, GradientNorms] = {}
        aligned = [self._tokens.align(text) for text in texts]
        lengths = [len(tokens.encoded.ids) for tokens in aligned]

        def work(places: list[int]) -> np.ndarray[Any, Any]:
            batch = self._pad([aligned[place].encoded for place in places])
            wanted = None if labels is None else torch.tensor([labels[place] for place in places], device=self.device)
            with self._timed():
                return self._embedding_gradients(to_device(batch, self.device), loss, wanted).cpu().numpy()

        share = 1 if self.device.type == "cpu" else _BACKWARD
        for places, gradients in self._budget.run(lengths, self.device, work, share):
            for row, place in enumerate(places):
                unpadded = gradients[row, self._pad.span(lengths[place], gradients.shape[1])]
                by_token = np.abs(unpadded).sum(-1).astype(np.float64)
                norms[place] = GradientNorms(aligned[place], by_token, _by_word(unpadded, aligned[place].positions))
        return [norms[place] for place in range(len(texts))]

    @property
    def mask_token(self) -> str:
        """The tokenizer's mask token.

        Raises:
            ValueError: the tokenizer has no mask token.
        """
        check_mask_token(self.tokenizer)
        return str(self.tokenizer.mask_token)

    def flips(self, requests: Sequence[Flips], loss: str = "probability") -> list[list[Flip]]:
        r"""For each request the flips with the highest estimated loss (``best_flips``); they count as no query.

        The loss is ``loss`` (a key of LOSSES) of the predicted label, the true label until an attack succeeds.
        New words are those of ``vocabulary``, which are one token each. The estimate of a word of several pieces is
        the mean over its pieces, each as if it alone became the new word; the change of length is not estimated. A
        word that truncation removed has no flip. Each batch takes one forward and one backward pass.

        Raises:
            ValueError: the tokenizer is not a fast one, or has no whole words.
        """
        self.check_saliency("flipping words by gradient")
        encodings = [self._tokens.align(request.text) for request in requests]
        embed = word_embeddings(self.model)[0]
        with torch.no_grad():
            table = embed(torch.tensor(self.vocabulary.ids, device=self.device)).float()

        def work(places: list[int]) -> list[list[Flip]]:
            batch = to_device(self._pad([encodings[place].encoded for place in places]), self.device)
            with self._timed(), torch.no_grad():
                gradients, embedded = self._embedding_gradients(batch, loss), embed(batch["input_ids"]).float()
                answers = []
                for row, place in enumerate(places):
                    (encoded, positions, *_), request = encodings[place], requests[place]
                    span = self._pad.span(len(encoded.ids), gradients.shape[1])
                    pieces = {index: positions[index] for index in request.words if positions[index]}
                    ids, embeddings = encoded.ids.tolist(), embedded[row, span]
                    answers.append(
                        best_flips(self.vocabulary, table, gradients[row, span], embeddings, ids, pieces, request.k)
                    )
            return answers

        flips: list[list[Flip]] = [[]] * len(requests)
        lengths = [len(aligned.encoded.ids) for aligned in encodings]
        share = 1 if self.device.type == "cpu" else _BACKWARD
        for places, answers in self._budget.run(lengths, self.device, work, share):
            for place, answer in zip(places, answers, strict=True):
                flips[place] = answer
        return flips

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that ``flips`` can put into a text; computed at the first use."""
        return whole_words(self.tokenizer)

    def _embedding_gradients(self, batch: dict[str, Tensor], loss: str, labels: Tensor | None = None) -> Tensor:
        """Gradients dL/de [n, longest, width], summed over the look-ups of this batch.

        L is ``loss`` of ``labels`` [n], or of the predictions if ``labels`` is None.
        """
        leaves: list[Tensor] = []

        def detach(embeddings: Tensor) -> Tensor:
            leaves.append(embeddings.detach().requires_grad_())
            return leaves[-1]

        # cuDNN's recurrent layers have no backward in eval mode.
        with self._eval(), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
            with self.autocast(), at_look_ups(self.model, batch["input_ids"], detach):
                logits = self._logits(batch)
            # The loss is a sum over the rows, so a row's gradient does not depend on the other rows.
            predicted = logits.detach() > 0 if self.multi_label else logits.detach().argmax(-1)
            losses = SET_LOSSES if self.multi_label else LOSSES
            gradients = torch.autograd.grad(losses[loss](logits, predicted if labels is None else labels), leaves)
        return torch.stack(gradients).sum(0).float()

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


def _by_word(gradients: np.ndarray[Any, Any], positions: Sequence[Sequence[int]]) -> Floats:
    """L1 norm [words] of the mean gradient over each word's token positions; ``gradients`` is [tokens, width]."""
    sums = [np.abs(gradients[list(places)].mean(0)).sum() if places else 0.0 for places in positions]
    return np.asarray(sums, dtype=np.float64)
