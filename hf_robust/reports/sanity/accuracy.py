"""Has the model learnt the task at all?

Is a prediction's number that of the label it means?
"""

from __future__ import annotations

from hf_robust.metrics.permutation import permutation_of_records
from hf_robust.reports.cells import percent
from hf_robust.reports.guessing import guessing_of
from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import label_names


def label_order(evidence: Evidence) -> Finding:
    """Flagged where another numbering of the labels fits the predictions on clean texts significantly better.

    A model whose labels are numbered otherwise than the data's is attacked on the texts that it gets wrong.
    """
    finding = Finding("label_order", "numbers of the labels")
    records = evidence.dataset_records
    if evidence.run.card.get("label_guess"):
        finding.seen.append(f"guessed: {evidence.run.card['label_guess']}")
    if not records:
        finding.missing.append("the predictions on the examples were not kept (attack_results/*.jsonl).")
        return finding
    count = 1 + max(max(one.label, one.original_prediction) for one in records)
    names = label_names(evidence.run)
    found = permutation_of_records(records, count)
    if found is None:
        finding.seen.append(f"no other numbering fits the {len(records):,} clean predictions better.")
        return finding
    finding.flags.append(found.in_words([names.get(label, str(label)) for label in range(count)]))
    finding.numbers.append(
        {"accuracy": found.accuracy, "permuted_accuracy": found.permuted_accuracy, "order": list(found.order)}
    )
    finding.advice.append("attack again with --class_names in the right order, or correct the labels of the data.")
    return finding


def clean_accuracy(evidence: Evidence) -> Finding:
    """A model that guesses is robust to everything: its rates say nothing (Carlini et al. 2019).

    Flagged by the one notion that marks tables and cards too (`hf_robust.metrics.Guessing`): the larger class's share
    lies in the accuracy's Wilson interval, the accuracy is below ``least_accuracy`` (ten points above guessing where
    two classes are even, and as far on the way to no error elsewhere), or all texts get one answer.
    """
    finding = Finding("clean_accuracy", "clean accuracy against guessing")
    found = guessing_of(evidence.run)
    if found is None:
        finding.missing.append(
            "the shares of the classes are in neither the run card nor the records (attack_results/*.jsonl)."
        )
        return finding
    interval = found.interval if found.num_examples else None
    rows = f" of {found.num_examples:,} rows" if found.num_examples else ""
    said = (
        f"accuracy {percent(found.accuracy, interval)} %{rows}; the most frequent class is "
        f"{percent(found.larger_class)} %, so that below {percent(found.least)} % little was learnt"
    )
    said += "; every attacked text gets one answer" * found.one_answer
    said += "; below chance, as where labels are permuted" * found.below_chance
    finding.numbers.append(
        {
            "accuracy": found.accuracy,
            "larger_class": found.larger_class,
            "least": found.least,
            "num_examples": found.num_examples,
            "one_answer": found.one_answer,
        }
    )
    if found.learnt:
        finding.seen.append(f"{said}.")
    else:
        finding.flags.append(f"{said}; robustness of a guess says nothing.")
        finding.advice.append("train longer, or with another learning rate, before measuring robustness.")
    return finding
