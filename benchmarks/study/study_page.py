"""The page of claims: for each claim what the paper says, its checks here, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.bat_claims import SWEEP as BAT_SWEEP
from benchmarks.study.checks import is_void
from benchmarks.study.embedding_tables import TITLES as EMBEDDING_TITLES
from benchmarks.study.experiment import TITLES as TEXT_TITLES
from benchmarks.study.paired import read
from hf_robust.reports import markdown_table
from hf_robust.runs import load_run

BAT_TITLES = {
    "snli_bert_tiny": "BERT-tiny on SNLI",
    "snli_minilm": "MiniLM on SNLI",
    "qqp_minilm": "MiniLM on QQP",
    "mrpc_minilm": "MiniLM on MRPC",
}
SWEEP_TITLES = {"bat_snli_sweep": "BERT-tiny on SNLI, sweep", "text_snli_a2t_bert_tiny": "BERT-tiny on SNLI, a2t"}
TITLES = {**BAT_TITLES, **SWEEP_TITLES, **EMBEDDING_TITLES, **TEXT_TITLES, "cost_minilm": "Cost, MiniLM"}
PAGE = "docs/generated/results/study.md"
FILE = "study.json"
REMARKS = Path(__file__).parent / "study_remarks.json"
"""Remarks written by hand, in addition to the counted reasons; they hold no numbers."""
FIGURES = {
    "C2": ("batch_size",),
    "C5": ("batch_size",),
    "C7": ("bat_alpha", "bat_beta", "bat_margin"),
}
"""Claims and their pictures of BAT's sweep (Figures 4, 8 and 9; 10 to 12), which `benchmarks.study.figures` draws."""
NOTHING = "–"
WORDS = {"holds": "hold", "does not hold": "do not", "undecided": "are undecided", "not run": "were not run"}
HEADER = ["where", "check", "control", "here", "paper", "N", "seeds", "verdict"]


