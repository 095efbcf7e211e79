"""The rows of MNLI's mismatched validation set that ``--attack_mismatched`` attacks beside the matched ones."""

from __future__ import annotations

from hf_robust.attacks import AttackArguments, Example, choose_examples
from hf_robust.attacks.arguments import STANDARD
from hf_robust.data.splits import Splits

ROLE = "validation_mismatched"


def mismatched_examples(args: AttackArguments, splits: Splits, limit: int | None) -> list[Example]:
    """Choose as many rows as of the matched set, by the same seed; none without the flag.

    Args:
        limit: number of rows to choose from, as for the evaluation (``--max_eval_samples``).

    Raises:
        ValueError: the data have no such set, or the attacks are the standard's, whose name stands for one set.
    """
    if not args.attack_mismatched:
        return []
    if ROLE not in splits.corpus.splits:
        raise ValueError(
            f"--attack_mismatched needs the split {ROLE} of MNLI, and the splits of the data are "
            f"{', '.join(splits.corpus.splits)}: leave it out, or give --task_name mnli."
        )
    if STANDARD in args.attacks:
        raise ValueError(
            f"--attacks {STANDARD} is one number on one set of rows, so --attack_mismatched does not go with it: name "
            f"attacks, or measure the model by hf-robust attack --split {ROLE}."
        )
    return choose_examples(splits.labelled(ROLE, limit), args.attack_num_examples, args.attack_seed)
