"""Run folders with the records behind their rates, as a training or `hf-robust attack` leaves them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripted import record

from hf_robust.metrics import AttackRecord, AttackSummary, union_of_attacks
from hf_robust.runs import write_history_line, write_records

LEXICON = {
    "name": "neighbours",
    "relation": "synonym",
    "fingerprint": "aa",
    "size": 7,
    "source": "table.json",
    "keeps_part_of_speech": True,
}
GREEDY: dict[str, Any] = {
    "name": "synonym",
    "goal": {"name": "misclassify"},
    "candidates": {"name": "synonyms", "lexicon": LEXICON, "k": None},
    "constraints": [{"name": "no_repeat"}, {"name": "stop_words", "list": "textfooler", "count": 3}],
    "similarity": None,
    "ranking": "by_deletion",
    "search": "greedy",
    "scores": "probability",
    "max_changed": None,
    "query_budget": None,
    "time_limit": None,
    "skip_labels": [],
    "skip_misclassified": True,
    "frozen_columns": [],
    "seed": 0,
    "ranks_movable_only": True,
}


def records(*outcomes: str, queries: Sequence[int] | int = 20, **known: Any) -> list[AttackRecord]:
    """A record for each letter of the words: s succeeded, f failed, b failed at its budget, - misclassified."""
    found = []
    for idx, letter in enumerate("".join(outcomes)):
        spent = queries if isinstance(queries, int) else queries[idx]
        given = {"queries": spent, "saturated": 0, "label": idx % 2, "original_prediction": idx % 2, **known}
        texts = (f"film {idx}",)
        if letter == "-":
            wrong = {"original_prediction": 1 - idx % 2, "stop": "misclassified", "queries": 1}
            found.append(record(idx, "skipped", texts, **{**given, **wrong}))
        elif letter == "s":
            found.append(record(idx, "succeeded", texts, **given))
        else:
            found.append(record(idx, "failed", texts, **given, stop="budget" if letter == "b" else "exhausted"))
    return found


def recorded_run(
    folder: Path,
    attacks: Mapping[str, Sequence[AttackRecord]],
    described: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    trained: bool = True,
    accuracy: float = 0.9,
    seen: int | None = 0,
    **card: Any,
) -> Path:
    """One measured epoch of a training that ended; with ``trained`` off, what `hf-robust attack` leaves."""
    results = folder / "attack_results" / ("epoch-1" if trained else "")
    for name, found in attacks.items():
        write_records(results / f"{name}.jsonl", found)
    summaries = {name: AttackSummary.from_records(found).history() for name, found in attacks.items()}
    line: dict[str, Any] = {"epoch": float(trained), "step": 10 * trained, "accuracy": accuracy, "attacks": summaries}
    union = union_of_attacks({name: list(found) for name, found in attacks.items()})
    write_history_line(folder, line | ({} if union is None else {"union": union.history()}))
    data = {"name": "sst2", "fingerprint": "f1", "eval_samples": 200, "attack_sample": "50 rows, seed 0"}
    stated: dict[str, Any] = {
        "method": "normal",
        "model": "tiny",
        "data": data if seen is None else {**data, "seen_in_training": seen},
        "lexicons": {},
        "attacks": {name: {**GREEDY, **(described or {}).get(name, {})} for name in attacks},
        "seed": 0,
    }
    if trained:
        stated |= {"trained_on": [], "views": [], "training": {}, "final_step": 10, "load_best_model_at_end": False}
    (folder / "run_card.json").write_text(json.dumps({**stated, **card}))
    return folder
