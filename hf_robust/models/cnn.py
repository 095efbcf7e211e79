"""FLAT's CNN: filters over three to five words, the maximum of each over time, a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.models.base import WordConfig, WordModel


class CnnConfig(WordConfig):
    """Configuration of the CNN: ``filter_widths`` in words, and ``num_filters`` filters of each width."""

    model_type = "hf_robust_cnn"

    def __init__(self, filter_widths: Sequence[int] = (3, 4, 5), num_filters: int = 200, **kwargs: Any) -> None:
        if not filter_widths or min(filter_widths) < 1:
            raise ValueError(f"filter_widths must be numbers of words, 1 or more, got {list(filter_widths)}.")
        self.filter_widths, self.num_filters = list(filter_widths), num_filters
        super().__init__(**kwargs)


class CnnForSequenceClassification(WordModel):
    r"""Kim 2014, arXiv:1408.5882, as FLAT uses it.

    .. math:: c_t = \mathrm{relu}(w \cdot e_{t-a} .. e_{t+b} + b_w),\quad \mathrm{logits} = W [\max_t c_t]_w + b

    The window of a word has k words: a = (k - 1) // 2 before the word and k // 2 after it. Outside the text it reads
    zero vectors. A masked token is a zero vector in the windows of its neighbours and has no window itself.

    Differs from Kim: windows centred outside the text are left out, so that each state belongs to a token and padding
    has no effect; [CLS] and [SEP] take the two ends instead. The classifier's norm is not limited.
    """

    config_class = CnnConfig

    def __init__(self, config: CnnConfig) -> None:
        super().__init__(config)
        self.filters = nn.ModuleList(
            nn.Conv1d(config.embedding_size, config.num_filters, width) for width in config.filter_widths
        )
        self.finish(config.num_filters * len(config.filter_widths))

    def states(self, words: Tensor, keep: Tensor) -> Tensor:
        states = []
        for width, layer in zip(self.config.filter_widths, self.filters, strict=True):
            padded = nn.functional.pad(words.transpose(1, 2), ((width - 1) // 2, width // 2))
            states.append(layer(padded).relu())
        return torch.cat(states, dim=1).transpose(1, 2)
