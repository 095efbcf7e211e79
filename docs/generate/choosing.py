"""What each method gained and lost against plain fine-tuning on one data set, beside what a step costs."""

from __future__ import annotations

from benchmarks.study import embedding_tables, readme, text_tables
from benchmarks.study.paired import accuracy_difference, robust_difference
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from docs.generate.methods import step_costs
from hf_robust.metrics import Difference
from hf_robust.reports import markdown_table
from hf_robust.trainers import METHODS

MODEL_AND_DATA = ("embedding_sst2_bert_tiny", "text_sst2_bert_tiny")
"""The experiments with the most methods and seeds: BERT-tiny on SST-2."""
ATTACKS = ("textfooler", "textbugger")


def table() -> str:
    """A row for each method, as differences to ``normal`` of the same experiment, in points."""
    header = ["method", "cost of a step", "seeds", "clean accuracy", *(f"accuracy under {name}" for name in ATTACKS)]
    return markdown_table(header, [row for name in MODEL_AND_DATA for row in _rows(name)])


def _rows(experiment: str) -> list[list[str]]:
    folder = RESULTS / experiment
    found = [
        one
        for one in [
            *embedding_tables.experiments_with_runs(RESULTS, EXPERIMENTS),
            *text_tables.experiments_with_runs(RESULTS, EXPERIMENTS),
        ]
        if one.name == experiment
    ]
    methods = [name for one in found for name in one.methods if name in METHODS and name != "normal"]
    chance = {name for one in found for name in methods if one.near_chance(name)}
    rows = []
    for name in methods:
        clean = accuracy_difference(folder, "normal", name)
        under = [points(robust_difference(folder, "normal", name, attack)) for attack in ATTACKS]
        mark = " (near chance)" if name in chance else ""
        cost = step_costs(name)[1]
        link = f"[`{name}`](generated/methods/{name}.md){mark}"
        seeds = str(len(clean.by_seed))
        rows.append([link, "–" if cost == readme.ABSENT else cost, seeds, points(clean), *under])
    return rows


def points(difference: Difference) -> str:
    return f"{difference.value:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"
