"""Our victim as TextAttack sees a model. Imports TextAttack: import this module only after ``import_textattack``."""

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
    """Answers TextAttack's queries from a ``Victim``: its batches, its truncation, its padding to the longest.

    ``victim`` None while no attack is run, so that a recipe can be built before there is a model. Texts of one
    example with equal tokens get equal scores in whichever request they come: else the noise of batching may pass for
    a rise. Probabilities are in float32, as its own wrapper gives them; ``has_logits`` says whether logits are behind
    them, and not votes.

    Args:
        gradient_dropout: take gradients with the model in train mode, as TextAttack does; False for eval mode.
    """

    def __init__(self, victim: Victim | None = None, *, gradient_dropout: bool = True) -> None:
        self.victim = victim
        self.gradient_dropout = gradient_dropout
        self.has_logits = True
        self._known: dict[bytes, Floats] = {}

    @property
    def model(self) -> nn.Module:
        """The bound model; TextAttack asks an unbound wrapper only for its class."""
        return nn.Identity() if self.victim is None else self.victim.model

    @property
    def tokenizer(self) -> Any:
        return None if self.victim is None else self.victim.tokenizer

    @property
    def max_length(self) -> int:
        """Tokens to which a text is cut; recipes that are built before there is a model take BERT's."""
        return UNBOUND_LENGTH if self.victim is None else self.victim.max_length or UNBOUND_LENGTH

    def start(self, seed: int) -> None:
        """Drop the last example's scores, and seed the random states that a gradient with dropout draws from."""
        device = self._bound().device
        self._known.clear()
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            # Not torch.manual_seed: that also reaches the process's other GPUs.
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)

    def release(self) -> None:
        """Forget the victim, so that a recipe which is kept between epochs does not keep a model alive."""
        self.victim = None
        self._known.clear()

    def __call__(self, text_input_list: list[Any]) -> Tensor:
        """Class probabilities [n, K] in float32 of strings, or of tuples of two strings."""
        scores = self._bound().score([(one,) if isinstance(one, str) else tuple(one) for one in text_input_list])
        self.has_logits = scores.logits is not None
        rows = [
            self._known.setdefault(key, row) for key, row in zip(scores.sequences, scores.probabilities, strict=True)
        ]
        return torch.from_numpy(np.stack(rows))

    def get_grad(self, text_input: Any) -> dict[str, Any]:
        """Token ids [1, n] and dL/de [n, width]: the predicted label's cross-entropy by the embedding layer's output.

        The label comes from a forward of its own, as in TextAttack: with dropout the two may differ. The parameters'
        gradients are not touched.
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
                raise ValueError("this TextAttack recipe needs a model that embeds its input_ids; none did.")
            gradient = torch.autograd.grad(loss, leaves[0])[0].float()
        finally:
            for module, training in modes:
                module.training = training
        # XLNet embeds [length, batch].
        row = gradient[:, 0] if gradient.shape[1] == 1 else gradient[0]
        return {"ids": inputs["input_ids"], "gradient": row.cpu().numpy()}

    def _tokenize(self, inputs: list[Any]) -> list[list[str]]:
        encoded = (self._encode([one])["input_ids"][0] for one in inputs)
        return [self._bound().tokenizer.convert_ids_to_tokens(ids) for ids in encoded]

    def _encode(self, inputs: list[Any], **options: Any) -> Any:
        victim = self._bound()
        cut = {"truncation": victim.max_length is not None, "max_length": victim.max_length}
        return victim.tokenizer([one if isinstance(one, str) else tuple(one) for one in inputs], **cut, **options)

    def _logits(self, inputs: Any) -> Tensor:
        victim = self._bound()
        outputs = victim.model(**inputs) if victim.inference is None else victim.inference(victim.model, dict(inputs))
        logits: Tensor = outputs if isinstance(outputs, Tensor) else outputs["logits"]
        return logits.float()

    def _bound(self) -> Victim:
        if self.victim is None:
            raise ValueError("this TextAttack recipe queries the model while it is built, before there is one.")
        return self.victim


def _leaf(output: Tensor, leaves: list[Tensor]) -> Tensor:
    leaf = output.detach().requires_grad_()
    leaves.append(leaf)
    return leaf
