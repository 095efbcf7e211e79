"""Several LoRA adapters on one frozen encoder, mixed by row in one forward pass; saved in PEFT's file format."""

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
from hf_robust.models.architecture import AUXILIARY_ATTRIBUTE
from hf_robust.models.files import check_files
from hf_robust.models.lora import LINEAR, inside, target_layers, whole_modules
from hf_robust.models.sharded import shard_as, whole
from hf_robust.models.weights import loaded_hash
from hf_robust.modules import auxiliary

CLEAN = "clean"
_PREFIX = "base_model.model."


class Adapters(nn.Module):
    r"""Several low-rank changes of each adapted linear layer, with a share of each for every row of a batch.

    .. math:: y_b = W x_b + \sum_k c_{bk}\, s\, B_k A_k x_b

    ``x`` is (B, ..., in), and ``c`` (B, K) are the shares of the K adapters. For row b the layer has the weight
    ``W + sum_k c_bk s B_k A_k``: this mixes the products B A, not B and A separately, with different shares for each
    row. Forward hooks change the layers; a deep copy of the model has no adapters.

    Args:
        model: the model.
        names: names of the adapters; if no shares are set, the first adapter acts alone on all rows.
        targets: full names of the layers to adapt.
        rank, alpha, dropout: LoRA's settings; s = alpha / rank.
        seed: random seed of A, which is initialised as in PEFT; B starts at zero.
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
        # Shares stay until the next step, because gradient checkpointing computes layers again in the backward pass.
        self._shares: dict[bool, Tensor | None] = {True: None, False: None}

    def train_with(self, shares: Tensor) -> None:
        """Set the shares (B, K) of the rows of the next training batch."""
        self._shares[True] = shares

    @contextmanager
    def sharing(self, shares: Tensor) -> Iterator[None]:
        """Set the shares (B, K) of the rows of a batch in eval mode, inside the block."""
        before, self._shares[False] = self._shares[False], shares
        try:
            yield
        finally:
            self._shares[False] = before

    def alone(self, name: str, rows: int) -> Tensor:
        """Shares (rows, K) that are 1 for one adapter and 0 for the others."""
        shares = torch.zeros(len(self.names), device=next(self.parameters()).device)
        shares[self.names.index(name)] = 1.0
        return shares.expand(rows, -1)

    def output_change(self, target: str, x: Tensor, training: bool) -> Tensor:
        """The sum that the adapters add to the output of a layer with input ``x``."""
        shares = self._shares[training]
        if shares is None:
            shares = self.alone(self.names[0], len(x))
        if len(shares) != len(x):
            raise ValueError(
                f"the adapters have shares for {len(shares)} rows and the layer {target} got {len(x)} rows; give each "
                "process one GPU (torchrun), and use a model whose layers have the rows as first dimension."
            )
        total: Any = 0.0
        # A model may be loaded in half precision; adapters are float32, as in PEFT.
        dropped = self.drop(x).to(self.down[_key(self.names[0], target)].dtype)
        for index, name in enumerate(self.names):
            key = _key(name, target)
            low = nn.functional.linear(nn.functional.linear(dropped, self.down[key]), self.up[key])
            total = total + low * (self.scale * shares[:, index]).view(-1, *[1] * (x.dim() - 1)).to(low.dtype)
        change: Tensor = total
        return change

    def weight_change(self, name: str, target: str) -> Tensor:
        """(out, in) the matrix that an adapter adds to the weight of a layer."""
        key = _key(name, target)
        change: Tensor = self.scale * (self.up[key] @ self.down[key])
        return change

    @contextmanager
    def merged(self, model: nn.Module, name: str) -> Iterator[None]:
        """Add one adapter's change to the weights of the model inside the block, then restore them bitwise."""
        before = {}
        with torch.no_grad():
            for target in self.targets:
                weight = _matrix(model.get_submodule(target))
                before[target] = weight.detach().clone()
                weight.add_(shard_as(self.weight_change(name, target).to(weight.dtype), weight))
        try:
            yield
        finally:
            with torch.no_grad():
                for target, value in before.items():
                    _matrix(model.get_submodule(target)).copy_(value)

    @torch.no_grad()
    def unmerge(self, model: nn.Module, name: str) -> None:
        """Subtract one adapter's change from weights that were saved with it; exact up to rounding."""
        for target in self.targets:
            weight = _matrix(model.get_submodule(target))
            weight.sub_(self.weight_change(name, target).to(weight.dtype))

    def save(self, folder: Path, model: Any, heads: Sequence[str], tokenizer: Any = None, write: bool = True) -> None:
        """Write each adapter to ``folder/<name>`` in PEFT's format, with the shared head and the tokenizer.

        All ranks call this, since they gather a sharded head together; one of them has ``write``.
        """
        shared = {
            f"{_PREFIX}{name}": whole(value.detach()).cpu().contiguous()
            for name, value in model.named_parameters()
            if inside(name, heads)
        }
        if not write:
            return
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
            target_folder = folder / name
            target_folder.mkdir(parents=True, exist_ok=True)
            tensors = dict(shared)
            for target in self.targets:
                key = _key(name, target)
                tensors[f"{_PREFIX}{target}.lora_A.weight"] = self.down[key].detach().cpu().contiguous()
                tensors[f"{_PREFIX}{target}.lora_B.weight"] = self.up[key].detach().cpu().contiguous()
            weights = target_folder / "adapter_model.safetensors"
            safetensors.torch.save_file(tensors, str(weights), metadata={"format": "pt"})
            config = target_folder / "adapter_config.json"
            config.write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
            write_config(model, target_folder, self._base)
            if tokenizer is not None:
                tokenizer.save_pretrained(target_folder)


