"""Claims C1, C2 and C4 to C7 of the BAT paper on the committed results: what was measured, its interval, a verdict.

    python benchmarks/claims.py          writes benchmarks/results/claims.json

Intervals of differences are those of `benchmarks.paired`, verdicts those of `benchmarks.text_verdicts`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As a script this file's own folder is on the path, not the checkout.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import text_paper as paper
from benchmarks.bat_sweep import c2, c5, c7
from benchmarks.checks import ACCURACY, NOT_SPLIT, counted_once
from benchmarks.distances import CONTENT, FUNCTION
from benchmarks.paired import read, runs_of
from benchmarks.stored import RESULTS
from benchmarks.text_runs import Compared, TextExperiment, compared, compared_asr, seed_of
from benchmarks.text_verdicts import NORMAL, Row, claim
from hf_robust.metrics import Difference, wilson_interval
from hf_robust.metrics.paired import POINTS

EXPERIMENTS = Path(__file__).parent / "experiments"
METHODS = ("normal", "safer", "bat_pairwise", "bat_triplet")
SWEEP = "bat_snli_sweep"
ACCURACY_LOSS = 1.6


def check(one: TextExperiment) -> list[Row]:
    """Every claim about the methods that were run in one experiment."""
    run = [name for name in METHODS if runs_of(one.folder, name)]
    rows = sorted((row for name in run for row in claims_about(one, name)), key=lambda row: row["claim"])
    return counted_once(one.folder, rows)


def claims_about(one: TextExperiment, method: str) -> list[Row]:
    """What the paper claims of one method."""
    if method == NORMAL:
        return distance(one, method)
    number, models = ("C1" if method == "safer" else "C4"), (NORMAL, method)
    rows = []
    for attack in ("synonym", "antonym"):
        rises = method == "safer" and attack == "antonym"
        text = f"{method} {'raises' if rises else 'lowers'} {attack} ASR"
        side = {"above": 0.0} if rises else {"below": 0.0}
        given = {"method": method, "quantity": attack, "paper": paper_difference(one, *models, attack), **side}
        rows += claim(one, number, text, compared_asr(one, *models, attack), models, **given)
    if method != "safer":
        pair = ("safer", method)
        text = f"{method}'s synonym ASR stays above safer's"
        given = {"method": method, "quantity": "synonym", "paper": paper_difference(one, *pair, "synonym")}
        rows += claim(one, number, text, compared_asr(one, *pair, "synonym"), pair, **given, above=0.0)
    # For BAT this is in the paper's tables, not in its claim.
    text = f"{method} keeps accuracy within {ACCURACY_LOSS}"
    given = {"method": method, "quantity": ACCURACY, "paper": paper_difference(one, *models, ACCURACY)}
    rows += claim(one, number, text, compared(one, *models, ACCURACY), models, **given, above=-ACCURACY_LOSS)
    return rows + distance(one, method)


def paper_difference(one: TextExperiment, first: str, second: str, quantity: str) -> float | None:
    """Second minus first in the paper's table of this data set; None where it has none."""
    table = paper.BAT.get(one.name.split("_")[0])
    return None if table is None else round(table[second][quantity] - table[first][quantity], 1)


def distance(one: TextExperiment, method: str) -> list[Row]:
    """C6: the obstinate view lies further away than the fickle one in most texts after BAT, and only there.

    Of the texts whose obstinate view changes a content word: BAT's training views change function words too, as the
    attack never does, and a model can learn these alone. Runs measured before the two were told apart are void.
    """
    runs = [run for run in runs_of(one.folder, method) if (run / "distances.json").is_file()]
    if not runs:
        return []
    measured = [read(run / "distances.json") for run in runs]
    split = all(CONTENT in row for row in measured)
    bat = method.startswith("bat")
    rows = []
    for kind in (CONTENT, FUNCTION) if split else ("",):
        found = [row[kind] if kind else row for row in measured]
        if any(not row["texts"] for row in found):
            continue
        share = share_further(found, runs)
        where = f"{kind}-word " if kind else ""
        most = "most" if bat else "less than half of the"
        text = f"{method}: {where}antonym view further than synonym view in {most} texts"
        means = {key: statistics.mean(row[key] for row in found) for key in ("fickle", "obstinate")}
        given = {"method": method, "quantity": "distance", "part": where + most, **means}
        given |= {"control": "half of the texts", "void": "" if split else NOT_SPLIT}
        side = {"above": 50.0} if bat else {"below": 50.0}
        rows += claim(one, "C6", text, share, (method,), **given, **side)
    return rows


def share_further(measured: Sequence[dict[str, Any]], runs: Sequence[Path]) -> Compared:
    """The mean share of texts over the seeds, with Wilson's interval of one seed's number of texts."""
    shares = [row["obstinate_further"] for row in measured]
    texts = min(row["texts"] for row in measured)
    low, high = wilson_interval(round(statistics.mean(shares) * texts), texts)
    found = Difference(POINTS * statistics.mean(shares), POINTS * low, POINTS * high, [POINTS * s for s in shares])
    return Compared(found, texts, tuple(map(seed_of, runs)), "%")


def check_all(results: Path = RESULTS, files: Path = EXPERIMENTS) -> dict[str, list[Row]]:
    """The experiments that compare methods, and the sweep; ablations have no claims of their own."""
    found = {}
    for path in sorted(files.glob("*.json")):
        if set(read(path).get("methods", ())) == set(METHODS) and runs_of(results / path.stem, NORMAL):
            found[path.stem] = check(TextExperiment(path, results / path.stem))
    sweep = TextExperiment(files / f"{SWEEP}.json", results / SWEEP)
    rows = counted_once(sweep.folder, [*c2(sweep), *c5(sweep), *c7(sweep)])
    return {**found, **({SWEEP: rows} if rows else {})}


def main(results: Path = RESULTS, files: Path = EXPERIMENTS) -> None:
    (results / "claims.json").write_text(json.dumps(check_all(results, files), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
