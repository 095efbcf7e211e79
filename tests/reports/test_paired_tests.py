"""Paired tests: which runs and examples are paired, and the reasons why others are left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_folders import record, run_with_records, run_with_statuses
from run_folders import make_run

from hf_robust.metrics import holm, mcnemar_exact
from hf_robust.reports.compare import differences
from hf_robust.reports.groups import group_by_seed, run_names
from hf_robust.reports.outcomes import ReportedRun, outcomes_of
from hf_robust.reports.paired_tests import paired_tests
from hf_robust.runs import load_run, read_history, write_history_line


def groups_of(*folders: Path) -> list[list[ReportedRun]]:
    grouped = group_by_seed([load_run(folder) for folder in folders])
    return [
        [ReportedRun(name, run, outcomes_of(run)) for name, run in zip(names, group, strict=True)]
        for names, group in zip(run_names(grouped), grouped, strict=True)
    ]


def test_counts_and_p_are_those_of_the_records(tmp_path: Path) -> None:
    first = run_with_records(tmp_path / "a", "ffffss--ff", epochs=2)
    second = run_with_records(tmp_path / "b", "ssffff-fss", epochs=2, method="safer")
    (test,), notes = paired_tests(groups_of(first, second))
    assert (test.first, test.second, test.n, notes) == ("normal", "safer", 10, [])
    assert (test.first_only, test.second_only) == (4, 3)
    assert test.p == test.corrected == pytest.approx(mcnemar_exact(4, 3))
    assert test.difference.value == pytest.approx(-10.0) and test.difference.low <= -10 <= test.difference.high


def test_an_attack_that_could_change_nothing_is_not_tested(tmp_path: Path) -> None:
    first, second = run_with_records(tmp_path / "a", "ssff"), run_with_records(tmp_path / "b", "ffff", method="safer")
    history = second / "robustness_history.jsonl"
    line = json.loads(history.read_text())
    line["attacks"]["synonym"] |= {"asr": None, "robust_accuracy": None, "covered": 0.0}
    history.write_text(json.dumps(line) + "\n")
    tests, notes = paired_tests(groups_of(first, second))
    assert tests == [] and notes == ["synonym, safer: not tested, since no text had a substitute."]


def test_runs_that_stopped_at_an_interval_are_not_tested(tmp_path: Path) -> None:
    first, second = run_with_records(tmp_path / "a", "ssff"), run_with_records(tmp_path / "b", "ffff", method="safer")
    history = second / "robustness_history.jsonl"
    line = json.loads(history.read_text())
    line["attacks"]["synonym"] |= {"until_interval": 0.1, "num_rows": 50}
    history.write_text(json.dumps(line) + "\n")
    tests, (note,) = paired_tests(groups_of(first, second))
    assert tests == [] and note.startswith("synonym, safer: not tested, since it stopped at an interval")


def test_holm_runs_over_all_pairs(tmp_path: Path) -> None:
    letters = {"normal": "ssssssssff", "safer": "ffffffffff", "pgd": "ssffffffff"}
    folders = [run_with_records(tmp_path / name, row, method=name) for name, row in letters.items()]
    tests, _ = paired_tests(groups_of(*folders))
    assert [(test.first, test.second) for test in tests] == [("normal", "safer"), ("normal", "pgd"), ("safer", "pgd")]
    assert [test.corrected for test in tests] == holm([test.p for test in tests])


def test_seeds_are_paired_with_their_own_and_never_within_a_method(tmp_path: Path) -> None:
    folders = [
        run_with_records(tmp_path / f"{name}{seed}", "sf", method=name, seed=seed)
        for name in ("normal", "safer")
        for seed in (0, 1)
    ]
    tests, _ = paired_tests(groups_of(*folders))
    names = [(test.first, test.second) for test in tests]
    assert names == [("normal seed 0", "safer seed 0"), ("normal seed 1", "safer seed 1")]
    other = run_with_records(tmp_path / "pgd7", "ff", method="pgd", seed=7)
    tests, _ = paired_tests(groups_of(*folders[:2], other))
    assert [test.first for test in tests] == ["normal seed 0", "normal seed 1"]


def test_examples_of_other_texts_and_of_one_run_alone_are_left_out(tmp_path: Path) -> None:
    first = run_with_records(tmp_path / "a", "", records=[record(0, "f"), record(1, "f"), record(2, "s")])
    others = [record(0, "s"), record(1, "s", text="another film"), record(5, "s")]
    second = run_with_records(tmp_path / "b", "", records=others, method="safer")
    (test,), notes = paired_tests(groups_of(first, second))
    assert (test.n, test.first_only, test.second_only) == (1, 1, 0)
    assert notes == [
        "synonym, normal and safer: 2 examples that only one of them has are left out; 1 examples with "
        "different texts are left out."
    ]


def test_statuses_pair_with_each_other_and_with_records(tmp_path: Path) -> None:
    kept = run_with_statuses(tmp_path / "a", "ffs-")
    other = run_with_statuses(tmp_path / "b", "sfs-", method="safer")
    full = run_with_records(tmp_path / "c", "sff-", method="pgd")
    tests, notes = paired_tests(groups_of(kept, other, full))
    assert [(test.n, test.first_only, test.second_only) for test in tests] == [(4, 1, 0), (4, 1, 1), (4, 0, 1)]
    assert notes == []


@pytest.mark.parametrize("data", [{"fingerprint": "f2"}, {}])
def test_statuses_without_the_same_data_are_not_paired(tmp_path: Path, data: dict[str, str]) -> None:
    folders = [run_with_statuses(tmp_path / "a", "fs"), run_with_statuses(tmp_path / "b", "sf", method="s", data=data)]
    tests, (note,) = paired_tests(groups_of(*folders))
    assert (
        tests == []
        and "not tested, since texts are missing and the run cards do not show that the data are the same" in note
    )


def test_statuses_are_of_the_best_epoch_where_its_weights_were_kept(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", [(1, 1), (2, 0)], best_step=100)
    (folder / "statuses.json").write_text('{"synonym": {"0": "s", "1": "f"}}')
    run = load_run(folder)
    assert run.published["epoch"] == 1.0
    assert outcomes_of(run)["synonym"].statuses == {0: "succeeded", 1: "failed"}


def test_records_of_an_attacked_checkpoint_have_no_epoch(tmp_path: Path) -> None:
    folder = run_with_records(tmp_path / "a", "sf-")
    (folder / "attack_results" / "epoch-1" / "synonym.jsonl").rename(folder / "attack_results" / "synonym.jsonl")
    assert outcomes_of(load_run(folder))["synonym"].statuses == {0: "succeeded", 1: "failed", 2: "skipped"}


def test_a_run_without_records_has_no_pairs_and_says_so(tmp_path: Path) -> None:
    folders = [make_run(tmp_path / "a", [(1, 1)], [(1, 1)]), run_with_records(tmp_path / "b", "sf", method="safer")]
    tests, notes = paired_tests(groups_of(*folders))
    assert tests == []
    assert notes[0].startswith("synonym: normal cannot be paired, since attack_results and statuses.json")
    assert notes[1].startswith("antonym: normal cannot be paired, since attack_results and statuses.json")


def test_statuses_of_another_split_are_not_paired(tmp_path: Path) -> None:
    data = {"fingerprint": "f1", "attack_split": "test"}
    folders = [run_with_statuses(tmp_path / "a", "fs"), run_with_statuses(tmp_path / "b", "sf", method="s", data=data)]
    tests, (note,) = paired_tests(groups_of(*folders))
    assert tests == [] and "not tested" in note


def test_runs_measured_otherwise_are_no_seeds_of_each_other(tmp_path: Path) -> None:
    plain = make_run(tmp_path / "plain", [(1, 1)], seed=0)
    for index, other in enumerate(({"vote": {"votes": 5}}, {"certify": {"votes": 9}})):
        runs = [load_run(plain), load_run(make_run(tmp_path / f"{index}", [(1, 1)], seed=1, **other))]
        assert len(group_by_seed(runs)) == 2
    data = {"fingerprint": "f1", "attack_sample": "50 rows, seed 3"}
    fewer = load_run(make_run(tmp_path / "fewer", [(1, 1)], seed=1, data=data))
    assert len(group_by_seed([load_run(plain), fewer])) == 2


def test_certificates_over_another_table_do_not_compare(tmp_path: Path) -> None:
    runs = [
        load_run(make_run(tmp_path / mark, [(1, 1)], certify={"votes": 9, "lexicon": {"fingerprint": mark}}))
        for mark in ("aa", "bb")
    ]
    assert "certificates differ in lexicon" in differences(runs)[0]
    assert not differences([runs[0], load_run(make_run(tmp_path / "none", [(1, 1)]))])


def obstinate(folder: Path, letters: str, **card: object) -> Path:
    """A run under the attack ``synonym`` with the goal to keep the prediction."""
    goal = {"goal": {"name": "remain", "success": "raises", "keeps_prediction": True}}
    return run_with_records(folder, letters, attacks={"synonym": goal}, **card)


def test_attacks_that_keep_the_prediction_are_tested_on_examples_attacked_in_both(tmp_path: Path) -> None:
    first = obstinate(tmp_path / "a", "sssff-sf")
    second = obstinate(tmp_path / "b", "ffsfs--f", method="safer")
    (test,), notes = paired_tests(groups_of(first, second))
    # Attacked in both: s/f s/f s/s f/f f/s f/f; a failure of the attack is the good end.
    assert (test.rate, test.n, test.first_only, test.second_only) == ("ASR", 6, 1, 2)
    assert test.p == pytest.approx(mcnemar_exact(1, 2))
    assert test.difference.value == pytest.approx(100 * (2 / 6 - 3 / 6))
    assert notes == ["synonym, normal and safer: 2 of 8 examples were not attacked in both and are left out."]


def test_holm_is_over_both_kinds_of_attack(tmp_path: Path) -> None:
    folders = []
    for name, letters in (("normal", "ssssssss"), ("safer", "ffffffff")):
        folder = run_with_records(tmp_path / name, letters, method=name)
        kept = folder / "attack_results" / "epoch-1"
        (kept / "antonym.jsonl").write_text((kept / "synonym.jsonl").read_text())
        line = read_history(folder)[-1]
        write_history_line(folder, {**line, "attacks": {**line["attacks"], "antonym": line["attacks"]["synonym"]}})
        folders.append(folder)
    tests, _ = paired_tests(groups_of(*folders))
    assert [(test.attack, test.rate) for test in tests] == [("synonym", "robust accuracy"), ("antonym", "ASR")]
    assert [test.corrected for test in tests] == holm([test.p for test in tests]) == [2 * test.p for test in tests]
    assert [test.difference.value for test in tests] == [100, -100]


def test_an_attack_whose_every_example_succeeds_is_not_tested(tmp_path: Path) -> None:
    goal = {"synonym": {"goal": {"name": "shorten"}}}
    folders = [run_with_records(tmp_path / name, "ss", method=name, attacks=goal) for name in ("normal", "safer")]
    tests, notes = paired_tests(groups_of(*folders))
    assert tests == [] and notes == ["synonym is not tested, since it succeeds on every correctly classified example."]
