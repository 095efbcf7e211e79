"""`hf-robust attack`: attack a checkpoint or a function of texts, without training.

Prints the rates, and some adversarial texts with their originals; changed words are coloured on a terminal.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TextIO

from hf_robust.cli.flags import add_attack_flags, from_flags, output_folder
from hf_robust.metrics import AttackRecord
from hf_robust.reports.marked import Pieces, marked_differences

if TYPE_CHECKING:
    from hf_robust.wiring.checkpoint_attack import GivenVictim

PAIRS = 3
"""Number of texts that are printed before and after the attack."""
RED, GREEN, RESET = "\x1b[31m", "\x1b[32m", "\x1b[0m"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of a checkpoint, its data and the attacks, and those of a victim that is no checkpoint."""
    add_attack_flags(parser, model_needed=False)
    parser.add_argument(
        "--bf16",
        action="store_true",
        help="Run the model in bfloat16 autocast, on a processor or GPU that has it: faster, but rounding changes "
        "some outcomes.",
    )
    group = parser.add_argument_group("a victim that is no checkpoint")
    group.add_argument(
        "--victim",
        metavar="MODULE:NAME",
        help="What to attack in place of MODEL: a function from a list of texts to probabilities or logits [texts, "
        "classes] or to labels, an estimator with predict_proba or predict, a pipeline, or a (model, tokenizer) pair, "
        "in a Python module.",
    )
    group.add_argument(
        "--victim_batch_size", type=int, metavar="TEXTS", help="Maximum number of texts in one call. Default: 64."
    )
    group.add_argument(
        "--victim_retries",
        type=int,
        metavar="TIMES",
        help="How often a call that failed is tried again, after 0.5, 1, 2, ... seconds. Default: 0.",
    )
    group.add_argument(
        "--victim_rate", type=float, metavar="TEXTS", help="Maximum number of texts per second. Default: no limit."
    )
    group.add_argument(
        "--victim_outputs",
        choices=["probabilities", "logits", "labels"],
        help="What the function returns. Default: told from its first answer.",
    )


def run(options: argparse.Namespace) -> str:
    """Attack a checkpoint or a victim; return a table of the rates and some texts before and after."""
    from hf_robust.attacks import AttackArguments
    from hf_robust.attacks.arguments import STANDARD
    from hf_robust.metrics import saturation_warning
    from hf_robust.reports import guessing_warnings, results_table
    from hf_robust.runs import claim_folder, label_names, load_run
    from hf_robust.wiring.attack_results import write_attacks
    from hf_robust.wiring.checkpoint_attack import AttackOptions, measure_attacks

    given = _given(options)
    if not (options.attacks or options.replay) and options.attack_backend == "native":
        options.attacks = [STANDARD]
    options.output_dir = output_folder(options)
    flags, attack_options = from_flags(AttackArguments, options), from_flags(AttackOptions, options)
    results = measure_attacks(attack_options, flags, given)
    if not attack_options.ranks.is_first:
        return ""
    folder = claim_folder("attack", options.output_dir)
    write_attacks(results, folder)
    pairs = choose_pairs(results.records, PAIRS)
    colour = wants_colour(sys.stdout)
    run = load_run(folder)
    saturated = [saturation_warning(name, summary) for name, summary in results.summaries.items()]
    sentences = (*guessing_warnings(run), results.card.get("label_permutation"), *saturated)
    blocks = [*(f"Warning: {sentence}\n" for sentence in sentences if sentence), results_table(run)]
    blocks += [before_and_after(name, record, label_names(run), colour) for name, record in pairs]
    if not pairs:
        blocks.append("No attack changed a prediction by changing a text.\n")
    if results.remark:
        blocks.append(results.remark)
    return "\n".join([*blocks, f"Results of every example are in {folder}."])


def _given(options: argparse.Namespace) -> GivenVictim:
    """Return what ``--victim`` names and how it is called.

    Raises:
        ValueError: MODEL and ``--victim`` are both given or both missing, or the victim cannot be imported.
    """
    from hf_robust.wiring.checkpoint_attack import GivenVictim
    from hf_robust.wiring.opened_victim import FunctionSettings
    from hf_robust.wiring.victims import imported_victim

    if (options.model is None) == (options.victim is None):
        raise ValueError("give either MODEL, the folder or Hub id of a checkpoint, or --victim module:name.")
    names = ("batch_size", "retries", "rate", "outputs")
    settings = FunctionSettings(**{name: getattr(options, f"victim_{name}") for name in names})
    if options.victim is None:
        return GivenVictim(settings=settings)
    options.model = options.victim
    return GivenVictim(imported_victim(options.victim), settings)


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour text: on a terminal, unless NO_COLOR (https://no-color.org) is set or TERM is "dumb"."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def choose_pairs(records: Mapping[str, Sequence[AttackRecord]], count: int) -> list[tuple[str, AttackRecord]]:
    """Choose up to ``count`` successes that changed a text: the first of each attack, then the second of each."""
    successes = {
        name: (record for record in results if record.status == "succeeded" and record.original != record.perturbed)
        for name, results in records.items()
    }
    firsts = {name: islice(found, count) for name, found in successes.items()}
    ranked = [(rank, name, record) for name, found in firsts.items() for rank, record in enumerate(found)]
    return [(name, record) for _, name, record in sorted(ranked, key=lambda item: item[0])[:count]]


def before_and_after(
    name: str, record: AttackRecord, label_names: Sequence[str] | Mapping[int, str], colour: bool = False
) -> str:
    """Describe one success in three lines: predictions and changed words, the text before, the text after.

    Args:
        name: the attack.
        label_names: the class names by id.
        colour: mark the changed words by terminal codes, red before and green after.
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
    """Colour the words that differ between two texts; no other character changes.

    >>> coloured("a good film", "a fine film")
    ('a \\x1b[31mgood\\x1b[0m film', 'a \\x1b[32mfine\\x1b[0m film')
    """
    before_pieces, after_pieces = marked_differences(before, after)
    return _with_codes(before_pieces, RED), _with_codes(after_pieces, GREEN)


def _with_codes(pieces: Pieces, code: str) -> str:
    return "".join(f"{code}{piece}{RESET}" if marked else piece for piece, marked in pieces)
