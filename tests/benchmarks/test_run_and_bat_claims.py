"""The benchmark runner's bookkeeping and the verdicts on claims, on results that the test makes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.study import bat_claims, checks, distances, paired, run, voids
from benchmarks.study.experiment import TextExperiment
from benchmarks.study.paper_runs import PAPER
from hf_robust.runs import write_history_line
from hf_robust.sweep.place import Place
from hf_robust.sweep.pool import Pool
from hf_robust.trainers import METHODS
from hf_robust.views import DrawnViews

EXPERIMENTS = [
    path
    for path in sorted((Path(run.ROOT) / "benchmarks" / "experiments").glob("*.json"))
    if PAPER not in json.loads(path.read_text())
]


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_name_methods_and_flags_that_exist(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hf_robust.wiring.parsing import parse_arguments

    monkeypatch.setattr(run, "packaged_model", lambda name: f"models/{name}")
    jobs = list(run.jobs_of(path, Path("data")))
    experiment = json.loads(path.read_text())
    settings = experiment.get("settings") or {name: {"robust_method": name} for name in experiment["methods"]}
    assert len(jobs) == len(experiment["seeds"]) * len(settings)
    named = {setting["robust_method"] for setting in settings.values()}
    assert {arguments["robust_method"] for _, arguments in jobs} == named <= set(METHODS)
    for _, arguments in jobs:
        assert not any("{" in str(value) for value in arguments.values())
        parsed = parse_arguments(["--output_dir", "out", *_tokens(arguments)])
        assert parsed.method.name == arguments["robust_method"]


def _tokens(arguments: dict[str, Any]) -> list[str]:
    tokens: list[str] = []
    for key, value in arguments.items():
        values = value if isinstance(value, list) else [value]
        tokens += [f"--{key}", *map(str, values)]
    return tokens


def write_run(folder: Path, synonym: str, antonym: str, accuracy: float, further: float) -> None:
    folder.mkdir(parents=True)
    rows = {"synonym": synonym, "antonym": antonym}
    statuses = {name: {str(index): letter for index, letter in enumerate(row)} for name, row in rows.items()}
    (folder / "statuses.json").write_text(json.dumps(statuses))
    (folder / "distances.json").write_text(
        json.dumps({"texts": 500, "obstinate_further": further, "fickle": 0.1, "obstinate": 0.2})
    )
    (folder / "run_card.json").write_text(json.dumps({"data": {"eval_samples": 1000}}))
    line = {"epoch": 1.0, "step": 1, "accuracy": accuracy, "attacks": {}}
    (folder / "robustness_history.jsonl").write_text(json.dumps(line) + "\n")


def experiment(folder: Path, larger_class: float) -> TextExperiment:
    file = folder / "experiment.json"
    file.write_text(json.dumps({"methods": list(bat_claims.METHODS), "larger_class": larger_class}))
    return TextExperiment(file, folder)


def test_verdicts(tmp_path: Path) -> None:
    half, most, few = "sf" * 200, "sssf" * 100, "fffs" * 100
    other, fewer = "fs" * 200, "sfff" * 100
    for method, (synonym, antonym, accuracy, further) in {
        "normal": (half, other, 0.80, 0.4),
        "safer": (few, most, 0.79, 0.3),
        "bat_pairwise": (few, fewer, 0.80, 0.9),
        "bat_triplet": (half, most, 0.70, 0.5),
    }.items():
        for seed in (1, 2):
            write_run(tmp_path / f"{method}-seed{seed}", synonym, antonym, accuracy, further)
    verdicts = {row["text"]: row["verdict"] for row in bat_claims.checks_of(experiment(tmp_path, larger_class=0.5))}
    assert verdicts["safer lowers synonym ASR"] == verdicts["safer raises antonym ASR"] == "holds"
    assert verdicts["safer keeps accuracy within 1.6"] == paired.OPEN
    assert verdicts["bat_pairwise lowers synonym ASR"] == "holds"
    assert verdicts["bat_pairwise lowers antonym ASR"] == voids.NO_MATCHED
    assert verdicts["bat_triplet lowers synonym ASR"] == paired.OPEN
    assert verdicts["bat_triplet lowers antonym ASR"] == "does not hold"
    for method in ("normal", "bat_pairwise", "bat_triplet"):
        most = "most" if method.startswith("bat") else "less than half of the"
        assert verdicts[f"{method}: antonym view further than synonym view in {most} texts"] == voids.NOT_SPLIT


def test_a_lower_antonym_rate_counts_beside_matched_views(tmp_path: Path) -> None:
    for method, antonym in (("normal", "ssff"), ("bat_pairwise", "sfff"), ("bat_pairwise_matched", "sfff")):
        write_run(tmp_path / f"{method}-seed1", "ssff" * 100, antonym * 100, 0.80, 0.5)
    rows = {row["text"]: row for row in bat_claims.checks_of(experiment(tmp_path, larger_class=0.5))}
    row = rows["bat_pairwise lowers antonym ASR"]
    assert row["verdict"] == "holds" and row["beside"] == "bat_pairwise_matched"
    assert rows["bat_pairwise lowers synonym ASR"]["beside"] is None


def test_C6_is_asked_of_content_and_of_function_words(tmp_path: Path) -> None:
    """After BAT the antonyms of function words alone lie apart: the claim fails where the attack changes words."""
    for method, content, function in [("normal", 0.3, 0.4), ("bat_pairwise", 0.3, 0.95), ("bat_triplet", 0.8, 0.9)]:
        folder = tmp_path / f"{method}-seed1"
        write_run(folder, "sf" * 200, "sf" * 200, 0.80, 0.6)
        found = json.loads((folder / "distances.json").read_text())
        for kind, further in (("content", content), ("function", function)):
            found[kind] = {"texts": 250, "obstinate_further": further, "fickle": 0.1, "obstinate": 0.2}
        (folder / "distances.json").write_text(json.dumps(found))
    rows = [row for row in bat_claims.checks_of(experiment(tmp_path, larger_class=0.5)) if row["claim"] == "C6"]
    verdicts = {row["text"].partition(" antonym view")[0]: row["verdict"] for row in rows}
    assert verdicts == {
        "normal: content-word": "holds",
        "normal: function-word": "holds",
        "bat_pairwise: content-word": "does not hold",
        "bat_pairwise: function-word": "holds",
        "bat_triplet: content-word": "holds",
        "bat_triplet: function-word": "holds",
    }
    assert {row["examples"] for row in rows} == {250} and {row["control"] for row in rows} == {"half of the texts"}


def test_distances_by_the_kind_of_the_changed_word() -> None:
    """Two texts whose antonym view changes a content word and lies near, three with a function word and far."""
    originals = [(f"a good film {number}", "it is on") for number in range(5)]
    swaps = [("good", "bad"), ("good", "bad"), ("is", "differs"), ("is", "differs"), ("on", "off")]
    obstinate = [
        tuple(" ".join(new if word == old else word for word in column.split()) for column in text)
        for text, (old, new) in zip(originals, swaps, strict=True)
    ]
    groups = DrawnViews(originals, originals, obstinate)
    assert [distances.changed_kind(*pair) for pair in zip(originals, obstinate, strict=True)] == [
        *["content"] * 2, *["function"] * 3,
    ]  # fmt: skip
    text = torch.tensor([[1.0, 0.0]] * 5)
    fickle = torch.tensor([[1.0, 1.0]] * 5)  # at 45 degrees, a cosine distance of 1 - 1 / sqrt(2)
    apart = torch.tensor([[1.0, 0.1]] * 2 + [[-1.0, 0.0]] * 3)
    found = distances.by_word(groups, [text, fickle, apart])
    assert found["content"]["texts"] == 2 and found["content"]["obstinate_further"] == 0.0
    assert found["function"]["texts"] == 3 and found["function"]["obstinate_further"] == 1.0
    assert found["function"]["obstinate"] == pytest.approx(2.0)
    alone = DrawnViews(originals[:2], originals[:2], obstinate[:2])
    assert distances.by_word(alone, [text[:2], fickle[:2], apart[:2]])["function"] == {"texts": 0}


def test_one_measurement_is_counted_once(tmp_path: Path) -> None:
    """Two attacks that find the same of both models are one; the same number from other texts is another."""
    rows = []
    for method, synonym, antonym in [("normal", "ssff", "ssff"), ("safer", "sfff", "sfff")]:
        write_run(tmp_path / f"{method}-seed1", synonym * 50, antonym * 50, 0.8, 0.5)
    for method, synonym, antonym in [("other", "ssff", "ffss"), ("another", "sfff", "fffs")]:
        write_run(tmp_path / f"{method}-seed1", synonym * 50, antonym * 50, 0.8, 0.5)
    for first, second in (("normal", "safer"), ("other", "another")):
        for attack in ("synonym", "antonym"):
            found = paired.robust_difference(tmp_path, first, second, attack)
            row = paired.check_row("C1", f"{second} above {first}: {attack}", found, above=0.0)
            rows.append({**row, "quantity": attack, "runs": [first, second]})
    assert {row["value"] for row in rows} == {25.0}
    verdicts = [row["verdict"] for row in checks.counted_once(tmp_path, rows)]
    assert verdicts == ["holds", voids.REPEATED, voids.REPEATED, "holds"]
    other_claim = [rows[0], {**rows[1], "claim": "C4"}]
    assert [row["verdict"] for row in checks.counted_once(tmp_path, other_claim)] == ["holds", "holds"]
    void = [{**rows[0], "verdict": voids.NO_FROZEN}, rows[1]]  # what is void was not counted
    assert [row["verdict"] for row in checks.counted_once(tmp_path, void)] == [voids.NO_FROZEN, "holds"]


def test_accuracies_count_once_too(tmp_path: Path) -> None:
    for method, accuracy in [("pgd-a", 0.8), ("pgd-b", 0.7), ("adaptive-a", 0.8), ("adaptive-b", 0.7)]:
        write_run(tmp_path / f"{method}-seed1", "sf", "sf", accuracy, 0.5)
    rows = []
    for method in ("pgd", "adaptive"):
        pair = (f"{method}-a", f"{method}-b")
        row = paired.check_row("C16", method, paired.accuracy_difference(tmp_path, *pair), below=0.0)
        rows.append({**row, "quantity": "accuracy", "runs": list(pair)})
    assert [row["verdict"] for row in checks.counted_once(tmp_path, rows)] == ["holds", voids.REPEATED]


def test_void_checks_are_counted_by_their_reason() -> None:
    assert voids.void_reasons(["holds", paired.VOID, voids.REPEATED, paired.VOID]) == (
        "3 void (2 near chance, 1 counted above)"
    )
    assert voids.void_reasons(["holds", paired.OPEN]) == ""


def test_rates_of_a_model_that_guesses_decide_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "normal-seed1", "s" * 90 + "f" * 10, "s" * 100, 0.80, 0.4)
    write_run(tmp_path / "bat_triplet-seed1", "f" * 100, "f" * 100, 0.41, 0.9)
    verdicts = {row["text"]: row["verdict"] for row in bat_claims.checks_of(experiment(tmp_path, larger_class=1 / 3))}
    assert (
        verdicts["bat_triplet lowers synonym ASR"] == verdicts["bat_triplet lowers antonym ASR"] == "void: near chance"
    )
    assert verdicts["bat_triplet keeps accuracy within 1.6"] == "void: near chance"  # and neither does what it lost


def test_differences_are_paired_by_example_and_leave_skipped_ones_out(tmp_path: Path) -> None:
    write_run(tmp_path / "normal-seed1", "ss--ff", "ssssss", 0.5, 0.5)
    write_run(tmp_path / "safer-seed1", "sf--ff", "ffffff", 0.5, 0.5)
    found = paired.asr_difference(tmp_path, "normal", "safer", "synonym")
    assert found.value == pytest.approx(-25.0) and found.by_seed == pytest.approx([-25.0])
    assert found.low <= found.value <= found.high <= 0.0
    assert np.isnan(paired.outcomes(tmp_path, "normal", "synonym")[0, 2])


@pytest.mark.parametrize(("asked", "kept"), [({"measures": ["pairs"]}, True), ({}, False)])
def test_measures_are_taken_before_a_model_is_dropped(
    asked: dict[str, Any], kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[list[str]] = []

    def logged(step: list[str], folder: Path, place: Place) -> int:
        steps.append(step)
        (folder / "model.safetensors").touch()
        write_history_line(folder, {"epoch": 3.0, "step": 3, "accuracy": 1.0, "attacks": {}})
        return 0

    monkeypatch.setattr(run, "logged", logged)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    (tmp_path / "benchmarks" / "experiments").mkdir(parents=True)
    (tmp_path / "benchmarks" / "experiments" / "text_x.json").write_text(json.dumps(asked))
    said = run.run(tmp_path / "results" / "text_x" / "flat-seed2", {"seed": 2}, tmp_path / "work", Place())
    assert said == "done text_x/flat-seed2"
    assert [step[0] for step in steps] == ["run_glue_robust.py", *["-m"] * kept]
    if kept:
        assert steps[1][1] == "benchmarks.study.measures"
        assert steps[1][-3:] == [str(tmp_path / "work"), "--only", "flat-seed2"]
    assert (tmp_path / "work" / "text_x" / "flat-seed2" / "model.safetensors").exists() == kept


def test_runs_that_need_another_run_come_after_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def named(result: Path, arguments: dict[str, Any], work: Path, place: Place) -> str:
        if result.name == "full":
            raise OSError("the disk is full")
        return result.name

    monkeypatch.setattr(run, "run", named)
    jobs = [
        (tmp_path / "x" / "needs", {"baseline_run": str(tmp_path / "work" / "x" / "normal-seed1")}),
        (tmp_path / "x" / "normal-seed1", {"seed": 1}),
        (tmp_path / "x" / "full", {"seed": 1}),
    ]
    pool = Pool(jobs=3, gpus_per_run=None)
    run.run_all(jobs, tmp_path / "work", pool)
    pool.stop()
    lines = capsys.readouterr().out.splitlines()
    assert set(lines[:2]) == {"normal-seed1", "FAILED x/full: the disk is full"} and lines[2:] == ["needs"]


def test_a_change_of_a_difference_is_paired_over_four_settings(tmp_path: Path) -> None:
    outcomes = {"normal-batch8": "ssff", "safer-batch8": "ffff", "normal-batch32": "ssff", "safer-batch32": "sfff"}
    for name, row in outcomes.items():
        write_run(tmp_path / f"{name}-seed1", row * 50, row * 50, 0.8, 0.5)
    one = experiment(tmp_path, larger_class=0.5)
    found = bat_claims.difference_of_differences(one, tuple(outcomes), "synonym")
    assert found is not None and found.examples == 200
    # Safer takes 50 points off at batch 8 and 25 at batch 32.
    assert found.difference.value == pytest.approx(-25.0)
    assert found.difference.low < -25.0 < found.difference.high < 0
    verdicts = {row["quantity"]: row["verdict"] for row in bat_claims.c2(one)}
    assert verdicts == {"synonym": "holds", "antonym": "does not hold"}
    assert bat_claims.c5(one) == bat_claims.c7(one) == []


@pytest.mark.slow
def test_committed_claims_are_those_of_the_committed_results() -> None:
    written = json.loads((bat_claims.RESULTS / bat_claims.FILE).read_text(encoding="utf-8"))
    verdicts = [
        {name: [(row["text"], row["control"], row["verdict"]) for row in rows] for name, rows in one.items()}
        for one in (written, bat_claims.check_all())
    ]
    assert verdicts[0] == verdicts[1], "run python -m benchmarks.study.bat_claims"
