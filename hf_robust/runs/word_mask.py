"""How a learnt word mask weighs words, over the epochs of a run: ``word_mask.jsonl``, an object for each epoch.

A line holds ``epoch``, ``step``, ``words`` (how many were looked at), ``texts`` (they stand in), ``mean`` and ``std``
of their importances phi, and ``top`` and ``bottom``: the ten words of highest and of lowest phi, each with its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_robust.runs.files import MASK_HISTORY_FILE
from hf_robust.runs.json_files import read_json_lines, write_json_lines

LEAST_SPREAD = 0.05
"""A standard deviation of phi below which a mask tells no words apart: they are all kept alike often."""
LEAST_RANK, ENOUGH = 0.2, 30
"""A rank correlation of phi with the words' own importance to the model below which the words are told apart by
chance, and the words that it takes to say so."""
SHOWN = 10
MaskLine = dict[str, Any]


def mask_line(epoch: float, step: int, importances: Mapping[str, float], texts: int) -> MaskLine:
    """The line of an epoch, of phi by word.

    >>> line = mask_line(1.0, 10, {"good": 0.9, "the": 0.5}, 4)
    >>> line["mean"], line["std"], list(line["top"])
    (0.7, 0.2, ['good', 'the'])
    """
    count = len(importances)
    mean = sum(importances.values()) / max(count, 1)
    spread = (sum((value - mean) ** 2 for value in importances.values()) / max(count, 1)) ** 0.5
    ranked = sorted(importances.items(), key=lambda item: (-item[1], item[0]))
    shown = {
        "top": {word: round(value, 4) for word, value in ranked[:SHOWN]},
        "bottom": {word: round(value, 4) for word, value in ranked[::-1][:SHOWN]},
    }
    numbers = {"words": count, "texts": texts, "mean": round(mean, 4), "std": round(spread, 4)}
    return {"epoch": epoch, "step": step, **numbers, **shown}


def mask_defect(found: Mapping[str, Any]) -> str:
    """What is wrong with a mask, as half a sentence; empty where nothing is, or nothing is known.

    Args:
        found: ``phi_std`` and, where they were measured, ``phi_rank`` and ``phi_rank_words``.
    """
    if found["phi_std"] < LEAST_SPREAD:
        return (
            f"the importances of its words have a standard deviation of {found['phi_std']:.3f}, below "
            f"{LEAST_SPREAD:g}, so that it keeps all alike"
        )
    rank, words = found.get("phi_rank"), found.get("phi_rank_words", 0)
    if rank is not None and words >= ENOUGH and rank < LEAST_RANK:
        return (
            f"over {words:,} words its importances have a rank correlation of {rank:.2f} with what leaving a word out "
            f"changes, below {LEAST_RANK:g}, so that it keeps words by chance"
        )
    return ""


def write_mask_line(folder: str | os.PathLike[str], line: MaskLine) -> None:
    """Add the line of an epoch; lines of the same or a later step (of a run that was resumed) are replaced."""
    earlier = [one for one in read_mask_lines(folder) if one["step"] < line["step"]]
    write_json_lines(Path(folder) / MASK_HISTORY_FILE, [*earlier, line])


def clear_mask_lines(folder: str | os.PathLike[str]) -> None:
    """Remove what an earlier run left in the folder."""
    (Path(folder) / MASK_HISTORY_FILE).unlink(missing_ok=True)


def read_mask_lines(folder: str | os.PathLike[str]) -> list[MaskLine]:
    """The lines of a run folder in the order of their steps; none where there is no such file.

    Raises:
        ValueError: a line is not one.
    """
    path = Path(folder) / MASK_HISTORY_FILE
    lines = read_json_lines(path) if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if not all(isinstance(line.get(key), (int, float)) for key in ("epoch", "step", "mean", "std")):
            raise ValueError(
                f"{path}, line {number}: needs epoch, step, mean and std, got {json.dumps(line)[:80]}; delete it."
            )
    return sorted(lines, key=lambda line: float(line["step"]))
