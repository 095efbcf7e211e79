"""Evidence of the checks: which folders are read, and which tables training and attacks share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from recorded_runs import LEXICON, recorded_run, records

from hf_robust.reports.sanity import NOT_CHECKED, OK, Finding, check_run, gather_evidence
from hf_robust.reports.training_overlap import leaked_splits, shared_tables, tables_of_training, trained_attacks

SYNONYMS = {"name": "neighbours", "relation": "synonym", "fingerprint": "aa"}
HELD_OUT = {**SYNONYMS, "fingerprint": "bb"}


def drawing(lexicon: dict[str, Any]) -> dict[str, Any]:
    return {"candidates": {"name": "synonyms", "lexicon": lexicon}}


def roles(card: dict[str, Any]) -> list[tuple[str, str]]:
    return [(role, lexicon["fingerprint"]) for role, lexicon in tables_of_training(card)]


def test_a_table_of_the_attacks_alone_was_not_trained_on() -> None:
    card: dict[str, Any] = {"lexicons": {"synonyms": SYNONYMS, "attack_synonyms": HELD_OUT}}
    assert roles(card) == [("synonyms", "aa")]  # a card that does not say what training drew on
    assert roles({**card, "trained_on": ["synonyms"]}) == [("synonyms", "aa")]
    assert roles({**card, "trained_on": []}) == []
    attacks = {"synonym": drawing(HELD_OUT), "textfooler": drawing(SYNONYMS), "deepwordbug": {"candidates": {}}}
    assert [(one.role, one.attacks) for one in shared_tables(card, attacks)] == [("synonyms", ["textfooler"])]
    copy = {"lexicons": {"synonyms": SYNONYMS, "attack_synonyms": dict(SYNONYMS, source="a copy.json")}}
    assert shared_tables({**copy, "trained_on": ["synonyms"]}, {"synonym": drawing(SYNONYMS)})


def test_tables_come_into_training_through_attacks_too() -> None:
    view = {"view": "textfooler", "found": 3, "how": drawing(SYNONYMS)}
    assert roles({"trained_on": ["attacks"], "views": [view, view]}) == [("synonyms", "aa")]
    assert roles({"trained_on": ["attacks"], "views": [{**view, "found": 0}]}) == []


def test_leaks_and_attacks_on_both_sides() -> None:
    views = [{"view": "a", "found": 1, "split": "test", "leaked": True}, {"view": "b", "found": 0, "split": "train"}]
    assert leaked_splits({"views": views}) == ["test"] and leaked_splits({}) == []
    assert trained_attacks({"views": views}, ["b", "a"]) == ["a"]
    assert trained_attacks({"views": [{"view": "textfooler", "found": 3}]}, ["standard", "textfooler"]) == [
        "textfooler"
    ]


def finding_of(check: str, *folders: Path, baseline: Path | None = None, force: bool = False) -> Finding:
    """Finding of one check for a run and further folders."""
    evidence = gather_evidence(folders[0], folders[1:], baseline, force)
    return next(one for one in check_run(evidence) if one.check == check)


def kept_as_letters(run: Path, letters: str, attack: str = "a") -> Path:
    """The run without its records, as under ``benchmarks/results``."""
    for path in sorted((run / "attack_results").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (run / "attack_results").rmdir()
    (run / "statuses.json").write_text(json.dumps({attack: dict(enumerate(letters))}))
    return run


def test_a_card_from_before_final_steps_is_no_false_alarm(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")})
    card = json.loads((run / "run_card.json").read_text())
    del card["final_step"]
    (run / "run_card.json").write_text(json.dumps(card))
    assert finding_of("complete_run", run).status == OK


def test_another_training_is_no_further_attack(tmp_path: Path) -> None:
    run = recorded_run(tmp_path / "run", {"a": records("sf")})
    other = recorded_run(tmp_path / "other", {"a": records("sf")})
    with pytest.raises(ValueError, match="other is another training run.*give it as --baseline"):
        gather_evidence(run, [other])


def test_without_texts_rows_of_other_data_are_neither_joined_nor_paired(tmp_path: Path) -> None:
    letters = "sf" * 30
    data = {"name": "other", "fingerprint": "f2", "eval_samples": 60}
    run = kept_as_letters(recorded_run(tmp_path / "run", {"a": records(letters)}), letters)
    other = kept_as_letters(
        recorded_run(tmp_path / "other", {"a": records("f" * 60)}, trained=False, data=data), "f" * 60
    )
    with pytest.raises(
        ValueError, match="other was attacked on other data than .*run; give a folder with the same --data"
    ):
        gather_evidence(run, [other])
    forced = finding_of("sample_size", run, baseline=other, force=True)
    assert "as independent samples" in (forced.observations + forced.flags)[0]
    same = kept_as_letters(recorded_run(tmp_path / "same", {"a": records("f" * 60)}), "f" * 60)
    assert "on the same examples" in finding_of("sample_size", run, baseline=same).observations[0]


def test_the_p_of_robust_accuracy_counts_examples_that_one_run_got_wrong(tmp_path: Path) -> None:
    # Among the examples that both attacked nothing differs; the baseline was wrong on ten that the run withstands.
    run = recorded_run(tmp_path / "run", {"a": records("f" * 30)})
    base = recorded_run(tmp_path / "base", {"a": records("f" * 20 + "-" * 10)})
    (numbers,) = finding_of("sample_size", run, baseline=base).numbers
    assert numbers["rate"] == "robust_accuracy" and numbers["p"] == pytest.approx(2 * 0.5**10)


def test_texts_seen_are_those_of_the_data_attacked(tmp_path: Path) -> None:
    model = recorded_run(tmp_path / "model", {"a": records("sf")}, seen=0)
    data = {"name": "other", "fingerprint": "f2", "eval_samples": 2}
    out = recorded_run(tmp_path / "out", {"a": records("sf")}, trained=False, model=str(model), data=data)
    answer = finding_of("evaluation_unseen", out)
    assert answer.status == NOT_CHECKED and "not the evaluation texts of the training run" in answer.missing[0]


def test_the_next_command_attacks_as_the_run_was_attacked(tmp_path: Path) -> None:
    given = ["run_glue_robust.py", "--attack_time_limit", "3", "--skip_labels", "neutral", "--attack_fixed"]
    given += ["--language", "de"]
    vote = {"votes": 5, "lexicon": LEXICON}
    run = recorded_run(tmp_path / "run", {"synonym": records("sf")}, command=given, vote=vote)
    for command in finding_of("gradient_masking", run).commands:
        assert "--skip_labels neutral --attack_time_limit 3 --attack_fixed --language de --attack_votes 5" in command
        assert command.count("--attack_ranking") == 1
