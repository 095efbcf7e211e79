"""Certifies one text from its votes, by confidence bounds of the vote shares."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from hf_robust.metrics import Certificate, mcnemar_exact


class Bound(NamedTuple):
    """Bounds ``lower(count, total, alpha)`` and ``upper(count, total, alpha)``, each at confidence 1 - alpha."""

    lower: Callable[[int, int, float], float]
    upper: Callable[[int, int, float], float]


def clopper_pearson_lower(count: int, total: int, alpha: float) -> float:
    r"""Exact one-sided bound (Clopper and Pearson 1934): the p with :math:`P(\mathrm{Bin}(n, p) \ge k) = \alpha`.

    >>> round(clopper_pearson_lower(1000, 1000, 0.01), 5)
    0.99541
    """
    from scipy.special import betaincinv  # of scipy.stats, which loads for a second, it is beta.ppf

    return float(betaincinv(count, total - count + 1, alpha)) if count else 0.0


def clopper_pearson_upper(count: int, total: int, alpha: float) -> float:
    """Upper bound: one minus the lower bound of the other outcome."""
    return 1 - clopper_pearson_lower(total - count, total, alpha)


def hoeffding_lower(count: int, total: int, alpha: float) -> float:
    r"""Hoeffding's bound :math:`k/n - \sqrt{\ln(1/\alpha)/2n}`, as in SAFER's paper; at most the exact bound.

    >>> round(hoeffding_lower(5000, 5000, 0.01), 4)
    0.9785
    """
    return max(0.0, count / total - math.sqrt(math.log(1 / alpha) / (2 * total)))


def hoeffding_upper(count: int, total: int, alpha: float) -> float:
    """Upper bound: one minus the lower bound of the other outcome."""
    return 1 - hoeffding_lower(total - count, total, alpha)


BOUNDS: dict[str, Bound] = {
    "clopper_pearson": Bound(clopper_pearson_lower, clopper_pearson_upper),
    "hoeffding": Bound(hoeffding_lower, hoeffding_upper),
}
"""Confidence bounds by name.

