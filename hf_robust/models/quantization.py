"""Base models in 4 or 8 bits for adapters (QLoRA): settings of bitsandbytes, and loading as in training."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig

from hf_robust.models.weights import new_weights

BASE_QUANTIZATION = "base_quantization"
"""Entry of an adapter's configuration with the settings under which its base model was quantized.

transformers takes an entry ``quantization_config`` for that of a checkpoint whose weights are stored quantized.
"""
_POOLER = "pooler"
"""The module of an encoder that checkpoints of language models lack."""


def check_quantization(what: str) -> None:
    """Check that the packages are there; ``what`` is the start of the sentence, such as ``--quantization 4bit``.

    Raises:
        ValueError: bitsandbytes or peft is not installed.
    """
    for package, extra in (("bitsandbytes", "quantization"), ("peft", "peft")):
        if find_spec(package) is None:
            raise ValueError(f'{what} needs {package}: pip install "hf_robust[{extra}]" or pip install {package}.')


def quantization_settings(kind: str, compute: torch.dtype, config: Any, **options: Any) -> BitsAndBytesConfig:
    """Settings of bitsandbytes: QLoRA's for 4 bits (NF4, double quantization), LLM.int8's for 8 bits.

    Args:
        kind: ``4bit`` or ``8bit``.
        compute: data type in which 4-bit layers multiply.
        config: the classifier's configuration; its head and pooler, which may train as a whole, are not quantized.
        options: further arguments of ``from_config``.
    """
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config, **options)
    head = [name for name, _ in model.named_children() if name != model.base_model_prefix]
    poolers = [name for name, _ in model.named_modules() if name.rpartition(".")[2] == _POOLER]
    settings: dict[str, Any] = {"llm_int8_skip_modules": [*head, *poolers]}
    if kind == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True, **settings)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        **settings,
    )


def stored_settings(config: Any) -> BitsAndBytesConfig | None:
    """The settings in an adapter's configuration; None if its base model was not quantized."""
    stored = getattr(config, BASE_QUANTIZATION, None)
    return None if stored is None else BitsAndBytesConfig.from_dict(stored)


def prepare_quantized(model: Any, settings: BitsAndBytesConfig) -> Any:
    """Freeze a quantized model, make its other weights float32 (PEFT's preparation), and note the settings in it.

    Raises:
        ValueError: a quantized layer is in no checkpoint, so that its weights are random.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft import prepare_model_for_kbit_training

    layers = {name for name, layer in model.named_modules() if isinstance(layer, (Linear4bit, Linear8bitLt))}
    random = [name for name in new_weights(model) if name.rpartition(".")[0] in layers]
    if random:
        raise ValueError(
            f"{', '.join(random[:3])} are in no checkpoint, and --quantization would keep their random weights: save "
            "the whole model once (save_pretrained), and train adapters from that folder."
        )
    prepared = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    setattr(prepared.config, BASE_QUANTIZATION, settings.to_dict())
    return prepared


def is_quantized(weight: nn.Parameter) -> bool:
    """Whether the entries of a weight are not numbers but codes of a quantization."""
    return not weight.is_floating_point()
