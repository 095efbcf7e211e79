"""What flat writes beside a model, and what its mask does not go with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hf_robust.models.files import check_files, read_weights
from hf_robust.modules.auxiliary import ATTRIBUTE, Auxiliary, attach
from hf_robust.modules.mask_effect import check_effect
from hf_robust.modules.masking import Masking, embedding_block
from hf_robust.modules.saved_inference import Fetch
from hf_robust.modules.word_mask import WordMask

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FLATTrainer

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
