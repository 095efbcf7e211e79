"""Markdown tables over several runs: results with intervals, or means over seeds, and what they cost."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.metrics import Aim, aim_of, not_all_covered, texts_covered, wilson_interval
from hf_robust.reports.compare import as_compared, check_comparable, differences, without_sources
from hf_robust.runs import Run, attack_names, load_run

NOTHING = "–"
# What the cards of two seeds of one run have in common.
_THE_SAME = ("method", "config", "training", "model", "lexicons", "attacks", "vote", "certify", "architecture")


def comparison_table(run_dirs: Sequence[str | Path], force: bool = False) -> str:
    """Results and cost of several runs as Markdown.

    One row for each group of runs that differ in their seed only. A single run's rates carry their 95 % Wilson
    interval, ``41.0 [36.7, 45.4]``; several seeds carry mean ± sample standard deviation over seeds, ``41.0 ± 1.2``.
    Rates are in percent and of the epoch whose weights the run kept.

    Args:
        run_dirs: run folders, in the order of their rows.
        force: make the table although the runs do not compare, with the reasons above it.

    Raises:
        ValueError: a folder cannot be read, or the runs do not compare (`hf_robust.reports.compare`).
    """
    if not run_dirs:
        raise ValueError("No run given; name at least one folder with a robustness_history.jsonl.")
    runs = [load_run(folder) for folder in run_dirs]
    if not force:
        check_comparable(runs)
    return table_of_runs(runs)


def table_of_runs(runs: Sequence[Run]) -> str:
    """The table of `comparison_table` of runs that were read, with the reasons above it why they do not compare."""
    attacks = list(dict.fromkeys(name for run in runs for name in attack_names(run.history)))
    groups = group_by_seed(runs)
    warning = "".join(f"> **Not comparable:** {reason}.\n" for reason in differences(runs))
    return "\n".join(filter(None, [warning, _results(groups, attacks), legend(groups), _cost(groups, attacks)]))


def results_table(run: Run) -> str:
    """Clean accuracy and every attack on one run's kept weights, a row for each, as in the model card.

    Below it stands how many texts an attack could change, where not all.
    """
    line = run.published
    clean = percent(float(line["accuracy"]), accuracy_interval(run))
    rows = [["none (clean text)", NOTHING, clean, str(run.eval_samples or NOTHING), NOTHING, NOTHING]]
    for attack, result in line["attacks"].items():
        rows.append(
            [
                attack,
                _rate(result, "asr"),
                _rate(result, "robust_accuracy") if robust_accuracy_applies(run, attack) else NOTHING,
                _count(result, "num_examples"),
                _count(result, "num_attacked"),
                _decimal(result, "queries"),
            ]
        )
    if union := line.get("union"):
        worst = percent(union["robust_accuracy"], union_interval(union))
        rows.append([union_label(union), NOTHING, worst, _count(union, "num_examples"), NOTHING, NOTHING])
    header = ["attack", "attack success rate, %", "accuracy under attack, %", "examples", "attacked", "queries each"]
    for key, title in (("changed_share", "changed words, %"), ("saturated_share", "saturated queries, %")):
        shares = [float(result.get(key, math.nan)) for result in line["attacks"].values()]
        if any(map(math.isfinite, shares)):
            header.append(title)
            cells = [NOTHING, *map(percent, shares), NOTHING]
            rows = [[*row, cell] for row, cell in zip(rows, cells, strict=False)]
    found = {attack: not_all_covered(result) for attack, result in line["attacks"].items()}
    counted = [f"{attack} {some}{' (so no rate)' * some.startswith('0 ')}" for attack, some in found.items() if some]
    said = f"\nTexts with at least one substitute: {', '.join(counted)}.\n" if counted else ""
    return markdown_table(header, rows) + said


def union_label(union: Mapping[str, Any]) -> str:
    """How tables call the union of several attacks."""
    return f"worst of {', '.join(union['attacks'])}"


def union_interval(union: Mapping[str, Any]) -> tuple[float, float] | None:
    """The interval of a union's robust accuracy; None where the line has none."""
    return attack_interval(dict(union), "robust_accuracy")


def robust_accuracy_applies(run: Run, attack: str) -> bool:
    """Whether accuracy under attack says anything.

    Not where the attack wants the prediction to stay: keeping it is the error there.
    """
    return not aim_in(run, attack).keeps_prediction


def aim_in(run: Run, attack: str) -> Aim:
    """What an attack of a run wants of the prediction."""
    described = (run.card.get("attacks") or {}).get(attack) or {}
    return aim_of(described, attack, run.published["attacks"].get(attack))


