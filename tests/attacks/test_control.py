"""Random controls: their queries, their draws, the constraints they keep, and attacks that find more than they do."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from attack_parts import all_close, all_texts, attack, examples, logits_of, victim
from tiny import SYNONYMS, build_model, build_tokenizer, review_rows

from hf_robust import attack as measure
from hf_robust.attacks import ATTACKS, AttackArguments, Example, attack_dataset, build_attacks
from hf_robust.attacks.arguments import STANDARD
from hf_robust.attacks.control import (
    NO_CONTROL,
    control_of,
    controls_among,
    is_control,
    with_queries_of,
    without_controls,
)
from hf_robust.attacks.engine.trial import Trial
from hf_robust.reports.sanity import gather_evidence
from hf_robust.reports.sanity.random_control import random_control

DRAWN = (
    *("synonym", "textfooler", "pwws", "deepwordbug", "pruthi", "genetic", "iga", "bae", "clare", "homoglyphs"),
    *("gcg", "antonym", "hotflip"),
)


@pytest.fixture(scope="module")
def target() -> Any:
    return victim(build_model(num_labels=3))


def brief(name: str, **changes: Any) -> Any:
    """A recipe that takes few queries."""
    which = replace(attack(name, **changes), query_budget=60)
    if name == "gcg":
        which = replace(which, candidates=replace(which.candidates, length=5, batch=24, top=8))
    return which


def both(name: str, target: Any, rows: Any, **changes: Any) -> tuple[Any, Any, list[Any], list[Any]]:
    """An attack, its control with the same queries, and the records of both."""
    which = brief(name, **changes)
    found = attack_dataset(which, target, rows, progress=False, check_candidates=False)
    control = with_queries_of(control_of(which, name), {name: found})
    return which, control, found, attack_dataset(control, target, rows, progress=False, check_candidates=False)


@pytest.mark.parametrize("name", DRAWN)
def test_a_control_takes_no_more_queries_and_says_what_it_found(name: str, target: Any) -> None:
    rows = examples(target, 24)
    _, control, found, drawn = both(name, target, rows)
    assert is_control(control) and control.name == f"random:{name}" and control.ranking is None
    assert any(record.perturbed != record.original for record in drawn)
    for mine, other in zip(found, drawn, strict=True):
        assert other.queries <= mine.queries and (other.status == "skipped") == (mine.status == "skipped")
        wrong = bool(logits_of(target, tuple(other.perturbed)).argmax() != other.label)
        if other.status != "skipped":
            won = wrong != control.goal.keeps_prediction and other.perturbed != other.original
            assert (other.status == "succeeded") == (other.stop == "success") == won


@pytest.mark.parametrize("name", ["textfooler", "deepwordbug", "gcg"])
def test_draws_depend_on_the_example_alone(name: str, target: Any) -> None:
    rows = examples(target, 10)
    _, control, _, drawn = both(name, target, rows)
    others = attack_dataset(control, target, rows[::-1], progress=False, check_candidates=False, live=2)
    assert all_close(others, drawn)
    reseeded = attack_dataset(replace(control, seed=7), target, rows, progress=False, check_candidates=False)
    if name != "gcg":  # whose first suffix is the same
        assert [record.perturbed for record in reseeded] != [record.perturbed for record in drawn]


def test_texts_are_those_that_the_attack_may_make(target: Any) -> None:
    rows = [row for row in examples(target, 120, seed=3) if len(row.texts[0].split()) <= 4]
    which, _, _, drawn = both("synonym", target, rows)
    changed = [(row, record) for row, record in zip(rows, drawn, strict=True) if record.changed]
    assert len(changed) > 5
    assert all(tuple(record.perturbed) in all_texts(which, row) for row, record in changed)


def test_frozen_columns_stay(target: Any) -> None:
    rows = examples(target, 12, 2)
    for name in ("synonym", "gcg"):
        _, _, _, drawn = both(name, target, rows, frozen_columns=frozenset({0}))
        assert any(record.perturbed != record.original for record in drawn)
        assert all(record.perturbed[0] == record.original[0] for record in drawn)


def test_one_draw_is_uniform(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # One query beside that of the clean text: one of the substitutes of the only open word, all equally likely.
    asked: Counter[str] = Counter()
    original = Trial.ask

    def watched(trial: Trial, wanted: Any) -> Any:
        texts = list(wanted)
        asked.update(text.joined for text in texts)
        return (yield from original(trial, texts))

    monkeypatch.setattr(Trial, "ask", watched)
    label = int(logits_of(target, ("the good",)).argmax())
    rows = [Example(idx, ("the good",), label) for idx in range(800)]
    control = control_of(attack("synonym"), "synonym")
    control = replace(control, search=replace(control.search, allowance={row.idx: 2 for row in rows}))
    assert {record.queries for record in attack_dataset(control, target, rows, progress=False)} == {2}
    words = [columns[0] for columns in all_texts(attack("synonym"), rows[0])]
    assert asked.pop("the good") == len(rows) and set(asked) == set(words) and len(words) > 2
    # Within four standard deviations of n / k.
    expected = len(rows) / len(words)
    assert all(abs(count - expected) < 4 * expected**0.5 for count in asked.values())


@pytest.mark.parametrize("name", ["pwws", "deepwordbug", "gcg"])
def test_an_attack_finds_more_than_its_control(name: str, target: Any) -> None:
    rows = examples(target, 100, seed=1)
    _, _, found, drawn = both(name, target, rows)
    attacked = [[record for record in one if record.status != "skipped"] for one in (found, drawn)]
    scores = [np.mean([record.perturbed_score for record in one]) for one in attacked]
    wins = [sum(record.status == "succeeded" for record in one) for one in (found, drawn)]
    assert wins[0] >= wins[1] and scores[0] < scores[1]


def test_queries_are_part_of_the_journals_name_and_not_of_the_description() -> None:
    control = control_of(attack("pwws"), "pwws")
    first, second = (replace(control, search=replace(control.search, allowance={0: n})) for n in (5, 6))
    assert len({first.fingerprint(), second.fingerprint(), control.fingerprint()}) == 3
    assert control.describe()["search"] == "random, as many queries as pwws"
    plain = attack("pwws")
    assert with_queries_of(plain, {}) is plain
    assert without_controls({"pwws": plain, "pwws_random": control}, {"pwws": 1, "pwws_random": 2}) == {"pwws": 1}


def test_what_is_no_control_is_one_sentence() -> None:
    for name, reason in NO_CONTROL.items():
        assert name == STANDARD or name in ATTACKS
        with pytest.raises(ValueError, match=f"{name} has no random control, since {reason}"):
            AttackArguments(attacks=[name, f"random:{name}"])
    refused: dict[str, dict[str, Any]] = {
        "takes as many queries as pwws took; name pwws too": {"attacks": ["random:pwws"]},
        "--attack_warm_start cuts them short": {"attack_warm_start": True},
        "--attack_until_interval cuts them short": {"attack_until_interval": 5.0},
    }
    for sentence, flags in refused.items():
        with pytest.raises(ValueError, match=sentence):
            AttackArguments(**{"attacks": ["pwws", "random:pwws"], **flags})
    with pytest.raises(ValueError, match="--attacks must be among"):
        AttackArguments(attacks=["other", "random:other"])


def test_controls_come_last_and_keep_the_target() -> None:
    flags = {"lexicon": "builtin", "pos_tagger": "none", "attack_target": "good"}
    args = AttackArguments(attacks=["random:synonym", "synonym", "textfooler"], **flags)
    assert args.recipes == ["synonym", "textfooler"] and controls_among(args.attacks) == ["synonym"]
    built = build_attacks(args, None, None, ["bad", "fair", "good"], ["sentence"])
    assert list(built) == ["synonym_to_good", "textfooler_to_good", "synonym_to_good_random"]
    assert built["synonym_to_good_random"].goal == built["synonym_to_good"].goal


def test_a_control_stands_beside_its_attack_and_is_read_by_check(tmp_path: Path) -> None:
    flags: dict[str, Any] = {"lexicon": SYNONYMS, "pos_tagger": "none"}
    classifier = (build_model().eval(), build_tokenizer())
    results = measure(classifier, review_rows(40), ["synonym", "random:synonym"], output_dir=tmp_path / "out", **flags)
    assert list(results.records) == ["synonym", "synonym_random"] and "union" not in results.history_line
    assert "synonym_random" in str(results)
    card = json.loads((tmp_path / "out" / "run_card.json").read_text())
    assert card["attacks"]["synonym_random"]["search"] == "random, as many queries as synonym"
    finding = random_control(gather_evidence(tmp_path / "out"))
    (numbers,) = finding.numbers
    assert (numbers["attack"], numbers["control"]) == ("synonym", "synonym_random")
    rates = [results.summaries[name].asr for name in ("synonym_random", "synonym")]
    assert [numbers["first"], numbers["second"]] == pytest.approx(rates)
    # The same call reads its journal.
    again = measure(classifier, review_rows(40), ["synonym", "random:synonym"], output_dir=tmp_path / "out", **flags)
    assert all(all_close(again.records[name], found) for name, found in results.records.items())
