"""The word mask of a run in report, model card and check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_runs import recorded_run, records

from hf_robust.hub.section import robustness_section
from hf_robust.reports import load_runs, write_report
from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, OK, check_run, gather_evidence
from hf_robust.runs import MASK_HISTORY_FILE, load_run, mask_line, read_mask_lines, write_mask_line

IMPORTANCES = {"good": 0.9, "bad": 0.8, "film": 0.4, "the": 0.3}


def mask(std: float, rank: float = 0.4) -> dict[str, Any]:
    line = mask_line(2.0, 20, IMPORTANCES, 16)
    found = {f"phi_{key}": line[key] for key in ("mean", "words", "top", "bottom")}
    accuracies = {"expected": 0.8, "none": 0.81, "sampled": 0.75, "sampled_std": 0.004, "rows": 1000}
    found |= {"phi_std": std, "phi_rank": rank, "phi_rank_words": 150}
    return {**found, **{f"mask_accuracy_{key}": value for key, value in accuracies.items()}}


def flat_run(folder: Path, std: float = 0.2, rank: float = 0.4, **card: Any) -> Path:
    config = {"robust_method": "flat", **mask(std, rank)}
    given = {"method": "flat", "config": config, "found": sorted(mask(std)), **card}
    return recorded_run(folder, {"synonym": records("s" * 30 + "f" * 30)}, **given)


def test_a_line_is_of_the_words_by_hand() -> None:
    line = mask_line(2.0, 20, IMPORTANCES, 16)
    assert line["mean"] == 0.6 and line["std"] == pytest.approx(((0.3**2 + 0.2**2) * 2 / 4) ** 0.5, abs=1e-4)
    assert list(line["top"]) == ["good", "bad", "film", "the"] and list(line["bottom"].values()) == [
        0.3, 0.4, 0.8, 0.9
    ]  # fmt: skip


def test_lines_are_in_the_order_of_steps_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert read_mask_lines(tmp_path) == []
    for step in (10, 20, 30, 20):
        write_mask_line(tmp_path, mask_line(step / 10, step, IMPORTANCES, 16))
    assert [line["step"] for line in read_mask_lines(tmp_path)] == [10, 20]
    (tmp_path / MASK_HISTORY_FILE).write_text('{"step": 3}\n')
    with pytest.raises(ValueError, match="line 1: needs epoch, step, mean and std"):
        read_mask_lines(tmp_path)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"std": 0.049}, FLAGGED),
        ({"std": 0.051}, OK),
        ({"rank": 0.19}, FLAGGED),
        ({"rank": 0.21}, OK),
        ({"config": {"robust_method": "flat"}}, NOT_CHECKED),
    ],
)
def test_check_flags_a_mask_that_tells_no_words_apart(given: dict[str, Any], status: str, tmp_path: Path) -> None:
    finding = next(
        one for one in check_run(gather_evidence(flat_run(tmp_path / "run", **given))) if one.check == "word_mask"
    )
    assert finding.status == status
    assert ("0.049, below 0.05" in "".join(finding.flags)) is (given.get("std") == 0.049)
    assert ("0.19 with the effect of leaving a word out" in "".join(finding.flags)) is (given.get("rank") == 0.19)
    other = recorded_run(tmp_path / "other", {"synonym": records("s" * 30 + "f" * 30)})
    assert next(one for one in check_run(gather_evidence(other)) if one.check == "word_mask").status == OK


@pytest.mark.parametrize("std", [0.2, 0.02])
def test_the_card_has_the_words_and_what_the_mask_costs(std: float, tmp_path: Path) -> None:
    said = robustness_section(load_run(flat_run(tmp_path / "run", std)))
    assert f"mean 0.60, standard deviation {std:.3f}. Highest: good 0.90, bad 0.80" in said
    assert "80.0 % with the expected mask" in said and "81.0 % without a mask, 75.0 % with sampled masks" in said
    assert ("not FLAT" in said) is (std < 0.05) and "effect of leaving a word out: 0.40 over 150 words" in said


def test_the_report_has_the_masks_of_the_runs_that_have_one(tmp_path: Path) -> None:
    run, other = flat_run(tmp_path / "run"), recorded_run(tmp_path / "other", {"synonym": records("s" * 60)})
    for step in (10, 20):
        write_mask_line(run, mask_line(step / 10, step, IMPORTANCES, 16))
    write_report(load_runs([run, other]), tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.count("good 0.90, bad 0.80") == 2 and "## Word masks" in text and "80.0" in text
    write_report(load_runs([other]), tmp_path / "plain")
    assert "## Word masks" not in (tmp_path / "plain" / "report.md").read_text()
