"""What flat writes beside a model, and what its mask does not go with."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor, nn

from hf_robust.trainers.auxiliary import ATTRIBUTE

if TYPE_CHECKING:
    from hf_robust.trainers.flat import FlatTrainer

logger = logging.getLogger(__name__)

IMPORTANCES = "word_importances.json"
MASK_FILE = "word_mask.safetensors"


def special_ids(tokenizer: Any) -> Tensor:
    """Ids of the tokens that frame and pad a text; [UNK] and [MASK] stand for words."""
    names = ("cls_token_id", "sep_token_id", "bos_token_id", "eos_token_id", "pad_token_id")
    found = {getattr(tokenizer, name, None) for name in names} - {None}
    return torch.tensor(sorted(found), dtype=torch.long)


def check_set_up(trainer: FlatTrainer) -> None:
    """Refuse what the mask does not work under, and warn where it can do little.

    Raises:
        ValueError: there is no tokenizer, the model is sharded, compiled or split over devices, or its word vectors
            are part of another layer too.
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
    _warn_of_normalisation(model)


def _is_look_up(module: nn.Module) -> bool:
    return isinstance(module, nn.Embedding) or hasattr(module, "base_layer")


def _warn_of_normalisation(model: Any) -> None:
    """Warn where a normalisation right after the word embeddings takes a scalar on them out again."""
    config = model.config
    kind = getattr(config, "model_type", "")
    cancels = kind in ("modernbert", "xlnet") or (
        kind in ("deberta", "deberta-v2") and not getattr(config, "position_biased_input", True)
    )
    if cancels:
        logger.warning(
            "%s normalises its word embeddings before anything is added to them, so flat's mask changes its "
            "predictions hardly at all; use a model such as BERT or RoBERTa, or --mask_input block.",
            type(model).__name__,
        )


def why_not_folded(trainer: FlatTrainer) -> str | None:
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


def write_importances(trainer: FlatTrainer, folder: Path) -> None:
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
    if why_not_folded(trainer):
        state = {f"{ATTRIBUTE}.{name}": value.contiguous() for name, value in masking.network.named_parameters()}
        safetensors.torch.save_file(state, str(folder / MASK_FILE))
