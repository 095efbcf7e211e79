"""The table that `hf-robust certify` prints, and what it says below it."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_robust.metrics import AttackSummary, Certificate, CertificateSummary, Coverage

CHANGED_WORDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20)
"""Numbers of changed words for which a vote over masks states the share of certified texts."""


def legend_of_swaps(options: argparse.Namespace, coverage: Coverage) -> str:
    """What certificates against swaps by a table say."""
    from hf_robust.certify import INTERVALS

    how = f"each certificate holds with probability {1 - options.alpha:g}"
    if options.rule == INTERVALS:
        how = "by interval bounds of the network itself, each certificate is certain"
    return (
        f"Certified against any word swaps by {options.neighbours or options.lexicon}; {how}. In brackets: 95 % "
        f"Wilson interval over the examples. The attacker has substitutes for {coverage.in_words()}.\n"
    )


def legend_of_masks(options: argparse.Namespace, certificates: Sequence[Certificate]) -> str:
    """What certificates over masks say, with the share of texts by the number of changed words."""
    radii = [-1 if one.radius is None else one.radius for one in certificates]
    counts = [(words, sum(radius >= words for radius in radii)) for words in CHANGED_WORDS]
    shares = ", ".join(f"{words}: {100 * count / len(radii):.1f} %" for words, count in counts if count)
    how = "an approximation that can be wrong for more texts" if options.beta == "votes" else "for every model"
    return (
        "Certified against any change of one word, whatever the table; by the number of changed words: "
        f"{shares or 'none'}. Each certificate holds with probability {1 - options.alpha:g} (beta {options.beta}, "
        f"{how}). In brackets: 95 % Wilson interval over the examples.\n"
    )


def about_attacks(options: argparse.Namespace) -> str:
    """How accuracy under attack compares with certified accuracy."""
    from hf_robust.certify import INTERVALS

    votes = options.attack_votes
    if options.rule == INTERVALS:
        return (
            "The attacks are on the same network. One that only swaps words by this table gets no lower than "
            "certified accuracy.\n"
        )
    if not votes:
        return "The attacks are on the plain model, which has no certificate.\n"
    return (
        f"The attacks are on a vote of {votes} draws, drawn anew for each text. If the vote is close, an attack may "
        f"find a text whose {votes} draws are wrong. So accuracy under attack can be below certified accuracy, which "
        "holds for a vote of very many draws.\n"
    )


def table_of(folder: Path, summary: CertificateSummary, accuracy: float, attacked: Mapping[str, AttackSummary]) -> str:
    """Format one row: accuracy, certified accuracy, and the accuracy under each attack.

    A model that guesses gets a warning above the table.
    """
    from hf_robust.metrics import wilson_interval
    from hf_robust.reports import guessing_warnings, markdown_table, percent, robust_accuracy_applies
    from hf_robust.runs import load_run

    count = summary.num_examples
    clean = percent(accuracy, wilson_interval(round(accuracy * count), count))
    of_vote = (summary.smoothed_accuracy_low, summary.smoothed_accuracy_high)
    certified = (summary.certified_accuracy_low, summary.certified_accuracy_high)
    cells = {
        "accuracy, %": clean,
        **({"of the vote, %": percent(summary.smoothed_accuracy, of_vote)} if summary.votes else {}),
        "certified, %": percent(summary.certified_accuracy, certified),
    }
    run = load_run(folder)
    for name, rates in attacked.items():
        if not robust_accuracy_applies(run, name):
            continue
        interval = (rates.robust_accuracy_low, rates.robust_accuracy_high)
        cells[f"under {name}, %"] = percent(rates.robust_accuracy, interval)
    if summary.votes:
        cells["abstained, %"] = percent(summary.abstained)
        cells["median radius, words"] = "–" if math.isnan(summary.radius) else f"{summary.radius:g}"
    cells["examples"] = str(count)
    warnings = "".join(f"Warning: {warning}\n\n" for warning in guessing_warnings(run))
    return warnings + markdown_table(list(cells), [list(cells.values())])
