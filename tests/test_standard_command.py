"""The standard from the outside: `hf-robust attack` without --attacks, `hf_robust.attack`, and what they refuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import ANTONYMS, SYNONYMS, review_rows, table

from hf_robust import attack
from hf_robust.attacks import AttackArguments
from hf_robust.attacks.flag_readers import check_flags_are_read, with_members
from hf_robust.cli.main import main
from hf_robust.runs import load_run
from hf_robust.sweep.checks import check_sweep
from hf_robust.sweep.file import read_sweep

ROWS = [(row["sentence"], "good" if row["label"] else "bad") for row in review_rows(12)]


@pytest.fixture(autouse=True)
def no_nltk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.attacks.resources.nltk_stop_words", lambda: frozenset({"the"}))
    monkeypatch.setattr("hf_robust.attacks.standard.load_lexicon", lambda *_: table(ANTONYMS, "antonym"))


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in review_rows(12)))
    (tmp_path / "synonyms.json").write_text(json.dumps(SYNONYMS))
    data = ["--data", str(tmp_path / "rows.jsonl"), "--class_names", "bad", "good", "--pos_tagger", "none"]
    return [*data, "--lexicon", str(tmp_path / "synonyms.json"), "--output_dir", str(tmp_path / "out")]


def test_it_is_what_the_command_measures_by_default(
    model_folder: Callable[..., Path], flags: list[str], tmp_path: Path, capsys: Any
) -> None:
    assert main(["attack", str(model_folder()), *flags]) == 0
    said = capsys.readouterr().out
    run = load_run(tmp_path / "out")
    entry = run.published["standard"]
    assert entry["name"].startswith("standard-v1/synonyms.json(") and entry["name"].endswith("+no_tagger")
    assert entry["name"] in said and "| deepwordbug | " in said
    assert list(run.published["attacks"]) == ["standard"] and entry["num_examples"] == 12
    assert run.published["attacks"]["standard"]["robust_accuracy"] == entry["robust_accuracy"]
    assert run.card["attacks"]["standard"]["standard"] == entry["name"]
    assert json.loads((tmp_path / "out" / "attack_summary.json").read_text())["standard"]["name"] == entry["name"]
    lines = (tmp_path / "out" / "attack_results" / "standard.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert all(sum(one["members"].values()) == one["queries"] for one in records)
    assert str(tmp_path) not in json.dumps(entry)


def test_a_function_is_measured_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    def predict(texts: list[str]) -> Any:
        scores = [sum(word in text.lower() for word in ("good", "fine", "warm", "great")) - 0.5 for text in texts]
        return np.array([[-score, score] for score in scores])

    predict.class_names = ["bad", "good"]  # type: ignore[attr-defined]
    results = attack(predict, ROWS, lexicon=SYNONYMS, pos_tagger="none")
    entry = results.history_line["standard"]
    assert entry["name"].endswith("+no_gradients") and "a2t" not in [member["name"] for member in entry["members"]]
    assert entry["robust_accuracy"] < entry["accuracy"] and entry["name"] in str(results)


@pytest.mark.parametrize("flag", ["attack_query_budget", "attack_max_changed", "attack_fixed", "attack_ranking"])
def test_there_is_nothing_to_choose(flag: str) -> None:
    values = {"attack_query_budget": 9, "attack_max_changed": 0.1, "attack_fixed": True, "attack_ranking": "random"}
    alone, beside = (
        AttackArguments(attacks=names, **{flag: values[flag]}) for names in (["standard"], ["standard", "textfooler"])
    )
    with pytest.raises(ValueError, match=f"reads --{flag}.*the standard has no choice but its resources"):
        check_flags_are_read(alone, alone.recipes, (), protects=False)
    check_flags_are_read(beside, beside.recipes, (), protects=False)


def test_its_resources_are_read() -> None:
    given = {"attack_lexicon": "t.json", "sentence_encoder": "e", "masked_lm": "m", "language_model": "l"}
    arguments = AttackArguments(attacks=["standard"], **given)
    check_flags_are_read(arguments, arguments.recipes, (), protects=False)
    assert "hotflip" in with_members(["standard"]) and with_members(["synonym"]) == ["synonym"]


def test_a_sweep_over_its_resources_is_refused_before_it_starts(tmp_path: Path) -> None:
    args = {"do_train": True, "do_eval": True, "model_name_or_path": "demo", "dataset_name": "demo"}
    args |= {"attacks": ["standard"], "max_seq_length": 32}
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps({"args": args, "grid": {"lexicon": ["builtin", "wordnet"]}}))
    with pytest.raises(ValueError, match="by the standard with other resources .--lexicon builtin and wordnet."):
        check_sweep(read_sweep(file), None)
