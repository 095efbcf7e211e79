"""Draws the votes for many texts, runs the model on them in large batches, and certifies each text."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from hf_robust.certify.masking import RandomMasking
from hf_robust.certify.rules import INTERVALS, CertifySettings, certify_votes
from hf_robust.certify.smoothing import Smoothing
from hf_robust.metrics import Certificate
from hf_robust.runs import LineJournal
from hf_robust.words import Text

Columns = tuple[str, ...]
Draws = Smoothing | RandomMasking
"""The random draws of a vote, and how much the draws of two texts can differ."""
Predict = Callable[[Sequence[Columns]], npt.NDArray[Any]]
BATCH = 4096
"""Number of draws that are predicted together, those of several texts if need be, so that batches are full."""


def certify_texts(
    predict: Predict,
    texts: Sequence[Columns],
    labels: Sequence[int],
    smoothing: Draws,
    settings: CertifySettings,
    *,
    num_labels: int,
    ids: Sequence[int] | None = None,
    journal: Path | None = None,
    progress: bool = True,
    batch: int = BATCH,
) -> list[Certificate]:
    """Certify every text for its label and return the certificates in the order of the texts.

    A text that is drawn several times is predicted once and counted each time; a text whose draws are all equal is
    predicted once. Memory holds the draws of one batch, or of one text if it has more votes than that.

    Args:
        predict: returns the class ids [n] of n texts, each a tuple of one or two columns.
        labels: the true class ids.
        num_labels: number of classes of the model [K].
        ids: distinct ``idx`` of the certificates; None for 0, 1, ...
        journal: a file to which certificates are added as texts finish. Texts in it are not voted on again, so an
            interrupted run can resume with the same result. Its name must depend on everything that the votes depend
            on: see ``certify_key``.
        batch: number of draws to predict together; it does not change a result.

    Raises:
        ValueError: the settings cannot certify any text for this number of classes, a label is no class, the
            predictions are no class ids, or the journal holds other texts.
    """
    settings.check_classes(num_labels)
    check_draws(smoothing, settings)
    ids = range(len(texts)) if ids is None else ids
    _check(texts, labels, ids, num_labels)
    book = LineJournal(journal, Certificate.from_json)
    wanted = set(ids)
    done = {certificate.idx: certificate for certificate in book.earlier() if certificate.idx in wanted}
    waiting = [place for place, idx in enumerate(ids) if idx not in done]
    for place, idx in enumerate(ids):
        if idx in done:
            _check_earlier(done[idx], labels[place], settings.votes, num_labels, journal)
    bar = tqdm(total=len(texts), initial=len(done), desc="certifying", disable=not progress, leave=False)
    with bar, book:
        left = [(place, smoothing.text(texts[place])) for place in waiting]
        for counted in _count_votes(predict, left, smoothing, settings.votes, num_labels, batch):
            for place, text, votes in counted:
                shifts = smoothing.shifts(text)
                done[ids[place]] = certify_votes(ids[place], labels[place], votes, shifts, settings, smoothing.needed)
                book.add(done[ids[place]])
            # The next texts may take minutes, and the process may be interrupted.
            book.flush()
            share = sum(certificate.certified for certificate in done.values()) / len(done)
            bar.set_postfix_str(f"certified {100 * share:.1f} %", refresh=False)
            bar.update(len(counted))
    return [done[idx] for idx in ids]


def check_draws(smoothing: Draws, settings: CertifySettings) -> None:
    """Refuse a beta of votes for a vote over substitutes, whose bound has no beta, and masks without a vote.

    Raises:
        ValueError: ``settings.beta`` is not ``one``, and no words are masked; or words are masked, and the rule is
            ``intervals``.
    """
    if settings.rule == INTERVALS and isinstance(smoothing, RandomMasking):
        raise ValueError(
            f"rule {INTERVALS} bounds swaps by a table, and {smoothing.source} is none: give a Smoothing."
        )
    if settings.beta != "one" and not isinstance(smoothing, RandomMasking):
        raise ValueError(
            f"beta {settings.beta} is for votes over masked words, and this vote substitutes words: leave it out, or "
            "give a mask rate."
        )


def certify_key(
    model: str, examples: Sequence[tuple[int, Columns, int]], smoothing: Draws, settings: CertifySettings
) -> str:
    """Hash (24 hexadecimal characters) that identifies a measurement, for the name of its journal.

    Args:
        model: everything that a prediction depends on: hash of the weights, truncation, precision.
        examples: ``idx``, texts and label of each example; the journal itself stores only ``idx``.
    """
    content = json.dumps([model, list(examples), smoothing.fingerprint(), settings.describe()])
    return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _count_votes(
    predict: Predict,
    texts: Sequence[tuple[int, Text]],
    smoothing: Draws,
    votes: int,
    num_labels: int,
    batch: int,
) -> Iterator[list[tuple[int, Text, list[int]]]]:
    """Yield groups of texts that fill a batch, each text with its index and the number of votes of each class."""
    group: list[Counter[Columns]] = []
    start = 0
    for end, (_, text) in enumerate(texts, start=1):
        group.append(smoothing.draws(text, votes))
        if end == len(texts) or sum(map(len, group)) >= batch:
            counts = _ask(predict, group, num_labels, batch)
            yield [(*item, votes_by_class) for item, votes_by_class in zip(texts[start:end], counts, strict=True)]
            group, start = [], end


def _ask(predict: Predict, group: Sequence[Counter[Columns]], num_labels: int, batch: int) -> Iterator[list[int]]:
    """Yield the number of votes of each class for each text's draws."""
    distinct = list(dict.fromkeys(columns for drawn in group for columns in drawn))
    answers: dict[Columns, int] = {}
    for start in range(0, len(distinct), batch):
        part = distinct[start : start + batch]
        answers.update(zip(part, _class_ids(predict(part), len(part), num_labels), strict=True))
    for drawn in group:
        counts = [0] * num_labels
        for columns, times in drawn.items():
            counts[answers[columns]] += times
        yield counts


def _class_ids(predicted: Any, count: int, num_labels: int) -> list[int]:
    ids = np.asarray(predicted)
    if ids.shape != (count,) or ids.dtype.kind not in "iu" or not ((ids >= 0) & (ids < num_labels)).all():
        raise ValueError(
            f"a vote needs one class id below {num_labels} for each of {count} texts, got {ids.dtype} of shape "
            f"{ids.shape}; a regression or multi-label model has no such prediction and cannot be certified."
        )
    return [int(class_id) for class_id in ids]


def _check(texts: Sequence[Columns], labels: Sequence[int], ids: Sequence[int], num_labels: int) -> None:
    if not len(texts) == len(labels) == len(ids):
        raise ValueError(
            f"each text needs a label and an idx, got {len(texts)} texts, {len(labels)} labels and {len(ids)} idx."
        )
    if len(set(ids)) < len(ids):
        raise ValueError("each text needs its own idx, but one occurs twice.")
    for idx, label in zip(ids, labels, strict=True):
        if not 0 <= label < num_labels:
            raise ValueError(
                f"example {idx} has label {label}, but the model has {num_labels} classes; certify a split that has "
                "labels."
            )


def _check_earlier(earlier: Certificate, label: int, votes: int, num_labels: int, journal: Path | None) -> None:
    if (earlier.label, sum(earlier.votes), len(earlier.votes)) != (label, votes, num_labels):
        raise ValueError(
            f"{journal} holds another label or other votes for example {earlier.idx}; give each measurement a journal "
            "of its own (certify_key names one)."
        )
