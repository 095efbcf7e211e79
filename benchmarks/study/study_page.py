"""The page of claims: for each claim what the paper says, what was measured here, and what it comes to."""

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
"""What a person adds to the counted reasons; no number stands in it."""
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
        "No measured number on this page is typed by hand: it is made from `benchmarks/results`. What the "
        "papers say is in `paper_claims.json`, what a claim comes to is counted from its checks: it "
        "*holds* where no check fails, as many hold as are undecided, or more, and each part of the claim has one "
        "that holds; it *does not hold* where more fail than hold; else it is *undecided*. A check holds where its "
        "whole 95 % interval lies on the claim's side, and fails where it lies on the other. It is *void*, and counts "
        "for nothing, where a run of it is near chance, where it measures something else than the paper, and where an "
        "earlier check of the claim has the same outcomes, so that one measurement is counted once. *Control* is what "
        "a check was made against.",
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
    return TITLES.get(experiment, experiment)


def summary(claims: dict[str, Any]) -> str:
    rows = [
        [f"[{number}](#{number.lower()})", claim["says"], f"**{claim['verdict']}**", claim["why"]]
        for number, claim in claims.items()
    ]
    return markdown_table(["claim", "what the paper says", "verdict here", "why"], rows)


def compact(results: Path) -> str:
    """The verdicts alone."""
    claims = read(results / FILE)
    counts = Counter(claim["verdict"] for claim in claims.values())
    counts_in_words = ", ".join(f"{counts[verdict]} {word}" for verdict, word in WORDS.items() if counts[verdict])
    seeds = Counter(len(row["by_seed"]) for claim in claims.values() for row in claim["checks"])
    rows = [
        [f"[{number}]({PAGE}#{number.lower()})", claim["says"], claim["verdict"]] for number, claim in claims.items()
    ]
    return (
        f"What became of {len(claims)} claims of the five papers on BERT-tiny, MiniLM, an LSTM and a CNN: "
        f"{counts_in_words}. Each is counted from its checks, {seeds.total()} in all, of which {seeds[1]} rest on one "
        "seed; what the paper "
        f"says, every interval and why are on [the page of claims]({PAGE}).\n\n"
        + markdown_table(["claim", "what the paper says", "here"], rows)
        + "\n[![Clean accuracy against robust accuracy](examples/report/fronts.png)](examples/report/report.html)\n\n"
        "From the report of some of these runs, [examples/report/report.html](examples/report/report.html), one page "
        "that opens in a browser without network; `hf-robust report` makes one of any runs.\n"
    )


def chance(rows: Sequence[dict[str, Any]]) -> str:
    counts = Counter(row["verdict"] for row in rows)
    decided, void = counts["holds"] + counts["does not hold"], sum(is_void(row["verdict"]) for row in rows)
    tried = len(rows) - void
    return (
        f"{len(rows)} checks, {decided} of them decided and {void} void. Intervals are not corrected for "
        "their number: were there no difference anywhere, about one in twenty of those that are not void would be "
        f"decided all the same, {tried / 20:.0f} of these."
    )


def section(number: str, claim: dict[str, Any], remark: str | None) -> list[str]:
    statement = f"**The paper.** {claim['says']} ({claim['source']}: {claim['figures']}.)"
    parts = [f"## {number}", statement, f"**Here: {claim['verdict']}**, {claim['why']}."]
    parts += [f"**Remark, by hand.** {remark}"] * (remark is not None)
    return [*parts, markdown_table(HEADER, [check(row) for row in claim["checks"]])] if claim["checks"] else parts


def pictures(claim: str, results: Path) -> list[str]:
    """Markdown of a claim's pictures, as far as they are drawn."""
    files = [f"{stem}.svg" for stem in FIGURES.get(claim, ()) if (results / BAT_SWEEP / f"{stem}.svg").is_file()]
    return [f"![{claim}: rates by {Path(file).stem.replace('_', ' ')}](results/{BAT_SWEEP}/{file})" for file in files]


def check(row: dict[str, Any]) -> list[str]:
    """One line: where, what, the value with its interval, the paper's, on how many examples and seeds."""
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
    form = {"nats": ".2f", "alpha": "g"}.get(row.get("unit") or "points", ".1f")
    value, low, high = (NOTHING if row[key] is None else f"{row[key]:{form}}" for key in ("value", "low", "high"))
    return value if NOTHING in (low, high) else f"{value} [{low}, {high}]"


def runs_table(results: Path, experiments: Iterable[str]) -> str:
    """Rows, epochs and seeds of each experiment that a check is from, and the seconds that its runs took."""
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
    one_seed = sum(len(row["by_seed"]) == 1 for row in rows)
    return [
        "The papers train BERT-base and larger models; these are BERT-tiny (2 layers of 128), MiniLM (6 layers of "
        "384), an LSTM and a CNN on a part of the data, for few epochs. A claim that fails here may hold there.",
        f"Bootstrap intervals are over examples, not over seeds: {one_seed} of {len(rows)} checks rest on one seed.",
        "No sentence encoder holds the attacks back, and their tables are those that could be had: rates under attack "
        "are lower than the papers', and attacks that share a table find much the same.",
        "Safer, BAT and a2t are attacked with the table that they train on, as in the papers.",
        "Settings are the papers' where these learn on small models, else found by a few trial runs; the experiment "
        "files say which. No baseline was tuned as a paper's authors tune their own method.",
        "Hours were taken on shared cores and say what a rerun costs, not what a method costs.",
    ]
