"""Tables of the embedding-space methods on SST-2, QQP and QNLI and of the claims about them, from committed results.

The docs show `compact` on the page that helps to choose a method, and `full` on a page of its own. A method or a seed
without a run is left out, and each mean has its number of seeds.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.embedding_claims import (
    ACCURACY,
    FILE,
    LINEARISATION,
    RECIPES,
    Experiment,
    column_name,
    embedding_experiments,
)
from benchmarks.study.paired import read, runs_of
from benchmarks.study.run import WEIGHTS
from benchmarks.study.stored import EXPERIMENTS
from benchmarks.study.sweep import SWEEP, Point, by_method, read_sweep
from hf_robust.metrics import wilson_interval
from hf_robust.reports import markdown_table, percent, union_label
from hf_robust.runs import Run

PAGE = "docs/generated/results/embedding.md"
TITLES = {
    "embedding_sst2_bert_tiny": "BERT-tiny on SST-2",
    "embedding_qqp_bert_tiny": "BERT-tiny on QQP",
    "embedding_qnli_bert_tiny": "BERT-tiny on QNLI",
    "embedding_sst2_minilm": "MiniLM on SST-2",
    "embedding_sst2_frozen": "BERT-tiny on SST-2, with frozen weights beside",
    "embedding_sst2_adaptat": "BERT-tiny on SST-2, AdaptAT's Table 2",
    SWEEP: "Step size and number of steps, BERT-tiny on SST-2",
    LINEARISATION: "The linearised loss, BERT-tiny on SST-2",
}
HEADING = "Embedding-space methods"
NOTHING = "–"
NOT_RUN = "Nothing was run yet; `python -m benchmarks.study.run benchmarks/experiments/embedding_*.json` runs it."


def compact(results: Path, files: Path = EXPERIMENTS) -> str:
    """Rates of each method on each data set, the fronts, and the claims about the main attack."""
    experiments = experiments_with_runs(results, files)
    claims = claims_of(results)
    parts = [f"### {HEADING}"]
    if not experiments and not claims:
        return "\n\n".join([*parts, NOT_RUN]) + "\n"
    for experiment in experiments:
        parts += [f"**{TITLES[experiment.name]}.** {setting(experiment)}", rates(experiment).strip()]
    if experiments:
        parts.append(legend(experiments))
    parts += fronts(results, "benchmarks/")
    shown = [(name, row) for name, rows in claims.items() for row in rows.get("claims", ()) if is_main(row)]
    if shown:
        parts += ["The claims of Zhu et al. (AdaptAT) here:", claims_table(shown).strip()]
    parts.append(f"More attacks, each method against `normal` and the sweep are on [their page]({PAGE}). {limits()}")
    return "\n\n".join(parts) + "\n"


def full(results: Path, files: Path = EXPERIMENTS) -> str:
    """All tables; empty if nothing was run."""
    experiments, claims = experiments_with_runs(results, files), claims_of(results)
    if not experiments and not claims:
        return ""
    parts = [f"# {HEADING}"]
    for experiment in experiments:
        parts += [
            f"## {TITLES[experiment.name]}",
            setting(experiment),
            rates(experiment).strip(),
            legend([experiment]),
        ]
        rows = claims.get(experiment.name, {})
        if rows.get("claims"):
            parts += [
                "C17, adaptive against wrapped methods:",
                claims_table((experiment.name, row) for row in rows["claims"]),
            ]
        if rows.get("against_normal"):
            parts += ["Every method minus `normal`, in points:", normal_table(experiment, rows["against_normal"])]
        parts += [text for text in [settings_table(experiment), weights_table(experiment)] if text]
    for name, rows in claims.items():
        if name not in {experiment.name for experiment in experiments}:
            parts += [f"## {title(name)}", *sweep_parts(name, results, files)]
            parts.append(claims_table((name, row) for row in rows["claims"]))
    parts += ["## What they do not show", limits()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def experiments_with_runs(results: Path, files: Path) -> list[Experiment]:
    """Experiments with a finished run, in the tables' order."""
    by_name = {
        experiment.name: experiment for experiment in embedding_experiments(results, files) if experiment.methods
    }
    return [by_name[name] for name in TITLES if name in by_name]


