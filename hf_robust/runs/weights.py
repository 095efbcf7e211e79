"""The learnt weights of an adaptive adversary over the steps of a run, and the error of its linearisation.

``adversary_weights.jsonl`` holds one object for each logged step:

- ``step``, ``epoch``, ``w`` (weights of the k increments, means since the previous entry), ``entropy``;
- if logged: ``increment_norm``, ``increment_alignment`` (1 if all increments have one direction), ``point_moved``
  (distance between the perturbation with the learnt and with the initial weights, relative to its norm),
  ``clean_loss``, ``loss_increase`` (loss at the point minus the clean loss, under the same dropout mask);
- if logged: ``loss``, ``linearised_loss`` and ``linearisation_error``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.runs.files import ADVERSARY_WEIGHTS_FILE
from hf_robust.runs.json_files import write_json_lines

_ASCENT = ("increment_norm", "increment_alignment", "point_moved", "clean_loss", "loss_increase")
_LINEARISATION = ("loss", "linearised_loss", "linearisation_error")

AdversaryWeightsLine = dict[str, Any]


def adversary_weight_lines(log_history: Iterable[Mapping[str, Any]]) -> list[AdversaryWeightsLine]:
    """Lines of the file from the entries of a Trainer's log with ``w_1``, ``w_2``, ..., in the order of the steps."""
    lines = {}
    for entry in log_history:
        if "w_1" not in entry:
            continue
        weights: list[float] = []
        while f"w_{len(weights) + 1}" in entry:
            weights.append(entry[f"w_{len(weights) + 1}"])
        line: AdversaryWeightsLine = {"step": entry["step"], "epoch": entry.get("epoch"), "w": weights}
        line["entropy"] = entry.get("w_entropy")
        line |= {key: entry[key] for key in _ASCENT if key in entry}
        if "linearised_loss" in entry:
            line |= {key: entry[key] for key in _LINEARISATION if key in entry}
        lines[entry["step"]] = line
    return [lines[step] for step in sorted(lines)]


def write_adversary_weights(folder: str | os.PathLike[str], lines: Sequence[AdversaryWeightsLine]) -> Path:
    """Replace the content of the folder's file by these lines."""
    path = Path(folder) / ADVERSARY_WEIGHTS_FILE
    write_json_lines(path, lines)
    return path


def read_adversary_weights(folder: str | os.PathLike[str]) -> list[AdversaryWeightsLine]:
    """Read the lines of a run folder's file, in the order of the steps.

    Raises:
        ValueError: there is no such file, or a line is malformed.
    """
    path = Path(folder) / ADVERSARY_WEIGHTS_FILE
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give the folder of a run with --robust_method adaptive_*.")
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            lines.append({**line, "step": int(line["step"]), "w": [_number(weight) for weight in line["w"]]})
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path}, line {number}: needs a step and weights w, got {text[:80]!r}.") from None
    if len({len(line["w"]) for line in lines}) != 1:
        raise ValueError(f"{path} needs the same number of weights in all lines; delete the file and train again.")
    return sorted(lines, key=lambda line: line["step"])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
