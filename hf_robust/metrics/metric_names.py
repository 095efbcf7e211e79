"""Names of metrics that the package `evaluate` loads, and their loading.

A name in ``--metric_name`` is ``NAME[:CONFIG][:KEY=VALUE ...]``: what ``evaluate.load`` takes (a name, a Hub id or a
local folder), its configuration, and settings of its ``compute``. Examples: ``precision:average=macro``,
``roc_auc:multiclass:multi_class=ovr``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hf_robust.metrics.evaluate_modules import EVALUATE_MODULES


class MetricName(NamedTuple):
    """The parts of a name in ``--metric_name``."""

    text: str
    path: str
    config: str | None
    settings: dict[str, Any]


def read_name(text: str) -> MetricName:
    """Split a name into path, configuration and settings.

    >>> read_name("precision:average=macro")[1:]
    ('precision', None, {'average': 'macro'})
    >>> read_name("roc_auc:multilabel:max_fpr=0.5")[1:]
    ('roc_auc', 'multilabel', {'max_fpr': 0.5})

    Raises:
        ValueError: the name is empty or has two configurations.
    """
    path, *options = text.split(":")
    configs = [option for option in options if "=" not in option]
    if not path or len(configs) > 1 or "" in configs:
        raise ValueError(f"--metric_name {text} is not NAME, NAME:CONFIG or NAME:KEY=VALUE.")
    pairs = (option.partition("=") for option in options if "=" in option)
    return MetricName(text, path, configs[0] if configs else None, {key: _value(value) for key, _, value in pairs})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def load_module(name: MetricName, built_in: Iterable[str], *, config: str | None = None, trusted: bool = False) -> Any:
    """Load a metric as an ``evaluate.EvaluationModule``.

    Args:
        built_in: metrics that need no loading, for the error about an unknown name.
        config: configuration if the name has none.
        trusted: whether code from the Hub that is not Hugging Face's may run.

    Raises:
        ValueError: `evaluate` is not installed, there is no such metric, or it cannot be loaded.
    """
    evaluate = _evaluate(name, built_in)
    from huggingface_hub.constants import HF_HUB_OFFLINE

    _check_place(name, trusted)
    evaluate.config.HF_EVALUATE_OFFLINE |= HF_HUB_OFFLINE  # evaluate does not read HF_HUB_OFFLINE
    try:
        return evaluate.load(name.path, name.config or config, keep_in_memory=True)
    except OSError as error:
        reason = "HF_HUB_OFFLINE is set" if HF_HUB_OFFLINE else "the Hub has no such metric or cannot be reached"
        raise ValueError(
            f"--metric_name {name.text} is not built in ({', '.join(built_in)}) and cannot be loaded, since {reason}: "
            "correct the name, or give a local folder FOLDER that holds FOLDER.py."
        ) from error
    except Exception as error:  # loading runs the code of the metric
        raise ValueError(f"--metric_name {name.text} cannot be loaded: {one_line(error)}") from error


def _evaluate(name: MetricName, built_in: Iterable[str]) -> Any:
    try:
        import evaluate
    except ImportError as error:
        raise ValueError(
            f"--metric_name {name.text} is not built in ({', '.join(built_in)}), and loading it needs evaluate: "
            'pip install "hf_robust[evaluate]" or pip install evaluate.'
        ) from error
    return evaluate


def _check_place(name: MetricName, trusted: bool) -> None:
    """Refuse folders without a script, metrics of attacks, and code from the Hub that nobody vouches for."""
    path = Path(name.path)
    if str(path.resolve()) in EVALUATE_MODULES.values():
        raise ValueError(
            f"--metric_name {name.text} measures attacked texts, which the clean evaluation does not have: name "
            "attacks by --attacks, and their rates are measured."
        )
    if path.suffix == ".py" and path.is_file() or (path / f"{path.name}.py").is_file() or "/" not in name.path:
        return
    if path.exists() or name.path.count("/") > 1 or path.is_absolute() or name.path.startswith("."):
        raise ValueError(f"--metric_name {name.text}: there is no {path / path.name}.py, the script of a metric.")
    if not trusted:
        raise ValueError(
            f"--metric_name {name.text} runs code of {path.parent} from the Hub: read it at "
            f"https://huggingface.co/spaces/{name.path} and add --trust_remote_code, or give a local folder."
        )


def one_line(error: Exception) -> str:
    """The message of an error as a sentence on one line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
