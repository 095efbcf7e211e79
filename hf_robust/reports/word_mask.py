"""What a run's learnt word mask keeps, for report and model card: from its run card and ``word_mask.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hf_robust.reports.cells import percent
from hf_robust.reports.document import Cell, Section, Table, number_cell, text_cell
from hf_robust.reports.outcomes import ReportedRun
from hf_robust.runs import LEAST_RANK, LEAST_SPREAD, Run, mask_defect, read_mask_lines

SPREAD = "phi_std"
_ACCURACIES = {
    "mask_accuracy_expected": "at its expectation, %",
    "mask_accuracy_none": "without a mask, %",
    "mask_accuracy_sampled": "with sampled masks, %",
}


def mask_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run card says of the mask that its run ended with; empty of a run without one."""
    config = card.get("config") or {}
    return config if SPREAD in config else {}


def mask_in_words(card: Mapping[str, Any]) -> list[str]:
    """Sentences on which words the mask keeps and what that does to clean accuracy; none of a run without one."""
    found = mask_of(card)
    if not found:
        return []
    said = [
        f"Importances phi of {found['phi_words']:,} words of the training texts: mean {found['phi_mean']:.2f}, "
        f"standard deviation {found[SPREAD]:.3f}. Highest: {_words(found['phi_top'])}. Lowest: "
        f"{_words(found['phi_bottom'])}."
    ]
    if "phi_rank" in found:
        said.append(
            f"Rank correlation with what leaving a word out changes: {found['phi_rank']:.2f} over "
            f"{found['phi_rank_words']:,} words."
        )
    if reason := mask_defect(found):
        said.append(f"**This is adversarial training behind noise and not FLAT**, whose mask finds words: {reason}.")
    if "mask_accuracy_none" in found:
        rates = {key: percent(float(found[key])) for key in _ACCURACIES}
        draws = percent(float(found["mask_accuracy_sampled_std"]))
        said.append(
            f"Clean accuracy on {found['mask_accuracy_rows']:,} evaluation texts: {rates['mask_accuracy_expected']} % "
            f"with the expected mask, as the model predicts, {rates['mask_accuracy_none']} % without a mask, "
            f"{rates['mask_accuracy_sampled']} % with sampled masks (standard deviation over draws {draws})."
        )
    return said


def masks_section(runs: Sequence[ReportedRun]) -> Section | None:
    """The word masks of the runs that have one, by epoch, and their clean accuracies; None where no run has."""
    masked = [one for one in runs if mask_of(one.run.card)]
    if not masked:
        return None
    text = (
        "phi is the probability that a mask keeps a word, of words that the training texts hold three times or more. "
        f"Where its standard deviation is below {LEAST_SPREAD:g} the mask tells no words apart, and where its rank "
        f"correlation with what leaving a word out changes is below {LEAST_RANK:g} it does by chance."
    )
    epochs = Table(
        "Importances by epoch",
        ["run", "epoch", "words", "mean of phi", "std of phi", "highest", "lowest"],
        [[text_cell(one.name), *_line_cells(line)] for one in masked for line in _lines(one.run)],
    )
    accuracies = Table(
        "Rank correlation, and clean accuracy",
        ["run", "rank correlation", "N", *_ACCURACIES.values(), "std over draws"],
        [[text_cell(one.name), *_accuracy_cells(mask_of(one.run.card))] for one in masked],
    )
    return Section("Word masks", [text], tables=[epochs, accuracies.without_empty_columns()])


def _lines(run: Run) -> list[Mapping[str, Any]]:
    """Those of the epochs where they were kept, else how the run ended, from its card."""
    found = mask_of(run.card)
    ended = {key: found.get(f"phi_{key}") for key in ("words", "mean", "std", "top", "bottom")}
    return list(read_mask_lines(run.path)) or [{"epoch": math.nan, **ended}]


def _line_cells(line: Mapping[str, Any]) -> list[Cell]:
    return [
        number_cell(float(line["epoch"]), "g"),
        number_cell(float(line.get("words") or math.nan), ",.0f"),
        number_cell(float(line["mean"]), ".2f"),
        number_cell(float(line["std"]), ".3f"),
        text_cell(_words(line.get("top") or {})),
        text_cell(_words(line.get("bottom") or {})),
    ]


def _accuracy_cells(found: Mapping[str, Any]) -> list[Cell]:
    scales = {"mask_accuracy_rows": 1.0, **dict.fromkeys(_ACCURACIES, 100.0), "mask_accuracy_sampled_std": 100.0}
    values = {key: scale * float(found.get(key, math.nan)) for key, scale in scales.items()}
    cells = [number_cell(value, ",.0f" if key == "mask_accuracy_rows" else ".1f") for key, value in values.items()]
    return [number_cell(float(found.get("phi_rank", math.nan)), ".2f"), *cells]


def _words(importances: Mapping[str, float]) -> str:
    return ", ".join(f"{word} {value:.2f}" for word, value in importances.items())
