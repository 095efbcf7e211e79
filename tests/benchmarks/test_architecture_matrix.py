"""The stored matrix of architectures: rows of outcomes, and tables that leave no class of transformers out."""

from __future__ import annotations

from pathlib import Path

from benchmarks.architectures.cells import LATE, OK, REFUSED, Outcome
from benchmarks.architectures.configs import NOT_MADE
from benchmarks.architectures.results import CLASSIFIERS, compact, page, read, row_of, summary, write
from hf_robust.trainers import METHODS

TRIED = ("fickle", "obstinate", "gradient", "population", "zero strength")
FINE, NO_MASK = Outcome(OK), Outcome(REFUSED, "there is no mask token.")


def rows() -> dict[str, dict[str, object]]:
    refused = {"normal": dict.fromkeys(TRIED, FINE), "gradient_mask": dict.fromkeys(TRIED, NO_MASK)}
    attack = {"fickle": FINE, "gradient": Outcome(REFUSED, "votes have no gradient.")}
    failed = {"normal": {"fickle": Outcome(LATE, "RuntimeError: a shape"), "gradient": FINE}, "dne": attack}
    return {"t5": row_of("t5", refused), "bert": row_of("bert", failed)}


def test_a_row_names_the_cells_that_are_not_ok() -> None:
    row = rows()["t5"]
    assert (row["classifier"], row["methods"], row["cells"]) == ("T5ForSequenceClassification", 2, 10)
    assert row["not_ok"] == [
        {"word": REFUSED, "sentence": NO_MASK.sentence, "cells": [f"gradient_mask/{tried}" for tried in TRIED]}
    ]


def test_tables_have_every_class_of_transformers_and_every_refusal(tmp_path: Path) -> None:
    write(rows(), tmp_path / "architectures.json")
    assert list(read(tmp_path / "architectures.json")) == ["bert", "t5"]
    table = page(tmp_path)
    for kind, name in CLASSIFIERS.items():
        assert f"| {kind} | {name} |" in table
    assert "| t5 | T5ForSequenceClassification | 10 | 5 | `gradient_mask` |" in table
    assert "| bert | BertForSequenceClassification | 4 | 2 | `dne`, gradient; defect: `normal`, fickle |" in table
    assert table.count("not run yet") == len(CLASSIFIERS) - 3 and "needs the detectron2 package" in table
    write({**rows(), "mt5": {**rows()["t5"], "methods": 3}}, tmp_path / "more.json")
    assert "were tried with 2 to 3 methods" in summary(read(tmp_path / "more.json"))
    short = compact(tmp_path)
    assert (
        "2 architectures were tried with 2 methods, 2 of the" in short
        and "of 14 cells 7 are ok, 6 are refused" in short
    )
    assert "and 1 are defects" in short and "| `gradient_mask` | there is no mask token. | t5 |" in short


def test_every_architecture_is_stored_and_none_has_a_defect() -> None:
    stored = read()
    assert {*CLASSIFIERS} - {*stored} == {*NOT_MADE}
    # Each row says how many methods it was run with: methods that came later are not in it.
    assert max(row["methods"] for row in stored.values()) <= len(METHODS)
    assert {other["word"] for row in stored.values() for other in row["not_ok"]} == {REFUSED}
