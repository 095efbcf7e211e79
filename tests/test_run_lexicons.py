"""The flags of a run determine its lexicons, and a lexicon that nothing reads is not loaded."""

import json

import pytest

from hf_robust.attacks import AttackArguments
from hf_robust.cli.main import main
from hf_robust.metrics import Coverage
from hf_robust.wiring.run_lexicons import described, load_lexicons


@pytest.fixture
def tables(tmp_path):
    for name in ("train", "held_out", "opposites"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"good": [name]}))
    return {name: str(tmp_path / f"{name}.json") for name in ("train", "held_out", "opposites")}


def loaded(tables, attacks=(), held_out=False, needs=(), **options):
    strategy = options.pop("strategy", "epoch")
    flags = AttackArguments(
        attacks=list(attacks),
        attack_strategy=strategy,
        lexicon=tables["train"],
        attack_lexicon=tables["held_out"] if held_out else None,
        antonym_lexicon=tables["opposites"],
    )
    found = load_lexicons(flags, needs, **options)
    return {role: one("good")[0] for role, one in found.items() if one is not None}


@pytest.mark.parametrize(
    ("asked", "roles"),
    [
        ({}, {}),
        ({"attacks": ["deepwordbug", "hotflip", "negation"]}, {}),
        ({"attacks": ["textfooler"]}, {"synonyms": "train"}),
        ({"attacks": ["textfooler"], "held_out": True}, {"attack_synonyms": "held_out"}),
        ({"attacks": ["antonym"], "held_out": True}, {"antonyms": "opposites"}),
        ({"attacks": ["textfooler", "antonym"], "strategy": "no"}, {}),
        ({"needs": ("synonyms", "antonyms")}, {"synonyms": "train", "antonyms": "opposites"}),
        ({"voted": True}, {"synonyms": "train"}),
        (
            {"view_attacks": ["a2t"], "attacks": ["iga"], "held_out": True},
            {"synonyms": "train", "attack_synonyms": "held_out"},
        ),
        ({"view_attacks": ["deepwordbug"]}, {}),
    ],
)
def test_only_what_is_read_is_loaded(tables, asked, roles):
    assert loaded(tables, **asked) == roles


def test_the_card_has_the_coverage_of_what_training_drew_on(tables):
    flags = AttackArguments(attacks=["textfooler"], lexicon=tables["train"])
    found = described(load_lexicons(flags), {"synonyms": Coverage(10, 4, 2, 1)})
    assert found["synonyms"]["coverage"] == {"words": 0.4, "open_words": 10, "texts": 1, "rows": 2}
    assert set(found) == {"synonyms"} and "coverage" not in described(load_lexicons(flags), {})["synonyms"]


@pytest.mark.parametrize(
    "command",
    [
        ["attack", "nowhere", "--data", "none.csv", "--attacks", "textfooler", "--output_dir", "out"],
        ["attack", "nowhere", "--data", "none.csv", "--output_dir", "out"],
        ["certify", "nowhere", "--data", "none.csv", "--output_dir", "out"],
        ["interpret", "space", "--model", "nowhere", "--data", "none.csv", "--output_dir", "out"],
        ["lexicon", "lookup", "good"],
    ],
)
def test_commands_miss_the_default_lexicon_first(command, tmp_path, monkeypatch, capsys):
    nltk = pytest.importorskip("nltk")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr(nltk, "download", lambda *_, **__: False)
    assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "WordNet is not in NLTK's paths" in said and "--lexicon builtin, a small table with the 196 words" in said
    assert not (tmp_path / "out").exists()


def test_bounds_that_nothing_keeps_to_are_refused_by_the_command(tmp_path, capsys):
    replay = ["attack", str(tmp_path), "--replay", "x.jsonl"]
    assert main([*replay, "--protect", "urls"]) == 2 and "--protect urls binds attacks" in capsys.readouterr().err
    assert main([*replay, "--attack_max_changed", "0.1"]) == 2
    assert "in this run reads --attack_max_changed 0.1: it is for attacks that search" in capsys.readouterr().err
