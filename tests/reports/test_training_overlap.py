"""Which tables training drew on, and which attacks share them."""

from __future__ import annotations

from typing import Any

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
