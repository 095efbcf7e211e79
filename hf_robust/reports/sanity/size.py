"""Checks that enough examples were attacked and enough models trained for the rates, or for a difference of runs."""

from __future__ import annotations

import math
from statistics import NormalDist

from hf_robust.metrics import wilson_interval
from hf_robust.metrics.paired import POINTS, Difference, examples_needed, rates, robust
from hf_robust.reports.aims import robust_accuracy_applies, success_rate_applies
from hf_robust.reports.cells import attack_interval, percent
from hf_robust.reports.compare import same_rows
from hf_robust.reports.sanity.evidence import Evidence, Folder, MeasuredAttack
from hf_robust.reports.sanity.finding import Finding
from hf_robust.reports.sanity.pairing import Compared, compare

WIDEST = 0.2
"""Width of an interval above which most published methods cannot be told apart."""
AIM = 0.1


def sample_size(evidence: Evidence) -> Finding:
    """Carlini et al. 2019: a difference within the interval of its sample is not a difference.

    With a baseline run: flag a difference whose interval includes 0, on the same examples if they are known. The rate
    is accuracy under attack where it applies, else the success rate. Without one: flag rates with wide intervals.
    """
    finding = Finding("sample_size", "number of examples")
    if not evidence.main.attacks:
        finding.missing.append("the run has no attack.")
        return finding
    for measured in evidence.main.attacks:
        if not success_rate_applies(evidence.main.run, measured.name):
            finding.observations.append(
                f"{measured.label} has no rate: it succeeds on every correctly classified example."
            )
        elif evidence.baseline is None:
            _width(finding, measured, _key(evidence.main, measured))
        else:
            _difference(finding, evidence.main, evidence.baseline, measured)
    if evidence.baseline is not None and not (finding.flags or finding.observations):
        finding.missing.append(f"{evidence.baseline.run.path} was not measured with any attack of the run.")
    return finding


def training_seeds(evidence: Evidence) -> Finding:
    """Reimers and Gurevych 2017: two seeds of a method can differ significantly, so single runs do not rank methods.

    Never *ok*: the files of one run do not show the spread between seeds.
    """
    finding = Finding("training_seeds", "number of trainings")
    finding.missing.append(
        "the rates are of one training. Intervals are over examples; the difference between two seeds may be larger."
    )
    finding.advice.append(
        "train this run and the run to compare it with on other seeds (--seed N --output_dir DIR), and give all runs "
        "to hf-robust report."
    )
    return finding


def _key(folder: Folder, measured: MeasuredAttack) -> str:
    return "robust_accuracy" if robust_accuracy_applies(folder.run, measured.name) else "asr"


def _width(finding: Finding, measured: MeasuredAttack, key: str) -> None:
    rate, count = float(measured.result.get(key, math.nan)), _count(measured, key)
    interval = attack_interval(dict(measured.result), key)
    if interval is None or not math.isfinite(rate) or not count:
        finding.missing.append(f"{measured.label}: no example was attacked, or their number is unknown.")
        return
    width = interval[1] - interval[0]
    sentence = (
        f"{measured.label}: {_words(key)} {percent(rate, interval)} %, an interval of {POINTS * width:.1f} points, "
        f"N = {count:,}"
    )
    finding.numbers.append({"attack": measured.label, "rate": rate, "width": width, "num_examples": count})
    if width > WIDEST:
        finding.flags.append(
            f"{sentence}; an interval of {POINTS * AIM:.0f} points needs about {_examples_for(rate, AIM):,} examples."
        )
    else:
        finding.observations.append(f"{sentence}.")


def _examples_for(rate: float, width: float) -> int:
    """Approximate number of examples that gives a Wilson interval of this width."""
    z = NormalDist().inv_cdf(0.975)
    guess = math.ceil(4 * z * z * rate * (1 - rate) / width**2) or 1
    while True:
        low, high = wilson_interval(round(rate * guess), guess)
        if high - low <= width:
            return guess
        guess += max(1, guess // 50)


def _difference(finding: Finding, main: Folder, baseline: Folder, measured: MeasuredAttack) -> None:
    other = next((one for one in baseline.attacks if one.name == measured.name), None)
    if other is None:
        return
    key = _key(main, measured)
    compared, how = None, "on the same examples"
    if (other.records and measured.records) or same_rows(baseline.run.data, main.run.data):
        compared = compare(other, measured, robust if key == "robust_accuracy" else rates)
    if compared is None:
        compared, how = _unpaired(measured, other, key), "as independent samples, since no shared examples are known"
    if compared is None:
        finding.missing.append(f"{measured.label}: no example was attacked, or their number is unknown.")
        return
    difference = compared.difference
    sentence = f"{measured.label}: {_words(key)} {percent(compared.second)} % against {percent(compared.first)} % of "
    sentence += f"{baseline.run.path.name}, {compared.in_words()}, {how}"
    finding.numbers.append({"attack": measured.label, "rate": key, **compared.numbers()})
    if not difference.low <= 0 <= difference.high:
        finding.observations.append(f"{sentence}.")
        return
    needed = examples_needed(difference, compared.examples)
    more = (
        f"about {needed:,} examples would be needed" if needed else "no number of examples can show a difference of 0"
    )
    available = main.run.eval_samples
    if needed and available and needed > available:
        more += f", and the split has {available:,}: train with other seeds, or claim no difference"
    finding.flags.append(f"{sentence}; the interval includes 0, and {more}.")


def _unpaired(measured: MeasuredAttack, other: MeasuredAttack, key: str) -> Compared | None:
    """Difference of the rates of two independent samples, with its normal interval."""
    sides = [(float(one.result.get(key, math.nan)), _count(one, key)) for one in (other, measured)]
    if any(not math.isfinite(rate) or not count for rate, count in sides):
        return None
    value = POINTS * (sides[1][0] - sides[0][0])
    error = math.sqrt(sum(rate * (1 - rate) / count for rate, count in sides))
    spread = POINTS * NormalDist().inv_cdf(0.975) * error
    p = 2 * NormalDist().cdf(-abs(value) / POINTS / error) if error else float(not value)
    difference = Difference(value, value - spread, value + spread, [value])
    return Compared(sides[0][0], sides[1][0], difference, min(count for _, count in sides), p)


def _count(measured: MeasuredAttack, key: str) -> int:
    count = measured.result.get("num_examples" if key == "robust_accuracy" else "num_attacked", math.nan)
    return int(count) if math.isfinite(count) else 0


def _words(key: str) -> str:
    return "accuracy under attack" if key == "robust_accuracy" else "ASR"
