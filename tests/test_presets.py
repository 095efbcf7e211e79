"""The args files in examples/ are valid, are for their method, and name the source of every number."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from hf_robust.trainers import METHODS
from hf_robust.training.follow import FollowArguments
from hf_robust.wiring.parsing import parse_arguments

EXAMPLES = Path(__file__).parents[1] / "examples"
PRESETS = sorted(path for path in EXAMPLES.glob("*.json") if not path.stem.startswith("demo"))
METHOD_OF = {file: name for name, method in METHODS.items() for file in method.presets}
CODE = "_code"
ROWS = {"sst2": 67_349, "mnli": 392_702}


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def test_help_names_presets_only_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, named in ((EXAMPLES, True), (tmp_path, False)):  # a checkout, and an installed package
        monkeypatch.setattr("hf_robust.wiring.flag_help.EXAMPLES", folder)
        with pytest.raises(SystemExit):
            parse_arguments(["--robust_method", "freelb", "--help"])
        assert ("examples/freelb.json" in " ".join(capsys.readouterr().out.split())) == named


def test_the_presets_are_those_that_the_classes_name() -> None:
    assert {path.name for path in PRESETS} == set(METHOD_OF)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_with_flags_has_a_preset_of_its_name(name: str) -> None:
    shared = METHODS["normal"].config.__dataclass_fields__
    own = METHODS[name].config.__dataclass_fields__.keys() - shared.keys()
    assert METHODS[name].presets[:1] == ((f"{name}.json",) if own else ())


@pytest.mark.parametrize("path", [path for path in PRESETS if path.stem.endswith(CODE)], ids=lambda path: path.stem)
def test_a_preset_of_the_code_follows_it_and_leaves_the_defaults_that_differ_to_it(path: Path) -> None:
    found = parse_arguments([str(path), "--use_cpu"]).training
    assert isinstance(found, FollowArguments) and found.follow_code
    assert {name: getattr(found, name) for name in found.readings()} == {
        name: reading.code for name, reading in found.readings().items()
    }


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_parses_for_its_method(path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    found = parse_arguments([str(path), "--use_cpu"])
    assert found.method.name == METHOD_OF[path.name]
    antonyms = "antonyms" in found.method.needs
    expected = ("mnli", ["synonym", "antonym"]) if antonyms else ("sst2", ["textfooler", "synonym"])
    assert (found.data.task_name, found.attack.attacks) == expected
    for name, value in given.items():
        if hasattr(found.training, name):
            assert getattr(found.training, name) == value, name


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_number_of_a_preset_has_a_source(path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    sources = given.pop("_sources")
    assert {name for name, value in given.items() if is_number(value)} <= set(sources) <= set(given)
    assert all(isinstance(source, str) and source for source in sources.values())


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_says_the_budget_that_its_numbers_were_meant_for(path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    rows, epochs, batch = ROWS[given["task_name"]], given["num_train_epochs"], given["per_device_train_batch_size"]
    steps = math.ceil(rows / batch) * epochs
    assert given["_budget"] == f"{steps:,} steps: {rows:,} rows, {epochs} epochs, batches of {batch}"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_leaves_no_number_of_its_method_unsaid(path: Path) -> None:
    given = json.loads(path.read_text(encoding="utf-8"))
    shared = METHODS["normal"].config.__dataclass_fields__
    own = [field for field in dataclasses.fields(METHODS[given["robust_method"]].config) if field.name not in shared]
    assert {field.name for field in own if is_number(field.default)} <= set(given)


def test_presets_of_one_table_have_its_step_size_steps_batch_and_epochs() -> None:
    """AdaptAT: "all settings consistent"; a preset and its wrapped method are compared."""
    shared = ("adv_lr", "adv_steps", "per_device_train_batch_size", "num_train_epochs", "learning_rate", "task_name")
    found = set()
    for wrapped in ("pgd", "freelb", "tavat"):
        for name in (wrapped, f"adaptive_{wrapped}"):
            given = json.loads((EXAMPLES / f"{name}.json").read_text(encoding="utf-8"))
            found.add(tuple(given[key] for key in shared))
        own = parse_arguments([str(EXAMPLES / f"adaptive_{wrapped}.json"), "--use_cpu"]).training
        theirs = parse_arguments([str(EXAMPLES / f"{wrapped}.json"), "--use_cpu"]).training
        for flag in ("adv_init_mag", "adv_max_norm", "adv_norm_type", "seed"):
            assert getattr(own, flag) == getattr(theirs, flag), (wrapped, flag)
    assert found == {(0.04, 5, 128, 10, 2e-5, "sst2")}


def test_the_two_radii_of_smart() -> None:
    radius = {
        name: parse_arguments([str(EXAMPLES / f"{name}.json"), "--use_cpu"]).training.adv_max_norm  # type: ignore[attr-defined]
        for name in ("smart", "smart_code")
    }
    assert radius == {"smart": 1e-5, "smart_code": 1.0}


def test_the_rounds_of_flats_code_for_bert() -> None:
    """Its epochs count from 1: attacks before the 10th, the 20th and the 30th."""
    args: Any = parse_arguments([str(EXAMPLES / "adv_iter_code.json"), "--use_cpu"]).training
    policy = args.rounds(int(args.num_train_epochs))
    assert [epoch + 1 for epoch in range(30) if policy.due(epoch)] == [10, 20, 30]


@pytest.mark.parametrize("kind", ["", "_lstm", "_cnn", "_code"])
def test_the_adv_models_of_flat_differ_from_it_by_the_mask_alone(kind: str) -> None:
    flat, adv = (
        json.loads((EXAMPLES / f"{name}{kind}.json").read_text(encoding="utf-8")) for name in ("flat", "adv_iter")
    )
    differing = {key for key in flat.keys() | adv.keys() if flat.get(key) != adv.get(key) and not key.startswith("_")}
    mask = {"flat_beta", "flat_gamma", "mask_bias"}
    assert {"robust_method", "output_dir", "flat_beta"} <= differing <= {"robust_method", "output_dir", *mask}
