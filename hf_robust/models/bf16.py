"""bfloat16 autocast, where the device multiplies matrices in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies matrices in bfloat16 and does not emulate it, which is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def bf16_autocast(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Return the function that makes the context in which a model's matrix products are in bfloat16.

    Raises:
        ValueError: the device has no bfloat16.
    """
    if not has_bf16(device):
        raise ValueError(
            f"--bf16 needs a processor or GPU that multiplies in bfloat16, and this {device.type} does not: leave it "
            "out."
        )
    return lambda: torch.autocast(device.type, torch.bfloat16)
