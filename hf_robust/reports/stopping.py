"""Texts on attacks that stopped at an interval (``--attack_until_interval``): where, and by which interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hf_robust.metrics import ConfidenceSequence
from hf_robust.runs import HistoryLine


def stopping_sentence(name: str, result: Mapping[str, Any]) -> str:
    """Where an attack stopped, by its entry in the history; empty for an attack of all its rows."""
    until = ConfidenceSequence.of_result(result)
    if until is None:
        return ""
    key = "robust_accuracy" if "robust_accuracy_low" in result else "asr"
    width, asked = 100 * (result[f"{key}_high"] - result[f"{key}_low"]), 100 * until.width
    rows = f"{result['num_examples']:,.0f} of {result['num_rows']:,.0f} rows"
    if width < asked:
        return f"{name} stopped after {rows}, at an interval of {width:.1f} points (95 % confidence sequence)."
    enough = f" At this rate {asked:g} points take about {until.rows(result[key]):,} rows." if width >= 0 else ""
    return f"{name} was stopped by no interval: after {rows} it has {width:.1f} points.{enough}"


def interval_name(lines: Iterable[HistoryLine]) -> str:
    """The kind of the intervals of these lines: "Wilson intervals", and that of attacks that stopped."""
    stopped = any(ConfidenceSequence.of_result(result) for line in lines for result in line["attacks"].values())
    return "Wilson intervals" + "; of attacks that stopped at an interval, confidence sequences" * stopped
