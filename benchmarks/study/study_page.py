"""The page of claims: for each claim what the paper says, its checks here, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.bat_claims import SWEEP as BAT_SWEEP
from benchmarks.study.controls import CONTROLS
from benchmarks.study.decide import ELSEWHERE, HERE, PAPER
from benchmarks.study.paired import FAILS, HOLDS, OPEN, read
from benchmarks.study.runs_page import linked
from benchmarks.study.titles import title
from benchmarks.study.verdicts import MANY, NOT_RUN, size_in_words
from benchmarks.study.voids import RULES, is_void
from hf_robust.reports import load_evaluated, markdown_table

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
HOW_TO_READ = (
    "A check *holds* if its whole interval lies on the claim's side and *does not hold* if it lies on the other "
    "side, after Holm's correction over the checks of the claim at 5 %; otherwise it is *not decidable here*. A rise "
    "or fall whose size the paper prints for the same data also *does not hold* if its whole interval is below half "
    "of that size and its sign is not shown. "
    "Intervals are of 95 %, over rows and seeds, and not corrected. A claim *does not hold* if one of its checks "
    "does not: the papers state their claims without exception, and the correction bounds the chance of any "
    "false verdict. It *holds* if no check fails and each of its parts has a check that holds. Otherwise it is "
    "*not decidable here*, with the number of rows and seeds that it would take. *Void* checks do not count; the "
    "list below says when.\n\n"
    "*Control* is what a check compares with, and what else was run beside it or is missing. *Visible* is the "
    "smallest distance from the claim's limit that these rows and seeds show with 80 % power. *Needs* is the "
    "number of rows and seeds at which the paper's effect as printed would be seen with 80 % power; `*` marks "
    "one that is printed for other data, and `†` the effect measured here, where the paper prints none or where "
    "its own would have been seen. *Runs* leads to the runs, their committed lines and run cards. `python -m "
    "benchmarks.study.run FILES --plan` prints which further seeds decide something."
)
WORDS = {HOLDS: "hold", FAILS: "do not", OPEN: "are not decidable here", NOT_RUN: "were not run"}
MARKS = {PAPER: "", ELSEWHERE: "*", HERE: "†"}
"""Mark of a size by where its effect comes from."""
HEADER = ["where", "check", "control", "here", "paper", "visible", "N", "seeds", "needs", "verdict", "runs"]


def page(results: Path) -> str:
    """The whole page, from the verdicts that `benchmarks.study.study` wrote."""
    claims = read(results / FILE)
    rows = [row for claim in claims.values() for row in claim["checks"]]
    parts = [
        "# The papers' claims on small models",
        "This page is made from `benchmarks/results`; no measured number on it is typed by hand. What the papers say "
        "is in `benchmarks/study/paper_claims.json`.",
        HOW_TO_READ,
        summary(claims),
        numbers(rows),
        "## When a check does not count",
        "".join(f"- *{rule.removeprefix('void: ')}*: {why}\n" for rule, why in RULES.items()),
        "## What was run",
        runs_table(results, [row["experiment"] for row in rows]),
        "## What it does not show",
        "".join(f"- {limit}\n" for limit in limits(rows)),
    ]
    remarks = read(REMARKS) if REMARKS.is_file() else {}
    for number, claim in claims.items():
        parts += [*section(number, claim, remarks.get(number)), *pictures(number, results)]
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


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
        [f"[{number}]({PAGE}#{number.lower()})", claim["says"], claim["verdict"], takes(claim)]
        for number, claim in claims.items()
    ]
    return (
        f"Of {len(claims)} claims of the five papers, tested on BERT-tiny, MiniLM, an LSTM and a CNN, "
        f"{counts_in_words}. Each verdict is counted from checks, {seeds.total()} in all, of which {seeds[1]} have "
        f"one seed. [The page of claims]({PAGE}) has every check with its interval and reason.\n\n"
        + markdown_table(["claim", "what the paper says", "here", "it would take"], rows)
        + "\n[![Clean accuracy against robust accuracy](examples/report/fronts.png)](examples/report/report.html)\n\n"
        "From [the report](examples/report/report.html) on some of these runs, one page that opens in a browser "
        "without network. `hf-robust report` makes such a page of any runs.\n"
    )


def takes(claim: dict[str, Any]) -> str:
    """Rows and seeds that a claim would take, and a control that it lacks."""
    needs = claim.get("needs")
    if claim["verdict"] != OPEN:
        return NOTHING
    if not needs:
        return "no number: no check has an estimate"
    void = f"; void so far: {needs['verdict'].removeprefix('void: ')}" if is_void(needs["verdict"]) else ""
    return f"{size_in_words(needs['needs'])}{void}"


def numbers(rows: Sequence[dict[str, Any]]) -> str:
    """Sentence on how many checks are decided, void, and rest on one seed."""
    counts = Counter(row["verdict"] for row in rows)
    decided, void = counts[HOLDS] + counts[FAILS], sum(is_void(row["verdict"]) for row in rows)
    one_seed = sum(len(row["by_seed"]) == 1 for row in rows)
    return (
        f"{len(rows)} checks, {decided} of them decided, {counts[OPEN]} not decidable here and {void} void. "
        f"{one_seed} rest on one seed; their spread between seeds is that of like checks with several."
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
    """A table row: experiment, check, control, value with interval, the paper's value, sizes, verdict, runs."""
    unit = {"points": "", "%": " %"}.get(row.get("unit") or "points", f" {row['unit']}")
    paper, examples, seeds = row.get("paper"), row.get("examples"), len(row["by_seed"])
    return [
        title(row["experiment"]),
        row["text"],
        control_cell(row),
        f"{interval(row)}{unit}",
        NOTHING if not isinstance(paper, (int, float)) else f"{paper:g}",
        NOTHING if row.get("visible") is None else f"{row['visible']:.2g}",
        f"{examples:,}" if examples else NOTHING,
        str(seeds or NOTHING),
        needs_cell(row),
        row["verdict"],
        linked(row),
    ]


