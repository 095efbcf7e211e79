"""The whole study: runs missing experiments, decides the papers' claims C1 to C21, and draws the pictures.

    python -m benchmarks.study.study --data DIR [--jobs 2] [--seeds 1 2 3]     runs, then the verdicts
    python -m benchmarks.study.study                                           verdicts alone, from committed results

The first form continues where it was interrupted, since `benchmarks.study.run` skips runs whose results exist. Each
claim has several *checks*, one for each comparison and experiment, made by `bat_claims`, `embedding_claims` and
`text_claims` and decided together by `decide`; `verdicts` says what a claim comes to.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study import bat_claims, embedding_claims, figures, readme, study_page, text_claims
from benchmarks.study.paired import read, runs_of, with_classes
from benchmarks.study.stored import EXPERIMENTS, RESULTS, ROOT
from benchmarks.study.verdicts import NOT_RUN, verdict_of
from hf_robust.reports import load_runs, write_report

PAPER = Path(__file__).parent / "paper_claims.json"
EXAMPLE = ROOT / "examples" / "report"
EXAMPLE_EXPERIMENT = "text_sst2_bert_tiny"
EXAMPLE_METHODS = ("normal", "ada", "a2t", "taichi", "flat", "adv_iter")
EXAMPLE_FILES = ("report.html", "fronts.png")

Check = dict[str, Any]


def all_checks(results: Path = RESULTS) -> Iterator[Check]:
    """Every check of every claim, with its experiment."""
    for experiment, rows in read(results / bat_claims.FILE).items():
        yield from ({**row, "experiment": experiment} for row in rows)
    for file in (embedding_claims.FILE, text_claims.FILE):
        for experiment, rows_of_experiment in read(results / file).items():
            yield from (
                {**row, "experiment": experiment} for row in rows_of_experiment["claims"] if row["verdict"] != NOT_RUN
            )


def study(results: Path = RESULTS, paper: Path = PAPER) -> dict[str, Any]:
    """Claim -> what the paper says, all checks, and the verdict."""
    by_claim: dict[str, list[Check]] = {number: [] for number in read(paper)}
    for row in all_checks(results):
        by_claim[row["claim"]].append(row)
    return {
        number: {**read(paper)[number], **verdict_of(rows)._asdict(), "checks": rows}
        for number, rows in by_claim.items()
    }


def run_experiments(data: Path, more: Sequence[str]) -> None:
    """Run the experiments that have no results yet; the study continues after a run that fails."""
    files = [
        str(path) for path in sorted(EXPERIMENTS.glob("*.json")) if {"methods", "settings"} & {*read(path)}
        and not {"attack", "apart"} & {*read(path)}
    ]  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.study.run", *files, "--data", str(data), *more]
    subprocess.run(command, cwd=ROOT, check=True)


def example_report(results: Path = RESULTS, folder: Path = EXAMPLE) -> None:
    """Write the example report: `hf-robust report` on some runs of the study, without any text of the data."""
    runs = [path for method in EXAMPLE_METHODS for path in runs_of(results / EXAMPLE_EXPERIMENT, method)]
    if not runs:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_report([with_classes(run, EXAMPLE_EXPERIMENT) for run in load_runs(runs)], scratch)
        for name in EXAMPLE_FILES:
            shutil.copy(Path(scratch) / name, folder)


def write_verdicts(results: Path = RESULTS) -> None:
    """Decide every claim again and write the verdicts, from which the docs' pages are made."""
    bat_claims.main(results)
    embedding_claims.main(results)
    text_claims.main(results)
    verdicts = study(results)
    (results / study_page.FILE).write_text(
        json.dumps(text_claims.rounded(verdicts), indent=1) + "\n", encoding="utf-8"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with sst2/, snli/, resources/, ...; default: run nothing")
    options, more = parser.parse_known_args()
    if options.data is None and more:
        parser.error(f"{' '.join(more)} needs --data DIR.")
    if options.data is not None:
        run_experiments(options.data, more)
    write_verdicts()
    example_report()
    figures.draw()
    readme.write()


if __name__ == "__main__":
    main()
