"""``Gradients``: what a model's gradients say of words and tokens; the white-box part of ``Victim``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hf_robust.adversary import at_look_ups, word_embeddings
from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.engine.losses import LOSSES, SET_LOSSES
from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.attacks.engine.requests import Flip, Flips, Floats, Insertion, NewSuffix, SuffixSwaps
from hf_robust.attacks.engine.suffixes import SuffixWriter
from hf_robust.attacks.engine.tokens import Aligned, TextTokenizer
from hf_robust.attacks.engine.vocabulary import Vocabulary, best_flips, whole_words
from hf_robust.words import Text

_BACKWARD = 8
"""Memory of gradients on a GPU as a multiple of a forward pass, since every layer's activations are stored."""
Answer = TypeVar("Answer")


class GradientNorms(NamedTuple):
    """A text's aligned tokens, L1 norms of the tokens' gradients [tokens] and of the words' mean gradients [words]."""

    aligned: Aligned
    tokens: Floats
    words: Floats


class Gradients(ABC):
    """Gradients of a model at its word embeddings; ``Victim`` runs the model."""

    model: nn.Module
    tokenizer: Any
    autocast: Callable[[], AbstractContextManager[Any]]
    _budget: TokenBudget
    _tokens: TextTokenizer
    _pad: Padder

    @property
    @abstractmethod
    def device(self) -> torch.device: ...

    @property
    @abstractmethod
    def multi_label(self) -> bool: ...

    @abstractmethod
    def check_saliency(self, purpose: str = ...) -> None: ...

    @abstractmethod
    def _logits(self, batch: dict[str, Tensor]) -> Tensor: ...

    @abstractmethod
    def _timed(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    def _eval(self) -> AbstractContextManager[None]: ...

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
        aligned = [self._tokens.align(text) for text in texts]

        def read(place: int, gradients: Tensor) -> GradientNorms:
            values = gradients.cpu().numpy()
            by_token = np.abs(values).sum(-1).astype(np.float64)
            return GradientNorms(aligned[place], by_token, _by_word(values, aligned[place].positions))

        return self._read_gradients([tokens.encoded for tokens in aligned], loss, read, labels)

    def flips(
        self, requests: Sequence[Flips], loss: str = "probability", target: int | None = None
    ) -> list[list[Flip]]:
        r"""For each request the flips with the highest estimated loss (``best_flips``); they count as no query.

        The loss is ``loss`` (a key of LOSSES) of the predicted label, the true label until an attack succeeds; with a
        ``target`` it is minus that of the target.
        New words are those of ``vocabulary``, which are one token each. The estimate of a word of several pieces is
        the mean over its pieces, each as if it alone became the new word; the change of length is not estimated. A
        word that truncation removed has no flip. Each batch takes one forward and one backward pass, and flips that
        are drawn take none.

        Raises:
            ValueError: the tokenizer is not a fast one, or has no whole words.
        """
        self.check_saliency("flipping words by gradient")
        every, requests = requests, [request for request in requests if request.rng is None]
        aligned = [self._tokens.align(request.text) for request in requests]
        table = self._embedded(self.vocabulary.ids)

        def read(place: int, gradients: Tensor) -> list[Flip]:
            (encoded, positions, *_), request = aligned[place], requests[place]
            pieces = {index: positions[index] for index in request.words if positions[index]}
            ids = encoded.ids.tolist()
            return best_flips(self.vocabulary, table, gradients, self._embedded(ids), ids, pieces, request.k)

        best = iter(self._read_gradients([tokens.encoded for tokens in aligned], loss, read, target=target))
        return [next(best) if request.rng is None else self._drawn_flips(request) for request in every]

    def _drawn_flips(self, request: Flips) -> list[Flip]:
        assert request.rng is not None
        words = self.vocabulary.words
        drawn = ((index, request.rng.randint(len(words), size=request.k)) for index in request.words)
        return [Flip(index, words[row], 0.0) for index, rows in drawn for row in rows]

    def common_flips(
        self, texts: Sequence[Text], labels: Sequence[int], words: Sequence[Sequence[int]], k: int, loss: str
    ) -> list[list[str]]:
        r"""The ``k`` words that, by gradient, raise the mean loss of the texts most, in place of each common word.

        These are the words w of ``vocabulary`` with the highest :math:`e_w \cdot \frac1n\sum_x \partial L/\partial
        e_j`, j the common word at that place. A text that truncation robbed of a word counts as without gradient.

        Args:
            labels: class ids of the loss.
            words: for each text the numbers of the common words, in their order.
            loss: a key of LOSSES.

        Raises:
            ValueError: the tokenizer is not a fast one, or has no whole words.
        """
        self.check_saliency("flipping words by gradient")
        aligned = [self._tokens.align(text) for text in texts]

        def read(place: int, gradients: Tensor) -> Tensor:
            pieces = [aligned[place].positions[number] for number in words[place]]
            return torch.stack([gradients[own].sum(0) / max(len(own), 1) for own in pieces]).double().cpu()

        found = self._read_gradients([tokens.encoded for tokens in aligned], loss, read, labels)
        estimates = torch.stack(found).mean(0) @ self._embedded(self.vocabulary.ids).double().cpu().T
        best = estimates.topk(min(k, estimates.shape[1])).indices.tolist()
        return [[self.vocabulary.words[row] for row in rows] for rows in best]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that ``flips`` can put into a text; computed at the first use."""
        return whole_words(self.tokenizer)

    def new_suffixes(self, requests: Sequence[NewSuffix]) -> list[Insertion | None]:
        """The first suffix of each text; None where it does not fit among the tokens that the model reads.

        Raises:
            ValueError: the tokenizer is not a fast one, or the model reads fewer tokens than a suffix has.
        """
        self.check_saliency("a suffix of tokens")
        return [self._suffixes.first(request) for request in requests]

    def suffix_swaps(
        self, requests: Sequence[SuffixSwaps], loss: str = "probability", target: int | None = None
    ) -> list[list[Insertion]]:
        """For each request suffixes with one other token; they count as no query.

        The tokens with the highest estimated loss, as for ``flips``, take one forward and one backward pass of each
        batch; a request without ``top`` takes none.
        """
        self.check_saliency("a suffix of tokens")
        writer, places = self._suffixes, [place for place, request in enumerate(requests) if request.top is not None]
        aligned = [writer.align(request.suffix) for request in requests]
        ranked: list[Any] = [None] * len(requests)
        table = self._embedded(writer.allowed) if places else None

        def read(row: int, gradients: Tensor) -> Any:
            (encoded, positions), top = aligned[places[row]], requests[places[row]].top
            assert table is not None and top is not None
            estimates = gradients[positions] @ table.T
            present = writer.allowed == encoded.ids[positions][:, None]
            estimates[torch.as_tensor(present, device=self.device)] = -torch.inf
            best = estimates.topk(min(top, estimates.shape[1] - 1)).indices
            return best.sort(-1).values.cpu().numpy()  # rounding decides the order, and a draw is by place

        found = self._read_gradients([aligned[place][0] for place in places], loss, read, target=target)
        for place, rows in zip(places, found, strict=True):
            ranked[place] = rows
        return [writer.swaps(*one) for one in zip(requests, aligned, ranked, strict=True)]

    @cached_property
    def _suffixes(self) -> SuffixWriter:
        return SuffixWriter(self._tokens)

    def _embedded(self, ids: Sequence[int] | np.ndarray[Any, Any]) -> Tensor:
        """Embeddings [n, width] of token ids."""
        with torch.no_grad():
            vectors: Tensor = word_embeddings(self.model)[0](torch.as_tensor(ids, device=self.device)).float()
        return vectors

    def _read_gradients(
        self,
        sequences: Sequence[Encoded],
        loss: str,
        read: Callable[[int, Tensor], Answer],
        labels: Sequence[int] | None = None,
        target: int | None = None,
    ) -> list[Answer]:
        """``read(place, gradients)`` of each sequence and its gradients dL/de [tokens, width], in batches."""
        lengths = [len(encoded.ids) for encoded in sequences]
        answers: dict[int, Answer] = {}

        def work(places: list[int]) -> list[Answer]:
            batch = self._pad([sequences[place] for place in places])
            wanted = None if labels is None else torch.tensor([labels[place] for place in places], device=self.device)
            with self._timed():
                gradients = self._embedding_gradients(to_device(batch, self.device), loss, wanted, target)
                padded = gradients.shape[1]
                return [
                    read(place, row[self._pad.span(lengths[place], padded)])
                    for place, row in zip(places, gradients, strict=True)
                ]

        share = 1 if self.device.type == "cpu" else _BACKWARD
        for places, found in self._budget.run(lengths, self.device, work, share):
            answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(sequences))]

    def _embedding_gradients(
        self, batch: dict[str, Tensor], loss: str, labels: Tensor | None = None, target: int | None = None
    ) -> Tensor:
        """Gradients dL/de [n, longest, width], summed over the look-ups of this batch.

        L is ``loss`` of ``labels`` [n], or of the predictions if ``labels`` is None; or minus ``loss`` of ``target``,
        which rises with the confidence in the target.
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
            of_label = (SET_LOSSES if self.multi_label else LOSSES)[loss]
            if target is not None:
                raised = -of_label(logits, torch.full_like(predicted, target))
            else:
                raised = of_label(logits, predicted if labels is None else labels)
            gradients = torch.autograd.grad(raised, leaves)
        return torch.stack(gradients).sum(0).float()


def _by_word(gradients: np.ndarray[Any, Any], positions: Sequence[Sequence[int]]) -> Floats:
    """L1 norm [words] of the mean gradient over each word's token positions; ``gradients`` is [tokens, width]."""
    sums = [np.abs(gradients[list(places)].mean(0)).sum() if places else 0.0 for places in positions]
    return np.asarray(sums, dtype=np.float64)