The official code subtracts a constant ``mc_error`` of 0.01 for any number of votes; this is not offered. At 99 %
Hoeffding's bound is 0.0215 below the share with the paper's 5,000 votes and 0.0048 below it with run.sh's 100,000, so
the constant certifies too much with 5,000 votes and too little with 100,000."""


INTERVALS = "intervals"
"""The rule without votes: interval bounds of the network itself (:mod:`hf_robust.certify.intervals`)."""
RULES = ("half", "margin")
"""The rules of votes."""
BETAS = ("one", "votes")


@dataclass(frozen=True)
class CertifySettings:
    r"""Settings of a certificate.

    Let T be the slack of a text and p_c the share of class c among all its draws. Its label y is certified by

    - ``half``: :math:`\underline{p_y} - T \ge 1/2`, for any number of classes. The bound is one-sided at ``alpha``;
    - ``margin``: :math:`\underline{p_y} - T > \max_{c \ne y} \overline{p_c} + T`, with each of the K bounds at
      ``alpha`` / K, so that all hold together (Bonferroni). It certifies more if many classes share the remaining
      votes, and slightly less with two classes, for which ``half`` is the same rule with a better bound;
    - ``intervals``: no votes. The lower bound of the label's logit over that of any other class, by interval bounds
      through the network, is above 0 (:func:`hf_robust.certify.certify_swaps`). It is certain: ``votes`` and
      ``alpha`` are then 0, and the other settings must be left at their defaults.

    For votes over masked words (:class:`RandomMasking`) :math:`T = \beta\Delta_d`, where beta is the probability of
    the label given that a draw keeps one of the d changed words, the worst ones that the attacker can choose:

    - ``one``: beta is 1, its largest value, so that the certificate holds for every model;
    - ``votes``: beta is the label's share of the votes, as RanMASK takes it. The paper found the mean of beta over
      random words near this share. The worst words can have a larger beta, so such a certificate can be wrong for more
      texts than ``alpha`` says: a model that reads one word above all is an example. With the rule ``half`` only.

    Attributes:
        votes: random draws for each text [S]; 5,000 in both papers, 100,000 in SAFER's official run.sh.
        alpha: probability with which one text's certificate may be wrong.
        bound: confidence bound, a key of BOUNDS.
        rule: ``half``, ``margin`` or ``intervals``.
        beta: ``one`` or ``votes``.

    Raises:
        ValueError: a value is out of range, or not even a unanimous vote could be certified.
    """

    votes: int = 1000
    alpha: float = 0.01
    bound: str = "clopper_pearson"
    rule: str = "half"
    beta: str = "one"

    def __post_init__(self) -> None:
        if self.rule == INTERVALS:
            self._draw_nothing()
            return
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, got {self.votes}; 1000 is the default.")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha:g}; 0.01 means 99 % confidence.")
        if self.bound not in BOUNDS:
            raise ValueError(f"bound must be one of {', '.join(BOUNDS)}, got {self.bound!r}.")
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join((*RULES, INTERVALS))}, got {self.rule!r}.")
        if self.beta not in BETAS:
            raise ValueError(f"beta must be one of {', '.join(BETAS)}, got {self.beta!r}.")
        if self.beta != "one" and self.rule != "half":
            raise ValueError(
                f"beta {self.beta} is the label's own, and rule {self.rule} bounds other classes too; use rule half."
            )
        self.check_classes(2)

    def _draw_nothing(self) -> None:
        fields = {option.name: option.default for option in dataclasses.fields(self) if option.name != "rule"}
        drawn = [f"{name} {getattr(self, name)}" for name in fields if getattr(self, name) not in (fields[name], 0)]
        if drawn:
            raise ValueError(
                f"rule {INTERVALS} counts no votes and does not read {' and '.join(drawn)}: leave it out."
            )
        object.__setattr__(self, "votes", 0)
        object.__setattr__(self, "alpha", 0.0)

    def check_classes(self, num_labels: int) -> None:
        """Raise if these settings cannot certify any text with this number of classes, whatever its votes.

        Raises:
            ValueError: there are too few votes for ``alpha`` (margin rule: for ``alpha`` / ``num_labels``).
        """
        if num_labels < 2:
            raise ValueError(
                f"a certificate needs a classifier with at least 2 classes, got {num_labels}; a regression model has "
                "no class to certify."
            )
        if self.rule == INTERVALS:
            return
        if _certifies_unanimous(self, num_labels):
            return
        enough = self.votes
        while not _certifies_unanimous(self, num_labels, enough):
            enough += 1  # the required number grows with log(K / alpha), so the loop is short
        raise ValueError(
            f"{self.votes} votes cannot certify any text at alpha {self.alpha:g} with {num_labels} classes, rule "
            f"{self.rule} and bound {self.bound}, not even if all agree; {enough} can, or a larger alpha."
        )

    def describe(self) -> dict[str, Any]:
        """The settings for the run card; JSON-ready. Without beta, if it is 1: a vote over substitutes has none."""
        if self.rule == INTERVALS:
            return {"rule": self.rule}
        described = dataclasses.asdict(self)
        return {key: value for key, value in described.items() if (key, value) != ("beta", "one")}


def certify_votes(
    idx: int,
    label: int,
    votes: Sequence[int],
    shifts: Sequence[float],
    settings: CertifySettings,
    needed: int | None = None,
) -> Certificate:
    """Certify one text for its label.

    The prediction abstains as PREDICT of Cohen et al. 2019, arXiv:1902.02918, does: if a two-sided binomial test
    cannot separate the two classes with the most votes at ``alpha``. Certified accuracy concerns the label, which is
    known before the votes. So one sample is enough; Cohen's CERTIFY needs another sample to select the class, since a
    bound for the class with the most votes in the same sample would be biased. A text whose vote does not predict its
    label is not certified, so certified accuracy is never above smoothed accuracy.

    Args:
        votes: number of draws predicted as each of the K classes.
        shifts: largest change of a share by 0, 1, ... changed words.
        needed: number of changed words that a certified text withstands; None for as many as can change.
    """
    counts = [int(count) for count in votes]
    lower, rival = _bounds(label, counts, settings)
    predicted = _prediction(counts, settings.alpha)
    beta = counts[label] / sum(counts) if settings.beta == "votes" else 1.0
    slacks = [beta * shift for shift in shifts]
    radius = certified_radius(lower, rival, slacks, settings.rule) if predicted == label else None
    most = len(slacks) - 1
    needed = most if needed is None else min(needed, most)
    return Certificate(
        idx=idx,
        label=label,
        prediction=predicted,
        votes=counts,
        lower=lower,
        slack=slacks[needed],
        radius=radius,
        certified=radius is not None and radius >= needed,
    )


def certified_radius(lower: float, rival: float, slacks: Sequence[float], rule: str) -> int | None:
    """The largest number of arbitrary words whose change is certified; None if not even 0 changes are certified.

    Args:
        lower: lower bound of the label's share.
        rival: upper bound of the shares of all other classes; ``half`` does not use it.
        slacks: largest change of a share by 0, 1, ... changed words.
        rule: ``half`` or ``margin``.

    >>> certified_radius(0.9, 0.1, swap_shifts([0.9, 0.6, 1.0]), "half")
    1
    """
    radius = None
    for changed, slack in enumerate(slacks):
        if not (lower - slack >= 0.5 if rule == "half" else lower - slack > rival + slack):
            break
        radius = changed
    return radius


def swap_shifts(overlaps: Sequence[float]) -> list[float]:
    """Largest change of a share by 0, 1, ... swapped words: one minus the product of the smallest overlaps.

    Args:
        overlaps: q_w of each word that can be swapped (:class:`Smoothing`).

    >>> [round(shift, 2) for shift in swap_shifts([0.9, 0.6, 1.0])]
    [0.0, 0.4, 0.46, 0.46]
    """
    return [1 - overlap for overlap in accumulate(sorted(overlaps), operator.mul, initial=1.0)]


def _bounds(label: int, counts: Sequence[int], settings: CertifySettings) -> tuple[float, float]:
    """Lower bound of the label's share, and the largest upper bound of another class's share (0 for ``half``)."""
    bound, total = BOUNDS[settings.bound], sum(counts)
    if settings.rule == "half":
        return bound.lower(counts[label], total, settings.alpha), 0.0
    alpha = settings.alpha / len(counts)
    others = max(count for class_id, count in enumerate(counts) if class_id != label)
    return bound.lower(counts[label], total, alpha), bound.upper(others, total, alpha)


def _prediction(counts: Sequence[int], alpha: float) -> int | None:
    first, second = sorted(range(len(counts)), key=lambda class_id: -counts[class_id])[:2]
    # Whether two counts come from equal shares is McNemar's question.
    return None if mcnemar_exact(counts[first], counts[second]) > alpha else first


def _certifies_unanimous(settings: CertifySettings, num_labels: int, votes: int | None = None) -> bool:
    counts = [settings.votes if votes is None else votes, *[0] * (num_labels - 1)]
    return certify_votes(0, 0, counts, [0.0], settings).certified
