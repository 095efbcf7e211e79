"""FLAT's LSTM: one layer over the words, the maximum of its states over time, a linear classifier."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.models.base import WordConfig, WordModel
from hf_robust.models.bf16 import has_bf16


class LstmConfig(WordConfig):
    """``hidden_size``: width H of the LSTM's states. Dropout acts on the word vectors too, as in FLAT's code."""

    model_type = "hf_robust_lstm"

    def __init__(self, hidden_size: int = 300, embedding_dropout: float = 0.2, **kwargs: Any) -> None:
        self.hidden_size = hidden_size
        super().__init__(embedding_dropout=embedding_dropout, **kwargs)


class LstmForSequenceClassification(WordModel):
    r"""Chen and Ji 2022, arXiv:2203.12709, section 4.1: a single-layer LSTM, read from left to right.

    .. math:: h_t = \mathrm{LSTM}(e_t, h_{t-1}),\quad \mathrm{logits} = W \max_t h_t + b

    The LSTM skips a masked token: state and cell stay the same, as if the token was deleted. To put a zero vector in
    its place instead (FLAT's word mask), change the embeddings and leave the attention mask.

    Differs from FLAT's code: there is no tanh before and after the maximum, which states in (-1, 1) do not need; the
    maximum is over real tokens only, whereas the code includes padding.
    """

    config_class = LstmConfig

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(config.embedding_size, config.hidden_size, batch_first=True)
        self.finish(config.hidden_size)

    def states(self, words: Tensor, keep: Tensor) -> Tensor:
        # Real tokens move to the front: later positions cannot influence them, so that no packing is needed.
        length = keep.shape[1]
        order = (~keep).to(torch.uint8).argsort(dim=1, stable=True)
        longest = max(int(keep.sum(1).max()), 1)
        front = words.gather(1, order[:, :longest, None].expand(-1, -1, words.shape[2]))
        with self._where_it_runs(front.device):
            states: Tensor = self.lstm(front.to(self.dtype))[0]
        states = nn.functional.pad(states, (0, 0, 0, length - longest))
        return states.gather(1, order.argsort(dim=1)[:, :, None].expand(-1, -1, states.shape[2]))

    def _where_it_runs(self, device: torch.device) -> AbstractContextManager[Any]:
        """Leave autocast on a CPU without bfloat16, which has no LSTM in it; in eval mode disable cuDNN, which has no
        backward pass there, and adversaries need one."""
        if device.type == "cpu" and not has_bf16(device):
            return torch.autocast("cpu", enabled=False)
        if self.training or not torch.is_grad_enabled():
            return nullcontext()
        return torch.backends.cudnn.flags(enabled=False)
