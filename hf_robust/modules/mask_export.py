"""What flat writes beside a model, and what its mask does not go with.

Does the next layer take a word mask out again? Measured on the model itself, before it is trained.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hf_robust.adversary import evaluating, word_embeddings
from hf_robust.models.files import check_files, read_weights
from hf_robust.modules.auxiliary import ATTRIBUTE, Auxiliary, attach
from hf_robust.modules.masking import Masking, embedding_block, hooked
from hf_robust.modules.saved_inference import Fetch
from hf_robust.modules.word_mask import WordMask

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


IMPORTANCES = "word_importances.json"
MASK_FILE = "word_mask.safetensors"


def special_ids(tokenizer: Any) -> Tensor:
    """Ids of the tokens that frame and pad a text; [UNK] and [MASK] stand for words."""
    names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    found = {getattr(tokenizer, name, None) for name in names} - {None}
    return torch.tensor(sorted(found), dtype=torch.long)


def check_set_up(trainer: FLATTrainer) -> None:
    """Refuse what the mask does not work under.

    Raises:
        ValueError: there is no tokenizer, the model is sharded, compiled or split over devices, its word vectors are
            part of another layer too, or the next layer takes the mask out again.
    """
    args, model = trainer.args, trainer.model
    if trainer.processing_class is None:
        raise ValueError(
            "flat got no tokenizer, which knows the special tokens; pass processing_class=tokenizer to the trainer."
        )
    if args.n_gpu > 1:
        raise ValueError(
            f"flat masks a whole batch, and DataParallel over {args.n_gpu} GPUs would split it unseen; start the "
            "script with torchrun, or show it one GPU (CUDA_VISIBLE_DEVICES=0)."
        )
    if args.torch_compile:
        raise ValueError(
            "flat masks words by hooks that change from pass to pass, which a compiled model does not see; leave "
            "--torch_compile out."
        )
    if trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise ValueError(
            "flat multiplies whole word embeddings, which DeepSpeed and FSDP may keep in shards; use DDP (torchrun)."
        )
    weight: Any = model.get_input_embeddings().weight
    for name, module in model.named_modules():
        if getattr(module, "weight", None) is weight and not _is_look_up(module):
            raise ValueError(
                f"flat scales the word embeddings, which {type(model).__name__} uses in {name} too; give a model "
                "whose word embeddings are not tied to another layer."
            )
    check_effect(trainer)


def _is_look_up(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding) or hasattr(module, "base_layer")


def why_not_folded(trainer: FLATTrainer) -> str | None:
    """One sentence on why the saved model cannot hold the mask; None where it does."""
    if trainer.args.mask_input == "block":
        return (
            "The saved model has no word mask, which --mask_input block puts behind the embedding block: plain "
            "transformers predicts from unmasked words, other than the evaluation and the attacks of this run; use "
            "--mask_input word for a model that predicts alike."
        )
    if hasattr(trainer.model, "peft_config"):
        return (
            "The saved adapter has no word mask, which belongs into the word embeddings of the base model: plain PEFT "
            "predicts from unmasked words, other than the evaluation and the attacks of this run; train without an "
            "adapter for a model that predicts alike."
        )
    return None


def restored_masking(model: Any, tokenizer: Any, fetch: Fetch, settings: Mapping[str, Any]) -> Masking:
    """The mask of a saved model that does not hold it, from its network's file."""
    path = fetch(MASK_FILE)
    check_files([path], "copy it again from the run that wrote it")
    state = {name.removeprefix(f"{ATTRIBUTE}."): value for name, value in read_weights([path]).items()}
    hidden, width = state["hidden.weight"].shape
    # Masks of word embeddings that were saved before these were brought to one norm read them as they are.
    network = WordMask(width, hidden, bias=0.0, seed=0, normalised=settings.get("normalised", False))
    network.load_state_dict(state, strict=False)  # without the table of a mask that is folded
    attach(model, Auxiliary(network))
    block = embedding_block(model) if settings["mask_input"] == "block" else None
    return Masking(model, network, block=block, special=special_ids(tokenizer), protect=settings["protect_special"])


def write_importances(trainer: FLATTrainer, folder: Path) -> None:
    """Write phi of each token to ``word_importances.json`` (5.6), and the network beside a model that lacks it."""
    if not trainer.args.should_save:
        return
    folder.mkdir(parents=True, exist_ok=True)
    masking = trainer.masking
    if masking.block is None:
        importances = masking.importances().tolist()
        tokenizer = trainer.processing_class
        names = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), len(importances)))))
        found = {name: round(value, 6) for name, value in zip(names, importances, strict=False) if name is not None}
        (folder / IMPORTANCES).write_text(json.dumps(found, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    (folder / MASK_FILE).unlink(missing_ok=True)  # an earlier run's
    if why_not_folded(trainer):
        state = {f"{ATTRIBUTE}.{name}": value.contiguous() for name, value in masking.network.named_parameters()}
        safetensors.torch.save_file(state, str(folder / MASK_FILE))
