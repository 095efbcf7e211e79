"""Does the next layer take a word mask out again? Measured on the model itself, before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating, word_embeddings
from hf_robust.modules.masking import embedding_block, hooked

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FLATTrainer

LEAST = 0.03
"""Share of a word's whole effect that halving it must have. Where a normalisation cancels the mask the share is below
0.015 in models of real size (it comes from the constant in the normalisation's root); where none does, 0.04 to 0.9."""
TEXTS, WORDS = 8, 3


def check_effect(trainer: FLATTrainer) -> None:
    """Refuse a mask that scales what the next layer normalises, one word at a time.

    Raises:
        ValueError: halving a word changes the model's logits by less than 3 % of what removing the word does.
    """
    asked = str(trainer.args.mask_input)
    found = _effect_of(trainer, asked)
    if found is None or found >= LEAST:
        return
    other = "word" if asked == "block" else "block"
    there = _effect_of(trainer, other)
    way_out = "use another method, such as --robust_method adv_iter"
    if there is not None and there >= LEAST:
        way_out = f"use --mask_input {other} (there: {there:.0%})"
    raise ValueError(
        f"--mask_input {asked} has no effect on this {type(trainer.model).__name__}, whose next layer normalises what "
        f"the mask scales: halving a word changes its logits by {found:.2%} of what removing the word does; {way_out}."
    )


def _effect_of(trainer: FLATTrainer, mask_input: str) -> float | None:
    """None where the model has no such input, or looks at no word."""
    model = trainer.model
    modules: Sequence[nn.Module]
    if mask_input == "block":
        try:
            modules = [embedding_block(model)]
        except ValueError:
            return None
    else:
        modules = word_embeddings(model)
    return mask_effect(model, modules, _some_texts(trainer), trainer.processing_class.all_special_ids)


def _some_texts(trainer: FLATTrainer) -> dict[str, Tensor]:
    dataset = trainer.train_dataset.dataset  # without its views
    rows = [dataset.encode(dataset.texts(index)) for index in range(min(TEXTS, len(dataset)))]
    batch = dict(trainer.processing_class.pad(rows, return_tensors="pt"))
    return {name: tensor.to(trainer.args.device) for name, tensor in batch.items()}


def mask_effect(
    model: Any, modules: Sequence[nn.Module], batch: dict[str, Tensor], special: Sequence[int]
) -> float | None:
    r"""What halving a word changes in the logits, as a share of what removing it changes; None where that is nothing.

    .. math:: \sum\|f(0.5\,e_w) - f(e_w)\|_1 \,/\, \sum\|f(0\,e_w) - f(e_w)\|_1

    over some words w of each text, one at a time, wherever the text has it. No random state is used.

    Args:
        modules: whose outputs e are scaled: the word embeddings, or the embedding block.
        batch: (B, L) a batch of texts, without labels.
        special: ids of the tokens that are no words.
    """
    ids = batch["input_ids"]
    words = torch.isin(ids, torch.tensor(special, device=ids.device), invert=True) & batch["attention_mask"].bool()
    ranks = words.cumsum(1) * words

    def logits(chosen: Tensor, value: float) -> Tensor:
        def multiply(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            # By the ids that a look-up got: XLNet's are turned, and the decoder's of T5 and BART moved by one.
            own = args[0] if args else ids
            scale = torch.where(torch.isin(own, chosen), value, 1.0)
            return output * scale.unsqueeze(-1).to(output.dtype)

        with hooked(modules, multiply):
            found: Tensor = model(**batch)["logits"].float()
        return found

    halved = removed = 0.0
    with torch.no_grad(), evaluating(model):
        for rank in range(1, WORDS + 1):
            chosen = ids[ranks == rank]
            whole = logits(chosen, 1.0)
            halved += float((logits(chosen, 0.5) - whole).abs().sum())
            removed += float((logits(chosen, 0.0) - whole).abs().sum())
    return halved / removed if removed else None
