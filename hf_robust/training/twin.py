"""The twin of a classifier, which is a copy with another head, and averages of the two."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hf_robust.models.architecture import without_peft
from hf_robust.models.sharded import gathered, shard_as
from hf_robust.modules import auxiliary
from hf_robust.training.plain_victim import plain_copy

# Changes the run's seed, which could draw the same head as that of the first model.
_SEED_MASK = 0x7A1C


def twin_of(model: nn.Module, seed: int) -> nn.Module:
    """A deep copy of ``model`` with a new random head (all modules outside its encoder).

    The head is initialised on the CPU by ``seed``, with the architecture's own initialisation; the run's random state
    does not change. LoRA adapters are copied unchanged.
    """
    twin = plain_copy(model)
    plain = without_peft(twin)
    for name, part in plain.named_children():
        if name != plain.base_model_prefix:
            part.load_state_dict(_reinitialised(plain, part, seed).state_dict())
    return twin


def _reinitialised(model: nn.Module, part: nn.Module, seed: int) -> nn.Module:
    fresh = copy.deepcopy(part).cpu()
    for parameter in fresh.parameters():
        # transformers does not initialise parameters with this mark.
        parameter._is_hf_initialized = False  # type: ignore[attr-defined]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed ^ _SEED_MASK)
        for name, module in fresh.named_modules():
            if "lora_" not in name:
                model._init_weights(module)  # type: ignore[operator]  # every transformers model has it
    return fresh


def linear_average(clean: Mapping[str, Tensor], twin: Mapping[str, Tensor], lam: float) -> dict[str, Tensor]:
    r"""``lam * clean + (1 - lam) * twin`` of each floating-point tensor (TaiChi, Figure 5); exact at 0 and 1.

    Other tensors, such as position ids, are those of ``clean``.

    Raises:
        ValueError: the names or shapes of the two differ.

    >>> linear_average({"w": torch.tensor([1.0])}, {"w": torch.tensor([3.0])}, 0.25)["w"].item()
    2.5
    """
    shapes = [{name: tuple(value.shape) for name, value in weights.items()} for weights in (clean, twin)]
    if shapes[0] != shapes[1]:
        differing = sorted(name for name in shapes[0].keys() | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise ValueError(
            f"two models are averaged weight by weight, and these differ in {', '.join(differing[:3])}; give two "
            "models of one architecture with the same labels."
        )
    return {
        name: torch.lerp(twin[name].to(value), value, lam) if value.is_floating_point() else value
        for name, value in clean.items()
    }


def average_parameters(model: nn.Module, twin: nn.Module, lam: float) -> dict[str, Tensor]:
    """The :func:`linear_average` of the parameters of both models, by their names in ``model``.

    ``twin`` is the auxiliary module of ``model``; of sharded models these are whole averages.
    """
    with torch.no_grad(), gathered(model), auxiliary.detached(model):
        return linear_average(dict(model.named_parameters()), dict(twin.named_parameters()), lam)


@contextmanager
def with_parameters(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Give ``model`` the parameters ``weights`` inside the block."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if name in weights}
    before = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    try:
        _copy_values(parameters, weights)
        yield
    finally:
        _copy_values(parameters, before)


@torch.no_grad()
def _copy_values(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name, parameter in parameters.items():
        parameter.copy_(shard_as(values[name], parameter))
