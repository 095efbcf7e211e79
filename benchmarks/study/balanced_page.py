"""The page "Balanced training": BAT and its baselines on four experiments, with the claims about each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.bat_claims import FILE, METHODS
from benchmarks.study.paired import read, with_classes
from benchmarks.study.titles import BAT_TITLES as TITLES
from hf_robust.reports import load_runs, markdown_table, percent, table_of_runs
from hf_robust.runs import STATUSES_FILE, load_run

HEADING = "Balanced training"
ABLATIONS = {
    "snli_bert_tiny": (TITLES["snli_bert_tiny"], "–"),
    "snli_bert_tiny_lambda": (TITLES["snli_bert_tiny"], "lambda 0.1"),
    "snli_bert_tiny_longer": (TITLES["snli_bert_tiny"], "twice the epochs"),
    "snli_minilm": (TITLES["snli_minilm"], "–"),
    "qqp_minilm": (TITLES["qqp_minilm"], "–"),
}


def runs_of_methods(experiment: Path) -> list[Path]:
    """Finished runs of an experiment, ordered by method and seed."""
    runs = [path for path in experiment.glob("*-seed*") if (path / STATUSES_FILE).exists()]
    return sorted(runs, key=lambda path: (METHODS.index(path.name.split("-seed")[0]), path.name))


def setting(run: Path) -> str:
    """Sentence on the data, epochs and attacks of an experiment, read from one of its runs."""
    card, history, line = load_run(run).card, load_run(run).history, load_run(run).published
    attacked = ", ".join(f"{rates['num_attacked']:g} by {name}" for name, rates in line["attacks"].items())
    data = card["data"]
    return (
        f"{data['train_samples']:,} training rows, {history[-1]['epoch']:g} epochs, accuracy on "
        f"{data['eval_samples']:,} rows, "
        f"{next(iter(line['attacks'].values()))['num_examples']:,} rows handed to each attack "
        f"(attacked in the first run: {attacked}); the BAT authors' tables for both training and attack."
    )


def page(results: Path) -> str:
    """The whole page."""
    parts = [f"# {HEADING}"]
    claims: dict[str, list[dict[str, Any]]] = read(results / FILE)
    for name, title in TITLES.items():
        runs = runs_of_methods(results / name)
        if not runs:
            continue
        parts += [f"## {title}", setting(runs[0]), table_of(name, runs).strip()]
        parts.append(f"![{title}: rates per epoch](results/{name}/tradeoff_curves.svg)")
        if name in claims:
            parts.append(claims_table(claims[name]))
    parts.append(ablations(results))
    parts.append(
        "Intervals of differences in success rates are 95 % intervals over examples and seeds; verdicts are corrected "
        "for the number of checks of a claim. Seconds were measured while other runs shared the two "
        "cores and are no measure of a method's cost. [Run the experiments again](../docs/experiments.md) has the "
        "commands, and reasons why some claims fail here."
    )
    return "\n\n".join(parts) + "\n"


def table_of(experiment: str, folders: Sequence[Path]) -> str:
    """Table of the runs of an experiment."""
    runs = [with_classes(run, experiment) for run in load_runs(folders)]
    return table_of_runs(runs)


def ablations(results: Path) -> str:
    """Table of seed 1 of every experiment: both success rules of the antonym attack, and distances of views."""
    header = ["experiment", "method", "changed", "accuracy", "antonym ASR, raises", "antonym ASR, remains"]
    header += ["d(text, antonym view)", "d(text, synonym view)", "d(text, other text)", "d(antonym view, other's)"]
    rows = []
    for folder, (title, changed) in ABLATIONS.items():
        for path in runs_of_methods(results / folder):
            run = load_run(path)
            if run.card["seed"] != 1:
                continue
            antonym = run.published["attacks"]["antonym"]
            distances = read(path / "distances.json")
            rates = [percent(run.published["accuracy"]), percent(antonym["asr"]), percent(antonym["remains_asr"])]
            measured = [
                distances.get(key) for key in ("obstinate", "fickle", "between_originals", "between_obstinate")
            ]
            apart = ["–" if distance is None else f"{distance:.2f}" for distance in measured]
            rows.append([title, run.method, changed, *rates, *apart])
    return "## Does the prediction follow the representation? (seed 1)\n\n" + markdown_table(header, rows).strip()


def claims_table(entries: list[dict[str, Any]]) -> str:
    """Table of the checks of one experiment."""
    rows = ["| claim | here | difference or share, points | verdict | by seed |", "| --- | --- | --- | --- | --- |"]
    for row in entries:
        seeds = ", ".join(f"{value:+.1f}" if row["claim"] != "C6" else f"{value:.1f}" for value in row["by_seed"])
        value = f"{row['value']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        rows.append(f"| {row['claim']} | {row['text']} | {value} | {row['verdict']} | {seeds} |")
    return "\n".join(rows)
