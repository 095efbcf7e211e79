"""Tables against values computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from run_folders import make_run

from hf_robust.reports import IncomparableRunsError, comparison_table, percent, results_table
from hf_robust.reports.compare import differences
from hf_robust.runs import load_run, read_history, write_history_line


def rows(table: str) -> list[list[str]]:
    """Cells of every row except the rules below the headers."""
    lines = [line for line in table.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_single_run_has_wilson_intervals(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(60, 20), (40, 40)], [(10, 70), (20, 60)], accuracy=0.79)
    header, row, *_ = rows(comparison_table([run]))
    cells = dict(zip(header, row, strict=True))
    assert cells["method"] == "normal" and cells["model"] == "tiny" and cells["data"] == "reviews (validation)"
    assert cells["epoch"] == "2 (last)" and cells["seeds"] == "1"
    # Wilson by hand for 40 of 80: centre 0.5, half width z sqrt(0.25/80 + z^2/25600) / (1 + z^2/80), z = 1.959964
    assert cells["synonym ASR"] == "50 [39, 61]"  # of 80: one example is more than a point
    # 40 of 100: (0.4 + z^2/200 -+ z sqrt(0.24/100 + z^2/40000)) / (1 + z^2/100)
    assert cells["synonym: clean → under attack"] == "40.0 [30.9, 49.8]"
    assert cells["accuracy"].startswith("80.0 [73.9, 85.0")
    assert cells["antonym ASR"].startswith("25 [")


def test_no_robust_accuracy_where_keeping_the_prediction_is_the_error(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(40, 40)], [(20, 60)])
    assert not [name for name in rows(comparison_table([run]))[0] if name.startswith("antonym:")]
    antonym = next(row for row in rows(results_table(load_run(run))) if row[0] == "antonym")
    assert antonym[2] == "–"


def test_changed_words_have_a_column_where_an_attack_counted_them(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(40, 40)], [(20, 60)])
    assert rows(results_table(load_run(run)))[0][-1] == "queries each"
    history = tmp_path / "robustness_history.jsonl"
    line = json.loads(history.read_text())
    line["attacks"]["synonym"]["changed_share"] = 0.125
    history.write_text(json.dumps(line) + "\n")
    shown = [row[-1] for row in rows(results_table(load_run(run)))]
    assert shown == ["changed words, %", "–", "12.5", "–"]


def test_saturated_queries_have_a_column_where_they_were_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(1, 3)], [(1, 3)])
    assert "saturated queries, %" not in rows(results_table(load_run(run)))[0]
    line = read_history(run)[0]
    line["attacks"]["synonym"]["saturated_share"] = 0.125
    write_history_line(run, line)
    header, _, synonym, antonym = rows(results_table(load_run(run)))
    assert header[-1] == "saturated queries, %" and (synonym[-1], antonym[-1]) == ("12.5", "–")


def test_seeds_become_mean_and_sample_deviation(tmp_path: Path) -> None:
    counts = [(40, 40), (44, 36), (36, 44)]
    runs = [make_run(tmp_path / str(seed), [pair], seed=seed) for seed, pair in enumerate(counts)]
    other = make_run(tmp_path / "safer", [(8, 72)], method="safer")
    header, row, second, *_ = rows(comparison_table([*runs, other]))
    cells = dict(zip(header, row, strict=True))
    assert cells["seeds"] == "3"
    assert cells["synonym ASR"] == "50.0 ± 5.0"  # 50, 55, 45
    assert cells["synonym: clean → under attack"] == "40.0 ± 4.0"  # 40, 36, 44
    assert cells["accuracy"] == "80.0 ± 0.0"
    assert dict(zip(header, second, strict=True))["method"] == "safer"


@pytest.mark.parametrize("changed", [{"config": {"alpha": 2}}, {"training": {"learning_rate": 1.0}}, {"model": "x"}])
def test_only_seeds_may_differ_in_a_group(tmp_path: Path, changed: dict[str, object]) -> None:
    runs = [make_run(tmp_path / "0", [(1, 3)]), make_run(tmp_path / "1", [(1, 3)], seed=1, **changed)]
    assert [row[3] for row in rows(comparison_table(runs))[1:3]] == ["1", "1"]


def test_a_run_given_twice_is_no_second_seed(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "0", [(1, 3)]), make_run(tmp_path / "1", [(1, 3)])]
    assert [row[3] for row in rows(comparison_table(runs))[1:3]] == ["1", "1"]


def test_seed_without_a_rate_is_counted_out(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(seed), [pair], seed=seed) for seed, pair in enumerate([(40, 40), (0, 0)])]
    header, row, *_ = rows(comparison_table(runs))
    assert dict(zip(header, row, strict=True))["synonym ASR"] == "50.0 (1 of 2 seeds)"


def test_best_epoch_is_the_published_one(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(60, 20), (40, 40), (50, 30)], best_step=200)
    header, row, *_ = rows(comparison_table([run]))
    cells = dict(zip(header, row, strict=True))
    assert cells["epoch"] == "2 (best)" and cells["synonym ASR"].startswith("50")
    (tmp_path / "trainer_state.json").write_text('{"best_global_step": 100}')
    assert load_run(tmp_path).published["epoch"] == 1.0


def test_weights_that_were_trained_on_without_an_attack_are_not_those_measured(tmp_path: Path) -> None:
    folder = make_run(tmp_path, [(60, 20), (40, 40)])
    assert load_run(folder).measured_exactly
    card = json.loads((folder / "run_card.json").read_text())
    (folder / "run_card.json").write_text(json.dumps({**card, "final_step": 900}))
    run = load_run(folder)
    assert run.kept_step == 900 and not run.measured_exactly and run.published["epoch"] == 2.0


def test_best_step_counts_only_where_the_best_model_was_loaded(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(60, 20), (40, 40)])
    (tmp_path / "trainer_state.json").write_text('{"best_global_step": 100}')
    assert load_run(run).published["epoch"] == 2.0
    (tmp_path / "run_card.json").unlink()
    assert load_run(run).published["epoch"] == 1.0


def test_published_weights_that_were_not_attacked_are_marked(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(60, 20), (40, 40)], best_step=150)
    assert load_run(run).published["epoch"] == 1.0 and not load_run(run).measured_exactly
    table = comparison_table([run])
    assert rows(table)[1][4] == "1 (best)*" and "*: the published checkpoint was not attacked" in table


def test_cost_table(tmp_path: Path) -> None:
    table = rows(comparison_table([make_run(tmp_path, [(40, 40)])]))
    assert table[-2:] == [
        ["method", "attack", "N", "attacked", "queries each", "attack seconds", "training seconds"],
        ["normal", "synonym", "100", "80", "12.5", "3.0", "10.0"],
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"data": {"name": "reviews", "fingerprint": "f2"}}, "data fingerprint differs, 'f1' and 'f2' (a, b)"),
        ({"data": {"name": "reviews", "fingerprint": "f1", "attack_split": "test"}}, "data attack_split differs"),
        ({"data": {"name": "others"}}, "data name differs, 'reviews' and 'others'"),
        (
            {"attacks": {"synonym": {"goal": {"name": "misclassify"}, "query_budget": 9}}},
            "attack 'synonym' differs in query_budget, null and 9",
        ),
    ],
)
def test_runs_that_were_not_measured_alike_are_refused(
    tmp_path: Path, changed: dict[str, object], reason: str
) -> None:
    runs = [make_run(tmp_path / "a", [(1, 3)]), make_run(tmp_path / "b", [(1, 3)], **changed)]
    with pytest.raises(IncomparableRunsError) as caught:
        comparison_table(runs)
    assert reason in str(caught.value) and "--force" in str(caught.value)
    forced = comparison_table(runs, force=True)
    assert f"> **Not comparable:** {reason}" in forced and len(rows(forced)) == 6


def test_equal_fingerprints_outweigh_file_names(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / name, [(1, 3)], seed=seed, data={"fingerprint": "f1", "name": name, "variant": name})
        for seed, name in enumerate("ab")
    ]
    assert rows(comparison_table(runs))[1][3] == "2"


@pytest.mark.parametrize(
    ("other", "alike"), [("eval", True), ("train-eval", True), ("more-eval", False), ("x", False)]
)
def test_runs_are_compared_by_what_both_have_of_the_data(tmp_path: Path, other: str, alike: bool) -> None:
    runs = [
        load_run(make_run(tmp_path / name, [(1, 3)], data={"fingerprint": fingerprint}))
        for name, fingerprint in (("a", "train-eval"), ("b", other))
    ]
    assert (differences(runs) == []) is alike


def test_older_descriptions_are_compared_with_defaults(tmp_path: Path) -> None:
    """In older descriptions searches climb probabilities, and a goal has only its name."""
    older = {"goal": {"name": "misclassify"}, "candidates": {"name": "synonyms"}}
    goal = {"name": "misclassify", "keeps_prediction": False, "maximises": False}
    now = {"goal": goal, "candidates": {"name": "synonyms"}, "scores": "probability"}
    described = {"older": older, "now": now, "margin": {**now, "scores": "margin"}}
    runs = {
        name: load_run(make_run(tmp_path / name, [(1, 3)], attacks={"synonym": one}))
        for name, one in described.items()
    }
    assert differences([runs["older"], runs["now"]]) == []
    for name in ("older", "now"):
        (reason,) = differences([runs[name], runs["margin"]])
        assert reason.startswith('attack \'synonym\' differs in scores, "probability" and "margin"')


def test_where_a_lexicon_was_read_from_does_not_count(tmp_path: Path) -> None:
    runs = []
    for seed, source in enumerate(("here.json", "there.json")):
        lexicon = {"fingerprint": "l", "source": source}
        attacks = {"synonym": {"goal": {"name": "misclassify"}, "candidates": {"lexicon": lexicon}}}
        runs.append(make_run(tmp_path / source, [(1, 3)], seed=seed, attacks=attacks, lexicons={"synonyms": lexicon}))
    assert rows(comparison_table(runs))[1][3] == "2"


def test_percent() -> None:
    assert percent(0.41, (0.3672, 0.4541)) == "41.0 [36.7, 45.4]"
    assert percent(1.0) == "100.0" and percent(float("nan")) == "–"
    assert percent(0.5, (float("nan"), 0.6)) == "50.0"


def test_no_run_is_an_error() -> None:
    with pytest.raises(ValueError, match="No run given"):
        comparison_table([])


def test_malformed_run_card_is_one_sentence(tmp_path: Path) -> None:
    run = make_run(tmp_path, [(1, 3)])
    (run / "run_card.json").write_text("{")
    with pytest.raises(ValueError, match=r"run_card.json is not JSON"):
        comparison_table([run])
