"""`hf-robust attack`: attack a checkpoint, without training."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from hf_robust.cli.flags import add_attack_flags as add_flags
from hf_robust.cli.flags import output_folder

__all__ = ["add_flags", "run"]

PAIRS = 3
"""How many texts are shown before and after."""


def run(options: argparse.Namespace) -> str:
    """Attack a checkpoint; the rates as a table and some texts before and after."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.cli.before_after import before_and_after, choose_pairs, wants_colour
    from hf_robust.metrics import saturation_in_words
    from hf_robust.reports import results_table, warnings_of
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
    said = [saturation_in_words(name, summary) for name, summary in attacked.summaries.items()]
    warnings = [
        sentence for sentence in (*warnings_of(run), attacked.card.get("label_permutation"), *said) if sentence
    ]
    blocks = [*(f"Warning: {sentence}\n" for sentence in warnings), results_table(run)]
    blocks += [before_and_after(name, record, attacked.card["label_names"], colour) for name, record in pairs]
    if not pairs:
        blocks.append("No attack changed a prediction by changing a text.\n")
    if attacked.remark:
        blocks.append(attacked.remark)
    return "\n".join([*blocks, f"Results of every example are in {folder}."])
