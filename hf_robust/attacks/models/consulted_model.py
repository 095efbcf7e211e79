"""Base class of the models that attacks use besides the victim."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import nn

from hf_robust.attacks.engine.memory import TokenBudget
from hf_robust.models.weights import weights_hash

Input = TypeVar("Input", bound=Hashable)
Self = TypeVar("Self", bound="ConsultedModel")


class ConsultedModel:
    """A model in eval mode that answers many inputs at once and caches its latest answers.

    Args:
        name: name of the model in result files.
        token_budget: padded tokens in one batch; None for the device's default.
        cache_size: number of cached answers; most inputs of one epoch come again in the next.
    """

    def __init__(
        self, model: nn.Module, tokenizer: Any, name: str, token_budget: int | None, cache_size: int = 1 << 15
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.cache_size = cache_size
        self._budget = TokenBudget(token_budget)
        self._answers: dict[Any, Any] = {}
        self._weights: str | None = None

    @property
    def device(self) -> torch.device:
        """The device of the model's first parameter."""
        return next(self.model.parameters()).device

    def to(self: Self, device: torch.device) -> Self:
        """Move the model."""
        self.model.to(device)
        return self

    def fingerprint(self) -> str:
        """The hash of the weights."""
        if self._weights is None:
            self._weights = weights_hash(self.model)
        return self._weights

    def _recall(self, inputs: Sequence[Input], answer: Callable[[list[Input]], Sequence[Any]]) -> list[Any]:
        """The answer to each input; ``answer`` is called for the inputs that are not cached, each once."""
        new = [query for query in dict.fromkeys(inputs) if query not in self._answers]
        # Removed here and inserted again at the end, so that the least recently used answer is dropped first.
        answers = {query: self._answers.pop(query) for query in dict.fromkeys(inputs) if query in self._answers}
        if new:
            answers.update(zip(new, answer(new), strict=True))
        self._answers.update(answers)
        while len(self._answers) > self.cache_size:
            del self._answers[next(iter(self._answers))]
        return [answers[query] for query in inputs]
