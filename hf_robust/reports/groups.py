"""Groups of runs that differ only in their seed, and their names in tables and pictures."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from hf_robust.reports.captions import data_title
from hf_robust.reports.cells import NOTHING
from hf_robust.reports.compare import as_compared, without_sources
from hf_robust.runs import Run, max_length_of, size_in_words

# Entries of the run card that are equal for two seeds of one run.
_SHARED_BY_SEEDS = ("method", "config", "training", "model", "lexicons", "attacks", "vote", "certify", "architecture")


def group_by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs that differ only in their seed; a run without a run card or with a repeated seed stays alone.

    Folder names that contain the seed of the run (a victim ``normal-seed2``) may differ too.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        shared = {name: run.card.get(name) for name in _SHARED_BY_SEEDS}
        config = run.card.get("config") or {}
        shared["config"] = {key: value for key, value in config.items() if key not in _data_dependent(run)}
        shared["attacks"] = {attack: as_compared(parts) for attack, parts in (run.card.get("attacks") or {}).items()}
        shared["data"] = [run.data.get("fingerprint") or run.data, run.data.get("extra_rows")]
        shared["measured"] = {name: run.data.get(name) for name in ("attack_split", "attack_sample", "certify_sample")}
        precision = run.card.get("precision") or {}  # older cards have none, of float32 models
        shared["precision"] = [precision.get("dtype", "float32"), precision.get("quantization")]
        shared["max_length"] = max_length_of(run.card)
        key = json.dumps(without_sources(shared), sort_keys=True, default=str)
        key = re.sub(rf"(seed[-_=]?){run.card.get('seed')}(?!\d)", r"\1*", key)
        repeated = any(run.card.get("seed") == other.card.get("seed") for other in groups.get(key, []))
        groups.setdefault(key if run.card and not repeated else f"{key} {run.path}", []).append(run)
    return list(groups.values())


def _data_dependent(run: Run) -> list[str]:
    """Settings derived from the data and the seed of the run, which differ between seeds."""
    return list(run.card.get("found") or ())


def group_names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """Method of each group, with the folder of its first run if several groups share a method."""
    methods = [group[0].method for group in groups]
    folders = [group[0].path.resolve() for group in groups]
    names = [path.name for path in folders]
    places = [f"{path.parent.name}/{path.name}" if names.count(path.name) > 1 else path.name for path in folders]
    return [
        f"{method} ({place})" if methods.count(method) > 1 else method
        for method, place in zip(methods, places, strict=True)
    ]


def run_names(groups: Sequence[Sequence[Run]]) -> list[list[str]]:
    """Name of each run of each group: the group's name, with the seed if the group has several runs."""
    return [
        [f"{name} seed {run.card.get('seed')}" if len(group) > 1 else name for run in group]
        for name, group in zip(group_names(groups), groups, strict=True)
    ]


def published_epochs(group: Sequence[Run]) -> str:
    """Epochs of the published weights, each with "last" or "best"; a star if that checkpoint was not attacked."""
    texts = []
    for run in group:
        which = "last" if run.best_step is None else "best"
        texts.append(f"{run.published['epoch']:g} ({which}){'' if run.measured_exactly else '*'}")
    return ", ".join(dict.fromkeys(texts))


def model_name(run: Run) -> str:
    """Name of the base model, with architecture and size if the run card has them."""
    name, known = str(run.card.get("model") or NOTHING), run.card.get("architecture") or {}
    return f"{name} ({size_in_words(known)})" if known else name


def data_name(run: Run) -> str:
    """Name of the data and of its measured part; a dash if the run card does not name the data."""
    return data_title(run) or NOTHING
