"""Sentence embeddings from any sentence-transformers-style model, for the similarity constraint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_robust.attacks.batches import Padder, moved
from hf_robust.attacks.memory import TokenBudget
from hf_robust.attacks.tokens import Tokens
from hf_robust.attacks.weights import weights_hash

REMEMBERED = 1 << 15
"""Embeddings that are kept: most windows of one epoch's attack come again in the next."""


class SentenceEncoder:
    """Mean of the last hidden states over the real tokens, at unit length.

    The papers use Google's Universal Sentence Encoder, which cannot be had with transformers: a threshold taken from
    them is not calibrated for another encoder, so results name it.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, name: str, *, max_length: int = 128, token_budget: int | None = None
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.max_length = max_length
        self._budget, self._tokens, self._pad = (
            TokenBudget(token_budget),
            Tokens(tokenizer, max_length),
            Padder(tokenizer),
        )
        self._fingerprint: str | None = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def to(self, device: torch.device) -> SentenceEncoder:
        """Move the model."""
        self.model.to(device)
        return self

    def fingerprint(self) -> str:
        """The hash of the weights."""
        if self._fingerprint is None:
            self._fingerprint = weights_hash(self.model)
        return self._fingerprint

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings [n, d]; those of sentences seen lately are remembered."""
        if not sentences:
            return np.empty((0, 0), dtype=np.float32)
        new = [one for one in dict.fromkeys(sentences) if one not in self._known]
        known = {one: self._known[one] for one in sentences if one in self._known}
        known.update(zip(new, self._embed(new), strict=True))
        self._known.update(known)
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return np.stack([known[one] for one in sentences])

    def _embed(self, sentences: Sequence[str]) -> Iterator[NDArray[np.float32]]:
        """Embeddings in the order of ``sentences``, made in batches of falling length."""
        if not sentences:
            return iter(())
        encoded = self._tokens.encode([(sentence,) for sentence in sentences])
        device = next(self.model.parameters()).device

        def work(places: list[int]) -> Tensor:
            inputs = moved(self._pad([encoded[place] for place in places]), device)
            hidden = self.model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1)
            means = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            return nn.functional.normalize(means, dim=-1)

        order: list[int] = []
        vectors = []
        with torch.inference_mode():
            for places, found in self._budget.run([len(one.ids) for one in encoded], device, work):
                order += places
                vectors.append(found)
        stacked = torch.cat(vectors).cpu().numpy()
        ordered = np.empty_like(stacked)
        ordered[order] = stacked
        return (vector.copy() for vector in ordered)


def load_encoder(spec: str) -> SentenceEncoder:
    """The encoder in a local folder or on the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, or it cannot be loaded.
    """
    from transformers import AutoModel, AutoTokenizer

    try:
        model, tokenizer = AutoModel.from_pretrained(spec), AutoTokenizer.from_pretrained(spec)
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ValueError(
            f"--sentence_encoder {spec} cannot be loaded ({reason}); give a folder or Hub id of a "
            "sentence-transformers model, or leave it out."
        ) from error
    return SentenceEncoder(model, tokenizer, spec)
