"""Checkpoints without a head, and adapters trained on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoModelForMaskedLM, set_seed

from benchmarks.architectures.configs import full_batch, tiny_config
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.wiring.checkpoints import load_config, load_model

LABELS = ("no", "perhaps", "yes")


def save_headless(kind: str, folder: Path) -> None:
    """A checkpoint as pre-training leaves it: without a head, and without a pooler where it is of a masked model."""
    set_seed(0)
    config = tiny_config(kind)
    try:
        model = AutoModelForMaskedLM.from_config(config)
    except ValueError:
        model = AutoModel.from_config(config)
    model.save_pretrained(folder)


def adapted(folder: Path, **flags: Any) -> Any:
    args = ModelArguments(model_name_or_path=str(folder), lora_rank=4, lora_dropout=0.0, **flags)
    config = load_config(args)
    set_seed(1)
    return load_model(args, config, named_labels(LABELS))


def train(model: Any) -> None:
    """One large step, after which neither adapters nor head are as they were."""
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    model.train()(**full_batch(), labels=torch.tensor([0, 1, 2])).loss.backward()
    for name, value in trained.items():
        step = value.grad if value.grad is not None else torch.zeros_like(value)
        value.data -= step / step.abs().max().clamp_min(1e-6) * 0.1
        if "lora_A" in name:  # its gradient is zero while B is
            value.data += 0.1
    moved = any("lora_B" in name and value.abs().max() > 0 for name, value in trained.items())
    assert moved or model.config.model_type == "mra"  # whose attention is zero without its CUDA kernels


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(**full_batch()).logits
