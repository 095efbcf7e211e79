"""Whether a run's model is better than guessing, from its run card and records; the mark that its numbers carry."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from hf_robust.metrics import Guessing
from hf_robust.reports.aims import described_in, is_static
from hf_robust.runs import Run, read_records

DAGGER = "†"
ENOUGH = 20
"""From so many attacked texts on, of several classes, one answer to all of them shows a model that guesses."""
GUESSING_NOTE = (
    f"{DAGGER}: a model that is not, or hardly, better than the most frequent class as every answer; its rates under "
    "attack say nothing about robustness. "
)


def guessing_of(run: Run) -> Guessing | None:
    """The accuracy of the kept weights beside the larger class of the evaluation rows; None where nothing tells it.

    The classes are the card's (``data.class_shares``), else those of the attacked examples whose records were kept.
    """
    accuracy, samples = float(run.published["accuracy"]), run.eval_samples
    shares = run.data.get("class_shares")
    seen = _answers(run)
    attacked = Guessing.of([label for label, _ in seen], [answer for _, answer in seen]) if seen else None
    if attacked is not None and (not math.isfinite(accuracy) or (samples is None and accuracy == attacked.accuracy)):
        return attacked
    # Of a few texts a model that has learnt may well give one answer.
    one_answer = attacked is not None and attacked.one_answer and len(seen) >= ENOUGH
    if isinstance(shares, Mapping) and shares:
        return Guessing(accuracy, samples, max(map(float, shares.values())), len(shares), one_answer)
    if attacked is None:
        return None
    return Guessing(accuracy, samples, attacked.larger_class, attacked.num_classes, one_answer)


def guesses(run: Run) -> bool:
    """Whether the run's model is known to be no, or hardly, better than guessing."""
    found = guessing_of(run)
    return found is not None and not found.learnt


def dagger(runs: Iterable[Run]) -> str:
    """What stands behind the name of runs of which one guesses, with a space before it; nothing where none does."""
    return f" {DAGGER}" if any(map(guesses, runs)) else ""


def guessing_warnings(run: Run) -> list[str]:
    """The sentence to be read before the numbers of a run whose model guesses; none for another."""
    found = guessing_of(run)
    if found is None or found.learnt:
        return []
    low, high = found.interval
    bounds = f" [{100 * low:.1f}, {100 * high:.1f}]" if low < high else ""
    rows = f" on {found.num_examples:,} rows" if found.num_examples else ""
    said = f"The model's accuracy, {100 * found.accuracy:.1f} %{bounds}{rows}, is {_beside(found)}"
    answer = "; it gives one answer to every attacked text" if found.one_answer else ""
    return [f"{said}{answer}: rates under attack of a model that guesses say nothing about robustness."]


def _beside(found: Guessing) -> str:
    if found.below_chance:
        chance = f"{100 * found.chance:.1f} %"
        return f"below chance ({chance}), as where the labels of data and model have other numbers (permuted)"
    if found.no_better:
        return f"no better than the most frequent class as every answer ({100 * found.larger_class:.1f} %)"
    return (
        f"hardly better than the most frequent class as every answer ({100 * found.larger_class:.1f} %; below "
        f"{100 * found.least:.1f} % little was learnt)"
    )


def _answers(run: Run) -> tuple[tuple[int, int], ...]:
    """Label and prediction of the clean texts of the attack that was given the most of the data's own examples."""
    own = [name for name in run.published["attacks"] if not is_static(described_in(run, name))]
    files = [run.records_file(run.published, name) for name in own]
    return max((_read(file, file.stat().st_mtime_ns) for file in files if file.is_file()), key=len, default=())


@lru_cache(maxsize=64)
def _read(file: Path, written: int) -> tuple[tuple[int, int], ...]:
    """Every table and picture of a report asks; ``written`` tells a file from what it held before."""
    try:
        return tuple((record.label, record.original_prediction) for record in read_records(file, warn=False))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
