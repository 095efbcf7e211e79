"""Training on shards of a model equals training on whole copies of it, or is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from shard_on_two_ranks import RUNS, attacked_trainer, options_of
from tiny import build_model, build_trainer, weights
from two_ranks import on_two_ranks

from hf_robust.attacks import weights_hash
from hf_robust.modules.auxiliary import PEER_FOLDER
from hf_robust.runs import read_records
from hf_robust.trainers import METHODS
from hf_robust.training.restoring import check_checkpoint
from hf_robust.training.sharding import check_sharding, layer_classes
from hf_robust.wiring.parsing import parse_flags

pytestmark = pytest.mark.slow

FSDP = {"fsdp": "full_shard", "fsdp_config": {"version": 2}}


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two ranks trained each run in shards."""
    folder: Path = tmp_path_factory.mktemp("sharded")
    on_two_ranks(Path(__file__).with_name("shard_on_two_ranks.py"), str(folder), output=folder)
    return folder


def assert_close(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], tolerance: float) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.allclose(value, second[name], rtol=0.0, atol=tolerance), name


@pytest.mark.parametrize("run", RUNS)
def test_shards_train_resume_and_save_as_one_process_does(run: str, sharded: Path, tmp_path: Path) -> None:
    name, _ = RUNS[run]
    one = build_trainer(name, tmp_path, **options_of(run, 8))
    one.train()
    one.save_model(str(tmp_path / "saved"))
    state, resumed = torch.load(sharded / f"{run}.pt")
    assert_close(weights(one), state, 1e-5)
    assert_close(state, resumed, 1e-6)
    for file in ("model.safetensors", f"{PEER_FOLDER}/model.safetensors"):
        assert (tmp_path / "saved" / file).exists() == (sharded / run / "saved" / file).exists()
        if (tmp_path / "saved" / file).exists():
            assert_close(*(load_file(folder / "saved" / file) for folder in (tmp_path, sharded / run)), 1e-5)
    model: Any = SimpleNamespace(state_dict=lambda: state)
    hashes = {json.loads((sharded / f"{rank}.json").read_text())[run] for rank in (0, 1)}
    assert hashes == {weights_hash(model)}


def test_ranks_with_other_numbers_of_queries_attack_as_one_process_does(sharded: Path, tmp_path: Path) -> None:
    attacked_trainer(tmp_path, 8).train()
    for name in ("synonym", "gradient_mask"):
        (first,), (second,) = (
            [read_records(path) for path in folder.glob(f"attack_results/*/{name}.jsonl")]
            for folder in (tmp_path, sharded / "attacked")
        )
        assert [(one.idx, one.status, one.perturbed) for one in first] == [
            (one.idx, one.status, one.perturbed) for one in second
        ]


def test_a_measurement_leaves_shards_as_they_were(sharded: Path) -> None:
    for rank in (0, 1):
        told = json.loads((sharded / f"{rank}.json").read_text())
        assert told["whole inside"] and told["shards"] == [True, True]


# ---- what is refused ----


def refused(name: str, monkeypatch: pytest.MonkeyPatch, trains: bool = True, ranks: int = 2, **options: Any) -> str:
    config = METHODS[name].config
    monkeypatch.setattr(config, "world_size", property(lambda _: ranks))
    with pytest.raises(ValueError, match=r"^[^\n]*\.$") as error:
        check_sharding(METHODS[name], config(output_dir="out", use_cpu=True, **{**FSDP, **options}), trains)
    return str(error.value)


def test_each_refusal_is_one_sentence_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    version_1 = refused("normal", monkeypatch, fsdp_config={"version": 1})
    assert version_1.endswith("fsdp_version: 2).") and "version 1" in version_1
    shards = refused("normal", monkeypatch, fsdp_config={"version": 2, "state_dict_type": "SHARDED_STATE_DICT"})
    assert "SHARDED_STATE_DICT saves no model" in shards and "use FULL_STATE_DICT" in shards
    assert "start the script by torchrun" in refused("normal", monkeypatch, ranks=1)
    assert "leave it out to evaluate" in refused("normal", monkeypatch, trains=False)
    assert "leave --fsdp out" in refused("flat", monkeypatch)
    assert "a number needs none" in refused("flooding_x", monkeypatch, flood_level="auto")
    with monkeypatch.context() as context:
        context.setattr("torch.accelerator.is_available", lambda: True)
        assert "hide them by CUDA_VISIBLE_DEVICES" in refused("normal", monkeypatch)
    monkeypatch.setattr("accelerate.__version__", "1.14.0")
    assert "needs accelerate 1.15 or newer, got 1.14.0" in refused("normal", monkeypatch)


@pytest.mark.parametrize("name", METHODS)
def test_every_other_method_trains_in_shards(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = METHODS[name].config
    monkeypatch.setattr(config, "world_size", property(lambda _: 2))
    args = config(output_dir="out", use_cpu=True, **FSDP, **METHODS[name].mid_run)
    if name in ("flat", "ibp"):
        assert METHODS[name].needs_whole_model(args)
        return
    check_sharding(METHODS[name], args, trains=True)


def test_deepspeed_is_left_to_the_other_checks_but_for_methods_that_need_the_whole_model() -> None:
    for name, method in METHODS.items():
        args: Any = SimpleNamespace(fsdp=None, deepspeed="zero2.json", flood_level="auto")
        if name in ("flat", "flooding_x", "ibp"):
            with pytest.raises(ValueError, match=f"{name} needs the whole model: it .*; leave --deepspeed out"):
                check_sharding(method, args, trains=True)
        else:
            check_sharding(method, args, trains=True)


def test_settings_of_accelerate_launch_are_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert "version 1" in refused("normal", monkeypatch, fsdp=None, fsdp_config=None)


def test_the_script_refuses_before_anything_is_loaded() -> None:
    flags = {"model_name_or_path": "no-such-model", "output_dir": "out", "fsdp": "full_shard", "use_cpu": True}
    with pytest.raises(ValueError, match="start the script by torchrun"):
        parse_flags({**flags, "do_train": True, "train_file": "no-such-file.csv"})


@pytest.mark.parametrize(("kind", "layers"), [("bert", ["BertLayer"]), ("hf_robust_lstm", []), ("distilbert", [])])
def test_the_embedding_block_is_no_layer_to_gather(kind: str, layers: list[str]) -> None:
    assert layer_classes(build_model(kind)) == layers


@pytest.mark.parametrize("under_fsdp", [False, True])
def test_a_checkpoint_of_the_other_kind_is_one_sentence(under_fsdp: bool, tmp_path: Path) -> None:
    trainer = build_trainer("normal", tmp_path, save_strategy="steps", save_steps=1)
    trainer.train()
    folder = tmp_path / "checkpoint-1"
    if under_fsdp:
        trainer.is_fsdp_enabled = True
    else:
        (folder / "pytorch_model_fsdp.bin").write_bytes(b"")
    message = "was written without --fsdp .*; resume without it" if under_fsdp else "was written under --fsdp; resume"
    with pytest.raises(ValueError, match=message):
        check_checkpoint(trainer, folder)
