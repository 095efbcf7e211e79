"""The certificate of one example, and rates over many certificates."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hf_robust.metrics.keys import CERTIFICATE_KEYS
from hf_robust.metrics.rates import ratio, wilson_interval

_SECONDS = "certify_seconds"


@dataclass(frozen=True)
class Certificate:
    """The vote over random substitutions of one example, and the number of word swaps that cannot change it.

    ``votes`` counts the votes of each class. ``prediction`` is the class with the most votes, None if the vote
    abstains. ``lower`` is the lower confidence bound of the true label's share of all substitutions; ``slack`` is the
    largest decrease of that share if every word is swapped. ``radius`` is the largest number of swapped words for
    which the vote keeps the true label, whichever words they are; None if the vote on the text itself is not certain.
    ``certified`` is True if the radius equals the number of words that can be swapped.

    By interval bounds there are no ``votes``: ``prediction`` is the network's, ``lower`` the lower bound of the true
    label's logit over the largest other one, ``slack`` how far it is below that of the text itself, and ``radius`` the
    number of words that can be swapped if the text is certified, else None.
    """

    idx: int
    label: int
    prediction: int | None
    votes: list[int]
    lower: float
    slack: float
    radius: int | None
    certified: bool

    def to_json(self) -> dict[str, Any]:
        """The certificate as a JSON-ready dict."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Certificate:
        """The inverse of ``to_json``; unknown keys are ignored, so that newer files can be read.

        Raises:
            ValueError: a key is missing.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in data]
        if missing:
            raise ValueError(
                f"a certificate needs the keys {', '.join(missing)}; they are missing in {dict(data)!r:.200}."
            )
        return cls(**{name: data[name] for name in names})


@dataclass(frozen=True)
class CertificateSummary:
    """Rates of the vote over N examples, with 95 % Wilson intervals over the examples.

    ``certified_accuracy`` is the share of examples certified for their true label. ``smoothed_accuracy`` is the share
    that the vote predicts correctly, which is never smaller; an abstention is not correct. ``abstained`` is the share
    of abstentions. ``radius`` is the median radius of the certified examples in words, nan if there is none. ``votes``
    and ``alpha`` are the settings of each certificate, both 0 for interval bounds, where ``smoothed_accuracy`` is the
    accuracy of the network itself. The rates are nan without examples.
    """

    certified_accuracy: float
    certified_accuracy_low: float
    certified_accuracy_high: float
    smoothed_accuracy: float
    smoothed_accuracy_low: float
    smoothed_accuracy_high: float
    abstained: float
    radius: float
    num_examples: int
    votes: int
    alpha: float
    seconds: float

    @classmethod
    def from_certificates(
        cls, certificates: Sequence[Certificate], votes: int, alpha: float, seconds: float = 0.0
    ) -> CertificateSummary:
        """Summarise certificates; ``seconds`` is the time that they took."""
        certified = [certificate for certificate in certificates if certificate.certified]
        correct = [certificate for certificate in certificates if certificate.prediction == certificate.label]
        abstained = sum(certificate.prediction is None for certificate in certificates)
        total = len(certificates)
        radii = [certificate.radius for certificate in certified if certificate.radius is not None]
        certified_low, certified_high = wilson_interval(len(certified), total)
        smoothed_low, smoothed_high = wilson_interval(len(correct), total)
        return cls(
            certified_accuracy=ratio(len(certified), total),
            certified_accuracy_low=certified_low,
            certified_accuracy_high=certified_high,
            smoothed_accuracy=ratio(len(correct), total),
            smoothed_accuracy_low=smoothed_low,
            smoothed_accuracy_high=smoothed_high,
            abstained=ratio(abstained, total),
            radius=float(statistics.median(radii)) if radii else math.nan,
            num_examples=total,
            votes=votes,
            alpha=alpha,
            seconds=seconds,
        )

    def metrics(self) -> dict[str, float]:
        """``{"certified_accuracy": ...}`` and so on, the keys that reach the Trainer's log (which adds ``eval_``)."""
        return {key: self.seconds if key == _SECONDS else getattr(self, key) for key in CERTIFICATE_KEYS}

    def history(self) -> dict[str, float]:
        """What a line of ``robustness_history.jsonl`` holds under ``certified``."""
        return dataclasses.asdict(self)
