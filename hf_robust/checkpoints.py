"""Load what training starts from: configuration, tokenizer and model, with LoRA adapters where they are asked for."""

from __future__ import annotations

import logging
from typing import Any

from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import Labels

logger = logging.getLogger(__name__)

DEMO = "demo"  # a small new model with its tokenizer, instead of a checkpoint


def hub_options(args: ModelArguments) -> dict[str, Any]:
    """What every ``from_pretrained`` call is given."""
    return {
        "cache_dir": args.cache_dir,
        "revision": args.model_revision,
        "token": args.token,
        "trust_remote_code": args.trust_remote_code,
    }


def load_config(args: ModelArguments) -> Any:
    """The checkpoint's configuration, with its own label names still in it."""
    if args.model_name_or_path == DEMO:
        return _demo()[0].config
    return AutoConfig.from_pretrained(args.config_name or args.model_name_or_path, **hub_options(args))


def load_tokenizer(args: ModelArguments, config: Any) -> Any:
    """The tokenizer; one without a padding token (GPT-2) pads with its end-of-text token."""
    if args.model_name_or_path == DEMO and args.tokenizer_name is None:
        return _demo()[1]
    tokenizer = AutoTokenizer.from_pretrained(
        args.tokenizer_name or args.model_name_or_path, use_fast=args.use_fast_tokenizer, **hub_options(args)
    )
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ValueError(f"the tokenizer of {args.model_name_or_path} has no padding token: add one and save it.")
        logger.warning(f"The tokenizer has no padding token, {tokenizer.eos_token!r} is used.")
        tokenizer.pad_token = tokenizer.eos_token
        config.pad_token_id = tokenizer.pad_token_id
    return tokenizer


def load_model(args: ModelArguments, config: Any, labels: Labels) -> Any:
    """The classifier with a head for ``labels``, whose names are written to its configuration.

    Raises:
        ValueError: ``--lora_rank`` without peft.
    """
    labels.write_to(config)
    if args.model_name_or_path == DEMO:
        model = AutoModelForSequenceClassification.from_config(config)
    else:
        model = AutoModelForSequenceClassification.from_pretrained(
            args.model_name_or_path,
            config=config,
            ignore_mismatched_sizes=args.ignore_mismatched_sizes,
            **hub_options(args),
        )
    return with_adapters(model, args) if args.lora_rank else model


def _demo() -> tuple[Any, Any]:
    from hf_robust.data.demo import demo_model

    model, tokenizer = demo_model()
    return model, tokenizer


def with_adapters(model: Any, args: ModelArguments) -> Any:
    """Freeze the model but for its head and LoRA adapters of rank ``--lora_rank``."""
    try:
        from peft import LoraConfig, TaskType, get_peft_model
    except ImportError as error:
        raise ValueError('--lora_rank needs peft: pip install "hf_robust[peft]" or pip install peft.') from error
    adapters = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=args.lora_rank,
        lora_alpha=args.lora_alpha,
        lora_dropout=args.lora_dropout,
        target_modules=args.lora_target_modules,
    )
    return get_peft_model(model, adapters)
