"""Certificates as JSON, and their rates computed by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from hf_robust.metrics import Certificate, CertificateSummary, wilson_interval
from hf_robust.runs import finite, read_certificates, read_history, write_certificates, write_history_line


def certificate(
    idx: int, prediction: int | None = 1, radius: int | None = None, certified: bool = False
) -> Certificate:
    return Certificate(idx, 1, prediction, [10, 90], 0.8, 0.25, radius, certified)


FOUND = [
    certificate(0, radius=4, certified=True),
    certificate(1, radius=1, certified=True),
    certificate(2, radius=2),
    certificate(3, prediction=None),
    certificate(4, prediction=0),
]


def test_certificates_survive_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "certificates.jsonl"
    write_certificates(path, FOUND)
    assert read_certificates(path) == FOUND
    first = json.loads(path.read_text().splitlines()[3])
    assert list(first) == ["idx", "label", "prediction", "votes", "lower", "slack", "radius", "certified"]
    assert first["prediction"] is None and first["radius"] is None
    path.write_text('{"idx": 1, "label": 0}\n')
    with pytest.raises(ValueError, match="needs the keys prediction, votes, lower"):
        read_certificates(path)


def test_rates_by_hand() -> None:
    found = CertificateSummary.from_certificates(FOUND, 100, 0.01, 3.5)
    assert (found.certified_accuracy, found.smoothed_accuracy, found.abstained) == (0.4, 0.6, 0.2)
    assert (found.certified_accuracy_low, found.certified_accuracy_high) == wilson_interval(2, 5)
    assert (found.smoothed_accuracy_low, found.smoothed_accuracy_high) == wilson_interval(3, 5)
    assert (found.radius, found.num_examples, found.votes, found.alpha) == (2.5, 5, 100, 0.01)
    assert found.metrics() == {
        "certified_accuracy": 0.4,
        "certified_accuracy_low": found.certified_accuracy_low,
        "certified_accuracy_high": found.certified_accuracy_high,
        "smoothed_accuracy": 0.6,
        "abstained": 0.2,
        "certify_seconds": 3.5,
    }


def test_what_does_not_exist_is_nan_in_memory_and_null_on_disk(tmp_path: Path) -> None:
    none = CertificateSummary.from_certificates(FOUND[3:], 100, 0.01)
    assert none.certified_accuracy == 0 and math.isnan(none.radius)
    assert math.isnan(CertificateSummary.from_certificates([], 100, 0.01).smoothed_accuracy)
    line = {"epoch": 1.0, "step": 3, "accuracy": 0.5, "attacks": {}, "certified": none.history()}
    write_history_line(tmp_path, line)
    written = json.loads((tmp_path / "robustness_history.jsonl").read_text())
    assert written["certified"] == finite(none.history()) and written["certified"]["radius"] is None
    (read,) = read_history(tmp_path)
    assert math.isnan(read["certified"].pop("radius"))
    assert read["certified"] == {key: value for key, value in none.history().items() if key != "radius"}


@pytest.mark.parametrize("wrong", [3, {}, {"certified_accuracy": "much"}, {"smoothed_accuracy": 0.5}])
def test_a_history_line_of_other_certificates_is_refused(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(ValueError, match="'certified' needs numbers and a 'certified_accuracy'"):
        write_history_line(tmp_path, {"epoch": 1.0, "step": 3, "accuracy": 0.5, "attacks": {}, "certified": wrong})
