"""When a check does not count: every rule, its reason, and the rules that a run card or a history decides.

`RULES` is the whole list. A void check is shown with its numbers, counts in no verdict, and is not corrected for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.study.paired import VOID, outcomes, read, runs_of
from hf_robust.metrics import SATURATED
from hf_robust.metrics.paired import POINTS, robust
from hf_robust.reports.weights import LEAST_MOVED
from hf_robust.reports.word_mask import mask_of
from hf_robust.runs import HISTORY_FILE, load_run, mask_defect, read_statuses

Row = dict[str, Any]
REPEATED = "void: counted above"
DROPPED = "void: failed rows dropped"
CORRECTED = "void: method corrected since"
NO_RIVAL = "void: no rival of the paper"
UNSEEN = "void: attack not trained on"
BLIND = "void: saturated queries"
NOTHING_LEFT = "void: nothing withstands the attack"
UNMOVED = "void: perturbation moved nothing"
UNLEARNT = "void: mask not shown to be learnt"
UNMEASURED = "void: adversary not measured"
UNWEIGHTED = "void: weights have not learnt"
NOT_SPLIT = "void: function words not apart"
NO_FROZEN = "void: no frozen control"
UNEQUAL = "void: unequal loss increase"
NO_MATCHED = "void: no matched antonym views"
NO_WHOLE = "void: no whole beside the part"
NO_UNTRAINED = "void: no untrained mask"
NO_PARTNER = "void: no partner of the average"
OTHER_DROPOUT = "void: dropout not shared"
NO_SMALL_SHARE = "void: no augmentation of 2.6 %"
ASIDE = "not in the paper"
"""Part of checks that the claim does not consist of."""
TAICHI, ADAPTIVE = "taichi", "adaptive_"
UNTRAINED = "_untrained"
"""Suffix of the settings whose word mask stays at its start."""
LEAST_LEFT = 2.0
"""Percent of robust accuracy below which an attack leaves nothing to compare."""
LEAST_INCREASE = 1e-3
"""Nats of loss that an adversary must add on average; less is noise."""

RULES = {
    VOID: (
        "A run is less than a fifth of the way from the larger class's share to accuracy 1: a model that guesses "
        "gives the same answer under any attack, and its lost accuracy is not the cost of a method. Checks whether "
        "training collapses use such runs; and so do checks of clean accuracy, if all of a run's interval is below "
        "the smallest class's share: such a model does not guess, it has learnt wrong labels."
    ),
    REPEATED: "An earlier check of the claim has the same outcomes: a measurement counts once.",
    BLIND: (
        f"More than {100 * SATURATED:g} % of an attack's queries met a probability that float32 cannot tell from 1: "
        "the search was blind."
    ),
    NOTHING_LEFT: (
        f"Under the attack all compared settings keep less than {LEAST_LEFT:g} % robust accuracy: there is nothing to "
        "compare."
    ),
    UNMOVED: (
        f"The adversary raised the loss by less than {LEAST_INCREASE:g} nats on average: there was nothing to train "
        "against."
    ),
    UNWEIGHTED: (
        f"Learning the weights moved the point at which an adaptive method trains by less than {LEAST_MOVED:g} of its "
        "size: this is the method with frozen weights (C17)."
    ),
    UNLEARNT: (
        "The run card of a model with a learnt mask does not show that importances differ between words as the "
        "model does, or does not describe the mask: this is adversarial training with noise."
    ),
    DROPPED: "TaiChi was trained without the rows whose attack failed; the paper trains on a text for every row.",
    CORRECTED: (
        "A run of an adaptive method from before its ascent shared its dropout mask with the training pass and w "
        "ascended plainly; later run cards say how w ascends (w_optim)."
    ),
    UNMEASURED: (
        "The run card of an adaptive method has no loss increase, since training was shorter than a logging window: "
        "whether its adversary and its weights did anything is not known."
    ),
    NO_RIVAL: "The paper does not compare with this method.",
    UNSEEN: "TaiChi's paper trains a model for each attack that it tests with; this one knows the texts of another.",
    NOT_SPLIT: "Content and function words were not measured apart (C6).",
    NO_FROZEN: "A gain of an adaptive method without the same method with frozen weights (C17).",
    UNEQUAL: "The frozen control raises the loss by another amount, so that it is no control (C17).",
    NO_MATCHED: (
        "A lower antonym rate without a model trained on matched antonym views, which swap no stop words (C4)."
    ),
    NO_WHOLE: "A part of TaiChi without the whole and the whole without its adversarial twin beside it (C10).",
    NO_PARTNER: "A gain over averages of weights whose adversarial partner was not run and may not have learnt (C12).",
    NO_UNTRAINED: "A gain of a learnt mask without the same method with an untrained mask (C13 to C15).",
    OTHER_DROPOUT: "The two losses were taken under different dropout, which alone sets them apart (C20).",
    NO_SMALL_SHARE: "A gain of masking without a model of the paper's share of masked rows, 2.6 % (C21).",
}
"""Void verdict -> its reason."""


def is_void(verdict: str) -> bool:
    """Whether a verdict is one of the void ones."""
    return verdict.startswith("void")


def void_reasons(verdicts: Iterable[str]) -> str:
    """Number of void checks with reasons: ``6 void (4 near chance, 2 counted above)``; empty if there are none."""
    counts = Counter(verdict.partition(": ")[2] for verdict in verdicts if is_void(verdict))
    reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    return f"{counts.total()} void ({reasons})" if counts else ""


def config_of(run: Path) -> dict[str, Any]:
    """Arguments of a run and what training measured, from its run card; empty if an old card has none."""
    config: dict[str, Any] = read(run / "run_card.json").get("config") or {}
    return config


def blind(run: Path, quantity: str) -> bool:
    """Whether the attack that the quantity names met saturated probabilities too often; older runs did not count."""
    attacks = load_run(run).published.get("attacks", {}) if (run / HISTORY_FILE).is_file() else {}
    return float(attacks.get(quantity, {}).get("saturated_share", 0.0)) > SATURATED


def unmoved(run: Path, quantity: str) -> bool:
    """Whether the adversary of training hardly raised the loss; older runs did not log it."""
    return float(config_of(run).get("loss_increase", LEAST_INCREASE)) < LEAST_INCREASE


def unlearnt(run: Path, quantity: str) -> bool:
    """Whether a run with a learnt mask does not show that it learnt one; one with an untrained mask need not."""
    if run.name.rpartition("-seed")[0].endswith(UNTRAINED):
        return False
    card = read(run / "run_card.json")
    mask = mask_of(card)
    return card.get("method") == "flat" and (not mask or bool(mask_defect(mask)))


def dropped(run: Path, quantity: str) -> bool:
    """Whether TaiChi's training left out rows whose attack had failed.

    Run cards say how many rows were attacked and how many views were found; one without ``failed_views`` is of a time
    when the other rows were left out.
    """
    card = read(run / "run_card.json")
    lost = any(views["found"] < views["attempts"] for views in card.get("views", ()))
    return card.get("method") == TAICHI and lost and config_of(run).get("failed_views", "drop") == "drop"


def unweighted(folder: Path, adaptive: str) -> str:
    """The void verdict if the weights of an adaptive method did not learn in a run; empty if they did."""
    moves = [config_of(run).get("point_moved") for run in runs_of(folder, adaptive)]
    return UNWEIGHTED if any(moved is not None and moved < LEAST_MOVED for moved in moves) else ""


def corrected(run: Path, quantity: str) -> bool:
    """Whether an adaptive method was corrected after the run, whose card then lacks what later ones have."""
    return _adaptive_without(run, "w_optim")


def unmeasured(run: Path, quantity: str) -> bool:
    """Whether the card of an adaptive method does not say how much its adversary raised the loss."""
    return _adaptive_without(run, "loss_increase")


def _adaptive_without(run: Path, key: str) -> bool:
    method = str(read(run / "run_card.json").get("method"))
    return method.startswith(ADAPTIVE) and key not in config_of(run)


RUN_RULES: dict[str, Callable[[Path, str], bool]] = {
    BLIND: blind,
    UNMOVED: unmoved,
    UNLEARNT: unlearnt,
    DROPPED: dropped,
    CORRECTED: corrected,
    UNMEASURED: unmeasured,
}


def nothing_left(folder: Path, row: Row) -> bool:
    """Whether no compared setting withstands the attack that the quantity names."""
    rates = [
        POINTS * float(robust(outcomes(folder, setting, row["quantity"])).mean())
        for setting in row["runs"]
        if all(row["quantity"] in read_statuses(run) for run in runs_of(folder, setting))
    ]
    return bool(rates) and len(rates) == len(row["runs"]) and max(rates) < LEAST_LEFT


def by_rules(folder: Path, row: Row) -> Row:
    """The row, void if a rule applies to all of its ``runs`` or to one of them."""
    if is_void(row["verdict"]):
        return row
    if nothing_left(folder, row):
        return {**row, "verdict": NOTHING_LEFT}
    for verdict, applies in RUN_RULES.items():
        runs = (run for setting in row["runs"] for run in runs_of(folder, setting))
        broken = [run.name for run in runs if applies(run, row["quantity"])]
        if broken:
            return {**row, "verdict": verdict, "why": f"in {', '.join(broken)}"}
    return row
