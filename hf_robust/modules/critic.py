"""InfoBERT's critic: how well a token's feature and a sentence's go together."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating

HIDDEN = 300


class Critic(nn.Module):
    """F = Linear(widths, 300) - ReLU - Linear(300, 1) - Softplus on a token's and a sentence's feature side by side.

    The first layer is kept as its two halves, each applied once to its own features, so that no tensor of all pairs
    of whole features is built.

    Args:
        token_width, sentence_width: of the two features.
        seed: of the first weights; the run's own random state is left as it is.
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
        """(n, widths) and (B, widths) to (n, B) float32 scores, all above 0."""
        pairs = self.token(tokens.float()).unsqueeze(1) + self.sentence(sentences.float())
        scores: Tensor = nn.functional.softplus(self.score(pairs.relu_()).squeeze(-1).float())
        return scores


def feature_widths(model: Any) -> tuple[int, int]:
    """Widths of the first and the last hidden states, read off one look at the model's own dummy input.

    Raises:
        ValueError: the model returns no hidden states.
    """
    ids = model.dummy_inputs["input_ids"][:1].to(model.device)
    with torch.no_grad(), evaluating(model):
        outputs = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    hidden = outputs.get("hidden_states")
    if not hidden:
        raise ValueError(
            f"infobert needs the model's hidden states, and {type(model).__name__} returns none; "
            "use an encoder such as BERT, RoBERTa or DeBERTa."
        )
    return hidden[0].shape[-1], hidden[-1].shape[-1]
