"""Pages and parts of pages that the modules of `benchmarks.study` make from the committed results."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.architectures import results as architectures
from benchmarks.study import (
    attack_tables,
    balanced_page,
    budgets_page,
    certificate_tables,
    early_stopping_table,
    embedding_tables,
    gpu_table,
    large_data_table,
    leaderboard_part,
    memory_table,
    runs_page,
    sharded_table,
    standard_page,
    study_page,
    text_tables,
)
from benchmarks.study.figures import DEMO_RUNS
from benchmarks.study.paired import read
from benchmarks.study.stored import RESULTS
from docs.generate import choosing
from docs.generate.text import ROOT, with_moved_links
from hf_robust.reports import markdown_table, percent
from hf_robust.reports.captions import attacked_in_words
from hf_robust.runs import load_run

PAGES: dict[str, Callable[[Path], str]] = {
    "study": study_page.page,
    "runs": runs_page.page,
    "balanced": balanced_page.page,
    "budgets": budgets_page.page,
    "attacks": attack_tables.full,
    "embedding": embedding_tables.full,
    "texts": text_tables.full,
    "architectures": architectures.page,
}
PARTS: dict[str, Callable[[Path], str]] = {
    "claims": study_page.compact,
    "attacks": attack_tables.compact,
    "embedding": embedding_tables.compact,
    "texts": text_tables.compact,
    "certificates": certificate_tables.compact,
    "sharded": sharded_table.compact,
    "standard_members": standard_page.members,
    "standard_cascade": standard_page.cascade,
    "standard_miscalibration": standard_page.miscalibration,
    "large_data": large_data_table.compact,
    "attack_memory": memory_table.compact,
    "gpu": gpu_table.compact,
    "leaderboard": leaderboard_part.compact,
    "early_stopping": early_stopping_table.compact,
    "architectures": architectures.compact,
}
DOCS, BENCHMARKS = ROOT / "docs", ROOT / "benchmarks"


PAPERS = ("BAT", "TaiChi", "FLAT", "AdaptAT", "GradMask")
"""Papers whose claims are measured, as named in `benchmarks/study/paper_claims.json`."""


def demo() -> str:
    """Rates per epoch of the demo runs, with their picture."""
    run = load_run(DEMO_RUNS / "bat_triplet")
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
    """Rates of one attack, as a run prints them after an epoch, without the cost."""
    if "remains_asr" in rates:
        return f"{name}: ASR {percent(rates['asr'])} % (remains {percent(rates['remains_asr'])} %)"
    under = f"accuracy {percent(rates['accuracy'])} -> under attack {percent(rates['robust_accuracy'])}"
    return f"{name}: ASR {percent(rates['asr'])} %, {under}"


def experiments() -> str:
    """README.md of the benchmarks, followed by their notes, as one page."""
    readme, notes = ((BENCHMARKS / name).read_text(encoding="utf-8") for name in ("README.md", "notes.md"))
    return f"{readme}\n{re.sub('^#', '##', notes, flags=re.MULTILINE)}"


def claims_of(paper: str) -> str:
    """Table of a paper's claims: what it says, its numbers, and the verdict here."""
    rows = [
        [f"[{number}](generated/results/study.md#{number.lower()})", claim["says"], claim["figures"], claim["verdict"]]
        for number, claim in read(RESULTS / study_page.FILE).items()
        if claim["source"].startswith(paper)
    ]
    return markdown_table(["claim", "what the paper says", "its numbers", "here"], rows)


def pages() -> dict[str, str]:
    """File below ``generated/`` -> text."""
    below = DOCS / "generated" / "results"
    pages = {f"results/{name}.md": _in(below, page(RESULTS), "benchmarks") for name, page in PAGES.items()}
    parts = {"demo": demo(), **{name: part(RESULTS) for name, part in PARTS.items()}}
    pages |= {f"parts/{name}.md": _in(DOCS, text, "") for name, text in parts.items()}
    pages |= {"parts/experiments.md": _in(DOCS, experiments(), "benchmarks")}
    pages |= {f"parts/claims_{paper.lower()}.md": claims_of(paper) for paper in PAPERS}
    return pages | {"parts/choosing.md": choosing.table(), "parts/fronts.md": choosing.fronts()}


def _in(folder: Path, text: str, written_in: str) -> str:
    return with_moved_links(text, ROOT / written_in, folder)
