"""Wraps a ``Victim`` as a TextAttack model. Import this module only after ``import_textattack``."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from textattack.models.wrappers import ModelWrapper
from torch import Tensor, nn

from hf_robust.attacks.engine.requests import Floats
from hf_robust.attacks.engine.victim import Victim

UNBOUND_LENGTH = 512


class VictimWrapper(ModelWrapper):
    """Answers TextAttack's queries with a ``Victim``: its batches, its truncation, its padding.

    Texts of one example with equal tokens get equal scores in all requests; otherwise batching noise could count as a
    rise. Probabilities are float32, as in TextAttack's own wrapper.

    Args:
        victim: None while no attack runs, so that a recipe can be built before there is a model.
        gradient_dropout: whether gradients are computed in train mode, as in TextAttack; False for eval mode.

    Attributes:
        has_logits: whether the last probabilities come from logits; False for votes.
    """

    def __init__(self, victim: Victim | None = None, *, gradient_dropout: bool = True) -> None:
        self.victim = victim
        self.gradient_dropout = gradient_dropout
        self.has_logits = True
        self._rows_by_tokens: dict[bytes, Floats] = {}

    @property
    def model(self) -> nn.Module:
        """The victim's model; without a victim a placeholder, of which TextAttack only reads the class."""
        return nn.Identity() if self.victim is None else self.victim.model

    @property
    def tokenizer(self) -> Any:
        return None if self.victim is None else self.victim.tokenizer

    @property
    def max_length(self) -> int:
        """Number of tokens to which texts are truncated; BERT's for recipes built before there is a model."""
        return UNBOUND_LENGTH if self.victim is None else self.victim.max_length or UNBOUND_LENGTH

    def start(self, seed: int) -> None:
        """Start a new example: forget the stored scores, and seed the random states that dropout draws from."""
        device = self._bound().device
        self._rows_by_tokens.clear()
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            # Not torch.manual_seed: that also reaches the process's other GPUs.
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    def release(self) -> None:
        """Forget the victim, so that a recipe that lives between epochs does not keep the model in memory."""
        self.victim = None
        self._rows_by_tokens.clear()

    def __call__(self, text_input_list: list[Any]) -> Tensor:
        """Class probabilities [n, K] in float32 of strings, or of tuples of two strings."""
        scores = self._bound().score([(text,) if isinstance(text, str) else tuple(text) for text in text_input_list])
        self.has_logits = scores.logits is not None
        rows = [
            self._rows_by_tokens.setdefault(key, row)
            for key, row in zip(scores.sequences, scores.probabilities, strict=True)
        ]
        return torch.from_numpy(np.stack(rows))

    def get_grad(self, text_input: Any) -> dict[str, Any]:
        """Token ids [1, n], and the gradient [n, width] of the predicted label's cross-entropy by the embeddings.

        The label comes from a separate forward pass, as in TextAttack; with dropout both passes may differ. The
        parameters' gradients do not change.
        """
        victim = self._bound()
        inputs = self._encode([text_input], return_tensors="pt").to(victim.device)
        leaves: list[Tensor] = []
        modes = [(module, module.training) for module in victim.model.modules()]
        embeddings: nn.Module = victim.model.get_input_embeddings()  # type: ignore[operator]
        try:
            victim.model.train(self.gradient_dropout)
            with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False), victim.autocast():
                label = self._logits(inputs).detach().argmax(-1)
                hook = embeddings.register_forward_hook(lambda _, __, output: _leaf(output, leaves))
                try:
                    loss = nn.functional.cross_entropy(self._logits(inputs), label)
                finally:
                    hook.remove()
            if not leaves:
                raise ValueError("this TextAttack recipe needs a model that embeds its input_ids; this one does not.")
            gradient = torch.autograd.grad(loss, leaves[0])[0].float()
        finally:
            for module, training in modes:
                module.training = training
        # XLNet embeds [length, batch].
        row = gradient[:, 0] if gradient.shape[1] == 1 else gradient[0]
        return {"ids": inputs["input_ids"], "gradient": row.cpu().numpy()}

    def _tokenize(self, inputs: list[Any]) -> list[list[str]]:
        encoded = (self._encode([text])["input_ids"][0] for text in inputs)
        return [self._bound().tokenizer.convert_ids_to_tokens(ids) for ids in encoded]

    def _encode(self, inputs: list[Any], **options: Any) -> Any:
        victim = self._bound()
        cut = {"truncation": victim.max_length is not None, "max_length": victim.max_length}
        return victim.tokenizer([text if isinstance(text, str) else tuple(text) for text in inputs], **cut, **options)

    def _logits(self, inputs: Any) -> Tensor:
        victim = self._bound()
        outputs = victim.model(**inputs) if victim.inference is None else victim.inference(victim.model, dict(inputs))
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        return logits.float()

    def _bound(self) -> Victim:
        if self.victim is None:
            raise ValueError("this TextAttack recipe queries the model while the recipe is built; there is none yet.")
        return self.victim


def _leaf(output: Tensor, leaves: list[Tensor]) -> Tensor:
    leaf = output.detach().requires_grad_()
    leaves.append(leaf)
    return leaf
