"""Tables of what attacks cost beside the victim: time in models, and passes saved by shared answers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.performance.throughput_tables import saved_passes, shares
from benchmarks.study.paired import read

SHARES, SHARED = "model_share.json", "shared_answers.json"


def in_models(results: Path) -> str:
    """Share of each attack's time that its models take; empty if there is no result."""
    path = results / SHARES
    if not path.is_file():
        return ""
    found = read(path)
    first = next(iter(found.values()))["settings"]
    budget = f", at most {first['query_budget']} queries each" if first["query_budget"] else ""
    return (
        f"Processor seconds of one thread, {first['num']} texts of SST-2{budget}, plans made before. *In models* is "
        "the time of the victim and of the models that an attack consults; *rest* is the search, its texts and its "
        f"constraints.\n\n{shares(found)}"
    )


def shared(results: Path) -> str:
    """Passes of the victim that attacks save by sharing answers; empty if there is no result."""
    path = results / SHARED
    if not path.is_file():
        return ""
    found = read(path)
    names = next(iter(found.values()))["settings"]["recipes"]
    same = all(result["same_outcomes"] for result in found.values())
    outcomes = "the same outcomes and queries" if same else "NOT the same outcomes"
    return (
        f"Attacks of one evaluation ({', '.join(names)}, in this order) on the same texts of SST-2 share the victim's "
        f"answers: {outcomes}, fewer passes of the model.\n\n{saved_passes(found)}"
    )
