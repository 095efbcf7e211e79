"""Sweep files: their meaning, and an error of one sentence before the first run for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sweep_parts import ARGS, Stage

from hf_robust.sweep.checks import check_sweep, fill
from hf_robust.sweep.file import Point, Sweep, read_sweep
from hf_robust.wiring.parsing import parse_flags

SWEEPS = Path(__file__).parents[1] / "examples" / "sweeps"
SEEDS = {"seed": [1]}
SEARCH = {"search": {"seed": {"choices": [1, 2]}}, "trials": 2, "objectives": {"eval_accuracy": "maximize"}}


def read(tmp_path: Path, **given: Any) -> Sweep:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps({"args": ARGS, **given}))
    return read_sweep(file)


def test_a_grid_is_all_combinations(tmp_path: Path) -> None:
    found = read(tmp_path, grid={"seed": [1, 2], "weight-decay": [0.1, 0.2]})
    assert [point.name for point in found.points] == [
        "weight_decay0.1-seed1", "weight_decay0.2-seed1", "weight_decay0.1-seed2", "weight_decay0.2-seed2",
    ]  # fmt: skip
    assert found.axes == (("seed",), ("weight_decay",)) and found.points[0].flags == {
        **ARGS, "seed": 1, "weight_decay": 0.1,
    }  # fmt: skip


def test_points_change_together_and_cross_with_the_grid_and_the_blocks(tmp_path: Path) -> None:
    points = [{"adv_steps": 2, "adv_lr": 0.2}, {"adv_steps": 5, "adv_lr": 0.08}]
    blocks = [{"args": {"robust_method": "pgd"}}, {"args": {"robust_method": "freelb"}, "grid": {"seed": [1, 2]}}]
    found = read(tmp_path, points=points, blocks=blocks)
    assert [point.name for point in found.points] == [
        "pgd-adv_steps2-adv_lr0.2", "pgd-adv_steps5-adv_lr0.08",
        "freelb-adv_steps2-adv_lr0.2-seed1", "freelb-adv_steps2-adv_lr0.2-seed2",
        "freelb-adv_steps5-adv_lr0.08-seed1", "freelb-adv_steps5-adv_lr0.08-seed2",
    ]  # fmt: skip
    assert found.axes == (("adv_steps", "adv_lr"), ("seed",))


def test_what_sets_blocks_of_one_method_apart_is_in_their_names_and_what_follows_from_a_method_is_not(
    tmp_path: Path,
) -> None:
    blocks: list[dict[str, Any]] = [
        {"args": {"robust_method": "pgd", "adv_steps": 3}},
        {"args": {"robust_method": "bat_triplet", "bat_lambda": 1.0}},
        {"args": {"robust_method": "bat_triplet", "bat_lambda": 0.5}},
    ]
    names = [point.name for point in read(tmp_path, blocks=blocks).points]
    assert names == ["pgd", "bat_triplet-bat_lambda1", "bat_triplet-bat_lambda0.5"]


def test_the_hash_is_of_the_values_not_of_how_they_are_written() -> None:
    one = Point({"seed": 1, "num_train_epochs": 3}, ("seed",))
    assert one.key == Point({"num_train_epochs": 3.0, "seed": 1}, ()).key
    assert one.key != Point({"num_train_epochs": 4, "seed": 1}, ()).key
    assert Point({"train_file": "a b/c d.csv", "attacks": ["x", "y"]}, ("train_file", "attacks")).name == (
        "train_filec_d.csv-attacksx+y"
    )


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"grid": {}}, '"grid" is empty: give flags and their values'),
        ({}, 'there is nothing to sweep: give "grid"'),
        ({"grid": {"seed": []}}, 'seed in "grid" must be a list of at least one value, got []'),
        ({"grid": {"seed": 3}}, 'seed in "grid" must be a list of at least one value, got 3'),
        ({"grid": [1]}, '"grid" must be an object, got [1]'),
        ({"points": []}, '"points" must be a list of at least one object, got []'),
        ({"points": [{"seed": 1}, {"weight_decay": 1}]}, 'all "points" must name the same flags'),
        ({"points": [{"seed": 1}], "grid": SEEDS}, "seed is varied twice: name it in one place"),
        ({"blocks": [{"grid": SEEDS}], "grid": SEEDS}, "seed is varied twice: name it in one place"),
        ({"blocks": [], "grid": SEEDS}, '"blocks" must be a list of at least one object'),
        ({"blocks": [{"xyz": {}}], "grid": SEEDS}, 'a block has no key "xyz": its keys are args, args_file'),
        ({"grids": SEEDS}, 'a sweep file has no key "grids": did you mean grid.'),
        ({"grid": SEEDS, "trials": 3}, '"trials" belongs to a search, and this is a grid'),
        ({"grid": {"output_dir": ["a"]}}, "output_dir is set by the sweep for each run: leave it out"),
        ({"grid": SEEDS, "args": {**ARGS, "resume_from_checkpoint": True}}, "resume_from_checkpoint is set by the"),
        ({"grid": SEEDS, "args": [1]}, '"args" must be an object, got [1]'),
        ({"grid": SEEDS, "args_file": "no.json"}, "no.json cannot be read"),
        ({"grid": SEEDS, "args_file": 3}, '"args_file" must be the name of a file, got 3'),
        ({"grid": SEEDS, "objectives": {"eval_accuracy": "maximise"}}, '"maximise": did you mean maximize.'),
        ({"grid": SEEDS, "objectives": {"eval_accuracy": 1}}, "has the direction 1: choose one of maximize, minimize"),
        ({"grid": SEEDS, "figures": [{"metrics": []}]}, 'a figure needs "x", a flag that takes several values'),
        ({"grid": SEEDS, "figures": {}}, '"figures" must be a list of objects, got {}'),
        ({"grid": SEEDS, "figures": [{"x": 3}]}, '"x" of a figure must be a name or a list of names, got 3'),
        ({**SEARCH, "trials": 0}, '"trials", the maximum number of runs of a search, must be an integer'),
        ({**SEARCH, "trials": None}, '"trials", the maximum number of runs'),
        ({**SEARCH, "seed": -1}, '"seed" of a search must be an integer from 0, got -1'),
        ({**SEARCH, "objectives": {}}, "a search needs an objective"),
        ({**SEARCH, "grid": SEEDS}, 'a file is a grid or a search, and this one has "grid" and "search"'),
        ({**SEARCH, "search": {}}, '"search" is empty'),
        ({**SEARCH, "search": {"seed": [1, 2]}}, 'seed in "search" must be an object, got [1, 2]'),
        ({**SEARCH, "search": {"seed": {"low": 2, "high": 1}}}, 'needs numbers "low" < "high", or "choices"'),
        ({**SEARCH, "search": {"seed": {"low": 0, "high": 1, "log": True}}}, 'needs a "low" above 0, got 0'),
        ({**SEARCH, "search": {"seed": {"low": 0, "hi": 1}}}, 'seed in "search" has no key "hi": did you mean high'),
        ({**SEARCH, "search": {"seed": {"choices": []}}}, "needs a list of numbers or texts as choices, got []"),
        ({**SEARCH, "args": {**ARGS, "resume_from_checkpoint": True}}, "resume_from_checkpoint is set by the sweep"),
        ({**SEARCH, "search": {"output_dir": {"choices": ["a"]}}}, "output_dir is set by the sweep"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_one_sentence(tmp_path: Path, given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as error:
        read(tmp_path, **given)
    assert sentence in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("{", "is not JSON: "), ("[]", "a sweep file must be an object, got []"), (None, "cannot be read: ")],
)
def test_a_file_that_is_none(tmp_path: Path, text: str | None, sentence: str) -> None:
    file = tmp_path / "sweep.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ValueError, match=sentence.replace("[]", r"\[\]")):
        read_sweep(file)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"grid": {"bat_margn": [1]}}, "the point bat_margn1: --bat_margn is not a flag of this script"),
        ({"grid": {"bat_margin": [1]}}, "--bat_margin belongs to --robust_method bat_pairwise or bat_triplet"),
        ({"grid": {"seed": [1, "x"]}}, "the point seedx: argument --seed: invalid int value: 'x'"),
        (
            {"args": {**ARGS, "robust_method": "bat_triplet"}, "grid": {"bat_margin": [0.5, 3.0]}},
            "the point bat_margin3: --bat_margin ",
        ),
        ({"args": {}, "grid": SEEDS}, "the point seed1: "),
        ({"args": {**ARGS, "do_eval": False}, "grid": SEEDS}, 'add "do_train": true and "do_eval": true to its args'),
        ({"grid": {"seed": [1, 1]}}, "two points are the same run (two of seed1): leave one out"),
        ({"grid": {"max_seq_length": [64, 128]}, "blocks": [{}, {"args": {"learning_rate": 5e-5}}]},
         "two points are the same run ("),
        ({"args": {**ARGS, "train_file": "{data}/t.csv"}, "grid": SEEDS}, "give the folder by --data DIR"),
        (
            {**SEARCH, "search": {"adv_lr": {"low": 0.1, "high": 0.2}}},
            "the point adv_lr0.1: --adv_lr belongs to --robust_method",
        ),
        (
            {**SEARCH, "args": {**ARGS, "robust_method": "bat_triplet"},
             "search": {"bat_margin": {"low": 1, "high": 3}, "seed": {"choices": [1]}}},
            "the point bat_margin3-seed1: --bat_margin ",
        ),
        ({"grid": SEEDS, "figures": [{"x": "learning_rate"}]}, "a figure names learning_rate, which does not vary"),
    ],
)  # fmt: skip
def test_a_wrong_point_is_found_before_the_first_run(
    tmp_path: Path, given: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path)
    assert stage.sweep(**given) == 2
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1
    assert stage.names() == [] and not stage.output.exists()


ATTACKED = {**ARGS, "attacks": ["synonym"], "lexicon": "builtin"}


@pytest.mark.parametrize(
    ("metric", "args", "sentence"),
    [
        ("eval_antonym_asr", ATTACKED, "measured by the attack antonym, which the point seed1 does not run (its "
         'attacks: synonym): add it to "attacks"'),
        ("eval_synonym_asr", ARGS, "(its attacks: none)"),
        ("eval_synonym_asr", {**ATTACKED, "attack_strategy": "no"}, "(its attacks: none)"),
        ("eval_synonym_remains_asr", ARGS, "measured by the attack synonym,"),
        ("eval_synonym_queries", ARGS, "measured by the attack synonym,"),
        ("eval_union_robust_accuracy", ATTACKED, "over two or more fickle attacks, and the point seed1 has 1: add"),
        ("eval_antonym_robust_accuracy", {**ATTACKED, "attacks": ["antonym"]}, "does not exist, since antonym is an"),
        ("eval_acuracy", ARGS, "eval_acuracy is not a metric of a run: did you mean eval_accuracy"),
        ("nothing_like_it", ARGS, "is not a metric of a run: name a metric such as eval_accuracy or"),
        ("eval_f1", {**ARGS, "task_name": "cola"}, "is not measured by the point seed1: name one of matthews"),
        ("eval_f1", {**ARGS, "metric_name": "f1_macro"}, "is not measured by the point seed1: name one of f1_macro"),
    ],
)  # fmt: skip
def test_a_metric_that_no_run_measures_is_found_before_the_first_run(
    tmp_path: Path, metric: str, args: dict[str, Any], sentence: str
) -> None:
    for where in ({"objectives": {metric: "minimize"}}, {"figures": [{"x": "seed", "metrics": [metric]}]}):
        with pytest.raises(ValueError) as error:
            check_sweep(read(tmp_path, grid=SEEDS, args=args, **where), None)
        assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("metric", "args"),
    [
        ("eval_accuracy", ARGS), ("accuracy", ARGS), ("eval_loss", ARGS), ("train_runtime", ARGS),
        ("eval_synonym_asr", ATTACKED), ("eval_synonym_robust_accuracy", ATTACKED), ("eval_synonym_seconds", ATTACKED),
        ("eval_synonym_covered_asr", ATTACKED), ("eval_certified_accuracy", ARGS), ("eval_abstained", ARGS),
        ("eval_f1", {**ARGS, "task_name": "mrpc"}), ("eval_accuracy_mm", {**ARGS, "task_name": "mnli"}),
        ("eval_accuracy", {**ATTACKED, "metric_name": "f1_macro"}),
        ("eval_union_robust_accuracy", {**ATTACKED, "attacks": ["synonym", "textfooler"]}),
    ],
)  # fmt: skip
def test_metrics_that_may_be_measured_pass(tmp_path: Path, metric: str, args: dict[str, Any]) -> None:
    check_sweep(read(tmp_path, grid=SEEDS, args=args, objectives={metric: "maximize"}), None)


def test_wrong_flags_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(tmp_path)
    assert stage.sweep("--jobs", "0", grid=SEEDS) == 2
    assert "--jobs must be at least 1, got 0" in capsys.readouterr().err
    stage.script = tmp_path / "none.py"
    assert (
        stage.sweep() == 2 and "none.py is not a file: give the path of run_glue_robust.py" in capsys.readouterr().err
    )


# ---- the committed ones ----


@pytest.mark.parametrize("file", sorted(SWEEPS.glob("*.json")), ids=lambda file: file.stem)
def test_a_committed_sweep_is_whole_and_says_where_its_numbers_are_from(file: Path) -> None:
    sweep = read_sweep(file)
    check_sweep(sweep, None)
    given = json.loads(file.read_text(encoding="utf-8"))
    if file.stem == "demo":
        return
    parts = [given.get("args", {}), *(block.get("args", {}) for block in given.get("blocks", []))]
    numbers = {
        name for part in parts for name, value in part.items() if isinstance(value, (int, float)) and value is not True
    }
    swept = {name for axis in sweep.axes for name in axis} - {"robust_method"}
    assert numbers | swept <= set(given["_sources"]) | {"do_train", "do_eval"}
    assert given["_what"].split(",")[0] in ("BAT", "AdaptAT", "TaiChi")


def test_the_papers_values() -> None:
    def values(name: str, flag: str) -> list[Any]:
        return list(dict.fromkeys(one.flags.get(flag) for one in read_sweep(SWEEPS / f"{name}.json").points))

    assert values("bat_batch_size", "per_device_train_batch_size") == [8, 16, 32]
    assert values("bat_batch_size", "robust_method") == ["normal", "safer", "bat_triplet"]
    margins = values("bat_margin", "bat_margin")
    assert (margins[0], margins[-1]) == (0.3, 1.0) and values("bat_margin", "robust_method") == [
        "bat_pairwise", "bat_triplet",
    ]  # fmt: skip
    assert values("adaptive_step_size", "adv_steps") == [10] and 0.04 in values("adaptive_step_size", "adv_lr")
    for point in read_sweep(SWEEPS / "adaptive_steps_constant_product.json").points:
        assert point.flags["adv_steps"] * point.flags["adv_lr"] == pytest.approx(0.4)
    controls = read_sweep(SWEEPS / "adaptive_controls.json").points
    for flag in ("adv_steps", "adv_lr", "same_dropout", "per_device_train_batch_size", "num_train_epochs"):
        assert len({one.flags[flag] for one in controls}) == 1, flag
    for wrapped in ("pgd", "freelb", "tavat"):
        rates = [one.flags["w_lr"] for one in controls if one.flags["robust_method"] == f"adaptive_{wrapped}"]
        assert sorted(set(rates)) == [0.0, 0.01]  # learnt and frozen
    assert values("taichi_lambda", "taichi_lambda") == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert parse_flags(fill(read_sweep(SWEEPS / "taichi_lambda.json").points[0].flags, None)).data.task_name == "sst2"
