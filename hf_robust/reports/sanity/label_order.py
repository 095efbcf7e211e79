"""Is a prediction's number that of the label it means?"""

from __future__ import annotations

from hf_robust.metrics.permutation import of_records
from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import label_names


def label_order(evidence: Evidence) -> Finding:
    """Flagged where another numbering of the labels fits the predictions on clean texts significantly better.

    A model whose labels are numbered otherwise than the data's is attacked on the texts that it gets wrong.
    """
    finding = Finding("label_order", "numbers of the labels")
    records = evidence.own_records
    if evidence.run.card.get("label_guess"):
        finding.seen.append(f"guessed: {evidence.run.card['label_guess']}")
    if not records:
        finding.missing.append("the predictions on the examples were not kept (attack_results/*.jsonl).")
        return finding
    count = 1 + max(max(one.label, one.original_prediction) for one in records)
    names = label_names(evidence.run)
    found = of_records(records, count)
    if found is None:
        finding.seen.append(f"no other numbering fits the {len(records):,} clean predictions better.")
        return finding
    finding.flags.append(found.in_words([names.get(label, str(label)) for label in range(count)]))
    finding.numbers.append(
        {"accuracy": found.accuracy, "permuted_accuracy": found.permuted_accuracy, "order": list(found.order)}
    )
    finding.advice.append("attack again with --class_names in the right order, or correct the labels of the data.")
    return finding
