"""Certifies texts by interval bounds: no swaps of words by a table change the prediction of the network itself."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from hf_robust.certify.intervals import IntervalBounds
from hf_robust.certify.smoothing import Smoothing
from hf_robust.metrics import Certificate
from hf_robust.runs import Ranks, balanced_shares
from hf_robust.words import word_token_positions

logger = logging.getLogger(__name__)

Example = tuple[int, tuple[str, ...], int]
"""``idx``, texts and label."""
ROUNDING = 1e-4
"""A margin up to this share of 1 and the margin itself may be rounding of float32, and certifies nothing."""
BATCH = 64


class Classifier(Protocol):
    """The classifier that is measured, such as the victim of an attack."""

    model: nn.Module
    tokenizer: Any
    max_length: int | None

    def score(self, texts: Sequence[tuple[str, ...]]) -> Any: ...


class SwapBounds:
    """Lower bounds of margins over all swaps of words by a table.

    A substitute must have as many tokens as its word, so that a swap moves no other token. A text with another
    substitute (a phrase, or a word that the tokenizer splits otherwise) has no bound. A substitute outside the
    vocabulary is its unknown token, as it is for the model.

    Args:
        model: an LSTM or a CNN of this package, on its device.
        tokenizer: its tokenizer, a fast one.
        max_length: number of tokens to which texts are cut; None for no limit.
        table: the swaps that the attacker may make, and the words that stay.

    Raises:
        ValueError: another architecture, or a slow tokenizer.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, max_length: int | None, table: Smoothing) -> None:
        self.bounds = IntervalBounds(model)
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"interval bounds align words with tokens, which needs a fast tokenizer, got "
                f"{type(tokenizer).__name__}; load it with use_fast=True."
            )
        self.tokenizer, self.max_length, self.table = tokenizer, max_length, table
        self._tokens = cache(lambda word: tokenizer(word, add_special_tokens=False)["input_ids"])

    def choices(self, columns: Sequence[str]) -> list[list[int]] | None:
        """The token ids that each position of a text may have, its own first; None if a swap moves other tokens."""
        text = self.table.text(columns)
        cut = {"truncation": True, "max_length": self.max_length} if self.max_length is not None else {}
        encoding = self.tokenizer(*text.columns, return_offsets_mapping=True, **cut)
        ids = encoding["input_ids"]
        positions = word_token_positions(text.words, encoding["offset_mapping"], encoding.sequence_ids(0))
        choices = [[number] for number in ids]
        for index, substitutes in self.table.swaps(text).items():
            own, places = self._tokens(text.tokens[index]), positions[index]
            others = [self._tokens(word) for word in substitutes]
            read = not places or [ids[place] for place in places] == own
            if not read or any(len(other) != len(own) for other in others):
                return None
            for place, *alternatives in zip(places, *others, strict=False):  # a word that is cut off has no place
                choices[place] += alternatives
        return choices

    @torch.no_grad()
    def margins(
        self, choices: Sequence[list[list[int]] | None], labels: Sequence[int], epsilon: float = 1.0
    ) -> list[float]:
        """Lower bound of the least margin of each text's label over any other class; minus infinity without a bound.

        Args:
            choices: those of each text.
            labels: class ids.
            epsilon: as in :class:`IntervalBounds`; 0 gives the margins of the texts themselves.
        """
        found = [-math.inf] * len(choices)
        bounded = [(place, one) for place, one in enumerate(choices) if one is not None]
        bounded.sort(key=lambda pair: len(pair[1]))
        device = next(self.bounds.model.parameters()).device
        for start in range(0, len(bounded), BATCH):
            places, batch = zip(*bounded[start : start + BATCH], strict=True)
            ids, keep = self._tensors(batch)
            of_label = torch.tensor([labels[place] for place in places])
            margins = self.bounds(ids.to(device), keep.to(device), of_label.to(device), epsilon).cpu()
            margins[torch.arange(len(places)), of_label] = math.inf
            for place, least in zip(places, margins.amin(-1).tolist(), strict=True):
                found[place] = least
        return found

    def _tensors(self, batch: Sequence[list[list[int]]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids (B, L, N), where empty places repeat the first, and which positions are real (B, L)."""
        widest = max((len(one) for text in batch for one in text), default=1)
        rows = [torch.tensor([one + one[:1] * (widest - len(one)) for one in text]) for text in batch]
        ids = pad_sequence(rows, batch_first=True, padding_value=self.tokenizer.pad_token_id)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, torch.arange(ids.shape[1]) < lengths.unsqueeze(1)


def certify_swaps(
    classifier: Classifier, examples: Sequence[Example], table: Smoothing, ranks: Ranks
) -> tuple[list[Certificate], float]:
    """All certificates, sorted by ``idx``, and the seconds of the slowest rank; equal on all ranks.

    A text is certified if the network predicts its label with a margin over each other class that no swaps can use up.
    ``lower`` is the lower bound of the least margin, ``slack`` how far it is below that of the text itself.

    Raises:
        ValueError: the architecture has no bounds, or the classifier predicts otherwise than the plain network.
    """
    start = time.perf_counter()
    bounds = SwapBounds(classifier.model, classifier.tokenizer, classifier.max_length, table)
    share = balanced_shares(examples, ranks.number, lambda example: sum(len(text.split()) for text in example[1]))
    mine = _certify(classifier, bounds, share[ranks.rank])
    shares = ranks.gather(([certificate.to_json() for certificate in mine], time.perf_counter() - start))
    certificates = [Certificate.from_json(row) for rows, _ in shares for row in rows]
    without = sum(certificate.lower == -math.inf for certificate in certificates)
    if without and ranks.is_first:
        logger.warning(
            "%d of %d texts have a substitute with another number of tokens than its word (a phrase, for example), "
            "which interval bounds do not cover: these texts count as not certified.",
            without,
            len(certificates),
        )
    return sorted(certificates, key=lambda certificate: certificate.idx), max(seconds for _, seconds in shares)


def _certify(classifier: Classifier, bounds: SwapBounds, examples: Sequence[Example]) -> list[Certificate]:
    if not examples:
        return []
    texts, labels = [columns for _, columns, _ in examples], [label for *_, label in examples]
    logits: npt.NDArray[Any] = np.asarray(classifier.score(texts).logits, dtype=np.float64)
    choices = [bounds.choices(columns) for columns in texts]
    plain, lower = (bounds.margins(choices, labels, epsilon) for epsilon in (0.0, 1.0))
    certificates = []
    for place, (idx, columns, label) in enumerate(examples):
        clean = float(logits[place, label] - np.delete(logits[place], label).max())
        rounding = ROUNDING * (1 + abs(clean))
        if choices[place] is not None and not abs(clean - plain[place]) <= rounding:
            raise ValueError(
                "interval bounds hold for the plain network in float32, and the classifier that is measured predicts "
                f"otherwise (margin {clean:g} instead of {plain[place]:g} for example {idx}): it votes, mixes or "
                "masks words, or computes in half precision; certify a plain LSTM or CNN in float32, or use rule half."
            )
        certified = lower[place] > rounding
        certificates.append(
            Certificate(
                idx=idx,
                label=label,
                prediction=int(logits[place].argmax()),
                votes=[],
                lower=lower[place],
                slack=clean - lower[place],
                radius=len(bounds.table.changeable(bounds.table.text(columns))) if certified else None,
                certified=certified,
            )
        )
    return certificates
