"""A second classifier of the same kind: the model's copy with another head, and averages of the two."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hf_robust.modules import auxiliary
from hf_robust.modules.auxiliary import owner
from hf_robust.training.plain_victim import copied

# A head that is drawn from the run's seed itself could be the one that the first model was given.
_HEADS = 0x7A1C


def twin_of(model: nn.Module, seed: int) -> nn.Module:
    """A deep copy of ``model`` whose head, all that lies outside its encoder, is drawn anew.

    The head is drawn on the CPU by ``seed``, as its architecture draws it, and the run's random state is left alone.
    LoRA adapters are copied as they are.
    """
    twin = copied(model)
    plain = owner(twin)
    for name, part in plain.named_children():
        if name != plain.base_model_prefix:
            part.load_state_dict(_drawn(plain, part, seed).state_dict())
    return twin


def _drawn(model: nn.Module, part: nn.Module, seed: int) -> nn.Module:
    fresh = copy.deepcopy(part).cpu()
    for parameter in fresh.parameters():
        # transformers leaves alone what it marked as loaded.
        parameter._is_hf_initialized = False  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed ^ _HEADS)
        for name, module in fresh.named_modules():
            if "lora_" not in name:
                model._init_weights(module)  # type: ignore[operator]  # every transformers model has it
    return fresh


def linear_average(clean: Mapping[str, Tensor], twin: Mapping[str, Tensor], lam: float) -> dict[str, Tensor]:
    r"""``lam * clean + (1 - lam) * twin`` of each floating-point weight (TaiChi, Figure 5), exactly the one at 1 or 0.

    What is not a number with a fraction, as positions, is the first one's.

    Raises:
        ValueError: the two have not the same names and shapes.

    >>> linear_average({"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, 0.25)["w"].item()
    2.5
    """
    shapes = [{name: tuple(value.shape) for name, value in weights.items()} for weights in (clean, twin)]
    if shapes[0] != shapes[1]:
        differing = sorted(name for name in shapes[0].keys() | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise ValueError(
            f"two models are averaged weight by weight, and these differ in {', '.join(differing[:3])}; give two of "
            "one architecture with the same labels."
        )
    return {
        name: torch.lerp(twin[name].to(value), value, lam) if value.is_floating_point() else value
        for name, value in clean.items()
    }


def averaged(model: nn.Module, twin: nn.Module, lam: float) -> dict[str, Tensor]:
    """The parameters that :func:`linear_average` of both gives, by the names they have in ``model``."""
    with torch.no_grad(), auxiliary.detached(model):
        return linear_average(dict(model.named_parameters()), dict(twin.named_parameters()), lam)


@contextmanager
def holding(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """``model`` with these parameters for the length of the block."""
    own = {name: parameter for name, parameter in model.named_parameters() if name in weights}
    before = {name: parameter.detach().clone() for name, parameter in own.items()}
    try:
        _put(own, weights)
        yield
    finally:
        _put(own, before)


@torch.no_grad()
def _put(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(values[name])