class _Hook:
    """Forward hook that adds the adapters' change to the output of one layer."""

    def __init__(self, adapters: Adapters, target: str) -> None:
        self.adapters, self.target = adapters, target

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return output + self.adapters.output_change(self.target, inputs[0], module.training).to(output.dtype)

    def __deepcopy__(self, memo: Any) -> Callable[..., None]:
        # A copied hook would use the adapters of the original model.
        return _no_change


def _no_change(*_: Any) -> None:
    return None


def load_adapters(model: nn.Module, folders: Sequence[Path | str]) -> Adapters:
    """Load saved adapters (``adapters/clean`` first, then those of attacks) into the model that they were trained on.

    The shared head is that of the first folder. The model then predicts with the first adapter;
    :func:`mixed_outputs` of ``hf_robust.trainers.adpmixup`` mixes the adapters.

    Raises:
        ValueError: the target modules or ranks of the adapters differ, or a file is broken.
    """
    files = ("adapter_config.json", "adapter_model.safetensors")
    check_files(
        [Path(folder, file) for folder in folders for file in files], "copy it again from the run that wrote it"
    )
    configs = [json.loads((Path(folder) / "adapter_config.json").read_text(encoding="utf-8")) for folder in folders]
    first = configs[0]
    for folder, config in zip(folders, configs, strict=True):
        for key in ("target_modules", "r", "lora_alpha"):
            if first[key] != config[key]:
                raise ValueError(
                    f"adapters that are mixed need the same {key}, and {folder} has {config[key]} where {folders[0]} "
                    f"has {first[key]}; train them in one run of adpmixup."
                )
    adapters = Adapters(
        model,
        [Path(folder).name for folder in folders],
        first["target_modules"],
        rank=first["r"],
        alpha=first["lora_alpha"],
        dropout=first["lora_dropout"],
        seed=0,
    )
    with torch.no_grad():
        for index, folder in enumerate(folders):
            tensors = safetensors.torch.load_file(str(Path(folder) / "adapter_model.safetensors"))
            for target in adapters.targets:
                key = _key(adapters.names[index], target)
                adapters.down[key].copy_(tensors.pop(f"{_PREFIX}{target}.lora_A.weight"))
                adapters.up[key].copy_(tensors.pop(f"{_PREFIX}{target}.lora_B.weight"))
            if index == 0:
                for name, value in tensors.items():
                    model.get_parameter(name.removeprefix(_PREFIX)).copy_(value)
    adapters.train(model.training)
    auxiliary.attach(model, auxiliary.Auxiliary(adapters))
    return adapters


def find_targets(model: Any, requested: Sequence[str]) -> list[str]:
    """Full names of the linear layers that get adapters: those whose inputs have the rows as first dimension.

    Raises:
        ValueError: there is no such layer, or one of ``requested`` matches none.
    """
    return target_layers(model, requested, find_heads(model), flag="--lora_target_modules", kinds=LINEAR, by_row=True)


def find_heads(model: Any) -> list[str]:
    """Names of the modules that are trained as a whole: the head, modules in no checkpoint, and the pooler."""
    heads = [name for name in whole_modules(model) if name != AUXILIARY_ATTRIBUTE]
    prefix = model.base_model_prefix
    pooler = getattr(getattr(model, prefix, None), "pooler", None)
    return heads if pooler is None or inside(f"{prefix}.pooler", heads) else [*heads, f"{prefix}.pooler"]


def freeze_all_but(model: nn.Module, heads: Sequence[str]) -> tuple[str, ...]:
    """Freeze all parameters outside ``heads``; returns the names of the newly frozen ones."""
    names = [name for name, value in model.named_parameters() if value.requires_grad and not inside(name, heads)]
    for name in names:
        model.get_parameter(name).requires_grad_(False)
    return tuple(names)


def _matrix(layer: Any) -> Tensor:
    """(out, in) the weight of a linear layer, as a transposed view if the layer stores it transposed."""
    weight: Tensor = layer.weight
    return weight.t() if isinstance(layer, Conv1D) else weight


def _key(name: str, target: str) -> str:
    # Names of parameters must not contain dots.
    return f"{name}|{target}".replace(".", "/")
