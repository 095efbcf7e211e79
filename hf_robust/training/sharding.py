"""Training on shards of a model (FSDP2): what is refused, and the auxiliary modules that every rank holds whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import accelerate
import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from packaging.version import Version
from torch.distributed import all_reduce
from transformers import TrainingArguments

from hf_robust.modules.auxiliary import Auxiliary

if TYPE_CHECKING:
    from hf_robust.training.base import RobustTrainer
    from hf_robust.training.task_loss import TaskTrainer

ACCELERATE = "1.15"
"""Oldest accelerate that was tried; it clips the gradients of shards and of whole parameters by one norm."""
FEWEST_PROCESSES = 2
"""On fewer, sharding saves no memory."""


def fsdp_settings(args: TrainingArguments) -> dict[str, Any] | None:
    """Version, state dict type and layers of FSDP, by ``--fsdp`` or by ``accelerate launch``; None without FSDP."""
    if args.fsdp:
        config: Any = args.fsdp_config or {}
        return {
            "version": int(config.get("version", 2)),
            "state": str(config.get("state_dict_type", "FULL_STATE_DICT")),
            "layers": config.get("transformer_layer_cls_to_wrap"),
        }
    if os.environ.get("ACCELERATE_USE_FSDP", "false").lower() not in ("1", "true"):
        return None
    return {
        "version": int(os.environ.get("FSDP_VERSION", "1")),
        "state": os.environ.get("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT"),
        "layers": os.environ.get("FSDP_TRANSFORMER_CLS_TO_WRAP"),
    }


def set_up_fsdp(trainer: TaskTrainer) -> None:
    """Make accelerate shard on CPUs too, and gather a model's layers one by one.

    On CPUs it would train whole copies without saying so. It fails on BERT, RoBERTa and ModernBERT, whose embedding
    block it would shard with the word embeddings inside, and then these again.
    """
    args, state = trainer.args, trainer.accelerator.state
    settings = fsdp_settings(args)
    if settings is None:
        return
    if state.distributed_type == DistributedType.MULTI_CPU:
        state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**(args.fsdp_plugin_args or {}))
        trainer.is_fsdp_enabled = True
    if trainer.is_fsdp_enabled and not settings["layers"]:
        state.fsdp_plugin.transformer_cls_names_to_wrap = layer_classes(trainer.model)


def layer_classes(model: Any) -> list[str]:
    """Names of the classes of the model's layers, as the architecture names them, without its embedding block."""
    look_up = model.get_input_embeddings()
    named = getattr(model, "_no_split_modules", None) or ()
    found: dict[str, list[Any]] = {name: [] for name in named}
    for module in model.modules():
        found.get(type(module).__name__, []).append(module)
    return [
        name
        for name, modules in found.items()
        if modules and not any(part is look_up for module in modules for part in module.modules())
    ]


def check_sharding(method: type[RobustTrainer], args: TrainingArguments, trains: bool) -> None:
    """Refuse, before anything is loaded, what does not train on shards; ``trains`` is whether the run trains at all.

    Raises:
        ValueError: FSDP is of version 1, has one process or no training, would save no model, would use GPUs for a
            training on CPUs, or needs a newer accelerate; or the method needs whole parameters.
    """
    settings = fsdp_settings(args)
    reason = method.needs_whole_model(args)
    if reason and (settings is not None or args.deepspeed):
        raise ValueError(
            f"{method.name} needs the whole model: it {reason}; leave {'--fsdp' if settings else '--deepspeed'} out "
            "(torchrun alone trains by DDP)."
        )
    if settings is None:
        return
    if settings["version"] != 2:
        raise ValueError(
            "FSDP of version 1 is not supported here, since its flat parameters hide the word embeddings; use version "
            "2: --fsdp full_shard --fsdp_config '{\"version\": 2}' (in accelerate's config, fsdp_version: 2)."
        )
    if "FULL" not in settings["state"]:
        raise ValueError(
            f"FSDP's state_dict_type {settings['state']} saves no model that from_pretrained loads; use "
            "FULL_STATE_DICT, which is the default."
        )
    if args.world_size < FEWEST_PROCESSES:
        raise ValueError("--fsdp shards a model over processes, and this is one; start the script by torchrun.")
    if not trains:
        raise ValueError("--fsdp shards a model for training, and this run trains none; leave it out to evaluate.")
    if args.device.type == "cpu" and torch.accelerator.is_available():
        raise ValueError(
            '--fsdp with --use_cpu would shard on the GPUs that torch finds; hide them by CUDA_VISIBLE_DEVICES="".'
        )
    if Version(accelerate.__version__) < Version(ACCELERATE):
        raise ValueError(
            f"--fsdp needs accelerate {ACCELERATE} or newer, got {accelerate.__version__}; pip install -U accelerate."
        )


def keep_whole(trainer: RobustTrainer, auxiliary: Auxiliary | None) -> None:
    """Let FSDP shard a second classifier with the model, but no other auxiliary module.

    Methods use these outside the model's passes, in which alone FSDP gathers parameters; and they are small.
    """
    if trainer.is_fsdp_enabled:
        modules = None if auxiliary is None or auxiliary.peer else [auxiliary.module]
        trainer.accelerator.state.fsdp_plugin.ignored_modules = modules


def average_gradients(trainer: RobustTrainer, auxiliary: Auxiliary | None) -> None:
    """Average the gradients of a whole auxiliary module over the ranks, as DDP does and FSDP does with shards."""
    if auxiliary is None or auxiliary.peer or not trainer.is_fsdp_enabled:
        return
    for parameter in auxiliary.parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        all_reduce(parameter.grad)
        parameter.grad /= trainer.args.world_size