def control_cell(row: dict[str, Any]) -> str:
    """What a check compares with, and the control that its claim has beside it."""
    beside = row.get("beside")
    if beside is None:
        return str(row["control"])
    return (
        f"{row['control']}; beside: {beside}"
        if beside
        else f"{row['control']}; missing: {CONTROLS[row['claim']].name}"
    )


def needs_cell(row: dict[str, Any]) -> str:
    """Rows and seeds that a check needs, marked by where the effect comes from."""
    needs = row.get("needs")
    if not needs:
        return NOTHING
    rows = f"> {MANY:,}" if needs["rows"] > MANY else f"{needs['rows']:,}"
    return f"{rows} x {needs['seeds']}{MARKS[row['effect_of']]}"


def interval(row: dict[str, Any]) -> str:
    """A value with its interval, in the digits of its unit."""
    form = {"nats": ".2f", "alpha": "g"}.get(row.get("unit") or "points", ".1f")
    value, low, high = (NOTHING if row[key] is None else f"{row[key]:{form}}" for key in ("value", "low", "high"))
    return value if NOTHING in (low, high) else f"{value} [{low}, {high}]"


def runs_table(results: Path, experiments: Iterable[str]) -> str:
    """Table of the experiments behind the checks: rows, epochs, seeds, and hours of all runs."""
    rows = []
    for name in dict.fromkeys(experiments):
        runs = [load_evaluated(path) for path in sorted((results / name).glob("*-seed*")) if path.is_dir()]
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
                " to ".join(f"{count:,}" for count in sorted({min(attacked), max(attacked)})) if attacked else NOTHING,
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
        f"{one_seed} of {len(rows)} checks rest on one seed: the spread of like checks stands for theirs.",
        "The attacks have no sentence encoder and use the synonym tables that are available: accuracy under attack is "
        "lower than in the papers, and attacks with the same table have similar successes.",
        "Safer, BAT and a2t are attacked with the table that they train with, as in the papers.",
        "Settings are the papers' if small models learn with them, otherwise found by a few trial runs; the "
        "experiment files have them. No baseline was tuned as authors tune their own method.",
        "Hours were measured on shared cores: they tell the cost of a rerun, not that of a method.",
    ]
