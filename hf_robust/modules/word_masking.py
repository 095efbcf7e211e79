"""Applies a word mask to a model: sampled in training, its expectation in inference, folded into saved weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise, sequence_first, word_embeddings
from hf_robust.models.architecture import without_peft
from hf_robust.modules.word_mask import WordMask, draw

# Number of words whose importances are computed together.
_CHUNK = 8192


@dataclass
class MaskedPass:
    """Tensors of a masked training pass.

    Attributes:
        logits: (B, L) float32, keep logits of the tokens.
        words: (B, L) bool, True for real tokens that are not special.
        real: (B, L) bool, True for real tokens.
    """

    logits: Tensor
    words: Tensor
    real: Tensor


class WordMasking:
    """The word mask of one model.

    Args:
        model: the unwrapped classifier; under PEFT the PEFT model.
        network: the network that computes the keep logits.
        block: the embedding block whose output is read and masked; None for the word embeddings.
        special: ids of the special tokens.
        protect: whether special tokens are never masked.
        attention: whether training removes masked words from the attention mask too.
        temperature: temperature of the relaxed draws.
    """

    def __init__(
        self,
        model: nn.Module,
        network: WordMask,
        *,
        block: nn.Module | None = None,
        special: Tensor,
        protect: bool = True,
        attention: bool = True,
        temperature: float = 1.0,
    ) -> None:
        self.model, self.network, self.block, self.special = model, network, block, special
        self.protect, self.attention, self.temperature = protect, attention, temperature
        self._layers = word_embeddings(model)
        self._cached: tuple[Any, Tensor] | None = None

    # ---- training ----

    @contextmanager
    def sampled(self, noise: Noise) -> Iterator[list[MaskedPass]]:
        """Multiply the input of the model by a random mask in passes inside the block; yields a list of these passes.

        The attention mask is multiplied too. A text never loses all its tokens: the first real one, normally [CLS],
        stays in this case.
        """
        passes: list[MaskedPass] = []
        scales: list[Tensor] = []
        features: list[Tensor] = []

        def prepare(module: nn.Module, args: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            scales.clear()
            features.clear()
            ids = inputs["input_ids"]
            mask = inputs.get("attention_mask")
            real = torch.ones_like(ids) if mask is None else mask
            read = self._layers[0](ids) if self.block is None else self._block_output(inputs)
            logits = self.network(read)
            keep = self._with_required(draw(logits, ids, real, noise, self.temperature), ids, real)
            features.append(read)
            scales.append(keep)
            passes.append(MaskedPass(logits, real.bool() & ~self._is_special(ids), real.bool()))
            return args, {**inputs, "attention_mask": self._attention_mask(real, keep) if self.attention else mask}

        def mask_look_up(ids: Tensor) -> Tensor | None:
            if not scales:
                return None
            # The decoders of T5 and BART read the same tokens shifted by one, after a start token without a mask.
            scale = scales[0]
            scales[0] = torch.cat([torch.ones_like(scale[:, :1]), scale[:, :-1]], dim=1)
            return scale

        def mask_block(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            # The mask belongs to the features of the first call of the block; dropout differs in this call.
            return features[0] * scales[0].unsqueeze(-1).to(features[0].dtype) if scales else None

        handle = self.model.register_forward_pre_hook(prepare, with_kwargs=True)
        try:
            if self.block is None:
                with self._scaled(mask_look_up, turned=sequence_first(self.model)):
                    yield passes
            else:
                with hooked([self.block], mask_block):
                    yield passes
        finally:
            handle.remove()

    def _with_required(self, draws: Tensor, ids: Tensor, real: Tensor) -> Tensor:
        """The draws, set to 1 for tokens that must stay."""
        if self.protect:
            draws = torch.where(self._is_special(ids), 1.0, draws)
        is_real = real.bool()
        empty = ~(is_real & (draws.detach() > 0.5)).any(1, keepdim=True)
        return torch.where(empty & is_real & (is_real.cumsum(1) == 1), 1.0, draws)

    def _attention_mask(self, real: Tensor, keep: Tensor) -> Tensor:
        mask: Tensor = real * keep.detach().round().to(real.dtype)
        return mask

    def _is_special(self, ids: Tensor) -> Tensor:
        self.special = self.special.to(ids.device)
        return torch.isin(ids, self.special)

    def _block_output(self, inputs: dict[str, Any]) -> Tensor:
        assert self.block is not None
        parameters = inspect.signature(self.block.forward).parameters
        names = {"input_ids": "input_ids", "token_type_ids": "token_type_ids", "mask": "attention_mask"}
        output: Tensor = self.block(
            **{name: inputs[key] for name, key in names.items() if name in parameters and inputs.get(key) is not None}
        )
        return output

    # ---- inference ----

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Multiply the input of the model by its importances in passes inside the block; attention does not change."""
        if self.block is None:
            importances = self.importances()
            with self._scaled(lambda ids: importances[ids]):
                yield
            return
        rows: list[Tensor] = []

        def weigh(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            importance: Tensor = self.network(output).sigmoid()
            if self.protect:
                importance = torch.where(self._is_special(rows[-1]), 1.0, importance)
            return output * importance.unsqueeze(-1).to(output.dtype)

        def record_ids(module: nn.Module, args: Any, inputs: dict[str, Any]) -> None:
            rows.append(inputs["input_ids"])

        handle = self.model.register_forward_pre_hook(record_ids, with_kwargs=True)
        try:
            with hooked([self.block], weigh):
                yield
        finally:
            handle.remove()

    def importances(self) -> Tensor:
        """(V,) float32 importance phi of each token of the vocabulary, from its word embedding alone.

        The result is cached for the same parameters: inference only looks it up, and uses exactly the numbers that are
        folded into a saved model. A fused optimizer does not change the version of a parameter, so that ``forget``
        must be called after each step.
        """
        layer = self._layers[0]
        parameters = [*layer.parameters(), *self.network.parameters()]
        state = [(parameter.data_ptr(), parameter._version) for parameter in parameters]
        if self._cached is None or self._cached[0] != state:
            # No inference tensor, because attacks may differentiate through it later.
            with torch.inference_mode(False), torch.no_grad():
                ids = torch.arange(len(layer.weight), device=parameters[0].device)  # type: ignore[arg-type]
                chunks = torch.split(ids, _CHUNK)
                importances = torch.cat([self.network(layer(chunk)).sigmoid() for chunk in chunks])
                if self.protect:
                    importances[self.special] = 1.0
            self._cached = (state, importances)
        return self._cached[1]

    def token_importances(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, L) float32 importance of each token of a batch in its context, as in inference."""
        ids = batch["input_ids"]
        if self.block is None:
            return self.importances()[ids]
        importance = self.network(self._block_output(batch)).sigmoid()
        return torch.where(self._is_special(ids), 1.0, importance) if self.protect else importance

    def forget(self) -> None:
        """Delete the cached importances."""
        self._cached = None

    # ---- saving ----

    @contextmanager
    def folded(self) -> Iterator[None]:
        """Multiply the word embeddings by their importances inside the block, so that the saved plain model predicts
        as the masked one."""
        weight: Any = self._layers[0].weight
        unfolded = weight.data
        weight.data = unfolded * self.importances().unsqueeze(1).to(unfolded.dtype)
        try:
            yield
        finally:
            weight.data = unfolded

    @contextmanager
    def _scaled(self, scale: Callable[[Tensor], Tensor | None], turned: bool = False) -> Iterator[None]:
        """Multiply the output of each word look-up by ``scale`` of its ids, inside the block."""

        def multiply(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            factor = scale(args[0])
            if factor is None:
                return None
            longer = args[0].shape[0 if turned else -1] - factor.shape[1]  # Longformer appends padding
            factor = nn.functional.pad(factor, (0, longer), value=1.0)
            factor = factor.t() if turned else factor
            return output * factor.unsqueeze(-1).to(output.dtype)

        with hooked(self._layers, multiply):
            yield


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Register a forward hook on the modules inside the block."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def embedding_block(model: nn.Module) -> nn.Module:
    """The module that computes an encoder's first hidden states from token ids: words, positions, normalisation.

    Raises:
        ValueError: the model has none.
    """
    block = getattr(getattr(without_peft(model), "base_model", None), "embeddings", None)
    if not isinstance(block, nn.Module) or isinstance(block, nn.Embedding):
        raise ValueError(
            f"--mask_input block needs a model with an embedding block, such as BERT's, and {type(model).__name__} "
            "has none; use --mask_input word."
        )
    return block
