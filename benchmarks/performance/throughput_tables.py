"""Markdown tables of `benchmarks.performance.throughput`, `model_share` and `shared_answers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hf_robust.data.legacy_flags import RENAMED_HERE

Cell = Callable[[dict[str, Any]], str]
_RUN = ("recipe", "run", "examples", "seconds", "CPU s", "queries", "queries/s", "in the model", "planning", "GPU")


def tables(result: dict[str, Any]) -> str:
    """All tables, each under a heading, after a line on the machine."""
    where, load, given = result["machine"], result["load_average"], result["settings"]
    gpu = f", {where['gpu']}" if "gpu" in where else ""
    head = (
        f"{result['examples']} texts of {given['data']}, model {given['model']}; "
        f"{where['cpu_count']} processors, {where['threads']} threads{gpu}; "
        f"load average {load['start']} at the start, {load['end']} at the end; {result['seconds']:.0f} s in all"
    )
    parts = [head, "### Runs", _runs(result), "### Ratios: wall-clock seconds (CPU seconds)", _ratios(result)]
    parts += ["### The bound: the model alone", _bounds(result), "### Beyond identity, plan kept", _options(result)]
    if result["scale"]:
        parts += ["### Growing numbers of examples", _scale(result)]
    return "\n\n".join(parts)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, without padding."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _runs(result: dict[str, Any]) -> str:
    rows = []
    for recipe in result["recipes"]:
        for label, run in recipe["runs"].items():
            cells = [recipe["recipe"], label, str(run["examples"]), _number(run["seconds"])]
            cells += [_number(run["cpu_seconds"]), f"{run['queries']:,.0f}", f"{run['queries_per_second']:,.0f}"]
            cells += [_percent(run["model_share"]), _percent(run.get("planning_share"), 2)]
            rows.append([*cells, "" if run["utilization"] is None else f"{run['utilization']:.0f}%"])
    return markdown(_RUN, rows)


def _ratios(result: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for recipe in result["recipes"] for name in recipe["ratios"]))
    rows = [[name, *(_both(recipe["ratios"].get(name)) for recipe in result["recipes"])] for name in names]
    agreeing = list(dict.fromkeys(label for recipe in result["recipes"] for label in recipe["agreeing"]))
    for label in agreeing:
        cells = []
        for recipe in result["recipes"]:
            run = recipe["runs"].get(label)
            cells.append("" if run is None else f"{recipe['agreeing'][label]} of {run['examples']}")
        rows.append([f"same status and text as native first: {label}", *cells])
    return markdown(["ratio", *(recipe["recipe"] for recipe in result["recipes"])], rows)


def _bounds(result: dict[str, Any]) -> str:
    rows = []
    for recipe in result["recipes"]:
        for way, best in recipe["bound_ideas"].items():
            cells = [recipe["recipe"], way, str(best["budget"]), f"{best['sequences']:,}", f"{best['batches']:,}"]
            cells += [_percent(1 - best["tokens"] / best["padded_tokens"]), _number(best["seconds"])]
            rows.append([*cells, _number(best["cpu_seconds"]), _both(best["seconds_ratio"])])
    header = ("recipe", "batches", "token budget", "sequences", "batches made", "padding", "seconds", "CPU s", "ratio")
    return markdown(header, rows)


def _options(result: dict[str, Any]) -> str:
    rows = []
    for row in result["options"]:
        difference = row["asr_difference"]
        cells = [row["recipe"], _option(row["option"]), _number(row["seconds"]), _both(row["speed_up"])]
        cells += [f"{row['queries']:,.0f}", _percent(row["asr"])]
        cells += [
            "" if difference is None else f"{100 * difference:+.1f}",
            f"{row['same_status']} of {row['examples']}",
        ]
        rows.append([*cells, f"{row['replays_succeeded']} of {row['replayed']}" if row["replayed"] else ""])
    header = ("recipe", "option", "seconds", "speed-up", "queries", "ASR", "ASR points", "same status", "replays")
    return markdown(header, rows)


def _option(label: str) -> str:
    """The flag behind a stored label, under its present name."""
    flag, blank, value = label.removeprefix("--").partition(" ")
    return f"--{RENAMED_HERE[flag]}{blank}{value}" if flag in RENAMED_HERE else label


def _scale(result: dict[str, Any]) -> str:
    rows = []
    for row in result["scale"]:
        cells = [f"{row['examples']:,}", f"{row['distinct_texts']:,}", _number(row["seconds"])]
        cells += [f"{1000 * row['seconds_per_example']:.1f}", f"{1000 * row['cpu_seconds_per_example']:.1f}"]
        rows.append([*cells, f"{row['rss_mb_peak']:,.0f}", f"{row['rss_mb_growth']:,.0f}"])
    header = ("examples", "distinct texts", "seconds", "ms each", "CPU ms each", "peak MB", "MB above the start")
    return markdown(header, rows)


def _both(ratio: dict[str, Any] | None) -> str:
    if ratio is None or None in ratio.values():
        return ""
    return f"{ratio['seconds']:.2f} ({ratio['cpu_seconds']:.2f})"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _percent(share: float | None, digits: int = 1) -> str:
    return "" if share is None else f"{100 * share:.{digits}f}%"


# ---- results by title of a model ----


def shares(results: Mapping[str, Any]) -> str:
    """A row for each model and attack: shares of its processor seconds, by part."""
    rows = {(title, name): row for title, result in results.items() for name, row in result["attacks"].items()}
    found = dict.fromkeys(part for row in rows.values() for part in row["parts"])
    last = [part for part in ("tokenizer", "rest") if part in found]
    parts = [*(part for part in found if part not in last), *last]
    lines = [
        [title, name, f"{row['queries']:,.0f}", _number(row["cpu_seconds"]), _percent(row["share"])]
        + [_percent(row["parts"][part] / row["cpu_seconds"]) if part in row["parts"] else "" for part in parts]
        for (title, name), row in rows.items()
    ]
    return markdown(["model", "attack", "queries", "CPU s", "in models", *parts], lines)


def saved_passes(results: Mapping[str, Any]) -> str:
    """A row for each model: passes of several attacks without and with shared answers."""
    lines = []
    for title, result in results.items():
        apart, shared = result["ways"]["apart"], result["ways"]["shared"]
        counts = [f"{row['forwarded']:,.0f}" for row in (apart, shared)]
        ratio = apart["cpu_seconds"] / shared["cpu_seconds"]
        lines.append([title, str(apart["examples"]), f"{apart['queries']:,.0f}", *counts, f"{ratio:.2f}"])
    header = ("model", "examples", "queries", "passes", "passes with shared answers", "times as fast (CPU s)")
    return markdown(header, lines)
