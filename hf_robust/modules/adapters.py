"""Several LoRA adapters on one frozen encoder, mixed row by row in one forward, and their files in PEFT's form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from hf_robust.models.adapter_files import base_name, write_config
from hf_robust.models.files import check_files
from hf_robust.models.lora import LINEAR, inside, target_layers, whole_modules
from hf_robust.models.weights import loaded_hash
from hf_robust.modules import auxiliary

CLEAN = "clean"
_PREFIX = "base_model.model."


class Adapters(nn.Module):
    r"""Low-rank changes of linear layers, several for each, with a share for each row of a batch.

    .. math:: y_b = W x_b + \sum_k c_{bk}\, s\, B_k A_k x_b

    ``x`` is (B, ..., in) and ``c`` (B, K) the shares of the K adapters. This is the layer whose weight is
    ``W + sum_k c_bk s B_k A_k`` for row b: the mix is of the products B A, never of B and A, and each row
    has a mix of its own. The layers are changed by forward hooks; a deep copy of the model has none of it.

    Args:
        model: its layers called ``targets`` (full names) are adapted.
        names: the adapters; without shares the first acts alone on every row.
        rank, alpha, dropout: of LoRA; s = alpha / rank. B starts at zero, A as PEFT's, from ``seed``.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        targets: Sequence[str],
        *,
        rank: int,
        alpha: float,
        dropout: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.names, self.targets = tuple(names), tuple(targets)
        self._base = loaded_hash(model)
        self.rank, self.alpha, self.scale = rank, alpha, alpha / rank
        self.drop = nn.Dropout(dropout)
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        generator = torch.Generator().manual_seed(seed)
        for target in targets:
            layer = model.get_submodule(target)
            width_out, width_in = _matrix(layer).shape
            for name in names:
                key = _key(name, target)
                bound = width_in**-0.5  # kaiming_uniform with a = sqrt(5)
                drawn = torch.rand(rank, width_in, generator=generator) * 2 * bound - bound
                self.down[key] = nn.Parameter(drawn)
                self.up[key] = nn.Parameter(torch.zeros(width_out, rank))
            layer.register_forward_hook(_Hook(self, target))
        # Checkpointing computes layers again in the backward pass, so what a training step set stays until the next.
        self._shares: dict[bool, Tensor | None] = {True: None, False: None}

    def train_with(self, shares: Tensor) -> None:
        """Shares (B, K) of the rows of the training batch that follows."""
        self._shares[True] = shares

    @contextmanager
    def sharing(self, shares: Tensor) -> Iterator[None]:
        """Shares (B, K) of the rows of a batch in eval mode, for the length of the block."""
        before, self._shares[False] = self._shares[False], shares
        try:
            yield
        finally:
            self._shares[False] = before

    def alone(self, name: str, rows: int) -> Tensor:
        """Shares (rows, K) of one adapter by itself."""
        own = torch.zeros(len(self.names), device=next(self.parameters()).device)
        own[self.names.index(name)] = 1.0
        return own.expand(rows, -1)

    def change(self, target: str, x: Tensor, training: bool) -> Tensor:
        """What the adapters add to the output of a layer whose input is ``x``."""
        shares = self._shares[training]
        if shares is None:
            shares = self.alone(self.names[0], len(x))
        if len(shares) != len(x):
            raise ValueError(
                f"the adapters hold shares for {len(shares)} rows and the layer {target} got {len(x)}; give each "
                "process one GPU (torchrun), and a model whose layers keep the rows first."
            )
        total: Any = 0.0
        # A model may be loaded in half precision; adapters are float32, as PEFT's.
        dropped = self.drop(x).to(self.down[_key(self.names[0], target)].dtype)
        for place, name in enumerate(self.names):
            key = _key(name, target)
            low = nn.functional.linear(nn.functional.linear(dropped, self.down[key]), self.up[key])
            total = total + low * (self.scale * shares[:, place]).view(-1, *[1] * (x.dim() - 1)).to(low.dtype)
        found: Tensor = total
        return found

    def delta(self, name: str, target: str) -> Tensor:
        """(out, in) what an adapter adds to a layer's weight."""
        key = _key(name, target)
        found: Tensor = self.scale * (self.up[key] @ self.down[key])
        return found

    @contextmanager
    def merged(self, model: nn.Module, name: str) -> Iterator[None]:
        """The model's own weights with one adapter's change in them for the length of the block; restored bitwise."""
        kept = {}
        with torch.no_grad():
            for target in self.targets:
                weight = _matrix(model.get_submodule(target))
                kept[target] = weight.detach().clone()
                weight.add_(self.delta(name, target).to(weight.dtype))
        try:
            yield
        finally:
            with torch.no_grad():
                for target, value in kept.items():
                    _matrix(model.get_submodule(target)).copy_(value)

    @torch.no_grad()
    def unmerge(self, model: nn.Module, name: str) -> None:
        """Take one adapter's change out of weights that were saved with it, up to their rounding."""
        for target in self.targets:
            weight: Any = model.get_submodule(target).weight
            weight.sub_(self.delta(name, target).to(weight.dtype))

    def save(self, folder: Path, model: Any, heads: Sequence[str]) -> None:
        """Write each adapter to ``folder/<name>`` as PEFT does, with the shared head in each."""
        shared = {
            f"{_PREFIX}{name}": value.detach().cpu().contiguous()
            for name, value in model.named_parameters()
            if inside(name, heads)
        }
        described = {
            "peft_type": "LORA",
            "task_type": "SEQ_CLS",
            "base_model_name_or_path": base_name(model),
            "r": self.rank,
            "lora_alpha": self.alpha,
            "lora_dropout": self.drop.p,
            "bias": "none",
            "fan_in_fan_out": any(isinstance(model.get_submodule(target), Conv1D) for target in self.targets),
            "target_modules": list(self.targets),
            "modules_to_save": list(heads),
            "inference_mode": True,
        }
        for name in self.names:
            own = folder / name
            own.mkdir(parents=True, exist_ok=True)
            tensors = dict(shared)
            for target in self.targets:
                key = _key(name, target)
                tensors[f"{_PREFIX}{target}.lora_A.weight"] = self.down[key].detach().cpu().contiguous()
                tensors[f"{_PREFIX}{target}.lora_B.weight"] = self.up[key].detach().cpu().contiguous()
            safetensors.torch.save_file(tensors, str(own / "adapter_model.safetensors"), metadata={"format": "pt"})
            (own / "adapter_config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
            write_config(model, own, self._base)


class _Hook:
    """Adds the adapters' change to one layer's output."""

    def __init__(self, adapters: Adapters, target: str) -> None:
        self.adapters, self.target = adapters, target

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + self.adapters.change(self.target, inputs[0], module.training).to(output.dtype)

    def __deepcopy__(self, memo: Any) -> Callable[..., None]:
        # A copy of the model is the plain one: its adapters would be the original's.
        return _nothing


def _nothing(*_: Any) -> None:
    return None


def load_adapters(model: nn.Module, folders: Sequence[Path | str]) -> Adapters:
    """Put saved adapters (``adapters/clean`` first, then those of attacks) on the model that they were trained on.

    The shared head is the first folder's. The model then predicts as the first adapter does; :func:`mixed_outputs` of
    ``hf_robust.trainers.adpmixup`` mixes them.

    Raises:
        ValueError: the adapters have other target modules or another rank, or a file is broken.
    """
    files = ("adapter_config.json", "adapter_model.safetensors")
    check_files([Path(one, file) for one in folders for file in files], "copy it again from the run that wrote it")
    described = [json.loads((Path(one) / "adapter_config.json").read_text(encoding="utf-8")) for one in folders]
    for folder, other in zip(folders, described, strict=True):
        for key in ("target_modules", "r", "lora_alpha"):
            ours, theirs = described[0][key], other[key]
            if ours != theirs:
                raise ValueError(
                    f"adapters that are mixed need the same {key}, and {folder} has {theirs} where {folders[0]} has "
                    f"{ours}; train them in one run of adpmixup."
                )
    first = described[0]
    adapters = Adapters(
        model,
        [Path(one).name for one in folders],
        first["target_modules"],
        rank=first["r"],
        alpha=first["lora_alpha"],
        dropout=first["lora_dropout"],
        seed=0,
    )
    with torch.no_grad():
        for place, folder in enumerate(folders):
            tensors = safetensors.torch.load_file(str(Path(folder) / "adapter_model.safetensors"))
            for target in adapters.targets:
                key = _key(adapters.names[place], target)
                adapters.down[key].copy_(tensors.pop(f"{_PREFIX}{target}.lora_A.weight"))
                adapters.up[key].copy_(tensors.pop(f"{_PREFIX}{target}.lora_B.weight"))
            if place == 0:
                for name, value in tensors.items():
                    model.get_parameter(name.removeprefix(_PREFIX)).copy_(value)
    adapters.train(model.training)
    auxiliary.attach(model, auxiliary.Auxiliary(adapters))
    return adapters


def find_targets(model: Any, asked: Sequence[str] | None) -> list[str]:
    """Full names of the linear layers that get adapters, attention's query and value by default.

    Raises:
        ValueError: there is none, or one of ``asked`` names none.
    """
    return target_layers(model, asked, find_heads(model), flag="--lora_target_modules", kinds=LINEAR)


def find_heads(model: Any) -> list[str]:
    """The modules that learn as a whole: the head, what no checkpoint held, and the pooler, which few tasks train."""
    heads = [name for name in whole_modules(model) if name != auxiliary.ATTRIBUTE]
    prefix = model.base_model_prefix
    pooler = getattr(getattr(model, prefix, None), "pooler", None)
    return heads if pooler is None or inside(f"{prefix}.pooler", heads) else [*heads, f"{prefix}.pooler"]


def freeze_all_but(model: nn.Module, heads: Sequence[str]) -> tuple[str, ...]:
    """Freeze what is outside of ``heads``; the names of what was not frozen before."""
    open_names = [name for name, value in model.named_parameters() if value.requires_grad and not inside(name, heads)]
    for name in open_names:
        model.get_parameter(name).requires_grad_(False)
    return tuple(open_names)


def _matrix(layer: Any) -> Tensor:
    """(out, in) the weight of a linear layer; a view of it where it is held transposed."""
    weight: Tensor = layer.weight
    return weight.t() if isinstance(layer, Conv1D) else weight


def _key(name: str, target: str) -> str:
    # A parameter's name has no dots.
    return f"{name}|{target}".replace(".", "/")
