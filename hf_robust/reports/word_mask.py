"""Report section and model card sentences on a learnt word mask, from the run card and ``word_mask.jsonl``."""

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
    "mask_accuracy_expected": "with the expected mask, %",
    "mask_accuracy_none": "without a mask, %",
    "mask_accuracy_sampled": "with sampled masks, %",
}


def mask_of(card: Mapping[str, Any]) -> Mapping[str, Any]:
    """Entries of a run card on the final word mask; empty for a run without a mask."""
    config = card.get("config") or {}
    return config if SPREAD in config else {}


def mask_in_words(card: Mapping[str, Any]) -> list[str]:
    """Sentences on the words that the mask keeps and on its effect on clean accuracy; empty without a mask."""
    mask = mask_of(card)
    if not mask:
        return []
    sentences = [
        f"Importances phi of {mask['phi_words']:,} words of the training texts: mean {mask['phi_mean']:.2f}, "
        f"standard deviation {mask[SPREAD]:.3f}. Highest: {_words(mask['phi_top'])}. Lowest: "
        f"{_words(mask['phi_bottom'])}."
    ]
    if "phi_rank" in mask:
        sentences.append(
            f"Rank correlation with the effect of leaving a word out: {mask['phi_rank']:.2f} over "
            f"{mask['phi_rank_words']:,} words."
        )
    if reason := mask_defect(mask):
        sentences.append(
            "**This run is adversarial training with a noise mask and not FLAT**, whose mask finds important words: "
            f"{reason}."
        )
    if "mask_accuracy_none" in mask:
        rates = {key: percent(float(mask[key])) for key in _ACCURACIES}
        draws = percent(float(mask["mask_accuracy_sampled_std"]))
        sentences.append(
            f"Clean accuracy on {mask['mask_accuracy_rows']:,} evaluation texts: {rates['mask_accuracy_expected']} % "
            f"with the expected mask, as the model predicts, {rates['mask_accuracy_none']} % without a mask, "
            f"{rates['mask_accuracy_sampled']} % with sampled masks (standard deviation over draws {draws})."
        )
    return sentences


def masks_section(runs: Sequence[ReportedRun]) -> Section | None:
    """Report section on word masks by epoch and their clean accuracies; None if no run has a mask."""
    masked = [one for one in runs if mask_of(one.run.card)]
    if not masked:
        return None
    text = (
        "phi is the probability that the mask keeps a word. It is shown for words that occur at least three times in "
        f"the training texts. A standard deviation below {LEAST_SPREAD:g} means that the mask does not distinguish "
        f"words. A rank correlation below {LEAST_RANK:g} with the effect of leaving a word out means that it "
        "distinguishes them by chance."
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
    """Lines of ``word_mask.jsonl``; without that file, one line on the final mask from the run card."""
    mask = mask_of(run.card)
    final = {key: mask.get(f"phi_{key}") for key in ("words", "mean", "std", "top", "bottom")}
    return list(read_mask_lines(run.path)) or [{"epoch": math.nan, **final}]


def _line_cells(line: Mapping[str, Any]) -> list[Cell]:
    return [
        number_cell(float(line["epoch"]), "g"),
        number_cell(float(line.get("words") or math.nan), ",.0f"),
        number_cell(float(line["mean"]), ".2f"),
        number_cell(float(line["std"]), ".3f"),
        text_cell(_words(line.get("top") or {})),
        text_cell(_words(line.get("bottom") or {})),
    ]


def _accuracy_cells(mask: Mapping[str, Any]) -> list[Cell]:
    scales = {"mask_accuracy_rows": 1.0, **dict.fromkeys(_ACCURACIES, 100.0), "mask_accuracy_sampled_std": 100.0}
    values = {key: scale * float(mask.get(key, math.nan)) for key, scale in scales.items()}
    cells = [number_cell(value, ",.0f" if key == "mask_accuracy_rows" else ".1f") for key, value in values.items()]
    return [number_cell(float(mask.get("phi_rank", math.nan)), ".2f"), *cells]


def _words(importances: Mapping[str, float]) -> str:
    return ", ".join(f"{word} {value:.2f}" for word, value in importances.items())
