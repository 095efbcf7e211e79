"""The standard after each epoch: beside another attack, resumed, and on two ranks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from test_attack_callback import ROWS, assert_same_results, attacked, attacks, evaluations
from tiny import SYNONYMS, table
from two_ranks import on_two_ranks

from hf_robust.attacks import ATTACKS, Cascade, Resources
from hf_robust.attacks.building import with_bug_fixes
from hf_robust.runs import load_run, read_history, read_records

TITLE = "standard-v1/tiny"


def standard() -> Cascade:
    """Two attacks of few queries."""
    parts = Resources(synonyms=table(SYNONYMS, "synonym"), stop_words=frozenset({"the"}))
    first, second = (with_bug_fixes(ATTACKS[name](parts)) for name in ("deepwordbug", "textbugger"))
    return Cascade("standard", (first, second), TITLE)


def run(folder: Path, **callback: Any) -> Any:
    return attacked(folder, callback={"attacks": {"standard": standard(), **attacks("synonym")}, **callback})


def test_each_epoch_has_the_number_its_name_and_its_attacks(tmp_path: Path, capsys: Any) -> None:
    trainer = run(tmp_path, warm_start=True)
    trainer.train()
    history = read_history(tmp_path)
    assert [line["standard"]["name"] for line in history] == [TITLE, TITLE]
    for line, metrics in zip(history, evaluations(trainer), strict=True):
        entry, result = line["standard"], line["attacks"]["standard"]
        assert entry["robust_accuracy"] == result["robust_accuracy"] == metrics["eval_standard_robust_accuracy"]
        assert entry["robust_accuracy"] >= line["union"]["robust_accuracy"]
        assert line["union"]["attacks"] == ["standard", "synonym"] and entry["num_examples"] == ROWS
        assert [member["name"] for member in entry["members"]] == ["deepwordbug", "textbugger"]
        records = read_records(tmp_path / "attack_results" / f"epoch-{line['epoch']:g}" / "standard.jsonl")
        assert sum(member["queries"] for member in entry["members"]) == sum(record.queries for record in records)
        assert not any(record.stop == "warm_start" for record in records)
    assert f"{TITLE}: ASR" in capsys.readouterr().out
    assert load_run(tmp_path).published["standard"]["name"] == TITLE
    assert set(trainer.attacker.describe()["standard"]["members"]) == {"deepwordbug", "textbugger"}


def test_equal_weights_are_not_attacked_again(tmp_path: Path) -> None:
    trainer = run(tmp_path)
    first, victim = trainer.evaluate(), trainer.attacker._victim()
    asked = victim.queries
    again = trainer.evaluate()
    assert again["eval_standard_robust_accuracy"] == first["eval_standard_robust_accuracy"]
    assert victim.queries == asked > 0


@pytest.mark.slow
def test_two_ranks_give_the_standard_of_one_process(tmp_path: Path) -> None:
    on_two_ranks(Path(__file__), str(tmp_path / "two"), output=tmp_path / "two")
    run(tmp_path / "one").evaluate()
    files = [tmp_path / name / "attack_results" / "epoch-0" / "standard.jsonl" for name in ("one", "two")]
    assert_same_results(*map(read_records, files))
    one, two = (read_history(tmp_path / name)[0]["standard"] for name in ("one", "two"))
    for mine, theirs in zip(one.pop("members"), two.pop("members"), strict=True):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


if __name__ == "__main__":
    trainer = run(Path(sys.argv[1]))
    trainer.evaluate()
    trainer.accelerator.end_training()
