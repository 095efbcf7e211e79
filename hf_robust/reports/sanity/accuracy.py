"""Checks of clean predictions: is the model better than guessing, and do its label ids match those of the data?"""

from __future__ import annotations

from hf_robust.metrics.permutation import permutation_of_records
from hf_robust.reports.cells import percent
from hf_robust.reports.guessing import guessing_of
from hf_robust.reports.sanity.evidence import Evidence
from hf_robust.reports.sanity.finding import Finding
from hf_robust.runs import has_label_sets, label_names


def label_order(evidence: Evidence) -> Finding:
    """Flag a run if another order of the label ids fits the predictions on clean texts significantly better.

    If model and data order their labels differently, the attacks run on the texts that the model gets wrong.
    """
    finding = Finding("label_order", "order of the label ids")
    records = evidence.dataset_records
    if evidence.run.card.get("label_guess"):
        finding.observations.append(f"guessed label order: {evidence.run.card['label_guess']}")
    if not records:
        finding.missing.append("the run has no records of predictions (attack_results/*.jsonl).")
        return finding
    if has_label_sets(evidence.run):
        finding.observations.append("a text has several labels, which have no order among each other.")
        return finding
    count = 1 + max(max(one.label, one.original_prediction) for one in records)
    names = label_names(evidence.run)
    permutation = permutation_of_records(records, count)
    if permutation is None:
        finding.observations.append(
            f"no other order of the labels fits the {len(records):,} clean predictions better."
        )
        return finding
    finding.flags.append(permutation.in_words([names.get(label, str(label)) for label in range(count)]))
    finding.numbers.append(
        {
            "accuracy": permutation.accuracy,
            "permuted_accuracy": permutation.permuted_accuracy,
            "order": list(permutation.order),
        }
    )
    finding.advice.append("attack again with --class_names in the correct order, or correct the labels of the data.")
    return finding


def clean_accuracy(evidence: Evidence) -> Finding:
    """Flag a model that guesses: it withstands every attack, so its rates say nothing (Carlini et al. 2019).

    The criterion is `hf_robust.metrics.Guessing`, which also marks tables and cards: the share of the most frequent
    class lies in the Wilson interval of the accuracy, the accuracy is below ``least_accuracy``, or the model predicts
    one class for all texts.
    """
    finding = Finding("clean_accuracy", "clean accuracy against guessing")
    guess = guessing_of(evidence.run)
    if guess is None:
        finding.missing.append(
            "the shares of the classes are in neither the run card nor the records (attack_results/*.jsonl)."
        )
        return finding
    interval = guess.interval if guess.num_examples else None
    rows = f" on {guess.num_examples:,} rows" if guess.num_examples else ""
    sentence = (
        f"accuracy {percent(guess.accuracy, interval)} %{rows}; the most frequent class has "
        f"{percent(guess.larger_class)} %, and below {percent(guess.least)} % the model has learnt little"
    )
    sentence += "; the model predicts one class for every attacked text" * guess.one_answer
    sentence += "; the accuracy is below chance, as if labels were permuted" * guess.below_chance
    finding.numbers.append(
        {
            "accuracy": guess.accuracy,
            "larger_class": guess.larger_class,
            "least": guess.least,
            "num_examples": guess.num_examples,
            "one_answer": guess.one_answer,
        }
    )
    if guess.learnt:
        finding.observations.append(f"{sentence}.")
    else:
        finding.flags.append(f"{sentence}; attack rates of a model that guesses say nothing about robustness.")
        finding.advice.append("train longer, or with another learning rate, before measuring robustness.")
    return finding
