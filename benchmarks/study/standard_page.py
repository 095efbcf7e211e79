"""Parts of the page of the standard: its attacks, what the cascade saves, and why searches climb margins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.study.paired import read
from hf_robust.attacks.standard import MEMBERS
from hf_robust.reports import markdown_table, percent
from hf_robust.reports.standard import standard_in_words

CASCADE, MISCALIBRATION = "cascade.json", "miscalibration.json"
NEEDS = {
    "": "the table",
    "wordnet": "WordNet as the table",
    "masked_lm": "`--masked_lm`",
    "word_vectors": "`--word_vectors`",
}


def members(results: Path) -> str:
    """The list of the standard, with the reason for each attack and the resource without which it is left out."""
    rows = [
        [f"[`{member.name}`](docs/generated/attacks/{member.name}.md)", member.reason, NEEDS[member.needs]]
        for member in MEMBERS
    ]
    return markdown_table(["attack, cheap to dear", "why", "needs"], rows)


def cascade(results: Path) -> str:
    """Cost of the cascade and of its attacks run alone on all examples."""
    result = read(results / CASCADE)
    entry, rows = result["cascade"], []
    for member in entry["members"]:
        alone = result["alone"][member["name"]]
        rows.append(
            [
                member["name"],
                *(f"{member[key]:,}" for key in ("met", "added", "queries")),
                f"{alone['queries']:,}",
                percent(alone["robust_accuracy"]),
            ]
        )
    header = ["attack", "met", "added", "queries", "queries alone", "robust accuracy alone, %"]
    same = "the same outcome on each example as" if result["same_outcomes"] else "NOT the outcomes of"
    ratio = result["ratio"]
    return (
        f"BERT-tiny on SST-2. {standard_in_words(entry)} The cascade has {same} its attacks run alone, which take "
        f"{ratio['queries']:.1f} times as many queries and {ratio['seconds']:.1f} times as long (one "
        f"thread, on a machine with a load of {result['load']:.0f}).\n\n"
        f"{markdown_table(header, rows).strip()}\n"
    )


def miscalibration(results: Path) -> str:
    """Robust accuracy of five models under one attack, by probability and by margin."""
    result = read(results / MISCALIBRATION)
    rows = []
    for name, by_scores in result["models"].items():
        saturated = by_scores["probability"].get("saturated_share")
        shown = percent(saturated) if saturated is not None else "–"
        cells = [_rate(by_scores[scores]) for scores in ("probability", "margin")]
        rows.append([name, percent(by_scores["margin"]["accuracy"]), *cells, shown])
    header = ["model", "clean accuracy, %", "by probability, %", "by margin, %", "saturated queries, %"]
    setting = (
        f"BERT-tiny on SST-2, `{result['attack']}` on {result['examples']:,} test rows, robust accuracy with 95 % "
        "Wilson intervals, one training seed"
    )
    setting += f"; not measured: {', '.join(result['left_out'])}:" if result["left_out"] else ":"
    return f"{setting}\n\n{markdown_table(header, rows).strip()}\n"


def _rate(numbers: Mapping[str, Any]) -> str:
    interval = (numbers["robust_accuracy_low"], numbers["robust_accuracy_high"])
    return percent(numbers["robust_accuracy"], interval, numbers["num_examples"])
