"""Sentence embeddings from any sentence-transformers-style model, for the similarity constraint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_robust.attacks.engine.batches import Padder, to_device
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.models.consulted_model import ConsultedModel

CACHE_SIZE = 1 << 15
"""Number of cached embeddings: most windows of one epoch's attack come again in the next."""


class SentenceEncoder(ConsultedModel):
    """Embeds a sentence as the mean of the last hidden states over its tokens, scaled to unit length.

    The papers use Google's Universal Sentence Encoder, which is not available in transformers. Their thresholds are
    not calibrated for another encoder, so results name the encoder.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, name: str, *, max_length: int = 128, token_budget: int | None = None
    ) -> None:
        super().__init__(model, tokenizer, name, token_budget, CACHE_SIZE)
        self.max_length = max_length
        self._tokens, self._pad = TextTokenizer(tokenizer, max_length), Padder(tokenizer)

    def encode(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """Unit-length embeddings [n, d]; recent ones are cached.

        Raises:
            ValueError: an embedding is not finite.
        """
        if not sentences:
            return np.empty((0, 0), dtype=np.float32)
        return np.stack(self._recall(sentences, self._embed))

    def _embed(self, sentences: Sequence[str]) -> list[NDArray[np.float32]]:
        """Embeddings in the order of ``sentences``, computed in batches of falling length."""
        encoded = self._tokens.encode([(sentence,) for sentence in sentences])

        def work(places: list[int]) -> Tensor:
            inputs = to_device(self._pad([encoded[place] for place in places]), self.device)
            hidden = self.model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1)
            means = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            return nn.functional.normalize(means, dim=-1)

        order: list[int] = []
        vectors = []
        with torch.inference_mode():
            for places, embeddings in self._budget.run([len(tokens.ids) for tokens in encoded], self.device, work):
                order += places
                vectors.append(embeddings)
        stacked = torch.cat(vectors).cpu().numpy()
        if not np.isfinite(stacked).all():
            row = order[int(np.isfinite(stacked).all(-1).argmin())]
            raise ValueError(
                f"--sentence_encoder {self.name} gives numbers that are not finite for the text "
                f"{sentences[row]!r:.80}, so no similarity can be measured: give another model, or load it in float32."
            )
        ordered = np.empty_like(stacked)
        ordered[order] = stacked
        return [vector.copy() for vector in ordered]


def load_encoder(spec: str) -> SentenceEncoder:
    """Load an encoder from a local folder or the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, it cannot be loaded, or its numbers are not finite.
    """
    from transformers import AutoModel, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give the folder or Hub id of a sentence-transformers model, or leave the flag out"
    with loading(f"--sentence_encoder {spec}", spec, remedy):
        model, tokenizer = AutoModel.from_pretrained(spec), AutoTokenizer.from_pretrained(spec)
    encoder = SentenceEncoder(model, tokenizer, spec)
    encoder.encode(["a text"])  # an encoder that is of no use is refused now
    return encoder
