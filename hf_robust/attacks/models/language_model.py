"""Log probabilities from any causal language model of transformers, for the constraints in ``fluency``."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.attacks.parts.fluency import Continuation

CACHE_SIZE = 1 << 16
"""Number of cached answers: most windows and word pairs of one attack come again."""


class CausalLanguageModel(ConsultedModel):
    """Log probability of a text after a context, summed over the text's tokens.

    The papers' models (Google's billion-word model and the model of "Learning to Write") are not available in
    transformers. Their thresholds are not calibrated for another model, so results name the model.

    A text starts with the model's start token, or with its end token if it has no start token. Of a context longer
    than ``max_length`` tokens the last tokens are read. Answers differ between batches by float32 noise, which
    ``near_ties`` does not count.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, name: str, *, max_length: int = 128, token_budget: int | None = None
    ) -> None:
        super().__init__(model, tokenizer, name, token_budget, CACHE_SIZE)
        self.max_length = max_length
        starts = (tokenizer.bos_token_id, tokenizer.eos_token_id, getattr(tokenizer, "cls_token_id", None))
        start = next((token for token in starts if token is not None), None)
        if start is None:
            raise ValueError(
                f"the language model {name} has no start or end token for texts to begin with; use another model or "
                "set tokenizer.bos_token."
            )
        self._start = int(start)
        # Padding on the right comes after every token that counts, so any token can be the padding token.
        self._pad = Padder(SimpleNamespace(pad_token_id=self._start, pad_token_type_id=0, padding_side="right"))

    def log_probabilities(self, inputs: Sequence[Continuation]) -> list[float]:
        """The natural logarithm of each text's probability after its context; 0 for a text without tokens."""
        return self._recall(inputs, self._score)

    def first_pieces(self, inputs: Sequence[Continuation]) -> list[float]:
        """The natural logarithm of the probability of each text's first token right after its context.

        As TextAttack's GPT-2 constraint asks: context and text are tokenised apart, and no start token comes first. A
        context of no token starts with the start token. The answer is 0 for a text without tokens.
        """
        return self._recall([(*pair, "first piece") for pair in inputs], self._first)

    def _score(self, inputs: Sequence[Continuation]) -> list[float]:
        """Scores in the order of ``inputs``, computed in batches of falling length."""
        encoded = self._encode(inputs)

        def work(places: list[int]) -> list[float]:
            padded = to_device(self._pad([Encoded(encoded[place][0], None) for place in places]), self.device)
            logits = self.model(**padded, use_cache=False).logits[:, :-1].float()
            follows = padded["input_ids"][:, 1:]
            scores = logits.gather(-1, follows.unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)
            lengths = [(len(encoded[place][0]) - 1, encoded[place][1]) for place in places]
            rows = zip(lengths, scores.cpu().double(), strict=True)
            return [float(row[end - count : end].sum()) for (end, count), row in rows]

        results = [0.0] * len(inputs)
        with torch.inference_mode():
            for places, scores in self._budget.run([len(ids) for ids, _ in encoded], self.device, work):
                for place, score in zip(places, scores, strict=True):
                    results[place] = score
        return results

    def _first(self, inputs: Sequence[tuple[str, str, str]]) -> list[float]:
        """Answers of ``first_pieces`` in the order of ``inputs``; each context goes through the model once."""
        contexts = list(dict.fromkeys(context for context, *_ in inputs))
        encoded = [np.array(ids[-self.max_length :] or [self._start], dtype=np.int32) for ids in self._ids(contexts)]
        numbers, wanted = {context: place for place, context in enumerate(contexts)}, [list[int]() for _ in contexts]
        firsts = [ids[0] if ids else None for ids in self._ids([text for _, text, _ in inputs])]
        for row, ((context, *_), first) in enumerate(zip(inputs, firsts, strict=True)):
            if first is not None:
                wanted[numbers[context]].append(row)

        def work(places: list[int]) -> list[float]:
            padded = to_device(self._pad([Encoded(encoded[place], None) for place in places]), self.device)
            logits = self.model(**padded, use_cache=False).logits
            ends = torch.tensor([len(encoded[place]) - 1 for place in places], device=logits.device)
            follows = logits[torch.arange(len(places), device=logits.device), ends].float().log_softmax(-1).cpu()
            return [float(follows[at, firsts[row]]) for at, place in enumerate(places) for row in wanted[place]]

        results = [0.0] * len(inputs)
        with torch.inference_mode():
            for places, scores in self._budget.run([len(ids) for ids in encoded], self.device, work):
                for row, score in zip([row for place in places for row in wanted[place]], scores, strict=True):
                    results[row] = score
        return results

    def _encode(self, inputs: Sequence[Continuation]) -> list[tuple[NDArray[np.int32], int]]:
        """Token ids from the start token on, and the number of tokens at the end that belong to the text."""
        wholes = self._ids([f"{context} {text}" if context else text for context, text in inputs])
        contexts = dict.fromkeys(context for context, _ in inputs if context)
        before = dict(zip(contexts, self._ids(list(contexts)), strict=True))
        encoded = []
        for ids, (context, _) in zip(wholes, inputs, strict=True):
            # If the text's first letters change the context's last token, this token belongs to the text.
            shared = 0
            for token, other in zip(ids, before.get(context, ()), strict=False):
                if token != other:
                    break
                shared += 1
            tail = ids[-(self.max_length - 1) :]
            encoded.append((np.array([self._start, *tail], dtype=np.int32), min(len(ids) - shared, len(tail))))
        return encoded

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        encoding = self.tokenizer(texts, add_special_tokens=False, return_attention_mask=False)
        ids: list[list[int]] = encoding["input_ids"]
        return ids


def load_language_model(spec: str) -> CausalLanguageModel:
    """Load a model from a local folder or the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, it cannot be loaded, or it has no start token.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give the folder or Hub id of a causal language model, or leave the flag out"
    with loading(f"--language_model {spec}", spec, remedy):
        model, tokenizer = AutoModelForCausalLM.from_pretrained(spec), AutoTokenizer.from_pretrained(spec)
    return CausalLanguageModel(model, tokenizer, spec)
