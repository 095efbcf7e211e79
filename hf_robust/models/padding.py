"""Padding of a classifier: one token for its tokenizer and its configuration."""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger(__name__)


def set_padding_token(tokenizer: Any, name: str) -> None:
    """Let a tokenizer without a padding token (GPT-2's) pad with its end-of-text token.

    Raises:
        ValueError: it has neither; ``name`` says which tokenizer it is.
    """
    if tokenizer.pad_token is not None:
        return
    if tokenizer.eos_token is None:
        raise ValueError(f"the tokenizer of {name} has no padding token: add one and save the tokenizer.")
    logger.warning(f"The tokenizer has no padding token, so {tokenizer.eos_token!r} is used for padding.")
    tokenizer.pad_token = tokenizer.eos_token


def write_padding(model: Any, tokenizer: Any) -> None:
    """Write the tokenizer's padding id to the model's configuration, as the Trainer does when training starts.

    The head of a decoder finds a text's last token by this id. Without it the model refuses batches of several texts;
    with another one its head reads padding. Nothing changes if either has no padding id to give or to take.
    """
    config, padding = getattr(model, "config", None), getattr(tokenizer, "pad_token_id", None)
    if config is None or padding is None or not hasattr(config, "get_text_config"):
        return
    for part in (config, config.get_text_config()):
        if getattr(part, "pad_token_id", None) != padding:
            part.pad_token_id = padding
