"""The model under attack: texts in, probabilities or word importances out."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hf_robust.attacks.engine.batches import Encoded, Padder, moved
from hf_robust.attacks.engine.losses import LOSSES
from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.attacks.engine.requests import Columns, Flip, Flips, Floats, Scores
from hf_robust.attacks.engine.tokens import Aligned, Tokens, check_mask_token
from hf_robust.attacks.engine.vocabulary import Vocabulary, best_flips, whole_words
from hf_robust.data.length import usable_length
from hf_robust.words import Text

CHUNK = 1024
"""Texts that are tokenised and sorted together: a GPU works on one chunk while the next is tokenised."""
_BACKWARD = 8
"""How many times the memory of a forward the gradients take on a GPU, since every layer's activations are kept."""
Inference = Callable[[nn.Module, dict[str, Tensor]], Any]


class Salience(NamedTuple):
    """A text's tokens, the L1 norm of each token's gradient [tokens] and of each word's mean gradient [words]."""

    aligned: Aligned
    tokens: Floats
    words: Floats


class Victim:
    """A classifier behind the interface that attacks need, in large batches of little padding.

    Every distinct token sequence of a request goes through the model once, so texts of equal tokens have bitwise
    equal scores. The model runs in eval mode whatever its mode, and is left as it was; scores are taken in
    ``inference_mode`` and, like training, inside ``autocast``. Logits are cast to float32, and their softmax is taken
    in float32 on the CPU, as TextAttack does: near 1 the scores ``1 - p`` are as coarse, and tie where they tie there.
    A batch that does not fit into memory is halved, and the smaller size kept.

    Args:
        model: a sequence classifier, on its device; not wrapped for data parallelism.
        tokenizer: its tokenizer, with a padding token; gradients by word need a fast one.
        max_length: tokens to which texts are cut; None for what tokenizer and model can take.
        token_budget: padded tokens in one batch; None for 1,024 on a CPU and 32,768 elsewhere.
        autocast: makes the context in which the model runs (``accelerator.autocast``); None for none.
        inference: ``inference(model, batch)`` returns logits, or outputs with ``logits``: how the method predicts
            where that is not ``model(**batch)``. Attacking without it makes every number wrong.

    Attributes:
        queries: texts asked for so far. forwarded: sequences that went through the model for them, each distinct one
            of a request once. forwards: batches that went through.
        seconds: time in which the host ran the model, moved tensors or waited for either. On a GPU work is queued
            without waiting, so a request's computation is counted where its answers are fetched.
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
        self.model, self.tokenizer = model, tokenizer
        self.max_length = usable_length(tokenizer, config) if max_length is None else max_length
        self.autocast = autocast or nullcontext
        self.inference = inference
        self.queries = self.forwards = self.forwarded = 0
        self.seconds = 0.0
        self._budget = TokenBudget(token_budget)
        self._tokens = Tokens(tokenizer, self.max_length)
        self._pad = Padder(tokenizer)

    @property
    def device(self) -> torch.device:
        """Where the model's first parameter lies."""
        return next(self.model.parameters()).device

    @property
    def token_budget(self) -> int:
        """Padded tokens in one batch, lowered where that did not fit into memory."""
        return self._budget.tokens(self.device)

    @property
    def transform(self) -> str:
        """What turns texts into scores beside weights, precision and ``inference``; journals are named by it too."""
        return ""

    @property
    def can_align(self) -> bool:
        """Whether ``saliency`` and ``flips`` can tell which tokens belong to a word."""
        return self._tokens.can_align

    def words_read(self, text: Text) -> frozenset[int] | None:
        """Numbers of the words of which the model reads a token; None where truncation cuts nothing off."""
        return self._tokens.words_read(text)

    def check_saliency(self, doing: str = "ranking words by gradient") -> None:
        """Ask before a long run whether words can be ranked, or flipped, by gradient.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        if not self.can_align:
            raise ValueError(
                f"{doing} needs a fast tokenizer, got {type(self.tokenizer).__name__}; load it with use_fast=True."
            )

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
        """Class probabilities [n, K] in float32; a text is a tuple of one or two columns."""
        return self.score(texts).probabilities

    def score(self, texts: Sequence[Columns]) -> Scores:
        """Class probabilities, and the key of each text's tokens.

        Only logits are kept: on the model's device until all batches are under way, then copied at once.

        Raises:
            ValueError: the output is not finite, or has one column, or one text alone does not fit into memory.
        """
        self.queries += len(texts)
        return self._score_texts(texts)

    def score_tokens(self, sequences: Sequence[Encoded]) -> Scores:
        """As ``score``, for token sequences that no text may give; ``queries`` counts them too."""
        self.queries += len(sequences)
        return self._score(sequences[start : start + CHUNK] for start in range(0, len(sequences), CHUNK))

    def batch_logits(self, sequences: Sequence[Encoded]) -> Floats:
        """Logits [n, K] of token sequences as one batch, as they stand: not divided, not sorted, equal ones each for
        itself. What a batch costs in an evaluation is timed by it."""
        with self._eval(), torch.inference_mode(), self.autocast():
            found: Floats = self._logits(moved(self._pad(sequences), self.device)).cpu().numpy()
        return found

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
        return Scores(logits.softmax(-1).numpy()[order], keys, logits=logits.numpy()[order])

    def _batches(self, new: Sequence[tuple[bytes, Encoded]]) -> Iterator[tuple[list[bytes], Tensor]]:
        """Batch by batch, the keys of its rows and their logits."""

        def work(places: list[int]) -> Tensor:
            batch = self._pad([new[place][1] for place in places])
            with self._timed():
                return self._logits(moved(batch, self.device))

        for places, logits in self._budget.run([len(encoded.ids) for _, encoded in new], self.device, work):
            self.forwarded += len(places)
            yield [new[place][0] for place in places], logits

    def saliency(self, texts: Sequence[Text], of: str = "probability") -> list[Floats]:
        r"""Importance of each word: ``|| mean over its pieces of dL/de ||_1``, e the embedding layer's output.

        L is the loss of the predicted label by LOSSES. A word that truncation cut off has 0. Takes one forward and one
        backward for each batch; the parameters' gradients are not touched.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        return [salience.words for salience in self.salience(texts, of=of)]

    def salience(
        self, texts: Sequence[Text], labels: Sequence[int] | None = None, of: str = "probability"
    ) -> list[Salience]:
        """The gradients behind ``saliency`` by token and by word, with the tokens they belong to.

        Args:
            labels: class ids whose loss is L; None for the predicted ones.
            of: which loss, a key of LOSSES.

        Raises:
            ValueError: the tokenizer is not a fast one, so that words cannot be aligned with tokens.
        """
        self.check_saliency()
        found: dict[int, Salience] = {}
        aligned = [self._tokens.align(text) for text in texts]
        lengths = [len(one.encoded.ids) for one in aligned]

        def work(places: list[int]) -> np.ndarray[Any, Any]:
            batch = self._pad([aligned[place].encoded for place in places])
            wanted = None if labels is None else torch.tensor([labels[place] for place in places], device=self.device)
            with self._timed():
                return self._embedding_gradients(moved(batch, self.device), of, wanted).cpu().numpy()

        share = 1 if self.device.type == "cpu" else _BACKWARD
        for places, gradients in self._budget.run(lengths, self.device, work, share):
            for row, place in enumerate(places):
                own = gradients[row, self._pad.span(lengths[place], gradients.shape[1])]
                by_token = np.abs(own).sum(-1).astype(np.float64)
                found[place] = Salience(aligned[place], by_token, _by_word(own, aligned[place].positions))
        return [found[place] for place in range(len(texts))]

    @property
    def mask_token(self) -> str:
        """The tokenizer's mask token.

        Raises:
            ValueError: it has none.
        """
        check_mask_token(self.tokenizer)
        return str(self.tokenizer.mask_token)

    def flips(self, asked: Sequence[Flips], of: str = "probability") -> list[list[Flip]]:
        r"""For each request the flips of its words that promise the highest loss (``best_flips``); no queries.

        L is the loss of the predicted label by LOSSES; that is the true one until an attack succeeds.
        The new word is any that is one token inside a text (``vocabulary``). A word of several pieces has the mean of
        its pieces' estimates, each as if this piece alone became the new word; the change of length is not estimated.
        A word that truncation cut off has no flip. Takes one forward and one backward for each batch.

        Raises:
            ValueError: the tokenizer is not a fast one, or has no whole words.
        """
        self.check_saliency("flipping words by gradient")
        encodings = [self._tokens.align(one.text) for one in asked]
        embed = self.model.get_input_embeddings()  # type: ignore[operator]
        with torch.no_grad():
            table = embed(torch.tensor(self.vocabulary.ids, device=self.device)).float()

        def work(places: list[int]) -> list[list[Flip]]:
            batch = moved(self._pad([encodings[place].encoded for place in places]), self.device)
            with self._timed(), torch.no_grad():
                gradients, embedded = self._embedding_gradients(batch, of), embed(batch["input_ids"]).float()
                answers = []
                for row, place in enumerate(places):
                    (encoded, positions, *_), one = encodings[place], asked[place]
                    span = self._pad.span(len(encoded.ids), gradients.shape[1])
                    tokens, pieces = gradients[row, span], {i: positions[i] for i in one.words if positions[i]}
                    ids, own = encoded.ids.tolist(), embedded[row, span]
                    answers.append(best_flips(self.vocabulary, table, tokens, own, ids, pieces, one.k))
            return answers

        found: list[list[Flip]] = [[]] * len(asked)
        lengths = [len(one.encoded.ids) for one in encodings]
        share = 1 if self.device.type == "cpu" else _BACKWARD
        for places, answers in self._budget.run(lengths, self.device, work, share):
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that ``flips`` may put into a text; found at the first use."""
        return whole_words(self.tokenizer)

    def _embedding_gradients(self, batch: dict[str, Tensor], of: str, labels: Tensor | None = None) -> Tensor:
        """dL/de [n, longest, width], summed over the calls of the embedding layer that embed this very batch; L is
        the loss ``of`` of ``labels`` [n], or of the predictions."""
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
                    raise ValueError("gradients of words need a model that embeds its input_ids; none did.")
                # The sum keeps each row's gradient free of the other rows.
                wanted = logits.detach().argmax(-1) if labels is None else labels
                found = torch.autograd.grad(LOSSES[of](logits, wanted), [leaf for leaf, _ in leaves])
        finally:
            hook.remove()
        straightened = [one if kept else one.transpose(0, 1) for one, (_, kept) in zip(found, leaves, strict=True)]
        return torch.stack(straightened).sum(0).float()

    def _logits(self, batch: dict[str, Tensor]) -> Tensor:
        outputs = self.model(**batch) if self.inference is None else self.inference(self.model, batch)
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        if logits.shape[-1] == 1:
            raise ValueError("an attack needs a classifier, got a model of one output; leave --attacks out.")
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
