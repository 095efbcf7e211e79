"""The model under attack: texts in, probabilities or word importances out."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hf_robust.attacks.batches import Encoded, Padder, packed
from hf_robust.attacks.requests import Columns, Floats, Scores
from hf_robust.words import Text, word_token_positions

CHUNK = 1024
"""Texts that are tokenised and sorted together: a GPU works on one chunk while the next is tokenised."""
_NO_LIMIT = 1_000_000
Inference = Callable[[nn.Module, dict[str, Tensor]], Any]


class Victim:
    """A classifier behind the interface that attacks need, in large batches of little padding.

    Every distinct token sequence of a request goes through the model once, so texts of equal tokens have bitwise
    equal scores. Logits are taken in float32 and their softmax in float64. The model is used in eval mode whatever its
    mode, and is left as it was.

    Args:
        model: a sequence classifier, on its device; not wrapped for data parallelism.
        tokenizer: its tokenizer, with a padding token; gradients by word need a fast one.
        max_length: tokens to which texts are cut; None for what tokenizer and model can take.
        token_budget: padded tokens in one batch.
        autocast: makes the context in which the model runs (``accelerator.autocast``); None for none.
        inference: ``inference(model, batch)`` returns logits, or outputs with ``logits``: how the method predicts
            where that is not ``model(**batch)``. Attacking without it makes every number wrong.

    Attributes:
        queries: texts asked for so far. forwards: batches sent through the model so far.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        token_budget: int = 4096,
        autocast: Callable[[], AbstractContextManager[Any]] | None = None,
        inference: Inference | None = None,
    ) -> None:
        config = getattr(model, "config", None)
        if getattr(config, "num_labels", 2) == 1 or getattr(config, "problem_type", None) == "regression":
            raise ValueError(
                "an attack needs a classifier, got a regression model (num_labels 1); its prediction has no class to "
                "change, so leave --attacks out."
            )
        if token_budget < 1:
            raise ValueError(f"--attack_token_budget must be at least 1, got {token_budget}.")
        self.model, self.tokenizer, self.token_budget = model, tokenizer, token_budget
        self.max_length = _usable_length(tokenizer, config) if max_length is None else max_length
        self.autocast = autocast or nullcontext
        self.inference = inference
        self.queries = self.forwards = 0
        self._pad = Padder(tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter lies."""
        return next(self.model.parameters()).device

    @contextmanager
    def measuring(self, seed: int = 0) -> Iterator[None]:
        """Eval mode and seeded random state inside; every module's mode and every generator as before after it."""
        modes = [(module, module.training) for module in self.model.modules()]
        python, numpy_state = random.getstate(), np.random.get_state()
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices):
                torch.default_generator.manual_seed(seed)
                for device in devices:
                    with torch.cuda.device(device):
                        torch.cuda.manual_seed(seed)
                self.model.eval()
                yield
        finally:
            for module, training in modes:
                module.training = training
            random.setstate(python)
            np.random.set_state(numpy_state)

    def probabilities(self, texts: Sequence[Columns]) -> Floats:
        """Class probabilities [n, K] in float64; a text is a tuple of one or two columns."""
        return self.score(texts).probabilities

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Class probabilities, and the key of each text's tokens.

        Raises:
            ValueError: the model's output is not finite, or has one column.
        """
        self.queries += len(texts)
        device = self.device
        keys: list[bytes] = []
        seen: set[bytes] = set()
        rows: dict[bytes, int] = {}
        outputs: list[Tensor] = []
        with self._eval(), torch.inference_mode(), self.autocast():
            for start in range(0, len(texts), CHUNK):
                new: list[tuple[bytes, Encoded]] = []
                for encoded in self._encode(texts[start : start + CHUNK]):
                    key = encoded.key()
                    keys.append(key)
                    if key not in seen:
                        seen.add(key)
                        new.append((key, encoded))
                for batch in packed([len(encoded.ids) for _, encoded in new], self.token_budget):
                    for place in batch:
                        rows[new[place][0]] = len(rows)
                    outputs.append(self._logits(self._pad([new[place][1] for place in batch], device)))
        if not outputs:
            return Scores(np.empty((0, int(getattr(self.model.config, "num_labels", 0)))), [])
        logits = torch.cat(outputs).cpu().double()
        if not bool(torch.isfinite(logits).all()):
            raise ValueError("the model's logits are not finite, so it cannot be attacked; its training diverged.")
        return Scores(logits.softmax(-1).numpy()[[rows[key] for key in keys]], keys)

    def saliency(self, texts: Sequence[Text]) -> list[Floats]:
        r"""Importance of each word: ``|| mean over its pieces of dL/de ||_1``, e the embedding layer's output.

        L is the cross-entropy of the predicted label. A word that truncation cut off has 0. Takes one forward and one
        backward for each batch; the parameters' gradients are not touched.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        if not getattr(self.tokenizer, "is_fast", False):
            raise ValueError(
                f"ranking words by gradient needs a fast tokenizer, got {type(self.tokenizer).__name__}; "
                "load it with use_fast=True."
            )
        found: list[Floats] = [np.empty(0)] * len(texts)
        encodings = [self._encode_words(text) for text in texts]
        for batch in packed([len(encoded.ids) for encoded, _ in encodings], self.token_budget):
            sequences = [encodings[place][0] for place in batch]
            gradients = self._embedding_gradients(self._pad(sequences, self.device))
            for row, place in enumerate(batch):
                span = self._pad.span(len(sequences[row].ids), gradients.shape[1])
                found[place] = _by_word(gradients[row, span], encodings[place][1])
        return found

    def _embedding_gradients(self, batch: dict[str, Tensor]) -> np.ndarray[Any, Any]:
        """dL/de [n, longest, width], summed over the calls of the embedding layer that embed this very batch."""
        ids = batch["input_ids"]
        leaves: list[tuple[Tensor, bool]] = []

        def detach(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            # XLNet embeds the transposed ids; an inference transform may embed other texts too.
            straight = torch.equal(inputs[0], ids)
            if not straight and not torch.equal(inputs[0], ids.t()):
                return None
            leaf = output.detach().requires_grad_()
            leaves.append((leaf, straight))
            return leaf

        hook = self.model.get_input_embeddings().register_forward_hook(detach)  # type: ignore[operator]
        try:
            # cuDNN's recurrent layers have no backward in eval mode.
            with self._eval(), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
                with self.autocast():
                    logits = self._logits(batch)
                if not leaves:
                    raise ValueError("ranking words by gradient needs a model that embeds its input_ids; none did.")
                # The sum keeps each row's gradient free of the other rows.
                loss = nn.functional.cross_entropy(logits, logits.detach().argmax(-1), reduction="sum")
                found = torch.autograd.grad(loss, [leaf for leaf, _ in leaves])
        finally:
            hook.remove()
        straightened = [one if kept else one.transpose(0, 1) for one, (_, kept) in zip(found, leaves, strict=True)]
        return torch.stack(straightened).sum(0).float().cpu().numpy()

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        self.forwards += 1
        outputs = self.model(**batch) if self.inference is None else self.inference(self.model, batch)
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        if logits.shape[-1] == 1:
            raise ValueError("an attack needs a classifier, got a model of one output; leave --attacks out.")
        return logits.float()

    def _encode(self, texts: Sequence[Columns]) -> list[Encoded]:
        encoding = self._tokenize(texts, return_attention_mask=False)
        types = encoding.get("token_type_ids") or [None] * len(texts)
        return [Encoded(ids, kinds) for ids, kinds in zip(encoding["input_ids"], types, strict=True)]

    def _encode_words(self, text: Text) -> tuple[Encoded, list[list[int]]]:
        encoding = self._tokenize([text.columns], return_offsets_mapping=True)
        types = encoding.get("token_type_ids")
        positions = word_token_positions(text.words, encoding["offset_mapping"][0], encoding.sequence_ids(0))
        return Encoded(encoding["input_ids"][0], types[0] if types else None), positions

    def _tokenize(self, texts: Sequence[Columns], **options: bool) -> Any:
        columns = [list(column) for column in zip(*texts, strict=True)]
        if len(columns) > 2:
            raise ValueError(f"a text has one or two columns, got {len(columns)}; join some of them.")
        return self.tokenizer(*columns, truncation=self.max_length is not None, max_length=self.max_length, **options)

    @contextmanager
    def _eval(self) -> Iterator[None]:
        """Eval mode for one request made outside ``measuring``."""
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
    """L1 norms [words] of the mean gradient over each word's token positions; gradients are [tokens, width]."""
    sums = [np.abs(gradients[list(places)].mean(0)).sum() if places else 0.0 for places in positions]
    return np.asarray(sums, dtype=np.float64)


def _usable_length(tokenizer: Any, config: Any) -> int | None:
    limit = int(min(tokenizer.model_max_length, _NO_LIMIT))
    if limit < _NO_LIMIT:
        return limit
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None or positions < 1:
        return None
    if "roberta" in str(getattr(config, "model_type", "")):
        # RoBERTa's positions start behind the padding id.
        positions -= (getattr(config, "pad_token_id", 0) or 0) + 1
    return int(positions)
