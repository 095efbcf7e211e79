"""Is the model of a run better than guessing? Judged from its run card and records, with the mark for its numbers."""

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
"""Number of attacked texts from which on a single predicted class shows that the model guesses."""
GUESSING_NOTE = (
    f"{DAGGER}: a model that is not, or hardly, better than always predicting the most frequent class; its rates "
    "under attack say nothing about robustness. "
)


def guessing_of(run: Run) -> Guessing | None:
    """Accuracy of the published weights and share of the most frequent class; None if they are unknown.

    The class shares are those of the run card (``data.class_shares``), else those of the attacked examples.
    """
    accuracy, samples = float(run.published["accuracy"]), run.eval_samples
    shares = run.data.get("class_shares")
    pairs = _labels_and_predictions(run)
    attacked = Guessing.of([label for label, _ in pairs], [answer for _, answer in pairs]) if pairs else None
    if attacked is not None and (not math.isfinite(accuracy) or (samples is None and accuracy == attacked.accuracy)):
        return attacked
    # On a few texts a good model may predict one class by chance.
    one_answer = attacked is not None and attacked.one_answer and len(pairs) >= ENOUGH
    if isinstance(shares, Mapping) and shares:
        return Guessing(accuracy, samples, max(map(float, shares.values())), len(shares), one_answer)
    if attacked is None:
        return None
    return Guessing(accuracy, samples, attacked.larger_class, attacked.num_classes, one_answer)


def guesses(run: Run) -> bool:
    """Whether the model of the run is known to be not, or hardly, better than guessing."""
    guess = guessing_of(run)
    return guess is not None and not guess.learnt


def dagger(runs: Iterable[Run]) -> str:
    """Suffix for the name of runs of which one guesses: a space and a dagger; else empty."""
    return f" {DAGGER}" if any(map(guesses, runs)) else ""


def guessing_warnings(run: Run) -> list[str]:
    """Warning about the numbers of a run whose model guesses; empty for other runs."""
    guess = guessing_of(run)
    if guess is None or guess.learnt:
        return []
    low, high = guess.interval
    bounds = f" [{100 * low:.1f}, {100 * high:.1f}]" if low < high else ""
    rows = f" on {guess.num_examples:,} rows" if guess.num_examples else ""
    sentence = f"The accuracy of the model, {100 * guess.accuracy:.1f} %{bounds}{rows}, is {_verdict(guess)}"
    one_class = "; it predicts one class for every attacked text" if guess.one_answer else ""
    return [f"{sentence}{one_class}. Rates under attack of a model that guesses say nothing about robustness."]


def _verdict(guess: Guessing) -> str:
    share = f"{100 * guess.larger_class:.1f} %"
    if guess.below_chance:
        return f"below chance ({100 * guess.chance:.1f} %); data and model may order the labels differently"
    if guess.no_better:
        return f"no better than always predicting the most frequent class ({share})"
    return (
        f"hardly better than always predicting the most frequent class ({share}; below {100 * guess.least:.1f} % the "
        "model has learnt little)"
    )


def _labels_and_predictions(run: Run) -> tuple[tuple[int, int], ...]:
    """Label and prediction of each clean text of the attack with the most examples, static attacks excluded."""
    attacks = [name for name in run.published["attacks"] if not is_static(described_in(run, name))]
    files = [run.records_file(run.published, name) for name in attacks]
    return max((_read(file, file.stat().st_mtime_ns) for file in files if file.is_file()), key=len, default=())


@lru_cache(maxsize=64)
def _read(file: Path, written: int) -> tuple[tuple[int, int], ...]:
    """Cached, since every table and picture of a report needs it; ``written`` invalidates the cache."""
    try:
        return tuple((record.label, record.original_prediction) for record in read_records(file, warn=False))
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}") from error
