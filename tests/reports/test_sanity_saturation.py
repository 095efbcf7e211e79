"""Check for searches that are blind because the model is very certain."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_runs import recorded_run, records
from test_sanity_evidence import finding_of

from hf_robust.reports.sanity import FLAGGED, NOT_CHECKED, OK

BY_MARGIN = {"synonym": {"scores": "margin"}}


def test_many_saturated_queries_are_flagged_with_the_command_that_is_not_blind(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("sf" * 50, queries=20, saturated=2)})
    answer = finding_of("saturated_scores", run)
    assert answer.status == FLAGGED
    assert answer.flags[0].startswith("synonym: 10.0 % of 2,000 queries were saturated; the search was blind there")
    assert answer.numbers == [{"attack": "synonym", "saturated_share": 0.1, "queries": 2000}]
    (command,) = answer.commands
    assert command.endswith(f"--lexicon table.json --attack_scores margin --output_dir {run}/checks/margin")


def test_few_are_not(tmp_path: Path) -> None:
    answer = finding_of(
        "saturated_scores", recorded_run(tmp_path / "run", {"synonym": records("sf" * 50, saturated=1)})
    )
    assert answer.status == OK and answer.observations == ["synonym: 5.0 % of 2,000 queries were saturated."]


def test_the_margin_must_not_find_more(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 20 + "f" * 80)})
    recorded_run(run / "checks" / "margin", {"synonym": records("s" * 70 + "f" * 30)}, BY_MARGIN, trained=False)
    answer = finding_of("saturated_scores", run)
    assert answer.status == FLAGGED and not answer.commands
    assert answer.flags[0].startswith(
        "synonym scored by margin against by probability: ASR 70.0 % against 20.0 %, difference"
    )
    numbers = answer.numbers[1]
    assert numbers["difference"] == pytest.approx(50.0) and numbers["low"] > 0 and numbers["p"] < 0.001
    assert "synonym (margin): scored by the margin, which does not saturate." in answer.observations


def test_a_difference_within_chance_is_seen(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("s" * 20 + "f" * 20)})
    recorded_run(tmp_path / "other", {"synonym": records("s" * 21 + "f" * 19)}, BY_MARGIN, trained=False)
    answer = finding_of("saturated_scores", run, tmp_path / "other")
    assert answer.status == OK and any("difference +2.5 points" in said for said in answer.observations)


def test_another_recipe_by_margin_is_no_pair(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("f" * 40)})
    other = {"synonym": {"scores": "margin", "ranking": "at_random"}}
    recorded_run(tmp_path / "other", {"synonym": records("s" * 40)}, other, trained=False)
    assert finding_of("saturated_scores", run, tmp_path / "other").status == OK


def test_an_attack_by_margin_needs_nothing_more(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("sf", saturated=None)}, BY_MARGIN)
    answer = finding_of("saturated_scores", run)
    assert answer.status == OK and not (answer.commands or answer.missing)


def test_older_results_and_votes_say_nothing(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"synonym": records("sf", saturated=None)})
    answer = finding_of("saturated_scores", run)
    assert answer.status == NOT_CHECKED and "was not counted (older result)" in answer.missing[0] and answer.commands
    vote = {"votes": 5, "lexicon": {"name": "neighbours"}}
    voted = recorded_run(tmp_path / "vote", {"synonym": records("sf", saturated=None)}, vote=vote)
    assert finding_of("saturated_scores", voted).commands == []


def test_textattacks_own_searches_climb_probabilities_too(tmp_path: Path) -> None:
    theirs = {"pwws": {"backend": "textattack", "recipe": "Attack(...)"}}
    run = recorded_run(tmp_path / "run", {"pwws": records("sf" * 10, queries=10, saturated=9)}, theirs)
    answer = finding_of("saturated_scores", run)
    assert answer.status == FLAGGED and not answer.commands
    assert answer.advice == ["use the native pwws attack with --attack_scores margin."]
