"""LIME: a linear model of the effect of deleting words on the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from hf_robust.interpret.attribution import Attribution, Floats
from hf_robust.interpret.reader import Columns, Predict, Reader, TokenizedText
from hf_robust.words import UNICODE_WORDS, WordRule


def lime(
    model: nn.Module,
    tokenizer: Any,
    texts: Sequence[Columns],
    *,
    samples: int = 500,
    kernel_width: float = 0.25,
    ridge: float = 1.0,
    seed: int = 0,
    max_length: int | None = None,
    predict: Predict | None = None,
    batch_size: int = 64,
    rule: WordRule = UNICODE_WORDS,
) -> list[Attribution]:
    r"""Ribeiro et al. 2016, arXiv:1602.04938, for every class.

    .. math:: \min_{w, w_0} \sum_i e^{-d_i^2/\sigma^2} \big(p_c(x_i) - w_0 - w^\top m_i\big)^2 + \lambda\|w\|^2,
        \quad d_i = 1 - \sqrt{|m_i| / n}

    ``m_i`` in {0, 1}^n says which words a sample keeps, ``p_c`` is the probability of class c and ``w`` the
    attribution. First the number of deleted words is drawn from 1 to n, then the words. ``m_0`` keeps all words.

    Differs from the paper: the deletions depend only on the seed and the number of words. So both texts of a pair lose
    the same words, and they differ by the model's output and not by the draw. Deletion removes the tokens of a word,
    without tokenising the shorter text again. Equal deletions pass through the model once. captum's Lime is not used,
    since it would run the model again for each class.

    Args:
        texts: tuples of one or two columns.
        samples: number of samples, the whole text included; 500 to 1,000 are usual.
        kernel_width: sigma, the width of the exponential kernel over the cosine distance.
        ridge: lambda.
        predict: prediction function of the method, if it is not ``model(**batch)``.
        rule: the definition of a word.

    Raises:
        ValueError: a number is out of range, or the model has no classes.
    """
    if samples < 2 or batch_size < 1:
        raise ValueError(f"--samples must be at least 2 and the batch size 1, got {samples} and {batch_size}.")
    if seed < 0:
        raise ValueError(f"--seed must be at least 0, got {seed}.")
    if kernel_width <= 0 or ridge < 0:
        raise ValueError(f"kernel_width must be above 0 and ridge not below it, got {kernel_width} and {ridge}.")
    reader = Reader(model, tokenizer, max_length, predict)
    attributions = []
    with reader.measuring():
        for text in texts:
            tokens = reader.tokens(text, rule)
            masks = deletions(len(tokens.covered), samples, seed, _spare(tokens))
            probabilities = _probabilities(reader, tokens, masks, batch_size)
            attributions.append(_fitted(tokens, masks, probabilities, kernel_width, ridge))
    return attributions


def deletions(words: int, samples: int, seed: int, spare: bool = True) -> NDArray[np.bool_]:
    """Boolean mask of the words that each sample keeps, [samples, words]; the first sample keeps all words.

    Args:
        spare: whether a text without any word still has a token; if not, each sample keeps at least one word.
    """
    most = words if spare else words - 1
    masks = np.ones((samples, words), dtype=np.bool_)
    if most < 1:
        return masks
    luck = np.random.default_rng([seed, words])
    counts = luck.integers(1, most + 1, samples - 1)
    order = luck.random((samples - 1, words)).argsort(axis=1).argsort(axis=1)
    masks[1:] = order >= counts[:, None]
    return masks


def _spare(tokens: TokenizedText) -> bool:
    """Whether a token belongs to no word, such as [CLS] or punctuation."""
    return len({place for places in tokens.words for place in places}) < len(tokens.special)


def _probabilities(reader: Reader, tokens: TokenizedText, masks: NDArray[np.bool_], batch_size: int) -> Floats:
    """Class probabilities [samples, K] of the text without the words that each mask deletes."""
    distinct, which = np.unique(masks, axis=0, return_inverse=True)
    variants = []
    for mask in distinct:
        gone = {
            place for word, kept in zip(tokens.covered, mask, strict=True) if not kept for place in tokens.words[word]
        }
        variants.append(
            {
                name: [value for place, value in enumerate(values) if place not in gone]
                for name, values in tokens.inputs.items()
            }
        )
    logits = reader.all_logits(variants, batch_size)
    probabilities: Floats = logits.double().softmax(-1).numpy()
    return probabilities[which.reshape(-1)]


def _fitted(
    tokens: TokenizedText, masks: NDArray[np.bool_], probabilities: Floats, kernel_width: float, ridge: float
) -> Attribution:
    from sklearn.linear_model import Ridge

    covered = np.array([bool(positions) for positions in tokens.words], dtype=np.bool_)
    values = np.zeros((probabilities.shape[1], len(covered)))
    if covered.any():
        distance = 1 - np.sqrt(masks.mean(axis=1))
        weights = np.exp(-((distance / kernel_width) ** 2))
        fit = Ridge(alpha=ridge).fit(masks.astype(np.float64), probabilities, sample_weight=weights)
        values[:, covered] = fit.coef_
    return Attribution(tuple(tokens.text.tokens), values, covered, probabilities[0])