def claims_of(results: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The checks that `benchmarks.study.embedding_claims` wrote, in the tables' order; empty if it was not run."""
    path = results / FILE
    claims: dict[str, dict[str, list[dict[str, Any]]]] = read(path) if path.is_file() else {}
    order = [*TITLES, *sorted(claims)]
    return {name: claims[name] for name in dict.fromkeys(order) if name in claims}


def title(name: str) -> str:
    """Title of an experiment or of a cost result."""
    return TITLES.get(name, f"Cost of a step ({name.removeprefix('cost_')})")


def is_main(row: dict[str, Any]) -> bool:
    """Whether a check is shown in `compact`: of C17 only the paper's main attack and clean text."""
    return row["claim"] != "C17" or row["quantity"] in ("textfooler", ACCURACY)


# ---- rates ----


def setting(experiment: Experiment) -> str:
    """Sentence on the data, epochs and attacks of an experiment, read from one of its runs."""
    run = experiment.loaded(experiment.methods[0])[0]
    data, line = run.data, run.published
    attacked = next((result for name, result in line["attacks"].items() if name in RECIPES), {})
    handed = f", {attacked['num_examples']:,.0f} of them handed to each attack" if attacked else ""
    return (
        f"{data['train_samples']:,} training rows, {line['epoch']:g} epochs, accuracy on {data['eval_samples']:,} "
        f"rows{handed}; counter-fitted neighbours as synonyms, no sentence encoder."
    )


def rates(experiment: Experiment) -> str:
    """Table of methods: clean accuracy, robust accuracy under each attack, accuracy on files of adversarial texts."""
    recipes = [name for name in experiment.attacks if name in RECIPES]
    named_files = [name for name in experiment.attacks if name not in RECIPES]
    header = ["method", "seeds", "clean accuracy", *recipes]
    runs = {method: experiment.loaded(method) for method in experiment.methods}
    unions = {
        union_label(run.published["union"]) for group in runs.values() for run in group if "union" in run.published
    }
    header += [*sorted(unions), *map(column_name, named_files)]
    rows = []
    for method, group in runs.items():
        guessing = " (near chance)" if experiment.near_chance(method) else ""
        row = [f"{method}{guessing}", str(len(group)), clean(group)]
        row += [over_seeds([result(run, name) for run in group], "robust_accuracy") for name in recipes]
        for label in sorted(unions):
            row.append(over_seeds([union(run, label) for run in group], "robust_accuracy"))
        row += [over_seeds([result(run, name) for run in group], "robust_accuracy", True) for name in named_files]
        rows.append(row)
    return markdown_table(header, rows)


def result(run: Run, attack: str) -> dict[str, Any]:
    """Rates of an attack in a run; empty if it was not run."""
    rates: dict[str, Any] = run.published["attacks"].get(attack, {})
    return rates


def union(run: Run, label: str) -> dict[str, Any]:
    """Rates of the union of attacks with that label; empty if a run has none."""
    rates: dict[str, Any] = run.published.get("union", {})
    return rates if rates and union_label(rates) == label else {}


def clean(group: Sequence[Run]) -> str:
    """Clean accuracy of the runs of a method."""
    return mean_and_spread([float(run.published["accuracy"]) for run in group], group[0].eval_samples)


def over_seeds(results: Iterable[dict[str, Any]], key: str, interval: bool = False) -> str:
    """A rate over the runs that have it; a dash if none has."""
    known = [rates for rates in results if math.isfinite(rates.get(key, math.nan))]
    if not known:
        return NOTHING
    return mean_and_spread([float(rates[key]) for rates in known], int(known[0]["num_examples"]), interval)


def mean_and_spread(values: Sequence[float], examples: int | None, interval: bool = False) -> str:
    """Rate of one seed with its Wilson interval; for several seeds mean and spread, with the interval if requested."""
    mean = statistics.mean(values)
    around = wilson_interval(round(mean * examples), examples) if examples else None
    if len(values) == 1:
        return percent(mean, around)
    text = f"{100 * mean:.1f} ± {100 * statistics.stdev(values):.1f}"
    return f"{text} {percent(mean, around).partition(' ')[2]}".strip() if interval else text


def legend(experiments: Sequence[Experiment]) -> str:
    """Sentences on the columns of the table of rates."""
    several = any(
        len(runs_of(experiment.folder, method)) > 1 for experiment in experiments for method in experiment.methods
    )
    spread = (
        " ±: sample standard deviation over seeds; for AdvGLUE also the Wilson interval of the mean."
        if several
        else ""
    )
    return (
        "In percent. The columns of attacks are robust accuracy: the share of all examples that are correct before "
        "and after the attack. AdvGLUE is the accuracy on its 148 (SST-2) or 78 (QQP) own texts. In brackets: 95 % "
        "Wilson interval." + spread
    )


def settings_table(experiment: Experiment) -> str:
    """Flags of each method that differ from the defaults."""
    spec = experiment.spec
    flags = {
        method: spec.get("method_args", {}).get(method, {}) | spec.get("settings", {}).get(method, {})
        for method in experiment.methods
    }
    rows = [
        [method, ", ".join(f"{flag} {value}" for flag, value in of_method.items() if flag != "robust_method")]
        for method, of_method in flags.items()
    ]
    rows = [row for row in rows if row[1]]
    return (
        "Settings that differ from the defaults:\n\n" + markdown_table(["method", "flags"], rows).strip()
        if rows
        else ""
    )


ALIGNMENT = (
    "Learnt weights over the increments. Alignment is the norm of the increments' mean divided by the mean of their "
    "norms, over the run: at 1 all increments have the same direction, and weights on the simplex cannot move the "
    "point."
)


def weights_table(experiment: Experiment) -> str:
    """Final weights of the adaptive methods; empty if no run kept them."""
    rows = []
    for method in experiment.methods:
        for path in runs_of(experiment.folder, method):
            file = path / WEIGHTS
            text = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
            if text:
                lines = [json.loads(line) for line in text]
                last = lines[-1]
                weights = ", ".join(f"{weight:.3f}" for weight in last["w"])
                aligned = [line["increment_alignment"] for line in lines if "increment_alignment" in line]
                mean = f"{statistics.mean(aligned):.3f}" if aligned else "–"
                rows.append([path.name, weights, f"{last['entropy']:.3f}", f"{math.log(len(last['w'])):.3f}", mean])
    header = ["run", "w at the end", "entropy", "entropy of equal weights", "alignment of the increments"]
    return f"{ALIGNMENT}\n\n{markdown_table(header, rows).strip()}" if rows else ""


# ---- claims ----


def claims_table(rows: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Table of checks with their experiments."""
    header = ["claim", "where", "here", "measured", "verdict", "by seed", "N", "paper"]
    return markdown_table(header, [claim_row(name, row) for name, row in rows])


def claim_row(name: str, row: dict[str, Any]) -> list[str]:
    """The row of one check."""
    seeds = ", ".join(f"{value:+.1f}" for value in row["by_seed"]) or NOTHING
    rank = row.get("spearman")
    text = row["text"] + (f" (Spearman {rank:+.2f})" if rank is not None else "")
    paper = NOTHING if row.get("paper") is None else f"{row['paper']:+.1f}"
    examples = NOTHING if row["examples"] is None else f"{row['examples']:,}"
    return [row["claim"], title(name), text, interval_cell(row), row["verdict"], seeds, examples, paper]


def interval_cell(row: dict[str, Any]) -> str:
    """A value with its interval."""
    if row["value"] is None:
        return NOTHING
    if row["low"] is None:
        return f"{row['value']:g}"
    return f"{row['value']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def normal_table(experiment: Experiment, rows: Sequence[dict[str, Any]]) -> str:
    """A row for each method, a column for each quantity; intervals wholly on one side of 0 are bold."""
    quantities = list(dict.fromkeys(row["quantity"] for row in rows))
    header = ["method", "seeds", *(column_name(quantity) for quantity in quantities)]
    table = []
    for method in dict.fromkeys(row["method"] for row in rows):
        by_quantity = {row["quantity"]: row for row in rows if row["method"] == method}
        table.append(
            [
                method,
                str(len(by_quantity[ACCURACY]["by_seed"])),
                *(bold_if_decided(by_quantity.get(name)) for name in quantities),
            ]
        )
    return markdown_table(header, table)


def bold_if_decided(row: dict[str, Any] | None) -> str:
    """A difference with its interval, bold if it is wholly on one side of 0."""
    if row is None:
        return NOTHING
    text = f"{row['value']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]"
    if row["verdict"] in ("higher", "lower"):
        return f"**{text}**"
    return text if row["verdict"] == "neither" else f"{text} ({row['verdict']})"


# ---- the sweep ----


def fronts(results: Path, folder: str = "") -> list[str]:
    """Markdown of the sweep's picture, if it was drawn."""
    if not (results / SWEEP / "fronts.svg").is_file():
        return []
    return [f"![Clean against robust accuracy over step sizes and steps]({folder}results/{SWEEP}/fronts.svg)"]


def sweep_parts(name: str, results: Path, files: Path) -> list[str]:
    """Picture and table of the sweep; empty for other experiments."""
    if name != SWEEP:
        return []
    points = read_sweep(files / f"{SWEEP}.json", results / SWEEP)
    header = [
        "method",
        "k",
        "alpha",
        "k · alpha",
        "seeds",
        "clean accuracy",
        "textfooler robust accuracy",
        "collapsed",
    ]
    rows = [sweep_row(point) for group in by_method(points).values() for point in group]
    return [*fronts(results), markdown_table(header, rows)]


def sweep_row(point: Point) -> list[str]:
    """The row of one setting of the sweep."""
    accuracy = percent(point.accuracy, wilson_interval(round(point.accuracy * point.eval_samples), point.eval_samples))
    robust = percent(
        point.robust_accuracy, wilson_interval(round(point.robust_accuracy * point.examples), point.examples)
    )
    values = [point.method, f"{point.steps}", f"{point.alpha:g}", f"{point.product:g}", f"{point.seeds}"]
    return [*values, accuracy, robust, "yes" if point.collapsed else "no"]


def limits() -> str:
    """Sentences on what the tables do not show."""
    return (
        "Intervals of differences in robust accuracy are 95 % bootstrap intervals over the same examples, of "
        "differences in clean accuracy those of paired answers, of C19 the range over rounds. Those of checks "
        "cover the spread between seeds too, and their verdicts are corrected for the number of checks of a claim; "
        "the page of claims says how verdicts are reached and when a check is void. The last column is the paper's "
        "number, of BERT-base on its own samples. Step sizes were chosen for small models and not tuned for each "
        "method, so the table does not rank the methods. Robust accuracies are low because the models are small and "
        "the attacks have no sentence encoder."
    )
