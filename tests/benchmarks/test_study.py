"""What a claim comes to, and the page, on checks that the test makes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study import checks, study, study_page, verdicts, voids
from benchmarks.study.experiment import TextExperiment, learnt_wrong
from benchmarks.study.paired import ACCURACY, FAILS, HOLDS, OPEN, VOID, accuracy_of, read, runs_of

VERDICTS = (HOLDS, FAILS, OPEN, VOID)


def check(verdict: str, **more: Any) -> dict[str, Any]:
    row = {"claim": "C1", "text": "safer lowers synonym ASR", "value": -8.0, "low": -9.0, "high": -7.0}
    row |= {"by_seed": [-8.0], "verdict": verdict, "experiment": "snli_minilm", "unit": "points", "examples": 1200}
    row |= {"paper": None, "quantity": "synonym", "runs": ["normal", "safer"], "control": "normal", "beside": None}
    needs = {"needs": {"rows": 2400, "seeds": 2}, "effect_of": "paper", "visible": 2.5}
    return {**row, **needs, **more}


@pytest.mark.parametrize(
    ("letters_of_checks", "expected", "why"),
    [
        ("", "not run", "nothing was run"),
        ("h", "holds", "of 1 check 1 holds"),
        ("hhuuv", "holds", "of 5 checks 2 hold, 2 not decidable here, 1 void (1 near chance)"),
        ("huu", "holds", "of 3 checks 1 holds, 2 not decidable here"),
        ("hhf", "does not hold", "not so: safer lowers synonym ASR (MiniLM on SNLI)"),
        ("hff", "does not hold", "of 3 checks 1 holds, 2 fail"),
        ("fffffh", "does not hold", "and 2 more"),
        ("uv", OPEN, "it takes 2,400 rows and 2 seeds (safer lowers synonym ASR, MiniLM on SNLI, effect as printed)"),
    ],
)
def test_a_claim_comes_to_what_its_checks_say(letters_of_checks: str, expected: str, why: str) -> None:
    letters = dict(zip("hfuv", VERDICTS, strict=True))
    found = verdicts.verdict_of([check(letters[letter]) for letter in letters_of_checks])
    assert found.verdict == expected and why in found.why


def test_a_claim_of_two_parts_holds_where_both_are_shown() -> None:
    rows = [check(HOLDS), check(HOLDS, quantity="antonym", part="antonym at batch 8")]
    assert verdicts.verdict_of(rows).verdict == HOLDS
    rows[1]["verdict"] = OPEN
    found = verdicts.verdict_of(rows)
    assert found.verdict == OPEN and "; not shown: antonym at batch 8; it takes" in found.why
    in_another_experiment = {**rows[1], "verdict": HOLDS}
    assert verdicts.verdict_of([*rows, in_another_experiment]).verdict == HOLDS
    for verdict in (VOID, voids.NO_FROZEN):  # a part that no check shows is not shown
        assert verdicts.verdict_of([rows[0], {**rows[1], "verdict": verdict}]).verdict == OPEN
    for aside in ({"verdict": voids.REPEATED}, {"part": voids.ASIDE}):
        assert verdicts.verdict_of([rows[0], {**rows[1], **aside}]).verdict == HOLDS


def test_a_claim_takes_what_its_dearest_part_takes_at_the_least() -> None:
    """Two checks of one part, of which the cheaper counts, and one of another part that is dearer than both."""
    rows = [
        check(OPEN, needs={"rows": rows, "seeds": seeds}, part=part, effect_of=effect)
        for rows, seeds, part, effect in [(500, 9, "a", "paper"), (800, 1, "a", "paper"), (900, 2, "b", "here")]
    ]
    found = verdicts.verdict_of(rows)
    assert found.needs is not None and found.needs["needs"] == {"rows": 900, "seeds": 2}
    assert "900 rows and 2 seeds" in found.why and "effect as measured" in found.why
    missing = [check(voids.NO_UNTRAINED)]
    assert "2,400 rows and 2 seeds, and what is missing (no untrained mask)" in verdicts.verdict_of(missing).why
    assert "more than 100,000 rows" in verdicts.verdict_of([check(OPEN, needs={"rows": 10**6, "seeds": 1})]).why
    nothing = verdicts.verdict_of([check(VOID, needs=None)] * 2)
    assert nothing.needs is None and nothing.why.startswith("of 2 checks 2 void (2 near chance); no number of rows")


@given(st.lists(st.sampled_from(VERDICTS), max_size=12))
def test_a_verdict_follows_from_its_checks(given: list[str]) -> None:
    found = verdicts.verdict_of([check(verdict) for verdict in given]).verdict
    assert found == verdicts.verdict_of([check(verdict) for verdict in sorted(given)]).verdict  # order says nothing
    assert (found == HOLDS) == (FAILS not in given and HOLDS in given)
    # One more check that holds never makes a claim fail that did not.
    better = verdicts.verdict_of([check(verdict) for verdict in [*given, HOLDS]]).verdict
    assert (better == FAILS) == (found == FAILS)


def write_results(folder: Path) -> None:
    rows = {"bat": [check(HOLDS), check(OPEN, claim="C4", low=None, high=None, effect_of="here")]}
    (folder / study.bat_claims.FILE).write_text(json.dumps(rows))
    embedding = {"embedding_x": {"claims": [check(FAILS, claim="C17", paper=3.1, unit="nats")]}}
    (folder / study.embedding_claims.FILE).write_text(json.dumps(embedding))
    text = {"not run": {"claims": [check(verdicts.NOT_RUN, claim="C12")]}}
    (folder / study.text_claims.FILE).write_text(json.dumps(text))


def test_the_page_has_every_claim_of_the_papers(tmp_path: Path) -> None:
    write_results(tmp_path)
    found = study.study(tmp_path)
    assert [*found] == [f"C{number}" for number in range(1, 22)]
    said = {number: claim["verdict"] for number, claim in found.items()}
    assert said["C1"] == "holds" and said["C17"] == "does not hold" and said["C4"] == OPEN
    assert said["C12"] == "not run"
    (tmp_path / study_page.FILE).write_text(json.dumps(found))
    page = study_page.page(tmp_path)
    for number in found:
        assert page.count(f"\n## {number}\n") == 1 and f"| [{number}](#{number.lower()}) |" in page
    row = "| embedding_x | safer lowers synonym ASR | normal | -8.00 [-9.00, -7.00] nats | 3.1 | 2.5 | 1,200 | 1 |"
    assert f"{row} 2,400 x 2 | does not hold | normal, safer |" in page
    row = "| bat | safer lowers synonym ASR | normal | -8.0 | – | 2.5 | 1,200 | 1 | 2,400 x 2† | not decidable here |"
    assert row in page
    assert "3 checks, 2 of them decided, 1 not decidable here and 0 void. 3 rest on one seed" in page
    for rule, why in voids.RULES.items():
        assert f"- *{rule.removeprefix('void: ')}*: {why}" in page


def test_a_control_is_said_whether_it_is_beside_or_missing() -> None:
    assert study_page.control_cell(check(HOLDS)) == "normal"
    assert study_page.control_cell(check(HOLDS, beside="flat_untrained")) == "normal; beside: flat_untrained"
    missing = study_page.control_cell(check(OPEN, claim="C17", beside=""))
    assert missing == "normal; missing: frozen weights of equal loss increase"


def test_the_committed_study_is_what_its_checks_say() -> None:
    stored = json.loads((study.RESULTS / study_page.FILE).read_text(encoding="utf-8"))
    again = study.text_claims.rounded(study.study())
    assert stored == again


# ---- the one rule, on every check of the committed results ----


@pytest.fixture(scope="module")
def committed() -> list[dict[str, Any]]:
    return [row for claim in read(study.RESULTS / study_page.FILE).values() for row in claim["checks"]]


def accuracies(row: dict[str, Any], setting: str) -> list[float]:
    """Clean accuracy at the end of each run of a setting; a model that has learnt wrong labels has no say on it."""
    runs = runs_of(study.RESULTS / row["experiment"], setting)
    wrong = [run for run in runs if row["quantity"] == ACCURACY and learnt_wrong(run)]
    return [accuracy_of(run) for run in runs if run not in wrong] or [1.0] * len(wrong)


def test_no_check_of_a_run_near_chance_counts(committed: list[dict[str, Any]]) -> None:
    """Near chance: less than a fifth of the way from the larger class to 1; collapse itself is asked of all runs."""
    wrong = []
    for row in committed:
        if row["experiment"].startswith("cost_") or row["quantity"] in (checks.COLLAPSE, "tolerance"):
            continue
        larger = read(study.EXPERIMENTS / f"{row['experiment']}.json")["larger_class"]
        found = [value for setting in row["runs"] for value in accuracies(row, setting)]
        assert found, row
        if (min(found) < larger + 0.2 * (1 - larger)) != (row["verdict"] == VOID):
            wrong.append((row["experiment"], row["text"], row["verdict"]))
    assert not wrong


def test_every_check_names_its_control_and_has_a_known_verdict(committed: list[dict[str, Any]]) -> None:
    for row in committed:
        assert row["control"] and row["runs"], row["text"]
        assert row["verdict"] in (HOLDS, FAILS, OPEN, *voids.RULES)


def test_no_measurement_is_counted_twice(committed: list[dict[str, Any]]) -> None:
    """Of one claim and experiment no two checks that count are made of the same letters for the same examples."""
    seen: Counter[Any] = Counter()
    for row in committed:
        if voids.is_void(row["verdict"]) or row["experiment"].startswith("cost_"):
            continue
        folder = study.RESULTS / row["experiment"]
        files = [read(run / "statuses.json") for setting in row["runs"] for run in runs_of(folder, setting)]
        letters = [str(found[row["quantity"]]) for found in files if row["quantity"] in found]
        if letters:
            seen[row["claim"], row["experiment"], tuple(letters), row["value"]] += 1
    assert seen and max(seen.values()) == 1


STORED = [
    ("C10", FAILS, "not so: taichi more robust than taichi_no_adv, by less than 3"),
    ("C12", HOLDS, "of 3 checks 1 holds, 2 void (1 near chance, 1 no partner of the average)"),
    ("C8", HOLDS, "of 6 checks 2 hold, 4 void (2 near chance, 2 failed rows dropped)"),
    ("C6", HOLDS, "6 function words not apart"),
    ("C4", FAILS, "bat_pairwise keeps accuracy within 1.6 (BERT-tiny on SNLI)"),
    ("C9", FAILS, "not so: taichi above ada: textfooler (trained on) (BERT-tiny on TREC, TaiChi's Table 5)"),
    ("C13", FAILS, "40 mask not shown to be learnt, 2 near chance"),
    ("C15", FAILS, "not so: flat above flat with gamma 0: textfooler (LSTM on SST-2)"),
    ("C16", HOLDS, "6 hold, 2 not decidable here, 2 void (2 method corrected since)"),
    ("C20", HOLDS, "4 void (4 near chance)"),
    ("C17", FAILS, "adaptive_pgd above its frozen weights: textfooler robust accuracy"),
    (
        "C21",
        FAILS,
        "not so: gradient_mask fixes at least 2 errors for each that it introduces: all",
    ),
]


@pytest.mark.parametrize(("number", "verdict", "why"), STORED)
def test_what_stored_numbers_say(number: str, verdict: str, why: str) -> None:
    claim = read(study.RESULTS / study_page.FILE)[number]
    assert claim["verdict"] == verdict and why in claim["why"]


def test_the_ablation_without_the_twins_loss_is_above_the_whole() -> None:
    """From the letters of each example: one more robust text is one more f among those of six seeds."""
    folder = study.RESULTS / "text_sst2_bert_parts"
    robust = {
        name: [list(read(run / "statuses.json")["textfooler"].values()).count("f") for run in runs_of(folder, name)]
        for name in ("taichi", "taichi_no_adv")
    }
    gain = 100 * (sum(robust["taichi_no_adv"]) - sum(robust["taichi"])) / 1200
    assert gain == pytest.approx(3.83, abs=0.01)
    claims = read(study.RESULTS / study_page.FILE)
    rows = {
        number: row for number in ("C10", "C11") for row in claims[number]["checks"]
        if "taichi more robust than taichi_no_adv" in row["text"] and row["experiment"] == folder.name
    }  # fmt: skip
    assert [row["value"] for row in rows.values()] == pytest.approx([-gain, -gain], abs=1e-3)
    assert {number: row["verdict"] for number, row in rows.items()} == {"C10": FAILS, "C11": FAILS}


def test_the_remark_on_C9_names_the_rivals_that_taichi_is_below() -> None:
    rows = read(study.RESULTS / study_page.FILE)["C9"]["checks"]
    told = [row for row in rows if row["quantity"] != "accuracy" and row["verdict"] != VOID]  # not near chance
    above = {row["runs"][0] for row in told if row["high"] < 0}
    said = read(study_page.REMARKS)["C9"].partition("taichi is below ")[2].partition(" under some attack")[0]
    assert set(said.replace(" and ", ", ").split(", ")) == above
    assert [row["text"] for row in rows if row["verdict"] == FAILS] == ["taichi above ada: textfooler (trained on)"]


def test_the_drop_of_training_on_adversarial_texts_rests_on_dropped_rows() -> None:
    card = read(study.RESULTS / "text_trec_bert_tiny" / "base_adv-seed1" / "run_card.json")
    assert sum(made["attempts"] - made["found"] for made in card["views"]) > 0
    one = TextExperiment(study.EXPERIMENTS / "text_trec_bert_tiny.json", study.RESULTS / "text_trec_bert_tiny")
    assert not one.near_chance("base_adv")  # so that chance is not the reason there
    rows = [row for row in read(study.RESULTS / study_page.FILE)["C8"]["checks"] if "trec" in row["experiment"]]
    assert [row["verdict"] for row in rows] == [voids.DROPPED] * 2


def test_beta_is_the_entropy_and_gamma_the_consistency() -> None:
    from hf_robust.trainers.flat import FLATConfig

    says = study.study()["C15"]["says"]
    assert "entropy of the mask (beta 0)" in says and "consistency of importance (gamma 0)" in says
    helps = {name: FLATConfig.__dataclass_fields__[name].metadata["help"] for name in ("flat_beta", "flat_gamma")}
    assert "entropy" in helps["flat_beta"] and "entropy" not in helps["flat_gamma"]
