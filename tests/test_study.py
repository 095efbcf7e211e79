"""What a claim comes to, and the page, on checks that the test makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import study, study_page
from benchmarks.paired import VOID

VERDICTS = (study.HOLDS, study.FAILS, study.UNDECIDED, VOID)


def check(verdict: str, **more: Any) -> dict[str, Any]:
    row = {"claim": "C1", "text": "safer lowers synonym ASR", "value": -8.0, "low": -9.0, "high": -7.0}
    row |= {"by_seed": [-8.0], "verdict": verdict, "experiment": "snli_minilm", "unit": "points", "examples": 1200}
    return {**row, "paper": None, **more}


@pytest.mark.parametrize(
    ("verdicts", "expected", "why"),
    [
        ("", "not run", "nothing was run"),
        ("h", "holds", "of 1 check 1 holds"),
        ("hhuuv", "holds", "of 5 checks 2 hold, 2 undecided, 1 void"),
        ("huu", "undecided", "most intervals hold both signs"),
        ("hhf", "undecided", "not so: safer lowers synonym ASR (MiniLM on SNLI)"),
        ("hff", "does not hold", "of 3 checks 1 holds, 2 fail"),
        ("f", "does not hold", "1 fails"),
        ("fffffh", "does not hold", "and 2 more"),
        ("vv", "undecided", "every model of it stays near chance"),
        ("uuu", "undecided", "most intervals"),
    ],
)
def test_a_claim_comes_to_what_its_checks_say(verdicts: str, expected: str, why: str) -> None:
    letters = dict(zip("hfuv", VERDICTS, strict=True))
    found = study.overall([check(letters[letter]) for letter in verdicts])
    assert found.verdict == expected and why in found.why


@given(st.lists(st.sampled_from(VERDICTS), max_size=12))
def test_a_verdict_follows_from_its_checks(verdicts: list[str]) -> None:
    found = study.overall([check(verdict) for verdict in verdicts]).verdict
    assert found == study.overall([check(verdict) for verdict in sorted(verdicts)]).verdict  # order says nothing
    if found == study.HOLDS:
        assert study.FAILS not in verdicts and study.HOLDS in verdicts
    # One more check that holds never makes a claim fail that did not.
    better = study.overall([check(verdict) for verdict in [*verdicts, study.HOLDS]]).verdict
    assert (better == study.FAILS) <= (found == study.FAILS)


def write_results(folder: Path) -> None:
    rows = {"bat": [check(study.HOLDS), check(study.UNDECIDED, claim="C4", low=None, high=None)]}
    (folder / "claims.json").write_text(json.dumps(rows))
    embedding = {"embedding_x": {"claims": [check(study.FAILS, claim="C17", paper=3.1, unit="nats")]}}
    (folder / study.embedding_claims.FILE).write_text(json.dumps(embedding))
    text = {"not run": {"claims": [check(study.NOT_RUN, claim="C12")]}}
    (folder / study.text_claims.FILE).write_text(json.dumps(text))


def test_the_page_has_every_claim_of_the_papers(tmp_path: Path) -> None:
    write_results(tmp_path)
    found = study.study(tmp_path)
    assert [*found] == [f"C{number}" for number in range(1, 22)]
    verdicts = {number: claim["verdict"] for number, claim in found.items()}
    assert verdicts["C1"] == "holds" and verdicts["C17"] == "does not hold" and verdicts["C4"] == "undecided"
    assert verdicts["C12"] == "not run"
    page = study_page.page(found, tmp_path)
    for number in found:
        assert page.count(f"\n## {number}\n") == 1 and f"| [{number}](#{number.lower()}) |" in page
    assert "| embedding_x | safer lowers synonym ASR | -8.00 [-9.00, -7.00] nats | 3.1 | 1,200 | 1 |" in page
    assert "| bat | safer lowers synonym ASR | -8.0 | – | 1,200 | 1 | undecided |" in page
    assert "3 checks, 2 of them decided and 0 void" in page


def test_void_checks_could_not_have_been_decided_by_chance() -> None:
    said = study_page.chance([{"verdict": study.HOLDS}] * 40 + [{"verdict": study.VOID}] * 60)
    assert said.startswith("100 checks, 40 of them decided and 60 void.") and said.endswith(
        "all the same, 2 of these."
    )


def test_the_committed_study_is_what_its_checks_say() -> None:
    stored = json.loads((study.RESULTS / study.FILE).read_text(encoding="utf-8"))
    again = study.text_claims.rounded(study.study())
    assert stored == again
