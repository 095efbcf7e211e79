"""FLAT's word mask before and after training: checks that a model can use it, and the files that are saved for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating, word_embeddings
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.models.files import check_files, read_weights
from hf_robust.modules.auxiliary import Auxiliary, attach
from hf_robust.modules.saved_inference import Fetch
from hf_robust.modules.word_mask import WordMask
from hf_robust.modules.word_masking import WordMasking, embedding_block, hooked

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FLATTrainer

IMPORTANCES = "word_importances.json"
MASK_FILE = "word_mask.safetensors"
MIN_EFFECT = 0.03
"""Minimum effect of halving a word vector, as a share of the effect of removing it. If a normalisation cancels the
mask, the share is below 0.015 in models of real size (because of the constant in the root); else it is 0.04 to 0.9."""
TEXTS, WORDS = 8, 3
"""Number of texts, and of words in each, on which the effect is measured."""


def check_mask_setup(trainer: FLATTrainer) -> None:
    """Refuse settings that the mask does not work with.

    Raises:
        ValueError: there is no tokenizer; the model is compiled or split over devices; another layer shares
            the word embeddings; or the next layer cancels the mask.
    """
    args, model = trainer.args, trainer.model
    if trainer.processing_class is None:
        raise ValueError(
            "flat got no tokenizer to find the special tokens; pass processing_class=tokenizer to the trainer."
        )
    if args.n_gpu > 1:
        raise ValueError(
            f"flat masks a whole batch, and DataParallel over {args.n_gpu} GPUs would split it unseen; start the "
            "script with torchrun, or show it one GPU (CUDA_VISIBLE_DEVICES=0)."
        )
    if args.torch_compile:
        raise ValueError(
            "flat masks words by hooks that change from pass to pass, which a compiled model ignores; leave "
            "--torch_compile out."
        )
    weight: Any = word_embeddings(model)[0].weight
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is weight and not _is_look_up(module):
            raise ValueError(
                f"flat scales the word embeddings, which {type(model).__name__} uses in {name} too; give a model "
                "whose word embeddings are not tied to another layer."
            )
    check_effect(trainer)


def _is_look_up(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding) or hasattr(module, "base_layer")


def check_effect(trainer: FLATTrainer) -> None:
    """Refuse a mask that the normalisation in the next layer cancels.

    Raises:
        ValueError: halving a word vector changes the logits by less than 3 % of the change by removing it.
    """
    mask_input = str(trainer.args.mask_input)
    effect = _effect_of(trainer, mask_input)
    if effect is None or effect >= MIN_EFFECT:
        return
    other = "word" if mask_input == "block" else "block"
    other_effect = _effect_of(trainer, other)
    remedy = "use another method, such as --robust_method adv_iter"
    if other_effect is not None and other_effect >= MIN_EFFECT:
        remedy = f"use --mask_input {other} (there: {other_effect:.0%})"
    raise ValueError(
        f"--mask_input {mask_input} has no effect on this {type(trainer.model).__name__}, because the next layer "
        f"normalises the masked values: halving a word changes its logits by {effect:.2%} of the change by removing "
        f"the word; {remedy}."
    )


def _effect_of(trainer: FLATTrainer, mask_input: str) -> float | None:
    """The effect of ``mask_input``; None if the model has no such input or ignores all words."""
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
    r"""Change of the logits by halving a word vector, relative to the change by removing it; None if that is 0.

    .. math:: \sum\|f(0.5\,e_w) - f(e_w)\|_1 \,/\, \sum\|f(0\,e_w) - f(e_w)\|_1

    over some words w of each text, one at a time, at all their occurrences. No random state is used.

    Args:
        modules: the modules whose outputs e are scaled: the word embeddings, or the embedding block.
        batch: (B, L) a batch of texts without labels.
        special: ids of the special tokens.
    """
    ids = batch["input_ids"]
    words = torch.isin(ids, torch.tensor(special, device=ids.device), invert=True) & batch["attention_mask"].bool()
    ranks = words.cumsum(1) * words

    def logits(words: Tensor, value: float) -> Tensor:
        def multiply(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            # Use the ids of the look-up itself: XLNet transposes them, the decoders of T5 and BART shift them by one.
            read = args[0] if args else ids
            scale = torch.where(torch.isin(read, words), value, 1.0)
            return output * scale.unsqueeze(-1).to(output.dtype)

        with hooked(modules, multiply):
            outputs: Tensor = model(**batch)["logits"].float()
        return outputs

    halved = removed = 0.0
    with torch.no_grad(), evaluating(model):
        for rank in range(1, WORDS + 1):
            scaled = ids[ranks == rank]
            whole = logits(scaled, 1.0)
            halved += float((logits(scaled, 0.5) - whole).abs().sum())
            removed += float((logits(scaled, 0.0) - whole).abs().sum())
    return halved / removed if removed else None


def special_ids(tokenizer: Any) -> Tensor:
    """Ids of the tokens that enclose and pad a text, without [UNK] and [MASK], which replace words."""
    names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    ids = {getattr(tokenizer, name, None) for name in names} - {None}
    return torch.tensor(sorted(ids), dtype=torch.long)


def why_not_folded(trainer: FLATTrainer) -> str | None:
    """One sentence on why the saved model cannot contain the mask; None if it does."""
    if trainer.args.mask_input == "block":
        return (
            "The saved model has no word mask, because --mask_input block applies it after the embedding block: plain "
            "transformers predicts from unmasked words, unlike the evaluation and the attacks of this run; use "
            "--mask_input word for a model that predicts equally."
        )
    if hasattr(trainer.model, "peft_config"):
        return (
            "The saved adapter has no word mask, because the mask changes the word embeddings of the base model: "
            "plain PEFT predicts from unmasked words, unlike the evaluation and the attacks of this run; train "
            "without an adapter for a model that predicts equally."
        )
    return None


def restore_word_masking(model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> WordMasking:
    """The word mask of a saved model without a folded mask, from the file of its network."""
    path = fetch(MASK_FILE)
    check_files([path], "copy it again from the run that wrote it")
    state = {name.removeprefix(f"{AUXILIARY_ATTRIBUTE}."): value for name, value in read_weights([path]).items()}
    hidden, width = state["hidden.weight"].shape
    # Masks from versions before the normalisation read the raw word embeddings.
    network = WordMask(width, hidden, bias=0.0, seed=0, normalised=settings.get("normalised", False))
    network.load_state_dict(state, strict=False)  # the file has no table, which only a folded mask needs
    attach(model, Auxiliary(network))
    block = embedding_block(model) if settings["mask_input"] == "block" else None
    return WordMasking(
        model, network, block=block, special=special_ids(tokenizer), protect=settings["protect_special"]
    )


def write_importances(trainer: FLATTrainer, folder: Path) -> None:
    """Write phi of each token to ``word_importances.json`` (5.6), and the network if the model does not contain it."""
    if not trainer.args.should_save:
        return
    folder.mkdir(parents=True, exist_ok=True)
    masking = trainer.masking
    if masking.block is None:
        importances = masking.importances().tolist()
        tokenizer = trainer.processing_class
        names = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), len(importances)))))
        phi = {name: round(value, 6) for name, value in zip(names, importances, strict=False) if name is not None}
        (folder / IMPORTANCES).write_text(json.dumps(phi, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    (folder / MASK_FILE).unlink(missing_ok=True)  # the file of an earlier run
    if why_not_folded(trainer):
        state = {
            f"{AUXILIARY_ATTRIBUTE}.{name}": value.contiguous() for name, value in masking.network.named_parameters()
        }
        safetensors.torch.save_file(state, str(folder / MASK_FILE))
