"""Flags that are gone: those of transformers 4, and earlier names of flags of this package.

Old command lines and args files hold them. A flag that has a counterpart is translated with a warning; any other is an
error of one sentence that says what to use now. Works on flags as a mapping name -> value, so that the command line
and an args file go the same way.
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
RENAMED_HERE: dict[str, str] = {
    "adapter_alpha": "lora_alpha",
    "adapter_dropout": "lora_dropout",
    "adapter_rank": "lora_rank",
    "adapter_target_modules": "lora_target_modules",
    "adv_eps": "adv_lr",
    "adv_weight": "ascc_weight",
    "attack_epoch_interval": "epochs_per_round",
    "attack_mended": "attack_fixed",
    "ctr_tau": "taichi_tau",
    "dir_alpha": "dne_alpha",
    "dir_decay": "dne_decay",
    "fgsm_clean_weight": "clean_weight",
    "info_alpha": "infobert_alpha",
    "info_beta": "infobert_beta",
    "smart_radius": "adv_max_norm",
    "taichi_ctr": "taichi_beta",
    "taichi_kl": "taichi_gamma",
}
"""Earlier names of this package's flags, with the names that they have now."""
REMOVED_HERE: dict[str, str] = {
    "allow_eval_views": "give the split by --leaked_view_split",
    "amda_iterative": "give the number of texts by --amda_num_adv (500 in MixADA)",
    "amda_variant": "give --amda_layers -1 for smix, which mixes after the last layer",
    "certify_bound": "use `hf-robust certify --bound` after training",
    "ctr_include_pos": "the contrastive term of taichi is the paper's, without a text's own pair in the denominator",
    "ctr_sim": "the contrastive term of taichi compares by cosine, as its code does",
    "flood_batches": "flooding_x compares 8 micro-batches",
    "gumbel_temperature": "the temperature is 1, as in FLAT",
    "info_ch": "give both shares by --infobert_local LOW HIGH",
    "info_cl": "give both shares by --infobert_local LOW HIGH",
    "location_lists": "give it as the second file of --name_lists",
    "mask_hidden_dim": "the hidden layer of the mask network has 400 units, as in FLAT",
    "max_attempts": "bound the texts that are attacked by --view_fraction",
    "mean_losses": "the loss of fgm is the sum of its two terms, and --clean_weight weighs the one on the clean text",
    "taichi_symmetric_kl": "each KL of taichi goes one way, as in the paper",
    "teacher_decay": "the decay of smart's averaged model is the paper's 0.999",
    "teacher_decay_early": "the decay of smart's averaged model is 0.99 in the first tenth of the steps",
    "use_bregman": "the averaged model of smart is in use where --smart_mu is above 0 (1 in the paper)",
    "use_global_embedding": "give --tavat_norm zero to start without a remembered perturbation",
    "view_split": "give a split other than the training set by --leaked_view_split",
    "w_mode": "give --w_lr below 0 for weights that descend the loss",
}
"""Flags of this package that are gone, with what to use now."""


def current_names(flags: Mapping[str, Any]) -> Flags:
    """Flags as stored files hold them, under the names that they have now.

    >>> current_names({"taichi_kl": 0.5, "seed": 1})
    {'taichi_gamma': 0.5, 'seed': 1}
    """
    return {RENAMED_HERE.get(name, name): value for name, value in flags.items()}


def current_token(token: str) -> str:
    """A word of a command line; a flag of this package is put under the name that it has now.

    >>> current_token("--attack_mended=True"), current_token("attack_mended")
    ('--attack_fixed=True', 'attack_mended')

    Raises:
        ValueError: the flag is gone; the sentence says what to use now.
    """
    flag, equals, value = token.partition("=")
    name = flag.removeprefix("--").replace("-", "_")
    if flag[:2] != "--" or name not in {*RENAMED_HERE, *REMOVED_HERE}:
        return token
    (new,) = LEGACY[name](name, value, {})
    return f"--{new}{equals}{value}"


def translate(flags: Mapping[str, Any], known: Callable[[str], bool]) -> Flags:
    """The same flags under the names that they have now, with a warning for each change.

    Args:
        flags: values by name; True for a flag without a value.
        known: whether a name is a flag of the run, which is then left alone.

    Raises:
        ValueError: an old and its new flag disagree, or a flag or value has no translation.
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


def _rename_here(name: str, value: Any, flags: Flags) -> Flags:
    logger.warning(f"--{name} is called --{RENAMED_HERE[name]} now.")
    return {RENAMED_HERE[name]: value}


def _one_process(name: str, value: Any, flags: Flags) -> Flags:
    logger.warning(f"--{name} is ignored: one process tokenises.")
    return {}


def _refuse(name: str, value: Any, flags: Flags) -> Flags:
    raise ValueError(f"--{name} is gone: {REMOVED_HERE[name.removeprefix('no_')]}.")


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
    "preprocessing_num_workers": _one_process,
    **dict.fromkeys(RENAMED_HERE, _rename_here),
    **dict.fromkeys((*REMOVED_HERE, *(f"no_{name}" for name in REMOVED_HERE)), _refuse),
}
