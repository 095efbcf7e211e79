"""Flags that are gone: translated with a warning, or refused with what to use now."""

import dataclasses
import json
import logging
import os
import re

import pytest

from hf_robust.cli.main import main
from hf_robust.data.legacy_flags import (
    DROPPED,
    LEGACY,
    REMOVED_HERE,
    RENAMED_HERE,
    current_names,
    current_token,
    translate,
)
from hf_robust.trainers import METHODS
from hf_robust.wiring.parsing import SECTIONS, parse_arguments

NEEDED = ["--model_name_or_path", "m", "--train_file", "t.csv", "--use_cpu"]


def nothing(name):
    return False


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"evaluation_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"no_cuda": True}, {"use_cpu": True}),
        ({"per_gpu_train_batch_size": "4"}, {"per_device_train_batch_size": "4"}),
        ({"per_gpu_eval_batch_size": "4"}, {"per_device_eval_batch_size": "4"}),
        ({"warmup_ratio": "0.1"}, {"warmup_steps": "0.1"}),
        ({"warmup_ratio": "0.1", "warmup_steps": "0"}, {"warmup_steps": "0.1"}),
        ({"warmup_ratio": "0.1", "warmup_steps": "50"}, {"warmup_steps": "50"}),
        ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}),
        ({"group_by_length": "False"}, {}),
        ({"include_inputs_for_metrics": "true"}, {"include_for_metrics": ["inputs"]}),
        ({"include_inputs_for_metrics": "false"}, {}),
        ({"adafactor": True}, {"optim": "adafactor"}),
        ({"push_to_hub_token": "hf_x"}, {"hub_token": "hf_x"}),
        ({"xpu_backend": "ccl"}, {"ddp_backend": "ccl"}),
        ({"push_to_hub_model_id": "m"}, {"hub_model_id": "m"}),
        ({"push_to_hub_model_id": "m", "push_to_hub_organization": "o"}, {"hub_model_id": "o/m"}),
        ({"push_to_hub_organization": "o", "output_dir": "a/b"}, {"hub_model_id": "o/b", "output_dir": "a/b"}),
        ({"use_auth_token": True}, {}),
        ({"use_auth_token": "hf_x"}, {"token": "hf_x"}),
        *(({name: True}, {}) for name in DROPPED),
    ],
)
def test_translation(old, new, caplog):
    with caplog.at_level(logging.WARNING):
        assert translate(old, nothing) == new
    changed = [name for name in old if name in LEGACY and name != "push_to_hub_organization"]
    for name in changed:
        assert f"--{name} does not exist in transformers 5: " in caplog.text


def test_logging_dir_becomes_an_environment_variable(monkeypatch, caplog):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "before")
    assert translate({"logging_dir": "runs"}, nothing) == {}
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == "runs"


def test_what_the_installed_version_still_knows_is_left_alone(caplog):
    assert translate({"warmup_ratio": "0.1", "seed": "3"}, {"warmup_ratio"}.__contains__) == {
        "warmup_ratio": "0.1",
        "seed": "3",
    }
    assert not caplog.text


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            {"evaluation_strategy": "epoch", "eval_strategy": "no"},
            "means --eval_strategy epoch now, and --eval_strategy",
        ),
        ({"warmup_ratio": "1.5"}, "--warmup_ratio must be at least 0 and below 1"),
        ({"push_to_hub_organization": "o"}, "give --hub_model_id ORGANIZATION/NAME"),
    ],
)
def test_contradictions_are_errors(flags, sentence):
    with pytest.raises(ValueError, match=sentence):
        translate(flags, nothing)


def test_every_flag_of_a_v4_command_line_parses_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "before")
    tokens = [f"--{name}" for name in DROPPED] + [
        "--evaluation_strategy=epoch", "--warmup-ratio", "0.25", "--no_cuda", "--group_by_length", "True",
        "--logging_dir", "runs", "--push_to_hub_model_id", "m", "--push_to_hub_organization=o",
        "--include_inputs_for_metrics", "--use_auth_token",
    ]  # fmt: skip
    args = parse_arguments([*NEEDED, "--output_dir", str(tmp_path), *tokens])
    training = args.training
    assert training.eval_strategy == "epoch" and training.do_eval
    assert training.warmup_steps == 0.25 and training.get_warmup_steps(100) == 25
    assert training.use_cpu and training.train_sampling_strategy == "group_by_length"
    assert training.hub_model_id == "o/m" and training.include_for_metrics == ["inputs"]
    assert args.model.token is None and os.environ["TENSORBOARD_LOGGING_DIR"] == "runs"


def all_flags():
    groups = [*SECTIONS.values(), *(METHODS[name].config for name in METHODS)]
    return {field.name for group in groups for field in dataclasses.fields(group)}


@pytest.mark.parametrize(("old", "new"), RENAMED_HERE.items())
def test_an_earlier_name_of_a_flag_of_ours_is_read_as_its_name_of_today(old, new, caplog):
    with caplog.at_level(logging.WARNING):
        assert translate({old: "2"}, nothing) == {new: "2"} == current_names({old: "2"})
    assert caplog.messages == [f"--{old} is called --{new} now."]
    assert new in all_flags() and old not in all_flags()


@pytest.mark.parametrize("old", REMOVED_HERE)
def test_a_removed_flag_of_ours_is_refused_with_what_to_use_now(old):
    assert old not in all_flags() | RENAMED_HERE.keys()
    named = set(re.findall(r"--(\w+)", REMOVED_HERE[old])) - {"bound"}
    assert named <= all_flags(), "the sentence names flags that there are"
    for name in (old, f"no_{old}"):
        with pytest.raises(ValueError, match=f"--{name} is gone: {re.escape(REMOVED_HERE[old])}[.]$"):
            parse_arguments([*NEEDED, f"--{name}", "1"])


def test_a_flag_of_other_scripts_that_changes_nothing_is_ignored(caplog):
    with caplog.at_level(logging.WARNING):
        parse_arguments([*NEEDED, "--preprocessing_num_workers", "4", "--seed", "3"])
    assert "--preprocessing_num_workers is ignored: one process tokenises." in caplog.messages


def test_flags_of_ours_are_translated_on_command_lines_and_in_args_files(tmp_path):
    path = tmp_path / "args.json"
    path.write_text(json.dumps({"model_name_or_path": "m", "train_file": "t.csv", "use_cpu": True, "info_alpha": 0.5}))
    training = parse_arguments([str(path), "--robust_method", "infobert", "--info-beta=0.25"]).training
    assert (training.infobert_alpha, training.infobert_beta) == (0.5, 0.25)
    flags = ["--robust_method", "adpmixup", "--adapter_target_modules", "query", "value"]
    assert parse_arguments([*NEEDED, *flags]).training.lora_target_modules == ["query", "value"]


def test_hf_robust_reads_earlier_names_too(capsys):
    attack = ["attack", "no-such-model", "--data", "x.csv", "--output_dir", "out", "--attacks", "synonym"]
    assert main([*attack, "--attack_mended", "--location_lists", "places.json"]) == 2
    assert "--location_lists is gone: give it as the second file of --name_lists." in capsys.readouterr().err
    assert current_token("--attack-mended=True") == "--attack_fixed=True"
    with pytest.raises(SystemExit):
        main([*attack, "--no_such_flag"])
    assert "unrecognized arguments: --no_such_flag" in capsys.readouterr().err
