"""Claims, fronts and tables of the embedding-space methods, on results that the tests make."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.study import embedding_claims, embedding_tables, figures, paired, sweep, voids
from benchmarks.study.power import Variance
from benchmarks.study.run import WEIGHTS
from hf_robust.metrics.guessing import least_accuracy
from hf_robust.runs import STATUSES_FILE

SST2 = "embedding_sst2_bert_tiny"
SWEEP = embedding_tables.SWEEP
METHODS = ["normal", "pgd", "adaptive_pgd", "freelb", "adaptive_freelb"]


def write_run(folder: Path, letters: dict[str, str], accuracy: float, samples: int = 10_000, **attack: Any) -> None:
    """A run folder; a letter for each example and attack, as `benchmarks.study.run.statuses` leaves them."""
    folder.mkdir(parents=True)
    statuses = {name: {str(index): letter for index, letter in enumerate(row)} for name, row in letters.items()}
    (folder / STATUSES_FILE).write_text(json.dumps(statuses))
    attacks = {
        name: {"asr": 0.5, "robust_accuracy": row.count("f") / len(row), "num_examples": len(row)}
        for name, row in letters.items()
    }
    line = {"epoch": 3.0, "step": 30, "accuracy": accuracy, "attacks": attacks}
    (folder / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")
    data = {"name": "train.jsonl.gz", "train_samples": 6920, "eval_samples": samples}
    method = folder.name.split("-")[0].removesuffix("_frozen")
    config = {"loss_increase": 0.1, "w_optim": "sgd"} if method.startswith("adaptive_") else {}
    card = {"method": method, "data": data, **({"config": config} if config else {})}
    if attack:
        card["attacks"] = dict.fromkeys(letters, attack)
    (folder / "run_card.json").write_text(json.dumps(card))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "experiments"
    folder.mkdir()
    own = {"pgd": {"adv_steps": 3}}
    (folder / f"{SST2}.json").write_text(
        json.dumps({"larger_class": 0.5, "methods": METHODS, "method_args": own, "seeds": [1, 2]})
    )
    settings = {
        f"{method}-{name}": {"robust_method": method, "adv_steps": steps, "adv_lr": alpha}
        for method in ("pgd", "freelb")
        for name, steps, alpha in [
            ("alpha0.01", 3, 0.01), ("alpha0.02", 3, 0.02), ("alpha0.05", 3, 0.05), ("steps1", 1, 0.06),
            ("steps5", 5, 0.012),
        ]
    }  # fmt: skip
    (folder / f"{SWEEP}.json").write_text(json.dumps({"larger_class": 0.5, "settings": settings}))
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def row_of(rows: list[dict[str, Any]], *words: str) -> dict[str, Any]:
    (found,) = [row for row in rows if all(word in row["text"] for word in words)]
    return found


# ---- paired ----


def test_robust_accuracy_counts_wrong_texts_as_lost() -> None:
    assert paired.robust(paired.np.array([[0.0, 1.0, paired.np.nan, 0.0]])) == pytest.approx([0.5])


def test_a_paired_interval_of_one_outcome_for_all_has_no_width(tmp_path: Path) -> None:
    write_run(tmp_path / "pgd-seed1", {"textfooler": "s" * 50}, 0.8)
    write_run(tmp_path / "freelb-seed1", {"textfooler": "f" * 50}, 0.8)
    found = paired.robust_difference(tmp_path, "pgd", "freelb", "textfooler")
    assert found == paired.Difference(100.0, 100.0, 100.0, [100.0])


def test_a_paired_interval_is_the_binomial_one_of_the_changed_examples(tmp_path: Path) -> None:
    write_run(tmp_path / "pgd-seed1", {"textfooler": "s" * 200 + "f" * 200}, 0.8)
    write_run(tmp_path / "freelb-seed1", {"textfooler": "f" * 20 + "s" * 180 + "f" * 200}, 0.8)
    found = paired.robust_difference(tmp_path, "pgd", "freelb", "textfooler")
    half = 196 * (0.05 * 0.95 / 400) ** 0.5
    assert found.value == pytest.approx(5.0)
    assert found.low == pytest.approx(5 - half, abs=0.4) and found.high == pytest.approx(5 + half, abs=0.4)


def test_only_seeds_that_both_methods_have_are_paired(tmp_path: Path) -> None:
    for name, row, accuracy in [("pgd-seed1", "ssss", 0.7), ("pgd-seed2", "ffff", 0.8), ("pgd-seed10", "ffss", 0.9)]:
        write_run(tmp_path / name, {"textfooler": row}, accuracy)
    write_run(tmp_path / "freelb-seed2", {"textfooler": "fffs"}, 0.85)
    write_run(tmp_path / "freelb-seed10", {"textfooler": "ffff"}, 0.85)
    assert list(paired.runs_by_seed(tmp_path, "pgd")) == [1, 2, 10]
    assert paired.robust_difference(tmp_path, "pgd", "freelb", "textfooler").by_seed == [-25.0, 50.0]
    assert paired.accuracy_difference(tmp_path, "pgd", "freelb").by_seed == pytest.approx([5.0, -5.0])


def test_accuracies_are_paired_by_the_rows_that_both_models_were_asked(tmp_path: Path) -> None:
    write_run(tmp_path / "pgd-seed1", {"textfooler": "f" * 90 + "-" * 10}, 0.9, skip_misclassified=True)
    write_run(
        tmp_path / "freelb-seed1",
        {"textfooler": "s" * 84 + "-" * 6 + "f" * 4 + "-" * 6},
        0.88,
        skip_misclassified=True,
    )
    weights = paired.between("pgd", "freelb")
    values = [0] * 84 + [-100] * 6 + [100] * 4 + [0] * 6
    rows = statistics.variance(values) + 100**2 / 102
    assert paired.accuracy_variance(tmp_path, weights) == Variance(None, pytest.approx(rows), None)
    found, samples = paired.accuracy_difference(tmp_path, "pgd", "freelb"), paired.eval_samples(tmp_path / "pgd-seed1")
    half = 1.96 * (rows / samples) ** 0.5
    assert (found.value, found.high - found.value) == (pytest.approx(-2), pytest.approx(half, rel=1e-3))


def test_the_spread_of_accuracies_between_seeds_is_that_of_the_whole_set(tmp_path: Path) -> None:
    for seed, (first, second) in enumerate([(0.80, 0.81), (0.82, 0.85), (0.79, 0.79)], 1):
        for name, accuracy in (("pgd", first), ("freelb", second)):
            letters = {"textfooler": "s" * (80 + seed) + "-" * (20 - seed)}
            write_run(tmp_path / f"{name}-seed{seed}", letters, accuracy, skip_misclassified=True)
    found = paired.accuracy_variance(tmp_path, paired.between("pgd", "freelb"))
    assert found == Variance(pytest.approx(statistics.variance([1.0, 3.0, 0.0])), pytest.approx(100**2 / 102), 0.0)


def test_accuracies_without_rows_to_pair_count_as_independent(tmp_path: Path) -> None:
    for name, accuracy in (("pgd", 0.9), ("freelb", 0.8)):
        write_run(tmp_path / f"{name}-seed1", {"textfooler": "s" * 50 + "-" * 50}, accuracy, skip_labels=[1])
    assert paired.accuracy_variance(tmp_path, paired.between("pgd", "freelb")) is None
    found, samples = paired.accuracy_difference(tmp_path, "pgd", "freelb"), paired.eval_samples(tmp_path / "pgd-seed1")
    half = 196 * ((0.9 * 0.1 + 0.8 * 0.2) / samples) ** 0.5
    assert found.value - found.low == pytest.approx(half, rel=1e-3)


def test_models_that_agree_on_the_attacked_rows_do_not_count_as_equal(tmp_path: Path) -> None:
    for name, accuracy in (("pgd", 0.5), ("freelb", 0.55)):
        write_run(tmp_path / f"{name}-seed1", {"textfooler": "s" * 10 + "-" * 10}, accuracy, skip_misclassified=True)
    found, samples = paired.accuracy_difference(tmp_path, "pgd", "freelb"), paired.eval_samples(tmp_path / "pgd-seed1")
    assert found.high - found.value == pytest.approx(196 * (0.05 * 0.95 / samples) ** 0.5, rel=1e-3)


def test_runs_on_other_examples_do_not_pair(tmp_path: Path) -> None:
    write_run(tmp_path / "pgd-seed1", {"textfooler": "ssss"}, 0.7)
    write_run(tmp_path / "freelb-seed1", {"textfooler": "sssss"}, 0.7)
    with pytest.raises(ValueError, match="on different examples and cannot be paired; run them again"):
        paired.robust_difference(tmp_path, "pgd", "freelb", "textfooler")


# ---- C17 ----


def write_methods(results: Path) -> None:
    """pgd as normal; adaptive_pgd more robust at the same accuracy; freelb learnt; adaptive_freelb collapsed once."""
    half, most = "sf" * 150, "sfff" * 75
    for seed in (1, 2):
        for method, textfooler, accuracy in [
            ("normal", half, 0.80),
            ("pgd", half, 0.80),
            ("adaptive_pgd", most, 0.80),
            ("freelb", half, 0.82),
            ("adaptive_freelb", "f" * 300, 0.80 if seed == 1 else 0.51),
        ]:
            letters = {"textfooler": textfooler, "file_sst2": "sf" * 74}
            write_run(results / SST2 / f"{method}-seed{seed}", letters, accuracy)


def test_C17_verdicts(results: Path, files: Path) -> None:
    write_methods(results)
    found = embedding_claims.check_all(results, files)[SST2]["claims"]
    gain = row_of(found, "adaptive_pgd", "textfooler")
    assert gain["verdict"] == voids.NO_FROZEN and gain["value"] == pytest.approx(25.0)
    assert gain["by_seed"] == [25.0, 25.0] and gain["paper"] == 3.1 and gain["examples"] == 300
    assert gain["control"] == "pgd" and gain["runs"] == ["pgd", "adaptive_pgd"]
    assert row_of(found, "adaptive_pgd", "within 1")["verdict"] == paired.OPEN  # the interval is wider than a point
    assert row_of(found, "adaptive_pgd", "AdvGLUE")["examples"] == 148
    assert row_of(found, "adaptive_freelb", "textfooler")["verdict"] == paired.VOID  # one seed answers at random
    assert row_of(found, "adaptive_freelb", "within 1")["verdict"] == paired.VOID
    assert not [row for row in found if "tavat" in row["text"]]


@pytest.mark.parametrize(("frozen", "verdict"), [("sfff" * 75, "does not hold"), ("sf" * 150, voids.REPEATED)])
def test_C17_a_gain_is_the_weights_where_frozen_weights_lack_it(
    results: Path, files: Path, frozen: str, verdict: str
) -> None:
    """With frozen weights that gain as much, learning them gains nothing; with some that do not, it is the gain."""
    write_methods(results)
    for seed in (1, 2):
        folder = results / SST2 / f"adaptive_pgd{embedding_claims.FROZEN}-seed{seed}"
        write_run(folder, {"textfooler": frozen, "file_sst2": "sf" * 74}, 0.80)
    found = embedding_claims.check_all(results, files)[SST2]["claims"]
    assert row_of(found, "adaptive_pgd raises pgd's textfooler")["verdict"] == "holds"
    weights = row_of(found, "adaptive_pgd above its frozen weights: textfooler")
    assert weights["verdict"] == verdict
    assert weights["control"] == "adaptive_pgd_frozen"


def test_C17_a_failure_needs_no_frozen_control(results: Path, files: Path) -> None:
    write_methods(results)
    for seed in (1, 2):
        statuses = results / SST2 / f"adaptive_pgd-seed{seed}" / STATUSES_FILE
        found = json.loads(statuses.read_text())
        found["textfooler"] = {str(index): "sssf"[index % 4] for index in range(300)}
        statuses.write_text(json.dumps(found))
    rows = embedding_claims.check_all(results, files)[SST2]["claims"]
    assert row_of(rows, "adaptive_pgd raises pgd's textfooler")["verdict"] == "does not hold"


def test_C17_counts_two_attacks_with_one_outcome_once(results: Path, files: Path) -> None:
    """TextFooler and the synonym attack over one table and without an encoder are the same attack."""
    for method, letters in [("pgd", "sf" * 150), ("adaptive_pgd", "sffs" * 75)]:
        write_run(results / SST2 / f"{method}-seed1", {"textfooler": letters, "synonym": letters}, 0.80)
    rows = embedding_claims.check_all(results, files)[SST2]["claims"]
    first, second = row_of(rows, "textfooler"), row_of(rows, "synonym")
    assert first["verdict"] == paired.OPEN and second["verdict"] == voids.REPEATED
    assert second["why"] == f"the outcomes of: {first['text']}" and first["value"] == second["value"]


def test_every_method_against_normal(results: Path, files: Path) -> None:
    write_methods(results)
    found = embedding_claims.check_all(results, files)[SST2]["against_normal"]
    verdicts = {row["text"]: row["verdict"] for row in found}
    assert verdicts["adaptive_pgd minus normal: textfooler robust accuracy"] == "higher"
    assert verdicts["pgd minus normal: textfooler robust accuracy"] == "neither"
    assert verdicts["freelb minus normal: clean accuracy"] == "higher"
    assert verdicts["adaptive_freelb minus normal: textfooler robust accuracy"] == paired.VOID
    assert verdicts["adaptive_freelb minus normal: clean accuracy"] == "lower"


def test_a_model_that_gives_the_larger_class_is_near_chance() -> None:
    assert least_accuracy(0.5) == pytest.approx(0.6)
    assert 0.623 < least_accuracy(0.623) < 0.7


# ---- C16, C18 and the fronts ----


def write_sweep(results: Path) -> None:
    """pgd: robustness rises, accuracy falls, collapse at 0.05; freelb: the same without collapse; k = 5 worse."""
    rows = {
        "pgd-alpha0.01": ("f" * 30 + "s" * 270, 0.85),
        "pgd-alpha0.02": ("f" * 90 + "s" * 210, 0.80),
        "pgd-alpha0.05": ("f" * 150 + "-" * 150, 0.50),
        "pgd-steps1": ("f" * 60 + "s" * 240, 0.84),
        "pgd-steps5": ("f" * 200 + "s" * 100, 0.83),
        "freelb-alpha0.01": ("f" * 30 + "s" * 270, 0.85),
        "freelb-alpha0.02": ("f" * 60 + "s" * 240, 0.84),
        "freelb-alpha0.05": ("f" * 30 + "s" * 270, 0.78),
        "freelb-steps1": ("f" * 100 + "s" * 200, 0.84),
        "freelb-steps5": ("f" * 60 + "s" * 240, 0.84),
    }
    for name, (letters, accuracy) in rows.items():
        write_run(results / SWEEP / f"{name}-seed1", {"textfooler": letters}, accuracy)


def test_C16_trends_and_collapse(results: Path, files: Path) -> None:
    write_sweep(results)
    found = sweep.c16(sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP))
    rise = row_of(found, "pgd: textfooler robust accuracy rises from alpha 0.01 to 0.02")
    assert rise["verdict"] == "holds" and rise["value"] == pytest.approx(20.0)
    assert row_of(found, "pgd: clean accuracy falls")["verdict"] == "holds"
    assert row_of(found, "pgd collapses: at alpha 0.05")["value"] == 0.05
    assert row_of(found, "freelb collapses: not up to alpha 0.05")["verdict"] == paired.OPEN
    flat = row_of(found, "freelb: textfooler robust accuracy rises from alpha 0.01 to 0.05")
    assert flat["verdict"] == paired.OPEN and flat["spearman"] == pytest.approx(0.0)
    assert row_of(found, "freelb: clean accuracy falls")["spearman"] == -1.0
    tolerance = row_of(found, "freelb tolerates a larger alpha than pgd: at 0.05 pgd has collapsed, freelb has not")
    assert tolerance["verdict"] == "holds" and tolerance["value"] == 0.05


@pytest.mark.parametrize(("pgd", "freelb", "verdict"), [(0.80, 0.50, "does not hold"), (0.5, 0.55, paired.OPEN)])
def test_C16_what_two_collapsed_runs_are_apart_says_nothing(
    results: Path, files: Path, pgd: float, freelb: float, verdict: str
) -> None:
    write_sweep(results)
    for name, old, new in [("pgd", "0.5", pgd), ("freelb", "0.78", freelb)]:
        history = results / SWEEP / f"{name}-alpha0.05-seed1" / "robustness_history.jsonl"
        line = json.loads(history.read_text())
        assert line["accuracy"] == float(old)
        history.write_text(json.dumps({**line, "accuracy": new}) + "\n")
    found = sweep.c16(sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP))
    assert row_of(found, "freelb tolerates a larger alpha than pgd")["verdict"] == verdict


def test_C18_the_best_number_of_steps(results: Path, files: Path) -> None:
    write_sweep(results)
    points = sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP)
    assert [one.steps for one in sweep.k_line(sweep.by_method(points)["pgd"])] == [1, 3, 5]
    pgd, freelb = sweep.c18(points)
    assert pgd["verdict"] == "holds" and pgd["value"] == pytest.approx(100 * 110 / 300) and pgd["best"] == 5
    assert freelb["verdict"] == "does not hold" and freelb["best"] == 1


def test_C18_is_void_where_a_setting_collapsed(results: Path, files: Path) -> None:
    write_sweep(results)
    card = results / SWEEP / "pgd-steps1-seed1" / "robustness_history.jsonl"
    card.write_text(card.read_text().replace("0.84", "0.52"))
    pgd, _ = sweep.c18(sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP))
    assert pgd["verdict"] == paired.VOID


def test_part_of_a_sweep_is_enough(results: Path, files: Path) -> None:
    write_run(results / SWEEP / "pgd-alpha0.01-seed1", {"textfooler": "sf" * 10}, 0.8)
    points = sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP)
    (row,) = sweep.c16(points)
    assert row["text"] == "pgd collapses: not up to alpha 0.01 (k = 3)" and sweep.c18(points) == []
    assert len(figures.fronts_figure(points).axes) == 1


def test_the_fronts_have_a_line_for_each_method_and_hollow_collapses(results: Path, files: Path) -> None:
    write_sweep(results)
    points = sweep.read_sweep(files / f"{SWEEP}.json", results / SWEEP)
    figure = figures.fronts_figure(points)
    alpha, k = figure.axes
    lines = [line for line in alpha.get_lines() if line.get_linestyle() == "-" and line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in lines] == [[0.85, 0.80], [0.85, 0.84, 0.78]]
    hollow = [line.get_xdata()[0] for line in alpha.get_lines() if line.get_markerfacecolor() == "white"]
    assert hollow == [0.50]
    assert sorted({text.get_text() for text in k.texts}) == ["1", "3", "5"]
    assert k.get_title() == "k · alpha = 0.06, k grows"
    png, svg = figures.draw_fronts(points, results / SWEEP)
    assert png.stat().st_size > 10_000 and "clean accuracy" in svg.read_text(encoding="utf-8")


def test_no_sweep_draws_nothing(results: Path) -> None:
    assert figures.draw_fronts([], results) == [] and not list(results.iterdir())


# ---- C19, C20 ----


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [((1.20, 1.18, 1.25), "holds"), ((1.45, 1.40, 1.50), "does not hold"), ((1.28, 1.22, 1.35), paired.OPEN)],
)
def test_C19_reads_the_cost_benchmark(
    results: Path, files: Path, ratios: tuple[float, float, float], verdict: str
) -> None:
    ratio = dict(zip(("median", "low", "high"), ratios, strict=True))
    pair = {"ratio": ratio, "paper": 1.178, "goal": 0.10, "beyond_passes": {}}
    (results / "cost_minilm.json").write_text(
        json.dumps({"setting": {"adv_steps": 5}, "pairs": {"adaptive_freelb/freelb": pair}})
    )
    (row,) = embedding_claims.check_all(results, files)["cost_minilm"]["claims"]
    assert row["verdict"] == verdict and row["paper"] == 17.8
    assert row["text"] == "a step of adaptive_freelb costs 20 % more than one of freelb, within 10 points"
    assert row["value"] == pytest.approx(100 * (ratios[0] - 1))


def write_linear(results: Path, files: Path, error: float) -> Path:
    name = embedding_claims.LINEARISATION
    setting = {"robust_method": "adaptive_pgd", "adv_steps": 3, "adv_lr": 0.05, "adv_norm_type": "none"}
    (files / f"{name}.json").write_text(json.dumps({"larger_class": 0.5, "settings": {"raw": setting}}))
    run = results / name / "raw-seed1"
    write_run(run, {"textfooler": "sf"}, 0.8)
    card = json.loads((run / "run_card.json").read_text())
    (run / "run_card.json").write_text(json.dumps({**card, "config": {"same_dropout": True}}))
    lines = [
        {"step": step, "w": [0.5, 0.5], "entropy": 0.69, "clean_loss": clean, "loss": clean + up,
         "linearised_loss": clean + up * (1 - error), "linearisation_error": up * error}
        for step in range(40) for clean, up in [(0.7 - 0.01 * step, 0.1 + 0.03 * (step % 3))]
    ]  # fmt: skip
    (run / WEIGHTS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.mark.parametrize(("error", "verdict"), [(0.02, "holds"), (0.4, "does not hold")])
def test_C20_correlation_and_relative_error(results: Path, files: Path, error: float, verdict: str) -> None:
    write_linear(results, files, error)
    tracks, near = embedding_claims.check_all(results, files)[embedding_claims.LINEARISATION]["claims"]
    assert tracks["value"] == pytest.approx(100.0) and tracks["verdict"] == "holds"
    assert near["value"] == pytest.approx(100 * error) and near["verdict"] == verdict and near["examples"] == 40
    assert tracks["text"].startswith("adaptive_pgd, raw steps, alpha 0.05")


def test_C20_is_void_where_dropout_was_between_the_losses(results: Path, files: Path) -> None:
    card = write_linear(results, files, 0.02) / "run_card.json"
    card.write_text(card.read_text().replace("true", "false"))
    rows = embedding_claims.check_all(results, files)[embedding_claims.LINEARISATION]["claims"]
    assert [row["verdict"] for row in rows] == [voids.OTHER_DROPOUT] * 2


def test_C20_an_error_that_is_small_beside_the_loss_is_measured_by_the_increase() -> None:
    """A clean loss that falls from 2 to 1, which both curves share, hides that the increase is not approximated."""
    clean = np.linspace(2.0, 1.0, 41)
    true, linear = clean + 0.02, clean + 0.02 + 0.02 * np.sin(np.arange(41))
    values = np.stack([true, linear, abs(true - linear), clean], axis=1)
    assert np.corrcoef(true, linear)[0, 1] > 0.99 and values[:, 2].mean() / true.mean() < 0.02
    expected = 100 * np.abs(np.sin(np.arange(41))).mean()
    assert embedding_claims.relative_error(values) == pytest.approx(expected)
    values[:, 0] += 0.01 * np.cos(np.arange(41))  # an increase of its own, without relation to the linearised one
    assert abs(embedding_claims.correlation(values)) < 20


def test_C20_is_void_where_training_collapsed(results: Path, files: Path) -> None:
    """The loss of a model that guesses is nearly constant, so that anything tracks it."""
    history = write_linear(results, files, 0.02) / "robustness_history.jsonl"
    history.write_text(history.read_text().replace("0.8", "0.5"))
    rows = embedding_claims.check_all(results, files)[embedding_claims.LINEARISATION]["claims"]
    assert [row["verdict"] for row in rows] == [paired.VOID] * 2
    assert rows[0]["why"] == "raw near or below chance (accuracy below 60 %)"


def test_C20_without_a_logged_error_says_nothing(results: Path, files: Path) -> None:
    (write_linear(results, files, 0.1) / WEIGHTS).unlink()
    one = embedding_claims.Experiment(files / f"{embedding_claims.LINEARISATION}.json", results / "x")
    assert embedding_claims.c20(one) == []
    assert embedding_claims.LINEARISATION not in embedding_claims.check_all(results, files)


# ---- tables ----


def test_nothing_run_is_said(results: Path, files: Path) -> None:
    assert embedding_claims.check_all(results, files) == {}
    assert embedding_tables.full(results, files) == ""
    text = embedding_tables.compact(results, files)
    assert text.startswith("### Embedding-space methods\n") and "Nothing was run yet" in text


def test_tables_say_what_there_is(results: Path, files: Path) -> None:
    write_methods(results)
    write_sweep(results)
    write_run(results / SST2 / "pgd-seed3", {"textfooler": "sf" * 150, "file_sst2": "sf" * 74}, 0.83)
    weights = {"step": 30, "w": [0.2, 0.8], "entropy": 0.5004}
    (results / SST2 / "adaptive_pgd-seed1" / WEIGHTS).write_text(json.dumps(weights) + "\n")
    embedding_claims.main(results, files)
    page = embedding_tables.full(results, files)
    assert "| pgd | 3 | 81.0 ± 1.7 | 50.0 ± 0.0 | 50.0 ± 0.0 [42.0, 58.0] |" in page
    assert "| adaptive_freelb (near chance) | 2 |" in page
    assert "| adaptive_pgd | 2 | +0.0 [-1.1, +1.1] | **+25.0 [" in page
    assert "| adaptive_pgd-seed1 | 0.200, 0.800 | 0.500 | 0.693 |" in page
    assert "| pgd | 3 | 0.05 | 0.15 | 1 | 50.0 [49.0, 51.0] | 50.0 [44.4, 55.6] | yes |" in page
    assert "adv_steps 3" in page
    text = embedding_tables.compact(results, files)
    assert "AdvGLUE" in text and "| C16 |" in text and "| C18 |" in text
    assert "adaptive_pgd raises pgd's textfooler robust accuracy | 25.0 [" in text
    assert "raises pgd's AdvGLUE" not in text and "raises pgd's AdvGLUE" in page


def test_one_run_alone_is_a_table(results: Path, files: Path) -> None:
    write_run(results / SST2 / "normal-seed2", {"textfooler": "sf" * 50}, 0.8, samples=1000)
    embedding_claims.main(results, files)
    assert "| normal | 1 | 80.0 [77.4, 82.4] | 50.0 [40.4, 59.6] |" in embedding_tables.compact(results, files)
    assert "C17" not in embedding_tables.full(results, files)


@pytest.mark.slow
def test_committed_claims_are_those_of_the_committed_results() -> None:
    path = embedding_claims.RESULTS / embedding_claims.FILE
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    found = embedding_claims.check_all()
    verdicts = [
        {name: {kind: [(row["text"], row["verdict"]) for row in rows] for kind, rows in each.items()}
         for name, each in one.items()}
        for one in (written, found)
    ]  # fmt: skip
    assert verdicts[0] == verdicts[1], "run python -m benchmarks.study.embedding_claims"
