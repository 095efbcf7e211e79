"""`hf-robust attack`: attack a checkpoint, without training.

Adversarial texts beside their originals, for people to read: what changed is coloured on a terminal.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from hf_robust.cli.flags import add_attack_flags as add_flags
from hf_robust.cli.flags import output_folder
from hf_robust.metrics import AttackRecord
from hf_robust.reports.marked import Pieces, marked_differences

OLD, NEW, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def wants_colour(stream: TextIO) -> bool:
    """Whether a stream shows colours: a terminal, and neither NO_COLOR (https://no-color.org) nor a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def choose_pairs(records: Mapping[str, Sequence[AttackRecord]], count: int) -> list[tuple[str, AttackRecord]]:
    """Up to ``count`` successes that changed a text, spread over the attacks: the first of each, then the second."""
    found = {
        name: [record for record in one if record.status == "succeeded" and record.original != record.perturbed]
        for name, one in records.items()
    }
    ranked = [(rank, name, record) for name, one in found.items() for rank, record in enumerate(one[:count])]
    return [(name, record) for _, name, record in sorted(ranked, key=lambda one: one[0])[:count]]


def before_and_after(name: str, record: AttackRecord, label_names: Sequence[str], colour: bool = False) -> str:
    """One success in a few lines: predictions, what was changed, both texts.

    Args:
        name: the attack.
        label_names: the names behind the predictions' ids.
        colour: mark the words that differ by terminal codes, red before and green after.
    """
    before, after = (label_names[index] for index in (record.original_prediction, record.perturbed_prediction))
    outcome = f"{before} -> {after}" if before != after else f"{before} stays"
    swaps = ", ".join(f"{old or '(nothing)'} -> {new or '(nothing)'}" for _, old, new in record.changed)
    texts = [" | ".join(columns) for columns in (record.original, record.perturbed)]
    if colour:
        texts = list(coloured(*texts))
    return (
        f"{name}, example {record.idx}: {outcome} ({record.queries} queries{'; ' + swaps if swaps else ''})\n"
        f"  before: {texts[0]}\n"
        f"  after:  {texts[1]}\n"
    )


def coloured(before: str, after: str) -> tuple[str, str]:
    """Both texts with the words that differ coloured; every other character is as it was.

    >>> coloured("a good film", "a fine film")
    ('a \\x1b[31mgood\\x1b[0m film', 'a \\x1b[32mfine\\x1b[0m film')
    """
    before_pieces, after_pieces = marked_differences(before, after)
    return _with_codes(before_pieces, OLD), _with_codes(after_pieces, NEW)


def _with_codes(pieces: Pieces, code: str) -> str:
    return "".join(f"{code}{piece}{PLAIN}" if marked else piece for piece, marked in pieces)


__all__ = ["add_flags", "run"]

PAIRS = 3
"""How many texts are shown before and after."""


def run(options: argparse.Namespace) -> str:
    """Attack a checkpoint; the rates as a table and some texts before and after."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.metrics import saturation_warning
    from hf_robust.reports import guessing_warnings, results_table
    from hf_robust.runs import claim_folder, load_run
    from hf_robust.wiring.checkpoint_attack import AttackOptions, measure_attacks, write_attacks

    options.output_dir = output_folder(options)
    given = vars(options)
    flags = AttackArguments(**{f.name: given[f.name] for f in dataclasses.fields(AttackArguments) if f.name in given})
    own = AttackOptions(**{f.name: given[f.name] for f in dataclasses.fields(AttackOptions)})
    attacked = measure_attacks(own, flags)
    folder = claim_folder("attack", own.output_dir)
    write_attacks(attacked, folder)
    pairs = choose_pairs(attacked.records, PAIRS)
    colour = wants_colour(sys.stdout)
    run = load_run(folder)
    said = [saturation_warning(name, summary) for name, summary in attacked.summaries.items()]
    warnings = [
        sentence for sentence in (*guessing_warnings(run), attacked.card.get("label_permutation"), *said) if sentence
    ]
    blocks = [*(f"Warning: {sentence}\n" for sentence in warnings), results_table(run)]
    blocks += [before_and_after(name, record, attacked.card["label_names"], colour) for name, record in pairs]
    if not pairs:
        blocks.append("No attack changed a prediction by changing a text.\n")
    if attacked.remark:
        blocks.append(attacked.remark)
    return "\n".join([*blocks, f"Results of every example are in {folder}."])
