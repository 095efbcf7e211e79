"""Pages and parts of pages that are made from the committed results, by the functions beside the experiments."""

from __future__ import annotations

from pathlib import Path

from benchmarks import readme
from benchmarks.paired import read
from docs.generate import choosing
from docs.generate.text import ROOT, moved
from hf_robust.reports import markdown_table

PAGES = {
    "study": readme.study_text,
    "balanced": readme.balanced_page,
    "budgets": readme.budgets_page,
    "attacks": readme.attacks_page,
    "embedding": readme.embedding_page,
    "texts": readme.texts_page,
}
PARTS = {
    "demo": readme.demo,
    "claims": readme.study,
    "attacks": readme.attacks,
    "embedding": readme.embedding,
    "texts": readme.texts,
    "certificates": readme.certificates,
}
DOCS = ROOT / "docs"


SEEDS = ("BAT", "TaiChi", "FLAT", "AdaptAT", "GradMask")
"""The papers whose claims are measured here, as `benchmarks/paper_claims.json` calls them."""


def claims_of(paper: str) -> str:
    """The claims of a paper, what the paper has measured, and what it comes to here."""
    rows = [
        [f"[{number}](generated/results/study.md#{number.lower()})", claim["says"], claim["figures"], claim["verdict"]]
        for number, claim in read(readme.RESULTS / "study.json").items()
        if claim["source"].startswith(paper)
    ]
    return markdown_table(["claim", "what the paper says", "its numbers", "here"], rows)


def pages() -> dict[str, str]:
    """File below ``generated/`` -> text."""
    below = DOCS / "generated" / "results"
    found = {f"results/{name}.md": _in(below, made(), "benchmarks") for name, made in PAGES.items()}
    found |= {f"parts/{name}.md": _in(DOCS, made(), "") for name, made in PARTS.items()}
    found |= {f"parts/claims_{paper.lower()}.md": claims_of(paper) for paper in SEEDS}
    return found | {"parts/choosing.md": choosing.table()}


def _in(folder: Path, text: str, written_in: str) -> str:
    return moved(text, ROOT / written_in, folder)
