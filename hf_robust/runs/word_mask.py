"""Word importances of a learnt word mask over the epochs of a run: ``word_mask.jsonl``, one object for each epoch.

A line holds ``epoch``, ``step``, ``words`` (number of words), ``texts`` (number of texts that contain them), ``mean``
and ``std`` of their importances phi, and ``top`` and ``bottom``: the ten words with the highest and the lowest phi.
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
"""Standard deviation of phi below which a mask does not distinguish words: it keeps all equally often."""
LEAST_RANK, ENOUGH = 0.2, 30
"""Rank correlation of phi with the importance of the words to the model below which a mask distinguishes words by
chance, and the minimum number of words for this judgement."""
SHOWN = 10
MaskLine = dict[str, Any]


def mask_line(epoch: float, step: int, importances: Mapping[str, float], texts: int) -> MaskLine:
    """The line of an epoch from phi by word.

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


def mask_defect(mask: Mapping[str, Any]) -> str:
    """Defect of a mask as a clause without a full stop; empty if there is none or nothing is known.

    Args:
        mask: ``phi_std`` and, if they were measured, ``phi_rank`` and ``phi_rank_words``.
    """
    if mask["phi_std"] < LEAST_SPREAD:
        return (
            f"its word importances have a standard deviation of {mask['phi_std']:.3f}, below {LEAST_SPREAD:g}, so it "
            "keeps all words equally often"
        )
    rank, words = mask.get("phi_rank"), mask.get("phi_rank_words", 0)
    if rank is not None and words >= ENOUGH and rank < LEAST_RANK:
        return (
            f"over {words:,} words its importances have a rank correlation of {rank:.2f} with the effect of leaving a "
            f"word out, below {LEAST_RANK:g}, so it keeps words by chance"
        )
    return ""


def write_mask_line(folder: str | os.PathLike[str], line: MaskLine) -> None:
    """Write the line of an epoch; it replaces lines of the same or a later step (of a resumed run)."""
    earlier = [one for one in read_mask_lines(folder) if one["step"] < line["step"]]
    write_json_lines(Path(folder) / MASK_HISTORY_FILE, [*earlier, line])


def clear_mask_lines(folder: str | os.PathLike[str]) -> None:
    """Remove the file of an earlier run from the folder."""
    (Path(folder) / MASK_HISTORY_FILE).unlink(missing_ok=True)


def read_mask_lines(folder: str | os.PathLike[str]) -> list[MaskLine]:
    """Read the lines of a run folder in the order of their steps; empty if there is no such file.

    Raises:
        ValueError: a line is malformed.
    """
    path = Path(folder) / MASK_HISTORY_FILE
    lines = read_json_lines(path) if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        if not all(isinstance(line.get(key), (int, float)) for key in ("epoch", "step", "mean", "std")):
            raise ValueError(
                f"{path}, line {number}: needs epoch, step, mean and std, got {json.dumps(line)[:80]}; delete it."
            )
    return sorted(lines, key=lambda line: float(line["step"]))
