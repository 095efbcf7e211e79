"""The method in docs/own_method.md runs as printed, and has flags, help and run card like any other."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import build_trainer, weights

from hf_robust.hub.citations import citation
from hf_robust.trainers import METHODS
from hf_robust.training.methods import FAMILIES
from hf_robust.wiring.parsing import parse_arguments
from run_glue_robust import main

PAGE = Path(__file__).parents[1] / "docs" / "own_method.md"
NAME = "confidence_penalty:ConfidencePenaltyTrainer"
NEEDED = ["--model_name_or_path", "demo", "--dataset_name", "demo", "--use_cpu", "--robust_method"]


@pytest.fixture(autouse=True)
def printed_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "confidence_penalty.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield code
    sys.modules.pop("confidence_penalty", None)


def test_it_is_forty_lines(printed_module: str) -> None:
    assert len(printed_module.splitlines()) <= 40


def test_it_trains_with_its_flags_and_its_card_says_so(tmp_path: Path) -> None:
    flags = ["--do_train", "--max_train_samples=32", "--num_train_epochs=1", "--report_to=none", "--disable_tqdm=true"]
    cards: dict[float, Any] = {}
    for beta in (0.0, 0.3):
        out = tmp_path / str(beta)
        main([*NEEDED, NAME, f"--penalty_beta={beta}", *flags, "--logging_steps=1", f"--output_dir={out}"])
        cards[beta] = json.loads((out / "run_card.json").read_text(encoding="utf-8"))
        log = json.loads((out / "trainer_state.json").read_text(encoding="utf-8"))["log_history"][0]
        assert log["loss"] == pytest.approx(log["loss_task"] - beta * log["loss_entropy"], abs=1e-3)
    assert cards[0.3]["method"] == "confidence_penalty" and cards[0.3]["config"]["penalty_beta"] == 0.3


def test_its_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments([*NEEDED, NAME, "--help"])
    shown = capsys.readouterr().out
    assert "confidence_penalty: cross-entropy and a reward for the entropy of the predictions" in " ".join(
        shown.split()
    )
    assert "--penalty_beta FLOAT" in shown and "adv_steps" not in shown
    assert "With --penalty_beta 0 it trains as normal does." in shown


def test_its_zero_strength_gives_the_weights_of_normal(tmp_path: Path) -> None:
    own = METHODS.find(NAME)
    assert own.zero_strength == {"penalty_beta": 0.0}
    zero = build_trainer(own, tmp_path / "zero", **own.zero_strength)
    normal = build_trainer("normal", tmp_path / "normal")
    zero.train()
    normal.train()
    after = weights(zero)
    assert all(torch.equal(value, after[name]) for name, value in weights(normal).items())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "nowhere_at_all:Trainer",
            r"cannot be imported \(No module named 'nowhere_at_all'\); give package",
        ),
        ("confidence_penalty:Other", "cannot be imported .*Other.*; give package.module:Class"),
        ("confidence_penalty:ConfidencePenaltyConfig", "must be a class that extends hf_robust.RobustTrainer"),
        ("confidence", "is unknown, choose one of normal, safer, .*, or give package.module:Class"),
    ],
)
def test_a_class_that_is_not_there_is_one_sentence(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_arguments([*NEEDED, name])
    assert "\n" not in str(caught.value)


def test_its_citation_may_be_the_entry_itself() -> None:
    entry = "@misc{own2026, title = {Own}}"
    assert citation(entry) == entry


@pytest.mark.parametrize("name", METHODS)
def test_what_is_said_of_a_method_without_importing_it_is_what_its_class_says(name: str) -> None:
    described = METHODS.describe(name)
    assert (described.citation, described.family) == (METHODS[name].citation, METHODS[name].family)
    assert described.idea
    assert METHODS.public(METHODS[name].__name__) is METHODS[name] and METHODS.find(name).name == name


def test_families_stand_together_in_their_order() -> None:
    assert tuple(METHODS.families) == FAMILIES
    assert [name for names in METHODS.families.values() for name in names] == list(METHODS)
