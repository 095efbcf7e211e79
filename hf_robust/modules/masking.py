"""Puts a word mask into a model: random in training, its mean at inference, folded into what is saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import Noise, sequence_first, word_embeddings
from hf_robust.modules.auxiliary import owner
from hf_robust.modules.word_mask import WordMask, draw

# Words whose importances are computed together.
_CHUNK = 8192


@dataclass
class Masked:
    """What a masked training pass saw, once it has run.

    ``logits`` (B, L) float32 are the keep logits of the tokens, ``words`` (B, L) is True for real tokens that are not
    special, ``real`` for all that are no padding.
    """

    logits: Tensor
    words: Tensor
    real: Tensor


class Masking:
    """The mask of one model.

    Args:
        model: the bare classifier; under PEFT the PEFT model.
        network: computes the keep logits.
        block: the embedding block whose output is read and masked; None for the word embeddings.
        special: ids of the special tokens.
        protect: leave the special tokens as they are.
        attention: take masked words out of the attention mask too, in training.
        temperature: of the relaxed draws.
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
        self._known: tuple[Any, Tensor] | None = None

    # ---- training ----

    @contextmanager
    def sampled(self, noise: Noise) -> Iterator[list[Masked]]:
        """Passes of the model in the block see the input times a random mask; what each saw is added to the list.

        The attention mask is multiplied too. A text never loses all its tokens: its first real one, which is [CLS]
        where there is one, stays then.
        """
        seen: list[Masked] = []
        scales: list[Tensor] = []
        features: list[Tensor] = []

        def prepare(module: nn.Module, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            scales.clear()
            features.clear()
            ids = given["input_ids"]
            mask = given.get("attention_mask")
            real = torch.ones_like(ids) if mask is None else mask
            read = self._layers[0](ids) if self.block is None else self._block_output(given)
            logits = self.network(read)
            keep = self._kept(draw(logits, ids, real, noise, self.temperature), ids, real)
            features.append(read)
            scales.append(keep)
            seen.append(Masked(logits, real.bool() & ~self._is_special(ids), real.bool()))
            return args, {**given, "attention_mask": self._hidden(real, keep) if self.attention else mask}

        def mask_look_up(ids: Tensor) -> Tensor | None:
            if not scales:
                return None
            # T5's and BART's decoder reads the same tokens moved by one, from a start token that stays.
            scale = scales[0]
            scales[0] = torch.cat([torch.ones_like(scale[:, :1]), scale[:, :-1]], dim=1)
            return scale

        def mask_block(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            # The mask was drawn for the first run of the block; dropout made this one another.
            return features[0] * scales[0].unsqueeze(-1).to(features[0].dtype) if scales else None

        handle = self.model.register_forward_pre_hook(prepare, with_kwargs=True)
        try:
            if self.block is None:
                with self._scaled(mask_look_up, turned=sequence_first(self.model)):
                    yield seen
            else:
                with hooked([self.block], mask_block):
                    yield seen
        finally:
            handle.remove()

    def _kept(self, draws: Tensor, ids: Tensor, real: Tensor) -> Tensor:
        """The draws, 1 where a token must stay."""
        if self.protect:
            draws = torch.where(self._is_special(ids), 1.0, draws)
        there = real.bool()
        lost = ~(there & (draws.detach() > 0.5)).any(1, keepdim=True)
        return torch.where(lost & there & (there.cumsum(1) == 1), 1.0, draws)

    def _hidden(self, real: Tensor, keep: Tensor) -> Tensor:
        hidden: Tensor = real * keep.detach().round().to(real.dtype)
        return hidden

    def _is_special(self, ids: Tensor) -> Tensor:
        self.special = self.special.to(ids.device)
        return torch.isin(ids, self.special)

    def _block_output(self, given: dict[str, Any]) -> Tensor:
        assert self.block is not None
        known = inspect.signature(self.block.forward).parameters
        names = {"input_ids": "input_ids", "token_type_ids": "token_type_ids", "mask": "attention_mask"}
        found: Tensor = self.block(
            **{name: given[key] for name, key in names.items() if name in known and given.get(key) is not None}
        )
        return found

    # ---- inference ----

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Passes of the model in the block see the input times its importance, and the attention mask as it is."""
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

        def note(module: nn.Module, args: Any, given: dict[str, Any]) -> None:
            rows.append(given["input_ids"])

        handle = self.model.register_forward_pre_hook(note, with_kwargs=True)
        try:
            with hooked([self.block], weigh):
                yield
        finally:
            handle.remove()

    def importances(self) -> Tensor:
        """(V,) float32 importance phi of each token of the vocabulary, from its word embedding alone.

        Computed once for the same weights: a look-up at inference costs nothing, and has the very numbers that are
        folded into a saved model. A fused optimizer changes weights unseen, so each step must be told by ``forget``.
        """
        layer = self._layers[0]
        parameters = [*layer.parameters(), *self.network.parameters()]
        state = [(one.data_ptr(), one._version) for one in parameters]
        if self._known is None or self._known[0] != state:
            # Not an inference tensor, since gradients of attacks may pass it later.
            with torch.inference_mode(False), torch.no_grad():
                ids = torch.arange(len(layer.weight), device=parameters[0].device)  # type: ignore[arg-type]
                found = torch.cat([self.network(layer(part)).sigmoid() for part in torch.split(ids, _CHUNK)])
                if self.protect:
                    found[self.special] = 1.0
            self._known = (state, found)
        return self._known[1]

    def token_importances(self, batch: dict[str, Tensor]) -> Tensor:
        """(B, L) float32 importance of each token of a batch where it stands, as inference has it."""
        ids = batch["input_ids"]
        if self.block is None:
            return self.importances()[ids]
        importance = self.network(self._block_output(batch)).sigmoid()
        return torch.where(self._is_special(ids), 1.0, importance) if self.protect else importance

    def forget(self) -> None:
        """Compute the importances anew when they are next asked for."""
        self._known = None

    # ---- saving ----

    @contextmanager
    def folded(self) -> Iterator[None]:
        """The word embeddings are multiplied by their importances in the block: the plain model then predicts as the
        masked one does, and is saved so."""
        weight: Any = self._layers[0].weight
        kept = weight.data
        weight.data = kept * self.importances().unsqueeze(1).to(kept.dtype)
        try:
            yield
        finally:
            weight.data = kept

    @contextmanager
    def _scaled(self, scale: Callable[[Tensor], Tensor | None], turned: bool = False) -> Iterator[None]:
        """Each look-up of the words multiplies its output by what ``scale`` says of its ids."""

        def multiply(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            factor = scale(args[0])
            if factor is None:
                return None
            factor = factor.t() if turned else factor
            return output * factor.unsqueeze(-1).to(output.dtype)

        with hooked(self._layers, multiply):
            yield


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """The modules have one more forward hook in the block."""
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def embedding_block(model: nn.Module) -> nn.Module:
    """The module that makes an encoder's first hidden states of token ids: words, positions, normalisation.

    Raises:
        ValueError: the model has none.
    """
    block = getattr(getattr(owner(model), "base_model", None), "embeddings", None)
    if not isinstance(block, nn.Module) or isinstance(block, nn.Embedding):
        raise ValueError(
            f"--mask_input block needs a model with an embedding block, such as BERT's, and {type(model).__name__} "
            "has none; use --mask_input word."
        )
    return block