def group_by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in their seed only, together; a run without a run card, or of a repeated seed, stays alone.

    Folders that a run was given and that are named after its own seed (a victim ``normal-seed2``) differ with it.
    """
    groups: dict[str, list[Run]] = {}
    for run in runs:
        kept = {name: run.card.get(name) for name in _THE_SAME}
        kept["attacks"] = {attack: as_compared(parts) for attack, parts in (run.card.get("attacks") or {}).items()}
        kept["data"] = run.data.get("fingerprint") or run.data
        kept["measured"] = {name: run.data.get(name) for name in ("attack_split", "attack_sample", "certify_sample")}
        key = json.dumps(without_sources(kept), sort_keys=True, default=str)
        key = re.sub(rf"(seed[-_=]?){run.card.get('seed')}(?!\d)", r"\1*", key)
        repeated = any(run.card.get("seed") == other.card.get("seed") for other in groups.get(key, []))
        groups.setdefault(key if run.card and not repeated else f"{key} {run.path}", []).append(run)
    return list(groups.values())


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


def percent(rate: float, interval: tuple[float, float] | None = None) -> str:
    """``0.41`` as ``41.0``, with ``[36.7, 45.4]`` where an interval is known; a dash where there is no rate."""
    if not math.isfinite(rate):
        return NOTHING
    if interval is None or not all(map(math.isfinite, interval)):
        return f"{100 * rate:.1f}"
    return f"{100 * rate:.1f} [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def _results(groups: Sequence[Sequence[Run]], attacks: Sequence[str]) -> str:
    shown = [name for name in attacks if any(robust_accuracy_applies(run, name) for group in groups for run in group)]
    header = ["method", "model", "data", "seeds", "epoch", "accuracy"]
    for attack in attacks:
        header += [f"{attack} ASR"] + ([f"{attack} robust accuracy"] if attack in shown else [])
    unions = [run.published["union"] for group in groups for run in group if "union" in run.published]
    # Unions of other attacks are other quantities, so each has a column of its own.
    labels = list(dict.fromkeys(map(union_label, unions)))
    header += [f"{label}: robust accuracy" for label in labels]
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        run = group[0]
        row = [name, model_name(run), data_name(run), str(len(group)), kept_epochs(group)]
        row.append(over_seeds(group, lambda run: float(run.published["accuracy"]), accuracy_interval))
        for attack in attacks:
            row.append(attack_over_seeds(group, attack, "asr"))
            if attack in shown:
                row.append(attack_over_seeds(group, attack, "robust_accuracy"))
        row += [union_over_seeds(group, label) for label in labels]
        rows.append(row)
    return markdown_table(header, rows)


def legend(groups: Sequence[Sequence[Run]]) -> str:
    """What the numbers of the tables mean."""
    text = "Rates in percent. ASR: attack success rate among the examples that were right before the attack. "
    if any(len(group) == 1 for group in groups):
        text += "In brackets: 95 % Wilson interval. "
    if any(len(group) > 1 for group in groups):
        text += "±: sample standard deviation over seeds. "
    if not all(run.measured_exactly for group in groups for run in group):
        text += "*: the kept checkpoint itself was not attacked; numbers of the nearest epoch before it. "
    return text.strip() + "\n"


def _cost(groups: Sequence[Sequence[Run]], attacks: Sequence[str]) -> str:
    rows = []
    for name, group in zip(group_names(groups), groups, strict=True):
        for attack in attacks:
            results = [run.published["attacks"][attack] for run in group if attack in run.published["attacks"]]
            if results:
                keys = ("num_examples", "num_attacked", "queries", "seconds")
                values = [mean_of(results, key) for key in keys]
                counts = [NOTHING if math.isnan(value) else f"{value:.0f}" for value in values[:2]]
                decimals = [NOTHING if math.isnan(value) else f"{value:.1f}" for value in values[2:]]
                found = [covered[0] for result in results if (covered := texts_covered(result))]
                shown = f"{statistics.mean(found):.0f}" if found else NOTHING
                rows.append([name, attack, *counts, shown, *decimals, _train_seconds(group)])
    header = ["method", "attack", "N", "attacked", "with a substitute", "queries each", "attack seconds"]
    header.append("training seconds")
    if all(row[4] in (NOTHING, row[3]) for row in rows):
        header, rows = [*header[:4], *header[5:]], [[*row[:4], *row[5:]] for row in rows]
    return markdown_table(header, rows) if rows else ""


def attack_over_seeds(group: Sequence[Run], attack: str, key: str) -> str:
    """A rate of an attack over a group's seeds; a dash where it says nothing (`robust_accuracy_applies`)."""

    def value(run: Run) -> float:
        return float(run.published["attacks"].get(attack, {}).get(key, math.nan))

    def interval(run: Run) -> tuple[float, float] | None:
        return attack_interval(run.published["attacks"].get(attack, {}), key)

    if key == "robust_accuracy" and not all(robust_accuracy_applies(run, attack) for run in group):
        return NOTHING
    return over_seeds(group, value, interval)


