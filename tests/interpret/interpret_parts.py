"""Models with attributions in closed form, and hand-made attack records."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig

from hf_robust.metrics import AttackRecord


class LinearModel(nn.Module):
    """z = sum over real tokens of W e(token), so the contribution of each token is known exactly."""

    def __init__(self, vocabulary: int = 64, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        luck = torch.Generator().manual_seed(0)
        self.config = PretrainedConfig()
        self.embed = nn.Embedding(vocabulary, width)
        self.weight = nn.Parameter(torch.randn(classes, width, generator=luck))
        nn.init.normal_(self.embed.weight, generator=luck)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **ignored: Any) -> dict[str, Tensor]:
        return {"logits": (self.embed(input_ids) * attention_mask[..., None]).sum(1) @ self.weight.T}


class PresenceModel(nn.Module):
    """Probabilities that are linear in the present tokens: p_1 = 1/2 + sum of the tokens' weights."""

    def __init__(self, weights: dict[int, float]) -> None:
        super().__init__()
        self.embed = nn.Embedding(64, 1)
        with torch.no_grad():
            self.embed.weight.zero_()
            for token, weight in weights.items():
                self.embed.weight[token] = weight

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **ignored: Any) -> dict[str, Tensor]:
        one = 0.5 + (self.embed(input_ids)[..., 0] * attention_mask).sum(1)
        return {"logits": torch.stack([1 - one, one], -1).log()}


def record(
    before: str | list[str],
    after: str | list[str],
    changed: list[list[Any]],
    status: str = "succeeded",
    idx: int = 0,
    label: int = 1,
) -> AttackRecord:
    columns = [[text] if isinstance(text, str) else text for text in (before, after)]
    return AttackRecord(
        idx=idx,
        label=label,
        status=status,
        original=columns[0],
        perturbed=columns[1],
        changed=changed,
        queries=5,
        original_prediction=label,
        perturbed_prediction=1 - label,
        original_score=0.9,
        perturbed_score=0.2,
        stop="success",
        num_candidates=3,
    )


def review_records() -> list[AttackRecord]:
    """Two successes and a failure word for word; an insertion, a skipped and an unchanged text."""
    return [
        record("a good film.", "a splendid film.", [[1, "good", "splendid"]], idx=0),
        record("the plot was bad", "the story was poor", [[1, "plot", "story"], [3, "bad", "poor"]], idx=1, label=0),
        record("warm music and actor", "tender music and actor", [[0, "warm", "tender"]], "failed", idx=2),
        record("a good film", "a very good film", [[0, "a", "a very"]], idx=3),
        record("a bad film", "a bad film", [], "skipped", idx=4),
        record("a bad film", "a bad film", [], "failed", idx=5),
    ]