def page(results: Path) -> str:
    """The whole page, from the verdicts that `benchmarks.study.study` wrote."""
    claims = read(results / FILE)
    rows = [row for claim in claims.values() for row in claim["checks"]]
    parts = [
        "# The papers' claims on small models",
        "This page is made from `benchmarks/results`; no measured number on it is typed by hand. What the papers say "
        "is in `benchmarks/study/paper_claims.json`. The verdict on a claim is counted from its checks: it *holds* if "
        "no check fails, at least as many hold as are undecided, and each part of the claim has a check that holds; "
        "it *does not hold* if more checks fail than hold; otherwise it is *undecided*. A check holds if its whole 95 "
        "% interval lies on the claim's side, and fails if the interval lies on the other side. A check is *void*, "
        "and does not count, if one of its runs is near chance, if it measures something other than the paper, or if "
        "an earlier check of the claim has the same outcomes, so that each measurement counts once. *Control* is what "
        "the check compares with.",
        summary(claims),
        chance(rows),
        "## What was run",
        runs_table(results, [row["experiment"] for row in rows]),
        "## What it does not show",
        "".join(f"- {limit}\n" for limit in limits(rows)),
    ]
    remarks = read(REMARKS) if REMARKS.is_file() else {}
    for number, claim in claims.items():
        parts += [*section(number, claim, remarks.get(number)), *pictures(number, results)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def title(experiment: str) -> str:
    """Title of an experiment."""
    return TITLES.get(experiment, experiment)


def summary(claims: dict[str, Any]) -> str:
    """Table of all claims with verdicts and reasons."""
    rows = [
        [f"[{number}](#{number.lower()})", claim["says"], f"**{claim['verdict']}**", claim["why"]]
        for number, claim in claims.items()
    ]
    return markdown_table(["claim", "what the paper says", "verdict here", "why"], rows)


def compact(results: Path) -> str:
    """The table of verdicts, for a page of the docs."""
    claims = read(results / FILE)
    counts = Counter(claim["verdict"] for claim in claims.values())
    counts_in_words = ", ".join(f"{counts[verdict]} {word}" for verdict, word in WORDS.items() if counts[verdict])
    seeds = Counter(len(row["by_seed"]) for claim in claims.values() for row in claim["checks"])
    rows = [
        [f"[{number}]({PAGE}#{number.lower()})", claim["says"], claim["verdict"]] for number, claim in claims.items()
    ]
    return (
        f"Of {len(claims)} claims of the five papers, tested on BERT-tiny, MiniLM, an LSTM and a CNN, "
        f"{counts_in_words}. Each verdict is counted from checks, {seeds.total()} in all, of which {seeds[1]} have "
        f"one seed. [The page of claims]({PAGE}) has every check with its interval and reason.\n\n"
        + markdown_table(["claim", "what the paper says", "here"], rows)
        + "\n[![Clean accuracy against robust accuracy](examples/report/fronts.png)](examples/report/report.html)\n\n"
        "From [the report](examples/report/report.html) on some of these runs, one page that opens in a browser "
        "without network. `hf-robust report` makes such a page of any runs.\n"
    )


def chance(rows: Sequence[dict[str, Any]]) -> str:
    """Sentence on how many checks would be decided by chance."""
    counts = Counter(row["verdict"] for row in rows)
    decided, void = counts["holds"] + counts["does not hold"], sum(is_void(row["verdict"]) for row in rows)
    tried = len(rows) - void
    return (
        f"{len(rows)} checks, {decided} of them decided and {void} void. Intervals are not corrected for "
        "their number: even without any difference, about one in twenty of those that are not void would be "
        f"decided, {tried / 20:.0f} of these."
    )


def section(number: str, claim: dict[str, Any], remark: str | None) -> list[str]:
    """The section of one claim."""
    statement = f"**The paper.** {claim['says']} ({claim['source']}: {claim['figures']}.)"
    parts = [f"## {number}", statement, f"**Here: {claim['verdict']}**, {claim['why']}."]
    parts += [f"**Remark, by hand.** {remark}"] * (remark is not None)
    return (
        [*parts, markdown_table(HEADER, [check_cells(row) for row in claim["checks"]])] if claim["checks"] else parts
    )


def pictures(claim: str, results: Path) -> list[str]:
    """Markdown of a claim's pictures, as far as they are drawn."""
    files = [f"{stem}.svg" for stem in FIGURES.get(claim, ()) if (results / BAT_SWEEP / f"{stem}.svg").is_file()]
    return [f"![{claim}: rates by {Path(file).stem.replace('_', ' ')}](results/{BAT_SWEEP}/{file})" for file in files]


def check_cells(row: dict[str, Any]) -> list[str]:
    """A table row: experiment, check, control, value with interval, the paper's value, examples, seeds, verdict."""
    unit = {"points": "", "%": " %"}.get(row.get("unit") or "points", f" {row['unit']}")
    paper, examples, seeds = row.get("paper"), row.get("examples"), len(row["by_seed"])
    return [
        title(row["experiment"]),
        row["text"],
        row["control"],
        f"{interval(row)}{unit}",
        NOTHING if not isinstance(paper, (int, float)) else f"{paper:g}",
        f"{examples:,}" if examples else NOTHING,
        str(seeds or NOTHING),
        row["verdict"],
    ]


def interval(row: dict[str, Any]) -> str:
    """A value with its interval, in the digits of its unit."""
    form = {"nats": ".2f", "alpha": "g"}.get(row.get("unit") or "points", ".1f")
    value, low, high = (NOTHING if row[key] is None else f"{row[key]:{form}}" for key in ("value", "low", "high"))
    return value if NOTHING in (low, high) else f"{value} [{low}, {high}]"


def runs_table(results: Path, experiments: Iterable[str]) -> str:
    """Table of the experiments behind the checks: rows, epochs, seeds, and hours of all runs."""
    rows = []
    for name in dict.fromkeys(experiments):
        runs = [load_run(path) for path in sorted((results / name).glob("*-seed*")) if path.is_dir()]
        if not runs:
            continue
        data, first = runs[0].data, runs[0].history[-1]
        attacked = {int(rates["num_examples"]) for rates in first["attacks"].values()}
        seeds = Counter(int(run.card["seed"]) for run in runs)
        rows.append(
            [
                title(name),
                f"{data['train_samples']:,}",
                f"{data['eval_samples']:,}",
                " to ".join(f"{count:,}" for count in sorted({min(attacked), max(attacked)})),
                f"{first['epoch']:g}",
                ", ".join(f"{seed}: {count}" for seed, count in sorted(seeds.items())),
                f"{sum(run.card['seconds']['total'] for run in runs) / 3600:.1f}",
            ]
        )
    header = ["experiment", "training rows", "evaluation rows", "handed to attacks", "epochs", "runs by seed", "hours"]
    return markdown_table(header, rows)


def limits(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on what the study does not show."""
    one_seed = sum(len(row["by_seed"]) == 1 for row in rows)
    return [
        "The papers train BERT-base and larger models; these are BERT-tiny (2 layers of 128), MiniLM (6 layers of "
        "384), an LSTM and a CNN on a part of the data, for few epochs. A claim that fails here may hold on theirs.",
        f"Bootstrap intervals are over examples, not over seeds: {one_seed} of {len(rows)} checks rest on one seed.",
        "The attacks have no sentence encoder and use the synonym tables that are available: accuracy under attack is "
        "lower than in the papers, and attacks with the same table have similar successes.",
        "Safer, BAT and a2t are attacked with the table that they train with, as in the papers.",
        "Settings are the papers' if small models learn with them, otherwise found by a few trial runs; the "
        "experiment files have them. No baseline was tuned as authors tune their own method.",
        "Hours were measured on shared cores: they tell the cost of a rerun, not that of a method.",
    ]
