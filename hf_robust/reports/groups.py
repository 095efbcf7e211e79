"""Runs that differ in their seed only, and what tables and pictures call them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from hf_robust.reports.captions import data_title
from hf_robust.reports.cells import NOTHING
from hf_robust.reports.compare import as_compared, without_sources
from hf_robust.runs import Run, max_length_of, size_in_words

# What the cards of two seeds of one run have in common.
_THE_SAME = ("method", "config", "training", "model", "lexicons", "attacks", "vote", "certify", "architecture")


def group_by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in their seed only, together; a run without a run card, or of a repeated seed, stays alone.

    Folders that a run was given and that are named after its own seed (a victim ``normal-seed2``) differ with it.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        kept = {name: run.card.get(name) for name in _THE_SAME}
        config = run.card.get("config") or {}
        kept["config"] = {key: value for key, value in config.items() if key not in _found(run)}
        kept["attacks"] = {attack: as_compared(parts) for attack, parts in (run.card.get("attacks") or {}).items()}
        kept["data"] = [run.data.get("fingerprint") or run.data, run.data.get("extra_rows")]
        kept["measured"] = {name: run.data.get(name) for name in ("attack_split", "attack_sample", "certify_sample")}
        kept["max_length"] = max_length_of(run.card)
        key = json.dumps(without_sources(kept), sort_keys=True, default=str)
        key = re.sub(rf"(seed[-_=]?){run.card.get('seed')}(?!\d)", r"\1*", key)
        repeated = any(run.card.get("seed") == other.card.get("seed") for other in groups.get(key, []))
        groups.setdefault(key if run.card and not repeated else f"{key} {run.path}", []).append(run)
    return list(groups.values())


def _found(run: Run) -> list[str]:
    """Settings that came of the run's data and seed, in which two seeds differ."""
    return list(run.card.get("found") or ())


def group_names(groups: Sequence[Sequence[Run]]) -> list[str]:
    """The method of each group, with a run's folder where several groups are of one method."""
    methods = [group[0].method for group in groups]
    folders = [group[0].path.resolve() for group in groups]
    names = [path.name for path in folders]
    places = [f"{path.parent.name}/{path.name}" if names.count(path.name) > 1 else path.name for path in folders]
    return [
        f"{method} ({place})" if methods.count(method) > 1 else method
        for method, place in zip(methods, places, strict=True)
    ]


def run_names(groups: Sequence[Sequence[Run]]) -> list[list[str]]:
    """The name of each run of each group: the group's, with the seed where it has several."""
    return [
        [f"{name} seed {run.card.get('seed')}" if len(group) > 1 else name for run in group]
        for name, group in zip(group_names(groups), groups, strict=True)
    ]


def published_epochs(group: Sequence[Run]) -> str:
    """The epochs whose weights were kept, and why; a star where that very checkpoint was not attacked."""
    texts = []
    for run in group:
        which = "last" if run.best_step is None else "best"
        texts.append(f"{run.published['epoch']:g} ({which}){'' if run.measured_exactly else '*'}")
    return ", ".join(dict.fromkeys(texts))


def model_name(run: Run) -> str:
    """The model trained, with what it is where the run card says so: a local folder's name often says nothing."""
    name, known = str(run.card.get("model") or NOTHING), run.card.get("architecture") or {}
    return f"{name} ({size_in_words(known)})" if known else name


def data_name(run: Run) -> str:
    """Name of the data and what of it was measured; a dash where the run card does not say."""
    return data_title(run) or NOTHING
