"""Written arguments contain no token and no folder of this machine; copies in memory are complete."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path

import pytest
import torch
from tiny import build_trainer
from transformers.trainer_utils import HubStrategy, IntervalStrategy

from hf_robust.trainers import METHODS
from hf_robust.training.arguments import RobustTrainingArguments

TOKEN = "hf_" + "z" * 34


@pytest.fixture
def args(tmp_path: Path) -> RobustTrainingArguments:
    options = {
        "report_to": "none",
        "use_cpu": True,
        "hub_token": TOKEN,
        "eval_strategy": "epoch",
        "hub_strategy": "end",
    }
    return METHODS["pgd"].config(output_dir=str(tmp_path / "out"), robust_method="pgd", adv_steps=5, **options)


def test_training_args_bin_has_neither_token_nor_folder(tmp_path: Path, args: RobustTrainingArguments) -> None:
    written = io.BytesIO()
    torch.save(args, written)
    assert TOKEN.encode() not in written.getvalue() and str(tmp_path).encode() not in written.getvalue()
    written.seek(0)
    back = torch.load(written, weights_only=False)
    assert (back.output_dir, back.hub_token, back.adv_steps) == ("out", None, 5)
    assert back.eval_strategy is IntervalStrategy.EPOCH and back.hub_strategy is HubStrategy.END
    assert (args.output_dir, args.hub_token) == (str(tmp_path / "out"), TOKEN)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_are_whole(copied: object, args: RobustTrainingArguments) -> None:
    twin = copied(args)  # type: ignore[operator]
    assert twin == args and twin is not args and twin.hub_token == TOKEN
    assert (twin.label_names is args.label_names) == (copied is copy.copy or args.label_names is None)


def test_what_trackers_are_told_has_neither(tmp_path: Path, args: RobustTrainingArguments) -> None:
    told = args.to_json_string()
    assert TOKEN not in told and str(tmp_path) not in told
    assert (json.loads(told)["output_dir"], json.loads(told)["adv_steps"]) == ("out", 5)


def test_a_state_that_is_saved_in_the_end_keeps_its_checkpoint_in_memory(tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path)
    trainer.state.best_model_checkpoint = best = str(tmp_path / "checkpoint-7")
    trainer.save_state()
    written = json.loads((tmp_path / "trainer_state.json").read_text())
    assert written["best_model_checkpoint"] == "checkpoint-7" and trainer.state.best_model_checkpoint == best
