"""Certifies texts on all ranks: each rank certifies a share and receives all certificates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_robust.certify.rules import CertifySettings
from hf_robust.certify.texts import Columns, Draws, Predict, certify_texts
from hf_robust.metrics import Certificate
from hf_robust.runs import Ranks, balanced_shares, journal_seconds, share_path


def certify_on_ranks(
    predict: Predict,
    examples: Sequence[tuple[int, Columns, int]],
    smoothing: Draws,
    settings: CertifySettings,
    key: str,
    *,
    num_labels: int,
    journals: Path,
    ranks: Ranks,
    progress: bool,
) -> tuple[list[Certificate], float]:
    """Return all certificates, sorted by ``idx``, and the seconds of the slowest rank; equal on all ranks.

    The draws depend on the seed and the text alone, so the number of ranks does not change a certificate, and an
    interrupted measurement can resume on any number of ranks.

    Args:
        examples: ``idx``, texts and label of each example.
        key: ``certify_key``, which names the journal.
        journals: folder of the journals.
    """
    journal = share_path(journals, key, ranks.rank, ranks.number)
    share = balanced_shares(examples, ranks.number, lambda example: sum(len(text.split()) for text in example[1]))
    mine = certify_texts(
        predict,
        [texts for _, texts, _ in share[ranks.rank]],
        [label for *_, label in share[ranks.rank]],
        smoothing,
        settings,
        num_labels=num_labels,
        ids=[idx for idx, *_ in share[ranks.rank]],
        journal=journal,
        progress=progress,
    )
    # The seconds in the journal: those of the measurement, not of reading the journal.
    shares = ranks.gather(([certificate.to_json() for certificate in mine], journal_seconds(journal)))
    certificates = [Certificate.from_json(row) for rows, _ in shares for row in rows]
    return sorted(certificates, key=lambda certificate: certificate.idx), max(seconds for _, seconds in shares)
