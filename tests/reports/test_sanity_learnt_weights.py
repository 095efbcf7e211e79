"""Whether the weights that an adaptive adversary learnt did anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_runs import recorded_run, records
from test_sanity_evidence import found

from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, OK


@pytest.mark.parametrize(
    ("config", "status", "said"),
    [
        (
            {"w_lr": 0.01, "point_moved": 0.00006}, FLAGGED,
            "the weights did nothing: they moved the point by 0.006 % of its norm at most (--w_lr 0.01).",
        ),
        ({"w_lr": 0.01, "point_moved": 0.0099}, FLAGGED, "the weights did nothing: they moved the point by 0.99 % of"),
        ({"w_lr": 1.0, "point_moved": 0.01}, OK, "the weights moved the point by 1 % of its norm at most (--w_lr 1);"),
        ({"w_lr": 0.0, "point_moved": 0.0}, OK, "the weights are frozen (--w_lr 0)"),
        ({"w_lr": 0.01}, NOT_CHECKED, "how far the weights moved the point was not logged"),
        ({}, NOT_CHECKED, "the run learnt no weights"),
    ],
)  # fmt: skip
def test_weights_that_hardly_moved_the_point_are_flagged(
    config: dict[str, Any], status: str, said: str, tmp_path: Path
) -> None:
    finding = found("learnt_weights", recorded_run(tmp_path / "run", {"synonym": records("sf")}, config=config))
    assert finding.status == status
    assert [one for one in (*finding.flags, *finding.seen, *finding.missing)][0].startswith(said)
    assert bool(finding.advice) == (status == FLAGGED)
