"""Gains and losses of each method against plain fine-tuning on one data set, with the cost of a step."""

from __future__ import annotations

from benchmarks.study import embedding_tables, readme, text_tables
from benchmarks.study.paired import accuracy_difference, robust_difference
from benchmarks.study.stored import EXPERIMENTS, RESULTS
from docs.generate.methods import step_costs
from hf_robust.metrics import Difference
from hf_robust.reports import markdown_table
from hf_robust.reports.suggestion import closing, front_table, load_evidence
from hf_robust.trainers import METHODS

SHOWN_EXPERIMENTS = ("embedding_sst2_bert_tiny", "text_sst2_bert_tiny")
"""The experiments with the most methods and seeds: BERT-tiny on SST-2."""
ATTACKS = ("textfooler", "textbugger")


def table() -> str:
    """A row for each method: differences to ``normal`` in the same experiment, in points."""
    header = ["method", "cost of a step", "seeds", "clean accuracy", *(f"accuracy under {name}" for name in ATTACKS)]
    return markdown_table(header, [row for name in SHOWN_EXPERIMENTS for row in _rows(name)])


def fronts() -> str:
    """For each experiment, the methods on its front and how to read it, as `hf-robust suggest` prints them."""
    return "\n".join(
        f"### {entry.title} ({entry.name})\n\n{entry.task.describe()}.\n\n{front_table(entry)}\n"
        + "".join(f"{line}\n\n" for line in closing(entry))
        for entry in load_evidence()
    )


def _rows(experiment: str) -> list[list[str]]:
    folder = RESULTS / experiment
    experiments = [
        item
        for item in [
            *embedding_tables.experiments_with_runs(RESULTS, EXPERIMENTS),
            *text_tables.experiments_with_runs(RESULTS, EXPERIMENTS),
        ]
        if item.name == experiment
    ]
    methods = [name for item in experiments for name in item.methods if name in METHODS and name != "normal"]
    chance = {name for item in experiments for name in methods if item.near_chance(name)}
    rows = []
    for name in methods:
        clean = accuracy_difference(folder, "normal", name)
        under = [points_cell(robust_difference(folder, "normal", name, attack)) for attack in ATTACKS]
        mark = " (near chance)" if name in chance else ""
        cost = step_costs(name)[1]
        link = f"[`{name}`](generated/methods/{name}.md){mark}"
        seeds = str(len(clean.by_seed))
        rows.append([link, "–" if cost == readme.ABSENT else cost, seeds, points_cell(clean), *under])
    return rows


def points_cell(difference: Difference) -> str:
    """A difference with its interval."""
    return f"{difference.value:+.1f} [{difference.low:+.1f}, {difference.high:+.1f}]"
