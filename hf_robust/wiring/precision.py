"""Data type, attention and quantization of the weights: options of loading, and what cannot be trained so."""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING
from transformers.utils import is_flash_attn_2_available

from hf_robust.data.arguments import AUTO, FLASH, NEW_MODELS, ModelArguments
from hf_robust.models.quantization import check_quantization, quantization_settings
from hf_robust.trainers import RobustTrainer
from hf_robust.training.arguments import RobustTrainingArguments

logger = logging.getLogger(__name__)


def mixed_precision(training: RobustTrainingArguments) -> torch.dtype | None:
    """The data type of ``--bf16`` or ``--fp16``; None without them."""
    return torch.bfloat16 if training.bf16 else torch.float16 if training.fp16 else None


def loading_options(args: ModelArguments, config: Any, mixed: torch.dtype | None) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that say how weights are held and how attention is computed.

    Args:
        mixed: :func:`mixed_precision` of the training.
    """
    options: dict[str, Any] = {"dtype": args.dtype, "attn_implementation": args.attn_implementation}
    if args.quantization is not None:
        stored = getattr(torch, args.dtype) if args.dtype != AUTO else torch.float32
        code = {"trust_remote_code": args.trust_remote_code}
        options["quantization_config"] = quantization_settings(args.quantization, mixed or stored, config, **code)
    return {name: value for name, value in options.items() if value is not None}


def check_packages(args: ModelArguments, training: RobustTrainingArguments) -> None:
    """Check, before anything is loaded, that packages and device of the flags are there.

    Raises:
        ValueError: one is missing.
    """
    if args.quantization is not None:
        check_quantization(f"--quantization {args.quantization}")
        if training.use_cpu or not torch.accelerator.is_available():
            raise ValueError(
                f"--quantization {args.quantization} needs a GPU: bitsandbytes packs weights anew when they are "
                "evaluated on a CPU, and cannot train them then. Leave it out, or use a smaller model."
            )
    if args.attn_implementation == FLASH and not is_flash_attn_2_available():
        raise ValueError(
            f"--attn_implementation {FLASH} needs a GPU that flash-attn supports and its package: pip install "
            "flash-attn, or use sdpa."
        )


def check_precision(
    args: ModelArguments, config: Any, training: RobustTrainingArguments, method: type[RobustTrainer]
) -> None:
    """Check the data type and the attention of a checkpoint before its weights are loaded; warn of rounded steps.

    Raises:
        ValueError: the architecture has no such attention, or float16 weights would be trained.
    """
    if args.model_name_or_path not in NEW_MODELS:
        _check_attention(args, config)
    dtype = stored_dtype(config) if args.dtype == AUTO else args.dtype
    if not training.do_train or dtype == "float32" or args.quantization is not None:
        return
    if args.lora_rank and mixed_precision(training) is not None:
        return  # what trains is float32 then
    what = f"the weights of {args.model_name_or_path} are {dtype}" if args.dtype == AUTO else f"--dtype {dtype}"
    if dtype == "float16":
        remedy = "--fp16" if args.lora_rank else "--dtype float32 --fp16"
        raise ValueError(
            f"{what}, and training needs float32 weights beside float16 ones, since small gradients are 0 in float16: "
            f"use {remedy}, or bfloat16."
        )
    part = "they train" if method.trains_lora and not args.lora_rank else "the head beside the adapters trains"
    remedy = "--bf16" if args.lora_rank else "--dtype float32 --bf16"
    logger.warning(
        f"{what}, and {part} in it: steps below 0.4 % of a weight may be rounded away. {remedy} trains in float32 and "
        "computes in bfloat16."
    )


def stored_dtype(config: Any) -> str:
    """The data type of a checkpoint's weights by its configuration; float32 if that does not say."""
    return str(getattr(config, "dtype", None) or "float32").removeprefix("torch.")


def _check_attention(args: ModelArguments, config: Any) -> None:
    kind: Any = MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING.get(type(config), None)
    flag = {"sdpa": "_supports_sdpa", FLASH: "_supports_flash_attn"}.get(args.attn_implementation or "")
    if flag is None or kind is None or getattr(kind, flag, False):
        return
    has = [name for name, support in (("sdpa", "_supports_sdpa"),) if getattr(kind, support, False)]
    raise ValueError(
        f"--attn_implementation {args.attn_implementation}: {kind.__name__} does not have it; use "
        f"{' or '.join(['eager', *has])}, or leave it out."
    )
