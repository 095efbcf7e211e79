"""Write README.md's two tables and the pictures that the docs show; make the docs' pages of results.

    python benchmarks/readme.py [--check]

Each table stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``. ``--check`` writes nothing and fails where
they are not what the code says. The pages of results are made when the docs are built (``docs/generate/results.py``).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import (
    attack_tables,
    budgets,
    certificate_tables,
    embedding_tables,
    method_tables,
    study_page,
    text_tables,
)
from benchmarks.fronts import draw_fronts
from benchmarks.paired import read, with_classes
from benchmarks.stored import RESULTS, commit
from benchmarks.sweep import read_sweep
from hf_robust.reports import load_runs, markdown_table, percent, save_figure, table_of_runs, tradeoff_figure
from hf_robust.reports.captions import attacked_in_words
from hf_robust.runs import STATUSES_FILE, load_run

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DEMO = ROOT / "examples" / "demo_runs"
METHODS = ("normal", "safer", "bat_pairwise", "bat_triplet")
TITLES = study_page.BAT_TITLES
BALANCED_HEADING = "Balanced training"
ABLATIONS = {
    "snli_bert_tiny": (TITLES["snli_bert_tiny"], "–"),
    "snli_bert_tiny_lambda": (TITLES["snli_bert_tiny"], "lambda 0.1"),
    "snli_bert_tiny_longer": (TITLES["snli_bert_tiny"], "twice the epochs"),
    "snli_minilm": (TITLES["snli_minilm"], "–"),
    "qqp_minilm": (TITLES["qqp_minilm"], "–"),
}


def runs_of(experiment: Path) -> list[Path]:
    found = [path for path in experiment.glob("*-seed*") if (path / STATUSES_FILE).exists()]
    return sorted(found, key=lambda path: (METHODS.index(path.name.split("-seed")[0]), path.name))


def demo() -> str:
    run = load_run(DEMO / "bat_triplet")
    lines = []
    for line in run.history:
        attacks = "  ".join(demo_rates(name, rates) for name, rates in line["attacks"].items())
        epochs = f"epoch {line['epoch']:g}/{run.history[-1]['epoch']:g}"
        lines.append(f"{epochs}  accuracy {percent(line['accuracy'])}  {attacks}")
    hardware, seconds = run.card["hardware"], run.card["seconds"]
    attacked = attacked_in_words(
        {name: [line["attacks"][name] for line in run.history] for name in run.history[-1]["attacks"]}
    )
    return (
        "```text\n" + "\n".join(lines) + "\n```\n\n"
        f"(After each epoch {attacked}; {seconds['total']:.0f} s in all on {hardware['cpu_count']} CPU cores, one "
        "seed.)\n\n"
        "![accuracy and attack success rates per epoch](examples/demo_runs/bat_triplet/tradeoff_curves.png)\n\n"
        "Solid: `bat_triplet`. Dashed: the same corpus trained with `normal` and with `safer`: synonym training alone "
        "lowers the fickle rate and not the obstinate one, balanced training lowers both.\n"
    )


def demo_rates(name: str, rates: Mapping[str, float]) -> str:
    """The rates of the line that a run prints for an epoch, without what they cost."""
    if "remains_asr" in rates:
        return f"{name}: ASR {percent(rates['asr'])} % (remains {percent(rates['remains_asr'])} %)"
    under = f"accuracy {percent(rates['accuracy'])} -> under attack {percent(rates['robust_accuracy'])}"
    return f"{name}: ASR {percent(rates['asr'])} %, {under}"


def setting(run: Path) -> str:
    card, line = load_run(run).card, load_run(run).history[-1]
    attacked = ", ".join(f"{rates['num_attacked']:g} by {name}" for name, rates in line["attacks"].items())
    data = card["data"]
    return (
        f"{data['train_samples']:,} training rows, {line['epoch']:g} epochs, accuracy on "
        f"{data['eval_samples']:,} rows, "
        f"{next(iter(line['attacks'].values()))['num_examples']:,} rows handed to each attack "
        f"(attacked in the first run: {attacked}); tables of the BAT authors for training and attack alike."
    )


def balanced_page() -> str:
    parts = [f"# {BALANCED_HEADING}"]
    claims: dict[str, list[dict[str, Any]]] = json.loads((RESULTS / "claims.json").read_text(encoding="utf-8"))
    for name, title in TITLES.items():
        runs = runs_of(RESULTS / name)
        if not runs:
            continue
        parts += [f"## {title}", setting(runs[0]), table_of(name, runs).strip()]
        parts.append(f"![{title}: rates per epoch](results/{name}/tradeoff_curves.png)")
        if name in claims:
            parts.append(claims_table(claims[name]))
    parts.append(ablations())
    parts.append(
        "Intervals of differences in success rates are 95 % bootstrap intervals over examples; they do not cover the "
        "spread between seeds, which the last column shows. Seconds were measured while other runs shared the two "
        "cores and say nothing about what a method costs. [Run the experiments again](../docs/experiments.md) "
        "says how, and why a claim that fails here does."
    )
    return "\n\n".join(parts) + "\n"


def table_of(experiment: str, folders: Sequence[Path]) -> str:
    runs = [with_classes(run, experiment) for run in load_runs(folders)]
    return table_of_runs(runs)


def ablations() -> str:
    """Seed 1 of every experiment: both success rules of the antonym attack, beside the distances of the views."""
    header = ["experiment", "method", "changed", "accuracy", "antonym ASR, raises", "antonym ASR, remains"]
    header += ["d(text, antonym view)", "d(text, synonym view)", "d(text, other text)", "d(antonym view, other's)"]
    rows = []
    for folder, (title, changed) in ABLATIONS.items():
        for path in runs_of(RESULTS / folder):
            run = load_run(path)
            if run.card["seed"] != 1:
                continue
            antonym = run.published["attacks"]["antonym"]
            distances = json.loads((path / "distances.json").read_text(encoding="utf-8"))
            rates = [percent(run.published["accuracy"]), percent(antonym["asr"]), percent(antonym["remains_asr"])]
            measured = [
                distances.get(key) for key in ("obstinate", "fickle", "between_originals", "between_obstinate")
            ]
            apart = ["–" if distance is None else f"{distance:.2f}" for distance in measured]
            rows.append([title, run.method, changed, *rates, *apart])
    return "## Does the prediction follow the representation? (seed 1)\n\n" + markdown_table(header, rows).strip()


def claims_table(entries: list[dict[str, Any]]) -> str:
    rows = ["| claim | here | difference or share, points | verdict | by seed |", "| --- | --- | --- | --- | --- |"]
    for row in entries:
        seeds = ", ".join(f"{value:+.1f}" if row["claim"] != "C6" else f"{value:.1f}" for value in row["by_seed"])
        value = f"{row['value']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
        rows.append(f"| {row['claim']} | {row['text']} | {value} | {row['verdict']} | {seeds} |")
    return "\n".join(rows)


def attacks() -> str:
    return attack_tables.compact(RESULTS)


def attacks_page() -> str:
    return attack_tables.full(RESULTS)


def embedding() -> str:
    return embedding_tables.compact(RESULTS)


def embedding_page() -> str:
    return embedding_tables.full(RESULTS)


def texts() -> str:
    return text_tables.compact(RESULTS)


def texts_page() -> str:
    return text_tables.full(RESULTS)


def study() -> str:
    return study_page.compact(read(RESULTS / "study.json"))


def study_text() -> str:
    return study_page.page(read(RESULTS / "study.json"), RESULTS)


def budgets_page() -> str:
    return budgets.page(RESULTS)


def certificates() -> str:
    return certificate_tables.compact(RESULTS)


def draw() -> None:
    """One picture for each experiment: the first seed of every method; the demo's; and the fronts of the sweep."""
    demo_run, *baselines = (load_run(DEMO / name) for name in ("bat_triplet", "normal", "safer"))
    with tempfile.TemporaryDirectory() as scratch:
        picture, _ = save_figure(tradeoff_figure(demo_run, baselines), Path(scratch))
        shutil.copy(picture, DEMO / "bat_triplet")
    sweep = embedding_tables.SWEEP
    draw_fronts(read_sweep(embedding_tables.EXPERIMENTS / f"{sweep}.json", RESULTS / sweep), RESULTS / sweep)
    for name in TITLES:
        runs = runs_of(RESULTS / name)
        if runs:
            first_seed = runs[0].name.split("-seed")[1]
            paths = [path for path in reversed(runs) if path.name.endswith(f"-seed{first_seed}")]
            shown = [with_classes(load_run(path), name) for path in paths]
            baselines = [run for run in shown[1:] if run.method in ("normal", "safer")]
            save_figure(tradeoff_figure(shown[0], baselines), RESULTS / name)


def filled(text: str) -> str:
    """README with its tables as the code says."""
    for name, table in {"methods": method_tables.methods, "attacks": method_tables.attacks}.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda match, table=table: match[1] + table() + match[2], text, flags=re.DOTALL)
    return text


def write_all() -> None:
    draw()
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    commit()


def main() -> None:
    if "--check" not in sys.argv:
        return write_all()
    text = README.read_text(encoding="utf-8")
    return sys.exit("README.md: not what the code says; run benchmarks/readme.py" if filled(text) != text else 0)


if __name__ == "__main__":
    main()