def union_over_seeds(group: Sequence[Run], label: str) -> str:
    """Robust accuracy under one union of attacks over a group's seeds."""

    def union(run: Run) -> dict[str, Any]:
        found = run.published.get("union")
        return found if found and union_label(found) == label else {}

    return over_seeds(
        group, lambda run: float(union(run).get("robust_accuracy", math.nan)), lambda run: union_interval(union(run))
    )


def over_seeds(
    group: Sequence[Run], value: Callable[[Run], float], interval: Callable[[Run], tuple[float, float] | None]
) -> str:
    """A rate in percent: a single run's with its interval, of several seeds the mean and standard deviation."""
    values = [value(run) for run in group]
    if len(group) == 1:
        return percent(values[0], interval(group[0]))
    known = [number for number in values if math.isfinite(number)]
    if len(known) < 2:
        return percent(known[0]) + f" (1 of {len(group)} seeds)" if known else NOTHING
    text = f"{100 * statistics.mean(known):.1f} ± {100 * statistics.stdev(known):.1f}"
    return text if len(known) == len(group) else f"{text} ({len(known)} of {len(group)} seeds)"


def attack_interval(result: dict[str, Any], key: str) -> tuple[float, float] | None:
    """The interval noted with the rate; for robust accuracy, which is F/N, computed where the file has none."""
    low, high = result.get(f"{key}_low"), result.get(f"{key}_high")
    if low is not None and high is not None:
        return (float(low), float(high))
    count, rate = result.get("num_examples", 0), result.get(key, math.nan)
    if key != "robust_accuracy" or not count or not math.isfinite(rate):
        return None
    return wilson_interval(round(rate * count), int(count))


def accuracy_interval(run: Run) -> tuple[float, float] | None:
    """Wilson interval of the clean accuracy; None where the number of rows is not known."""
    accuracy, samples = float(run.published["accuracy"]), run.eval_samples
    if samples is None or not math.isfinite(accuracy):
        return None
    return wilson_interval(round(accuracy * samples), samples)


def _rate(result: dict[str, Any], key: str) -> str:
    return percent(float(result.get(key, math.nan)), attack_interval(result, key))


def _count(result: dict[str, Any], key: str) -> str:
    return NOTHING if math.isnan(result.get(key, math.nan)) else f"{result[key]:.0f}"


def _decimal(result: dict[str, Any], key: str) -> str:
    return NOTHING if math.isnan(result.get(key, math.nan)) else f"{result[key]:.1f}"


def mean_of(results: Sequence[Mapping[str, Any]], key: str) -> float:
    """Mean of a number over those that have it; nan where none does."""
    known = [float(result[key]) for result in results if math.isfinite(result.get(key, math.nan))]
    return statistics.mean(known) if known else math.nan


def _train_seconds(group: Sequence[Run]) -> str:
    known = [float(seconds) for run in group if (seconds := (run.card.get("seconds") or {}).get("train")) is not None]
    return f"{statistics.mean(known):.1f}" if known else NOTHING


def kept_epochs(group: Sequence[Run]) -> str:
    """The epochs whose weights were kept, and why; a star where that very checkpoint was not attacked."""
    texts = []
    for run in group:
        which = "last" if run.best_step is None else "best"
        texts.append(f"{run.published['epoch']:g} ({which}){'' if run.measured_exactly else '*'}")
    return ", ".join(dict.fromkeys(texts))


def model_name(run: Run) -> str:
    """The model trained, with what it is where the run card says so: a local folder's name often says nothing."""
    name, known = str(run.card.get("model") or NOTHING), run.card.get("architecture") or {}
    return f"{name} ({known['type']}, {known['parameters'] / 1e6:,.1f} M weights)" if known else name


def data_name(run: Run) -> str:
    """Name of the data, or its variant."""
    return str(run.data.get("name") or run.data.get("variant") or NOTHING)
