"""The controls beside the claims: what else a gain could come from, and the run that would show it.

A check that holds is void where the control that its claim has is missing. A check that fails needs none: the gain is
not there, whatever would have caused it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.study.distances import CONTENT, FUNCTION
from benchmarks.study.paired import ACCURACY, HOLDS, read, runs_of
from benchmarks.study.voids import (
    NO_FROZEN,
    NO_MATCHED,
    NO_PARTNER,
    NO_SMALL_SHARE,
    NO_UNTRAINED,
    NO_WHOLE,
    NOT_SPLIT,
    OTHER_DROPOUT,
    UNEQUAL,
    UNTRAINED,
    Row,
    config_of,
    is_void,
)

MATCHED = "_matched"
"""Suffix of the settings of BAT that train on ``--antonym_views matched``."""
FROZEN = "_frozen"
"""Suffix of the settings whose adversary weights are frozen (``--w_lr 0``)."""
SMALL_SHARE = "_small_share"
"""Suffix of the settings of GradMask that mask 2.6 % of the training rows."""
SMALLEST_SHARE = 0.03
"""Share of masked rows up to which a run has the paper's, 2.6 %."""
EQUAL = 0.1
"""Share by which the loss increase of a frozen control may differ."""
TWIN, WHOLE = "taichi_no_adv", "taichi"
PARTNERS = ("base_adv", "linear_average_0")
"""Settings that are the adversarial partner of TaiChi's averages: trained alone, or the average of no clean share."""


@dataclass(frozen=True)
class Control:
    """The control of a claim.

    Args:
        name: what it is.
        missing: the void verdict of a check that holds without it.
        needed: whether a check needs it.
        found: folder of an experiment and a check -> where the control is; empty if it was not run.
    """

    name: str
    missing: str
    needed: Callable[[Row], bool]
    found: Callable[[Path, Row], str]


def with_suffix(suffix: str, method: str = "") -> Callable[[Path, Row], str]:
    """The control is the setting with this suffix of a compared setting, by default of any."""

    def found(folder: Path, row: Row) -> str:
        names = [f"{name.removesuffix(suffix)}{suffix}" for name in row["runs"] if name.startswith(method)]
        return ", ".join(name for name in dict.fromkeys(names) if runs_of(folder, name))

    return found


def words_apart(folder: Path, row: Row) -> str:
    """Whether the check is of one kind of changed word."""
    kinds = [kind for kind in (CONTENT, FUNCTION) if f"{kind}-word" in row["text"]]
    return f"{kinds[0]} words apart" if kinds else ""


def small_share(folder: Path, row: Row) -> str:
    """The setting that masks about 2.6 % of the rows: a compared one by its run card, else the one with the suffix."""
    for name in row["runs"]:
        cards = [read(run / "run_card.json") for run in runs_of(folder, name)]
        if cards and all(masked_share(card) <= SMALLEST_SHARE for card in cards):
            return str(name)
    return with_suffix(SMALL_SHARE, "gradient_mask")(folder, row)


def masked_share(card: dict[str, Any]) -> float:
    """Largest share of the training rows of a run that GradMask masks; infinite without the method."""
    classes, per_class = card["data"].get("class_shares"), (card.get("config") or {}).get("mask_per_class")
    return per_class * len(classes) / card["data"]["train_samples"] if classes and per_class else math.inf


def whole_beside(folder: Path, row: Row) -> str:
    """Whether the whole and the whole without its adversarial twin were run."""
    return f"{WHOLE} and {TWIN}" if runs_of(folder, WHOLE) and runs_of(folder, TWIN) else ""


def partner_beside(folder: Path, row: Row) -> str:
    """The setting that is the adversarial partner of the averages."""
    return next((name for name in PARTNERS if runs_of(folder, name)), "")


def shared_dropout(folder: Path, row: Row) -> str:
    """Whether both losses were taken under the same dropout masks, so that dropout is not between them."""
    configs = [config_of(run) for name in row["runs"] for run in runs_of(folder, name)]
    return "one dropout mask for both losses" if configs and all(c.get("same_dropout") for c in configs) else ""


def uses(word: str) -> Callable[[Row], bool]:
    """Whether a compared setting begins with a word."""
    return lambda row: any(name.startswith(word) for name in row["runs"])


MASK = Control("untrained mask", NO_UNTRAINED, uses("flat"), with_suffix(UNTRAINED, "flat"))
CONTROLS = {
    "C4": Control(
        "matched antonym views",
        NO_MATCHED,
        lambda row: row["quantity"] == "antonym",
        with_suffix(MATCHED, "bat_"),
    ),
    "C6": Control("content and function words apart", NOT_SPLIT, lambda row: True, words_apart),
    "C10": Control("the whole against w/o ADV", NO_WHOLE, lambda row: True, whole_beside),
    "C12": Control("the averages' adversarial partner", NO_PARTNER, lambda row: True, partner_beside),
    "C13": MASK,
    "C14": MASK,
    "C15": MASK,
    "C17": Control(
        "frozen weights of equal loss increase",
        NO_FROZEN,
        lambda row: row["quantity"] != ACCURACY,
        with_suffix(FROZEN, "adaptive_"),
    ),
    "C20": Control("linearisation without dropout between", OTHER_DROPOUT, lambda row: True, shared_dropout),
    "C21": Control(
        "masking 2.6 % of the rows",
        NO_SMALL_SHARE,
        lambda row: row["quantity"] == "transition",
        small_share,
    ),
}
"""Claim -> its control; the other claims are compared with their control alone."""


def with_control(folder: Path, row: Row) -> Row:
    """The row with the control beside it (``beside``); void if it holds and the control is missing or unequal."""
    control = CONTROLS.get(row["claim"])
    if control is None or not control.needed(row):
        return {**row, "beside": None}
    found = control.found(folder, row)
    checked = {**row, "beside": found}
    if is_void(row["verdict"]) or row["verdict"] != HOLDS:
        return checked
    if not found:
        return {**checked, "verdict": control.missing, "why": f"{control.name}: not run"}
    return {**checked, "verdict": UNEQUAL} if row["claim"] == "C17" and unequal(folder, row, found) else checked


def unequal(folder: Path, row: Row, frozen: str) -> bool:
    """Whether the frozen control raises the loss by another amount, as far as both logged it."""
    both = [loss_increase(folder, name) for name in (frozen.removesuffix(FROZEN), frozen)]
    known = [value for value in both if value is not None]
    return len(known) == len(both) and abs(known[0] - known[1]) > EQUAL * max(map(abs, known))


def loss_increase(folder: Path, name: str) -> float | None:
    """Mean loss increase of a setting by its adversary; None if a run did not log it."""
    values = [config_of(run).get("loss_increase") for run in runs_of(folder, name)]
    return statistics.mean(values) if values and None not in values else None
