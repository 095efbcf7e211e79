"""The standard in reports: its name, its table, and no two unlike standards side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_runs import GREEDY, recorded_run, records

from hf_robust.cli.main import main
from hf_robust.hub.citations import citations_of
from hf_robust.reports import results_table
from hf_robust.reports.compare import IncomparableRunsError, differences, require_comparable
from hf_robust.reports.limits import limits
from hf_robust.reports.sanity.commands import _parts
from hf_robust.reports.standard import member_rows, require_one_standard, standard_in_words, standard_of
from hf_robust.runs import Run, load_run, read_history, write_history_line

WORDNET, ENCODER = "standard-v1/wordnet", "standard-v1/wordnet+encoder(00000000)"
ENTRY: dict[str, Any] = {
    "version": "standard-v1",
    "resources": {"lexicon": {"name": "wordnet"}},
    "accuracy": 0.8,
    "robust_accuracy": 0.2,
    "robust_accuracy_low": 0.1,
    "robust_accuracy_high": 0.35,
    "num_examples": 200,
    "queries": 4321,
    "seconds": 12.5,
    "members": [
        {
            "name": "deepwordbug", "met": 160, "added": 100, "queries": 3000, "seconds": 2.0,
            "quality": {"successes": 100, "changed_share": 0.125, "antonyms": 0, "same_meaning": 100},
        },
        {
            "name": "textfooler", "met": 60, "added": 20, "queries": 1321, "seconds": 10.5,
            "quality": {"successes": 20, "changed_share": 0.25, "antonyms": 5, "same_meaning": 15},
        },
    ],
    "quality": {"successes": 120, "changed_share": 0.15, "antonyms": 5, "same_meaning": 115},
}  # fmt: skip


def measured(folder: Path, name: str | None) -> Run:
    found = {"standard": records("s" * 6 + "f" * 2 + "-" * 2)}
    members = {member["name"]: {} for member in ENTRY["members"]}
    described = {"standard": {"standard": name, "members": members}} if name else {}
    path = recorded_run(folder, found if name else {"synonym": found["standard"]}, described)
    if name:
        (line,) = read_history(path)
        write_history_line(path, {**line, "standard": {"name": name, **ENTRY}})
    return load_run(path)


def test_unlike_standards_are_refused_in_one_sentence_and_named_by_force(tmp_path: Path, capsys: Any) -> None:
    first, other = measured(tmp_path / "one", WORDNET), measured(tmp_path / "two", ENCODER)
    (reason,) = differences([first, other])
    assert WORDNET in reason and ENCODER in reason
    with pytest.raises(IncomparableRunsError, match="measured by different standards"):
        require_comparable([first, other])
    with pytest.raises(ValueError, match=r"cannot be compared: .*wordnet \(one\), .*\(two\); measure all"):
        require_one_standard([first, other])
    call = ["report", str(first.path), str(other.path), "--output", str(tmp_path / "report")]
    assert main(call) == 2
    error = capsys.readouterr().err.strip()
    assert "different standards" in error and "\n" not in error
    assert main([*call, "--force"]) == 0


def test_equal_standards_and_runs_without_one_are_not(tmp_path: Path) -> None:
    same = [measured(tmp_path / name, WORDNET) for name in ("one", "two")]
    plain = measured(tmp_path / "plain", None)
    assert differences(same) == [] and standard_of(plain) is None
    require_one_standard([*same, plain])


def test_name_and_members_are_in_the_table_of_a_run(tmp_path: Path) -> None:
    text = results_table(measured(tmp_path / "one", WORDNET))
    assert f"| {WORDNET} | " in text
    assert (
        f"{WORDNET}: accuracy 80.0 %, under attack 20.0 [10.0, 35.0] % (200 examples, 4,321 queries, 12 s). "
        "Successes: 120, 15.0 % of the words changed, 5 swap in an antonym, 115 still mean the same." in text
    )
    assert "| textfooler | 60 | 20 | 1,321 | 10.5 | 25.0 | 5 | 15 |" in text


def test_columns_without_a_number_are_left_out() -> None:
    header, rows = member_rows({"members": [{**ENTRY["members"][0], "quality": {"similarity": 0.913}}]})
    assert header == ["attack", "met", "added", "queries", "seconds", "similarity"] and rows[0][-1] == "0.91"
    assert "successes" not in standard_in_words({"name": WORDNET, **ENTRY, "quality": {"successes": 0}})


def test_the_report_and_the_card_cite_the_members(tmp_path: Path) -> None:
    run = measured(tmp_path / "one", WORDNET)
    assert main(["report", str(run.path), "--output", str(tmp_path / "report")]) == 0
    page = (tmp_path / "report" / "report.md").read_text()
    assert WORDNET in page and "deepwordbug" in page
    (limit,) = [sentence for sentence in limits(run) if sentence.startswith(WORDNET)]
    assert "the worst case over the attacks deepwordbug, textfooler" in limit
    assert {"gao2018deepwordbug", "jin2020textfooler"} <= set(citations_of(run.card, ["standard"]))


def test_the_commands_of_the_check_name_its_resources_alone(tmp_path: Path) -> None:
    member = {
        **GREEDY,
        "name": "textfooler",
        "query_budget": 1000,
        "constraints": [],
        "similarity": {"encoder": "mini"},
    }
    standard = {"standard": WORDNET, "members": {"a": member}, "resources": {"tagger": {"name": "nltk x"}}}
    assert dict(_parts(standard)) == {"lexicon": "table.json", "sentence_encoder": "mini"}
    assert dict(_parts({**standard, "resources": {"tagger": {"name": "none"}}}))["pos_tagger"] == "none"


@pytest.mark.parametrize("entry", [[], {"name": "standard-v1/x"}])
def test_a_malformed_entry_is_named(tmp_path: Path, entry: Any) -> None:
    run = measured(tmp_path / "one", None)
    with pytest.raises(ValueError, match="'standard' needs name, robust_accuracy"):
        write_history_line(run.path, {**run.history[0], "standard": entry})
