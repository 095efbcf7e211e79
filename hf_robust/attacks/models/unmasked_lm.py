"""What a masked language model expects at each token of a text without masks, for many texts at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hf_robust.attacks.engine.batches import Padder, to_device
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.attacks.models.masked_lm import MaskedLM, is_inner, mark_of

CACHE_SIZE = 1 << 10
"""Number of cached texts, about 10 KB each."""
MAX_PIECES = 48
"""Number of pieces kept for each token: K of BERT-Attack."""


class Expected(NamedTuple):
    """The likeliest pieces at each of a text's L tokens, likeliest first: ids [L, K] and ``-log p`` [L, K]."""

    ids: NDArray[np.int32]
    losses: NDArray[np.float32]


class UnmaskedLM(ConsultedModel):
    """Reads a text without masks and predicts each of its tokens, by the model of a ``MaskedLM``.

    Attributes:
        pieces: token id -> entry of the vocabulary.
        mark: the vocabulary's prefix mark (see ``mark_of``).
        whole: ids that can begin a word, without special tokens.
        inner: ids that continue a word, without special tokens.
    """

    def __init__(self, masked_lm: MaskedLM) -> None:
        tokenizer = masked_lm.tokenizer
        super().__init__(masked_lm.model, tokenizer, masked_lm.name, None, CACHE_SIZE)
        self.masked_lm, self.max_length, self.mask = masked_lm, masked_lm.max_length, masked_lm.mask
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        self.pieces = {number: piece for piece, number in vocabulary.items()}
        self.mark, special = mark_of(vocabulary), set(tokenizer.all_special_ids)
        self.inner = {number for piece, number in vocabulary.items() if is_inner(piece, self.mark)} - special
        self.whole = self.pieces.keys() - self.inner - special
        self._tokens, self._pad = TextTokenizer(tokenizer, self.max_length), Padder(tokenizer)

    def expect(self, texts: Sequence[str]) -> list[Expected]:
        """The likeliest pieces at each token of each text; recent answers are cached."""
        return self._recall(texts, self._answer)

    def fingerprint(self) -> str:
        """The fingerprint of the masked language model."""
        return self.masked_lm.fingerprint()

    def place_of_mask(self, masked: str) -> int | None:
        """Position of the first mask token of a text; None if truncation removed it."""
        (encoded,) = self._tokens.encode([(masked,)])
        (places,) = np.nonzero(encoded.ids == self.tokenizer.mask_token_id)
        return int(places[0]) if len(places) else None

    def count(self, text: str, special: bool = False) -> int:
        """Number of tokens of a text, without truncation; ``special`` counts special tokens too."""
        return len(self.tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"])

    def _answer(self, texts: Sequence[str]) -> list[Expected]:
        """Answers in the order of ``texts``, computed in batches of falling length."""
        encoded = self._tokens.encode([(text,) for text in texts])
        lengths = [len(tokens.ids) for tokens in encoded]

        def work(places: list[int]) -> list[Expected]:
            inputs = to_device(self._pad([encoded[place] for place in places]), self.device)
            logits = self.model(**inputs)["logits"].float()
            values, ids = logits.topk(min(MAX_PIECES, logits.shape[-1]))
            losses = (logits.logsumexp(-1, keepdim=True) - values).cpu().numpy()
            pieces = ids.int().cpu().numpy()
            spans = [self._pad.span(lengths[place], logits.shape[1]) for place in places]
            return [Expected(pieces[row, span], losses[row, span]) for row, span in enumerate(spans)]

        answers: dict[int, Expected] = {}
        with torch.inference_mode():
            # Scores of the whole vocabulary at every token take about as much memory as the model's forward pass.
            for places, found in self._budget.run(lengths, self.device, work, share=2):
                answers.update(zip(places, found, strict=True))
        return [answers[place] for place in range(len(texts))]
