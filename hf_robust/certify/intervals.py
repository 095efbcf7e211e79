"""Interval bounds through the LSTM and the CNN: how small a margin can become when every word may be swapped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad

from hf_robust.models.architecture import without_peft
from hf_robust.models.base import max_over_time


class Interval(NamedTuple):
    """A lower and an upper bound of each entry of a tensor."""

    lower: Tensor
    upper: Tensor

    def rising(self, function: Callable[[Tensor], Tensor]) -> Interval:
        """The image under a function of each entry that never falls, or the same selection of both ends."""
        return Interval(function(self.lower), function(self.upper))

    def plus(self, other: Interval) -> Interval:
        """The sum of two intervals."""
        return Interval(self.lower + other.lower, self.upper + other.upper)

    def times(self, factor: Interval) -> Interval:
        """The product with ``factor``, which is nowhere below 0."""
        lower = torch.minimum(self.lower * factor.lower, self.lower * factor.upper)
        return Interval(lower, torch.maximum(self.upper * factor.lower, self.upper * factor.upper))

    def linear(self, weight: Tensor, bias: Tensor) -> Interval:
        """The image under a linear layer: the middle moves by the weights, the half width by their absolute values."""
        middle = linear((self.lower + self.upper) / 2, weight, bias)
        half = linear((self.upper - self.lower) / 2, weight.abs())
        return Interval(middle - half, middle + half)

    def where(self, keep: Tensor, other: Interval) -> Interval:
        """This interval where ``keep`` is True, and ``other`` elsewhere."""
        return Interval(*(torch.where(keep, mine, theirs) for mine, theirs in zip(self, other, strict=True)))


class IntervalBounds(nn.Module):
    r"""Bounds of a classifier's margins over all texts whose words are swapped for substitutes, all words at once.

    Jia et al. 2019, arXiv:1909.00986, Section 3 (Huang et al. 2019, arXiv:1909.01492). Let :math:`S_l` be the token
    ids that position l may have, :math:`s_0` the one that it has, and :math:`W e` the first linear map of the network
    (the LSTM's input matrix, the filters). Its input lies in the box

    .. math:: \bigl[W e_{s_0} + \epsilon\min_{s\in S_l} (W e_s - W e_{s_0}),\
              W e_{s_0} + \epsilon\max_{s\in S_l} (W e_s - W e_{s_0})\bigr]

    entry by entry, and each further operation takes boxes to boxes: sums and linear maps by middle and half width,
    ReLU, sigmoid, tanh and the maximum over time end by end, an LSTM's products with a gate in (0, 1) by the least and
    the largest product of their ends. The result is never too narrow, and usually too wide, since entries are bounded
    one by one. For the filters of a CNN the box is exact.

    The bounds are those of the network without dropout, in float32.

    Differs from the paper: our networks have no linear layer with ReLU between word vectors and LSTM or filters, so
    that the substitutes go through the first linear map instead. The margin to each class is bounded as one linear map
    (Gowal et al. 2018, arXiv:1810.12715), which for two classes is the paper's single logit, and for more is narrower
    than its bounds of single logits.

    Args:
        model: an LSTM or a CNN of this package.

    Raises:
        ValueError: another architecture.
    """

    passes = 2
    """A call costs about as much as this many forward passes: one for each end."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = without_peft(model)
        check_bounded(self.model.config)

    def forward(self, ids: Tensor, keep: Tensor, labels: Tensor, epsilon: float = 1.0) -> Tensor:
        """Lower bounds (B, K) of the margins :math:`z_y - z_c`, 0 for the label y itself.

        Args:
            ids: (B, L, N) token ids that each position may have, first the one that it has; empty places repeat it.
            keep: (B, L) bool, True at real tokens.
            labels: (B,) the class ids y.
            epsilon: share of the way from the text's own words to the ends of the boxes.
        """
        kind = self.model.config.model_type
        # Padding costs time, and an LSTM a step for each position.
        places = keep.any(0).nonzero()
        read = slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(1)
        ids, keep = ids[:, read], keep[:, read]
        with torch.autocast(ids.device.type, enabled=False):
            words = self._boxes(ids, _FIRST_MAPS[kind](self.model), epsilon)
            words = words.rising(lambda end: end.masked_fill(~keep.unsqueeze(-1), 0.0))
            states = _STATES[kind](self.model, words, keep)
            pooled = states.rising(lambda end: max_over_time(end, keep))
            weight, bias = (value.float() for value in (self.model.classifier.weight, self.model.classifier.bias))
            difference = weight[labels].unsqueeze(1) - weight
            least = difference.clamp(min=0) @ pooled.lower.unsqueeze(-1)
            least = least + difference.clamp(max=0) @ pooled.upper.unsqueeze(-1)
            margins: Tensor = least.squeeze(-1) + bias[labels].unsqueeze(1) - bias
            return margins

    def _boxes(self, ids: Tensor, first: Tensor, epsilon: float) -> Interval:
        """The boxes (B, L, P) of the first linear map [P, E]; equal rows of ``ids`` are computed once."""
        rows, places = torch.unique(ids.flatten(0, 1), dim=0, return_inverse=True)
        # The first id of each row is the token itself, and sorting rows keeps it there.
        choices = linear(self.model.get_input_embeddings()(rows).float(), first.float())
        own = choices[:, 0]
        ends = Interval(choices.amin(1), choices.amax(1)).rising(lambda end: own + epsilon * (end - own))
        return ends.rising(lambda end: end.index_select(0, places).view(*ids.shape[:2], -1))


def check_bounded(config: Any) -> None:
    """Refuse an architecture without interval bounds.

    Raises:
        ValueError: the model is no LSTM or CNN of this package.
    """
    kind = getattr(config, "model_type", "") or type(config).__name__
    if kind not in BOUNDED:
        raise ValueError(
            f"interval bounds go through the LSTM and the CNN of this package, and this model is of type {kind}: give "
            "such a model (a new one by --model_name_or_path lstm or cnn), or certify a vote (--rule half)."
        )


def _lstm_states(model: Any, words: Interval, keep: Tensor) -> Interval:
    """Boxes (B, L, H) of the states; ``words`` (B, L, 4H) are those of the input of the gates, without bias."""
    layer = model.lstm
    weight, bias = layer.weight_hh_l0.float(), (layer.bias_ih_l0 + layer.bias_hh_l0).float()
    zeros = words.lower.new_zeros(len(keep), layer.hidden_size)
    hidden = cell = Interval(zeros, zeros)
    steps = []
    for step in range(keep.shape[1]):
        gates = Interval(words.lower[:, step], words.upper[:, step]).plus(hidden.linear(weight, bias))
        parts = zip(*(end.chunk(4, -1) for end in gates), strict=True)
        entry, forget, new, exit_ = (Interval(*ends) for ends in parts)
        kept = cell.times(forget.rising(torch.sigmoid))
        cell_now = kept.plus(new.rising(torch.tanh).times(entry.rising(torch.sigmoid)))
        hidden_now = cell_now.rising(torch.tanh).times(exit_.rising(torch.sigmoid))
        real = keep[:, step : step + 1]  # the LSTM skips masked tokens
        cell, hidden = cell_now.where(real, cell), hidden_now.where(real, hidden)
        steps.append(hidden)
    return Interval(*(torch.stack(ends, 1) for ends in zip(*steps, strict=True)))


def _cnn_states(model: Any, words: Interval, keep: Tensor) -> Interval:
    """Boxes (B, L, H) of the states; ``words`` (B, L, P) are those of the products with each place of each filter."""
    sizes = [layer.kernel_size[0] * layer.out_channels for layer in model.filters]
    parts = (Interval(*ends) for ends in zip(*(torch.split(end, sizes, -1) for end in words), strict=True))
    states = [_slide(part, layer) for part, layer in zip(parts, model.filters, strict=True)]
    return Interval(*(torch.cat(ends, -1) for ends in zip(*states, strict=True)))


def _slide(words: Interval, layer: nn.Conv1d) -> Interval:
    """Boxes (B, L, F) of filters of one width: a sum over their places, then ReLU."""
    (width,), bias = layer.kernel_size, layer.bias
    assert bias is not None

    def summed(end: Tensor) -> Tensor:
        length = end.shape[1]
        padded = pad(end.view(*end.shape[:2], width, -1), (0, 0, 0, 0, (width - 1) // 2, width // 2))
        total: Tensor = sum((padded[:, place : place + length, place] for place in range(width)), bias.float())
        return total.relu()

    return words.rising(summed)


_FIRST_MAPS: dict[str, Callable[[Any], Tensor]] = {
    "hf_robust_lstm": lambda model: model.lstm.weight_ih_l0,
    "hf_robust_cnn": lambda model: torch.cat([layer.weight.permute(2, 0, 1).flatten(0, 1) for layer in model.filters]),
}
_STATES: dict[str, Callable[[Any, Interval, Tensor], Interval]] = {
    "hf_robust_lstm": _lstm_states,
    "hf_robust_cnn": _cnn_states,
}
BOUNDED = tuple(_STATES)
"""Types of the models that have bounds."""
