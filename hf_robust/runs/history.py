"""Read and write ``robustness_history.jsonl``: one JSON object per measured epoch of a run.

A line is ``{"epoch": 1.0, "step": 313, "accuracy": 0.81, "attacks": {"synonym": {"asr": 0.4, ...}}}``. With several
attacks it also has their union, ``"union": {"attacks": ["synonym", ...], "num_examples": 500, "robust_accuracy": 0.3,
"robust_accuracy_low": 0.26, "robust_accuracy_high": 0.34}``. With certificates it has
``"certified": {"certified_accuracy": 0.3, "smoothed_accuracy": 0.8, ...}``, the numbers of
``hf_robust.metrics.CertificateSummary``. ``"classes": {"labels": [...], "predictions": [...], "correct": [...]}`` are
counts of each class over the evaluation rows (``hf_robust.metrics.ClassCounts``), by class id. A rate that does not
exist (no example was attacked) is ``null`` in the file, so that any JSON reader can read it, and ``nan`` in memory.
With the standard evaluation it has ``"standard": {"name": "standard-v1/wordnet", "robust_accuracy": 0.2, "members":
[...], ...}``, the numbers of ``hf_robust.metrics.cascade_history``.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_robust.metrics.class_scores import ClassCounts
from hf_robust.runs.files import HISTORY_FILE
from hf_robust.runs.json_files import write_json_lines

logger = logging.getLogger(__name__)

HistoryLine = dict[str, Any]


def read_history(path: str | Path) -> list[HistoryLine]:
    """Read the lines of a history in the order of their epochs, from the file or from its run folder.

    An incomplete last line is left out with a warning.

    Raises:
        ValueError: the file is missing or malformed.
    """
    path = history_path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; give a run folder in which attacks were measured (--attacks ...).")
    rows = path.read_text(encoding="utf-8").split("\n")
    torn = rows.pop()  # "" when the file ends with its newline, as every finished line does
    if torn.strip():
        rows.append(torn)
    history: list[HistoryLine] = []
    for number, row in enumerate(rows, start=1):
        if not row.strip():
            continue
        try:
            parsed = json.loads(row)
        except json.JSONDecodeError as error:
            if torn.strip() and number == len(rows):
                logger.warning("%s: line %d is incomplete and is left out.", path, number)
                break
            raise ValueError(f"{path}, line {number}: not JSON ({error.msg}); delete the line or the file.") from None
        history.append(_validated(parsed, f"{path}, line {number}"))
    return sorted(history, key=lambda line: float(line["epoch"]))


def write_history_line(path: str | Path, line: Mapping[str, Any], keep_later: bool = False) -> None:
    """Write the line of a measured epoch; it replaces lines of the same or a later epoch (of a resumed run).

    Args:
        keep_later: replace only the line of the same epoch, for an earlier checkpoint that is measured after training.
    """
    path = history_path(path)
    new = _validated(dict(line), "the line to write")
    old = read_history(path) if path.exists() else []
    before = [other for other in old if other["epoch"] < new["epoch"]]
    after = [other for other in old if keep_later and other["epoch"] > new["epoch"]]
    write_history(path, [*before, new, *after])


def write_history(path: str | Path, lines: Sequence[HistoryLine]) -> None:
    """Replace the content of a history; without lines the file is removed."""
    path = history_path(path)
    if lines:
        write_json_lines(path, lines)
    else:
        path.unlink(missing_ok=True)


def history_path(path: str | Path) -> Path:
    """Path of the history file, from the file or its run folder."""
    path = Path(path)
    return path if path.suffix == ".jsonl" else path / HISTORY_FILE


def attack_names(history: list[HistoryLine]) -> list[str]:
    """Names of all attacks of a history, in order of first appearance."""
    return list(dict.fromkeys(name for line in history for name in line["attacks"]))


def _validated(line: Any, where: str) -> HistoryLine:
    """The line with nan for ``null`` rates; a malformed line raises ValueError."""
    if not isinstance(line, dict):
        raise ValueError(f"{where}: expected an object with epoch, step and attacks, got {type(line).__name__}.")
    for key in ("epoch", "step"):
        if not _is_number(line.get(key)):
            raise ValueError(f"{where}: {key!r} must be a number, got {line.get(key)!r}.")
    attacks = line.get("attacks", {})
    if not isinstance(attacks, dict) or not all(isinstance(result, dict) for result in attacks.values()):
        raise ValueError(f"{where}: 'attacks' must map each attack's name to its numbers, got {attacks!r}.")
    for name, result in attacks.items():
        wrong = [key for key, value in result.items() if not _is_rate(value)]
        if "asr" not in result or wrong:
            raise ValueError(f"{where}: attack {name!r} needs numbers and an 'asr', got {result!r}.")
    validated = {name: {key: _null_to_nan(value) for key, value in result.items()} for name, result in attacks.items()}
    read = {"accuracy": _null_to_nan(line.get("accuracy")), "attacks": validated}
    more = (_validated_union, _validated_certified, _validated_standard, _validated_classes)
    return {**line, **read, **{key: value for check in more for key, value in check(line, where).items()}}


def _validated_union(line: HistoryLine, where: str) -> dict[str, Any]:
    if "union" not in line:
        return {}
    union = line["union"]
    if not isinstance(union, dict) or not isinstance(union.get("attacks"), list):
        raise ValueError(f"{where}: 'union' needs the names of its 'attacks' and numbers, got {union!r}.")
    numbers = {key: value for key, value in union.items() if key != "attacks"}
    wrong = [key for key, value in numbers.items() if not _is_rate(value)]
    if "robust_accuracy" not in numbers or wrong:
        raise ValueError(f"{where}: 'union' needs numbers and a 'robust_accuracy', got {union!r}.")
    return {"union": {"attacks": union["attacks"], **{key: _null_to_nan(value) for key, value in numbers.items()}}}


def _validated_certified(line: HistoryLine, where: str) -> dict[str, Any]:
    if "certified" not in line:
        return {}
    numbers = line["certified"]
    if (
        not isinstance(numbers, dict)
        or "certified_accuracy" not in numbers
        or not all(map(_is_rate, numbers.values()))
    ):
        raise ValueError(f"{where}: 'certified' needs numbers and a 'certified_accuracy', got {numbers!r}.")
    return {"certified": {key: _null_to_nan(value) for key, value in numbers.items()}}


def _validated_standard(line: HistoryLine, where: str) -> dict[str, Any]:
    if "standard" not in line:
        return {}
    entry = line["standard"]
    needed = ("name", "robust_accuracy", "num_examples", "members")
    if not isinstance(entry, dict) or any(key not in entry for key in needed):
        raise ValueError(f"{where}: 'standard' needs {', '.join(needed)}, got {entry!r:.200}.")
    return {"standard": {key: _null_to_nan(value) for key, value in entry.items()}}


def _validated_classes(line: HistoryLine, where: str) -> dict[str, Any]:
    if "classes" not in line:
        return {}
    try:
        return {"classes": ClassCounts.from_json(line["classes"]).to_json()}
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _is_rate(value: Any) -> bool:
    return value is None or _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _null_to_nan(value: Any) -> Any:
    return math.nan if value is None else value
