"""Flags of transformers 4 that transformers 5 has dropped: translated or ignored, with a warning.

Command lines of papers and old scripts use many of them, and each is an error in transformers 5. Flags are a mapping
name -> value here, for command lines and args files alike.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

Flags = dict[str, Any]

RENAMED: dict[str, str] = {
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "push_to_hub_token": "hub_token",
    "xpu_backend": "ddp_backend",
}
DROPPED: dict[str, str] = {
    "overwrite_output_dir": "the output folder is always overwritten, and resuming needs --resume_from_checkpoint",
    "save_safetensors": "weights are always saved as safetensors",
    "fp16_backend": "there is one half-precision backend now",
    "half_precision_backend": "there is one half-precision backend now",
    "fp16_opt_level": "it was for apex",
    "sharded_ddp": "use --fsdp",
    "past_index": "it has no effect on classification",
    "jit_mode_eval": "use --torch_compile",
    "use_ipex": "use --torch_compile",
    "mp_parameters": "it was for SageMaker",
    "ray_scope": "it was for Ray Tune",
    "tpu_num_cores": "start the script with a launcher",
    "tpu_metrics_debug": "use --debug tpu_metrics_debug",
    "fsdp_min_num_params": "use --fsdp_config",
    "fsdp_transformer_layer_cls_to_wrap": "use --fsdp_config",
    "torchdynamo": "use --torch_compile_backend",
    "use_legacy_prediction_loop": "there is one prediction loop now",
    "use_mps_device": "an MPS device is used if there is one",
    "include_tokens_per_second": "use --include_num_input_tokens_seen",
    "dispatch_batches": "use --accelerator_config",
    "split_batches": "use --accelerator_config",
}


def translate(flags: Mapping[str, Any], known: Callable[[str], bool]) -> Flags:
    """Translate flags to those of the installed transformers, with one warning for each that has changed.

    Args:
        flags: values by name; True for a flag without a value.
        known: whether the installed version has a flag of that name; such a flag is not changed.

    Raises:
        ValueError: an old flag and its new flag disagree, or a value cannot be translated.
    """
    new: Flags = dict(flags)
    old = [name for name in flags if name in LEGACY and not known(name)]
    for name in (name for name in LEGACY if name in old):
        if name in new:
            value = new.pop(name)
            for key, translated in LEGACY[name](name, value, new).items():
                if key in new and str(new[key]) != str(translated):
                    raise ValueError(
                        f"--{name} {value} means --{key} {translated} now, and --{key} {new[key]} is given too: "
                        f"leave one of them out."
                    )
                new[key] = translated
    return new


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes", "y", "t")


def _warn(name: str, reading: str) -> None:
    logger.warning(f"--{name} does not exist in transformers 5: {reading}.")


def _rename(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, f"read as --{RENAMED[name]}")
    return {RENAMED[name]: value}


def _drop(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, f"ignored, {DROPPED[name]}")
    return {}


def _warmup_ratio(name: str, value: Any, flags: Flags) -> Flags:
    ratio = float(value)
    if not 0 <= ratio < 1:
        raise ValueError(f"--warmup_ratio must be at least 0 and below 1, got {value}; give --warmup_steps instead.")
    if float(flags.get("warmup_steps", 0)) > 0:
        _warn(name, "ignored, because --warmup_steps is given")
        return {}
    flags.pop("warmup_steps", None)
    _warn(name, f"read as --warmup_steps {value}; a value below 1 is a share of all steps")
    return {"warmup_steps": value}


def _logging_dir(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, "the environment variable TENSORBOARD_LOGGING_DIR is set instead")
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(value)
    return {}


def _group_by_length(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, "read as --train_sampling_strategy group_by_length")
    return {"train_sampling_strategy": "group_by_length"} if _is_true(value) else {}


def _include_inputs(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, "read as --include_for_metrics inputs")
    return {"include_for_metrics": ["inputs"]} if _is_true(value) else {}


def _hub_model_id(name: str, value: Any, flags: Flags) -> Flags:
    organization = flags.pop("push_to_hub_organization", None)
    _warn(name, "read as --hub_model_id")
    return {"hub_model_id": value if organization is None else f"{organization}/{value}"}


def _hub_organization(name: str, value: Any, flags: Flags) -> Flags:
    if "output_dir" not in flags:
        raise ValueError(
            "--push_to_hub_organization does not exist in transformers 5: give --hub_model_id ORGANIZATION/NAME."
        )
    _warn(name, "read as part of --hub_model_id")
    return {"hub_model_id": f"{value}/{Path(str(flags['output_dir'])).name}"}


def _auth_token(name: str, value: Any, flags: Flags) -> Flags:
    if str(value).lower() in ("true", "false"):
        _warn(name, "ignored, because the token of `hf auth login` is used by default")
        return {}
    _warn(name, "read as --token")
    return {"token": value}


def _adafactor(name: str, value: Any, flags: Flags) -> Flags:
    _warn(name, "read as --optim adafactor")
    return {"optim": "adafactor"} if _is_true(value) else {}


LEGACY: dict[str, Callable[[str, Any, Flags], Flags]] = {
    **dict.fromkeys(RENAMED, _rename),
    **dict.fromkeys(DROPPED, _drop),
    "warmup_ratio": _warmup_ratio,
    "logging_dir": _logging_dir,
    "group_by_length": _group_by_length,
    "include_inputs_for_metrics": _include_inputs,
    "push_to_hub_model_id": _hub_model_id,
    "push_to_hub_organization": _hub_organization,
    "use_auth_token": _auth_token,
    "adafactor": _adafactor,
}
