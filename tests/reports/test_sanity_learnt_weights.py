"""Check of the learnt weights of an adaptive adversary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_runs import recorded_run, records
from test_sanity_evidence import finding_of

from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, OK


@pytest.mark.parametrize(
    ("config", "status", "sentence"),
    [
        (
            {"w_lr": 0.01, "point_moved": 0.00006}, FLAGGED,
            "they moved the adversarial point by at most 0.006 % of its norm (--w_lr 0.01).",
        ),
        ({"w_lr": 0.01, "point_moved": 0.0099}, FLAGGED, "the weights had no effect"),
        ({"w_lr": 1.0, "point_moved": 0.01}, OK, "moved the adversarial point by at most 1 % of its norm (--w_lr 1);"),
        ({"w_lr": 0.0, "point_moved": 0.0}, OK, "the weights are frozen (--w_lr 0)"),
        ({"w_lr": 0.01}, NOT_CHECKED, "how far the weights moved the adversarial point was not logged"),
        ({}, NOT_CHECKED, "the method learns no adversary weights"),
    ],
)  # fmt: skip
def test_weights_that_hardly_moved_the_point_are_flagged(
    config: dict[str, Any], status: str, sentence: str, tmp_path: Path
) -> None:
    finding = finding_of("learnt_weights", recorded_run(tmp_path / "run", {"synonym": records("sf")}, config=config))
    assert finding.status == status
    assert sentence in [*finding.flags, *finding.observations, *finding.missing][0]
    assert bool(finding.advice) == (status == FLAGGED)
