"""InfoBERT's critic: scores pairs of a token feature and a sentence feature."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating
from hf_robust.interpret.head import first_states, last_states, probe_texts

HIDDEN = 300


class Critic(nn.Module):
    """F = Linear(widths, 300) - ReLU - Linear(300, 1) - Softplus on the concatenation of both features.

    The first layer is stored as two halves, which are applied to the token and sentence features separately, so that
    the concatenations of all pairs are never in memory.

    Args:
        token_width, sentence_width: widths of the two features.
        seed: random seed of the initial parameters; the run's random state does not change.
    """

    def __init__(self, token_width: int, sentence_width: int, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            joint = nn.Linear(token_width + sentence_width, HIDDEN)
            self.score = nn.Linear(HIDDEN, 1)
            self.token = nn.Linear(token_width, HIDDEN, bias=False)
            self.sentence = nn.Linear(sentence_width, HIDDEN)
        with torch.no_grad():
            self.token.weight.copy_(joint.weight[:, :token_width])
            self.sentence.weight.copy_(joint.weight[:, token_width:])
            self.sentence.bias.copy_(joint.bias)

    def forward(self, tokens: Tensor, sentences: Tensor) -> Tensor:
        """Map token features (n, width) and sentence features (B, width) to (n, B) float32 scores above 0."""
        pairs = self.token(tokens.float()).unsqueeze(1) + self.sentence(sentences.float())
        scores: Tensor = nn.functional.softplus(self.score(pairs.relu_()).squeeze(-1).float())
        return scores


def feature_widths(model: Any, tokenizer: Any) -> tuple[int, int]:
    """Widths of the first and the last hidden states, by a forward pass over a few texts.

    Raises:
        ValueError: the model returns no hidden states.
    """
    with torch.no_grad(), evaluating(model):
        outputs = model(**probe_texts(tokenizer, model.device), output_hidden_states=True)
    return first_states(outputs, model).shape[-1], last_states(outputs, model).shape[-1]
