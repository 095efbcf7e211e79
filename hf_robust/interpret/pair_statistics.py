"""Distances between clean and adversarial texts in a model's embeddings and predictions (TaiChi, Table 7).

Distances between texts of different labels serve as a comparison.
"""

from __future__ import annotations

import dataclasses
import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hf_robust.adversary import evaluating
from hf_robust.interpret.head import last_states
from hf_robust.interpret.reader import Predict
from hf_robust.losses import contrastive, kl, sentence_embedding

BATCH = 64


class States(NamedTuple):
    """Embeddings [n, H] and logits [n, K] of n texts, float32 on the CPU, in the order of the texts."""

    embeddings: Tensor
    logits: Tensor


def equal_tokens(
    tokenizer: Any, first: Sequence[Sequence[str]], second: Sequence[Sequence[str]], max_length: int | None = None
) -> int:
    """Number of pairs with equal tokens: they differ only behind ``max_length``, or only in unknown words."""
    groups = ([list(column) for column in zip(*texts, strict=True)] for texts in (first, second))
    tokens = (tokenizer(*columns, truncation=True, max_length=max_length)["input_ids"] for columns in groups)
    return sum(one == other for one, other in zip(*tokens, strict=True))


def sentence_states(
    model: Any,
    tokenizer: Any,
    texts: Sequence[Sequence[str]],
    pooling: str,
    max_length: int | None = None,
    predict: Predict | None = None,
) -> States:
    """Last hidden states, pooled over the real tokens, and logits, in eval mode; the mode is restored.

    Args:
        model: sequence classifier of transformers on its device.
        tokenizer: its tokenizer, with a padding token.
        texts: texts of one or two columns each.
        pooling: one of `hf_robust.losses.POOLINGS`, as chosen by `hf_robust.interpret.head.chosen_pooling`;
            ``mean_pool`` includes [CLS] and [SEP].
        max_length: maximum length in tokens; None for the limit of the tokenizer.
        predict: prediction function of the method, if it is not ``model(**batch)``.

    Raises:
        ValueError: there is no text, or the model gives no hidden states of its tokens.
    """
    if not texts:
        raise ValueError("there is no text to embed; give at least one.")
    device, parts = next(model.parameters()).device, []
    with evaluating(model):
        for start in range(0, len(texts), BATCH):
            columns = [list(column) for column in zip(*texts[start : start + BATCH], strict=True)]
            encoded = tokenizer(*columns, padding=True, truncation=True, max_length=max_length, return_tensors="pt")
            batch: dict[str, Any] = {name: tensor.to(device) for name, tensor in encoded.items()}
            batch["output_hidden_states"] = True
            with torch.inference_mode():
                outputs = model(**batch) if predict is None else predict(model, batch)
            pooled = sentence_embedding(last_states(outputs, model).float(), batch["attention_mask"], pooling)
            parts.append((pooled.cpu(), outputs.logits.float().cpu()))
    return States(*(torch.cat(column) for column in zip(*parts, strict=True)))


@dataclass(frozen=True)
class PairStatistics:
    """Means over ``num_pairs`` pairs; ``*_std`` is the standard deviation over the draws of the other texts.

    Lower is better for ``mse_pos``, ``kl_pos`` and ``ctr``, higher for ``mse_neg`` and ``kl_neg``.
    """

    num_pairs: int
    num_draws: int
    mse_pos: float
    mse_neg: float
    mse_neg_std: float
    kl_pos: float
    kl_neg: float
    kl_neg_std: float
    ctr: float

    def to_json(self) -> dict[str, float]:
        """Every number by name."""
        return dataclasses.asdict(self)


def pair_statistics(
    clean: States, adversarial: States, labels: Sequence[int], *, tau: float = 1.0, draws: int = 10, seed: int = 0
) -> PairStatistics:
    r"""Distances of pairs (x, x') and of x from a fixed text of another label.

    .. math:: \text{MSE}=\operatorname{mean}\,(z_i - z'_i)^2,\qquad \text{KL}=\operatorname{mean}\,KL(p(x_i)\|p(x'_i))

    CTR is TaiChi's contrastive loss over all pairs as one batch. For the negatives every clean text is compared with
    one clean text of another label, the same for all texts of a label. The paper does not say which one; here it is
    drawn ``draws`` times by the seed, and the results are averaged.

    Args:
        clean: states of the clean texts.
        adversarial: states of the adversarial texts, in the same order.
        labels: true label of each pair.
        tau: temperature of CTR.
        draws: number of draws of the fixed texts.
        seed: seed of the draws; equal seeds give equal texts for every model.

    Raises:
        ValueError: there are fewer than two labels, or the arguments differ in their number of pairs.
    """
    if not len(clean.logits) == len(adversarial.logits) == len(labels):
        raise ValueError(
            f"each pair needs two texts and a label, got {len(clean.logits)} clean texts, "
            f"{len(adversarial.logits)} adversarial ones and {len(labels)} labels."
        )
    if len(set(labels)) < 2:
        raise ValueError(
            f"pairs with a text of another label need two labels, and all {len(labels)} pairs have one; give pairs of "
            "several labels."
        )
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}.")
    chosen = [rows_of_other_labels(labels, random.Random(f"{seed}:{draw}")) for draw in range(draws)]
    squares = [_mse(clean.embeddings, clean.embeddings[rows]) for rows in chosen]
    divergences = [kl(clean.logits, clean.logits[rows]).item() for rows in chosen]
    return PairStatistics(
        num_pairs=len(labels),
        num_draws=draws,
        mse_pos=_mse(clean.embeddings, adversarial.embeddings),
        mse_neg=statistics.fmean(squares),
        mse_neg_std=_spread(squares),
        kl_pos=kl(clean.logits, adversarial.logits).item(),
        kl_neg=statistics.fmean(divergences),
        kl_neg_std=_spread(divergences),
        ctr=contrastive(clean.embeddings, adversarial.embeddings, tau=tau).item(),
    )


def rows_of_other_labels(labels: Sequence[int], rng: random.Random) -> list[int]:
    """For each row the number of a row of another label, drawn once for each label.

    >>> rows_of_other_labels([0, 0, 1], random.Random(0))[:2]
    [2, 2]
    """
    fixed = {}
    for label in sorted(set(labels)):
        fixed[label] = rng.choice([row for row, other in enumerate(labels) if other != label])
    return [fixed[label] for label in labels]


def _mse(first: Tensor, second: Tensor) -> float:
    return (first - second).square().mean().item()


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan
