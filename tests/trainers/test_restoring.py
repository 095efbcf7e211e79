"""A run resumes from, and ends with, exactly the content of a checkpoint, or names the wrong file."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import build_legacy_model, build_model, build_trainer, review_data
from transformers import TrainerCallback

from hf_robust.callbacks.run_card import method_config
from hf_robust.modules.auxiliary import STATE_FILE
from hf_robust.runs import write_card
from hf_robust.trainers import METHODS

STEPS = {"save_strategy": "steps", "save_steps": 1, "max_steps": 3, "optim": "adamw_torch", "learning_rate": 1e-2}
BEST = {
    **STEPS, "eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True,
    "metric_for_best_model": "eval_score", "greater_is_better": True,
}  # fmt: skip


def first_is_best() -> Callable[[Any], dict[str, float]]:
    scores = iter([3.0, 2.0, 1.0, 1.0])
    return lambda prediction: {"score": next(scores)}


def best_run(name: str, folder: Path, **options: Any) -> Any:
    return build_trainer(
        name, folder, eval_data=review_data(8), compute_metrics=first_is_best(), **{**BEST, **options}
    )


@pytest.mark.parametrize("name", ["normal", "flat", "adpmixup", "taichi", "smart"])
def test_the_best_model_is_its_checkpoint(name: str, tmp_path: Path) -> None:
    kept: dict[str, torch.Tensor] = {}

    class Keep(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 1:
                kept.update({key: value.detach().clone() for key, value in model.named_parameters()})

    trainer = best_run(name, tmp_path, model=build_legacy_model(tmp_path / "legacy"), callbacks=[Keep()])
    trainer.train()
    assert trainer.state.best_global_step == 1
    found = dict(trainer.model.named_parameters())
    assert kept.keys() == found.keys() and any("LayerNorm" in key for key in kept)
    assert all(torch.equal(value, found[key]) for key, value in kept.items())


def test_shards_resume_as_one_file_does(tmp_path: Path) -> None:
    whole = build_trainer("normal", tmp_path / "whole", model=build_legacy_model(tmp_path / "legacy"), **STEPS)
    whole.train()
    checkpoint = tmp_path / "whole" / "checkpoint-1"
    (checkpoint / "model.safetensors").rename(tmp_path / "one.safetensors")
    tensors = load_file(tmp_path / "one.safetensors")
    names = sorted(tensors)
    files = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(names)}
    for file in set(files.values()):
        save_file({name: tensors[name] for name in names if files[name] == file}, checkpoint / file)
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": files}))
    again = build_trainer("normal", tmp_path / "again", model=build_legacy_model(tmp_path / "other", seed=9), **STEPS)
    again.train(resume_from_checkpoint=str(checkpoint))
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.model.state_dict().items())


# ---- broken checkpoints ----


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.fixture(scope="module")
def flat_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints of a method with an auxiliary module."""
    folder = tmp_path_factory.mktemp("run")
    build_trainer("flat", folder, **{**STEPS, "max_steps": 2}).train()
    return folder


FILES = ["model.safetensors", "trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", STATE_FILE]


@pytest.mark.parametrize("name", FILES)
def test_a_cut_file_of_a_checkpoint_is_named(name: str, flat_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flat_run / "checkpoint-1", tmp_path / "checkpoint-1")
    cut(folder / name)
    message = rf"checkpoint-1/{name} is cut or damaged.*; delete the folder and resume from the checkpoint before it"
    with pytest.raises(ValueError, match=message) as caught:
        build_trainer("flat", tmp_path / "again", **STEPS).train(resume_from_checkpoint=str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["model.safetensors"], "checkpoint-1 holds no weights; delete the folder and resume from the checkpoint"),
        (["trainer_state.json"], "trainer_state.json is missing; delete the folder"),
        (["optimizer.pt"], "optimizer.pt is missing; delete the folder"),
        (["scheduler.pt"], "scheduler.pt is missing; delete the folder"),
        (["rng_state.pth"], "rng_state.pth is missing; delete the folder"),
        (["optimizer.pt", "scheduler.pt", "rng_state.pth"], "--save_only_model leaves them out.*--model_name_or_path"),
        ([STATE_FILE], f"holds no {STATE_FILE}"),
    ],
)
def test_a_missing_file_of_a_checkpoint_is_named(
    names: list[str], message: str, flat_run: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(flat_run / "checkpoint-1", tmp_path / "checkpoint-1")
    for name in names:
        (folder / name).unlink()
    with pytest.raises(ValueError, match=message):
        build_trainer("flat", tmp_path / "again", **STEPS).train(resume_from_checkpoint=str(folder))


def test_a_checkpoint_that_is_no_folder_and_one_of_another_size(
    flat_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="--resume_from_checkpoint .*none is no folder; give a folder named"):
        build_trainer("flat", tmp_path, **STEPS).train(resume_from_checkpoint=str(tmp_path / "none"))
    other = build_trainer("flat", tmp_path, **STEPS, model=build_model(num_hidden_layers=1))
    with pytest.raises(
        ValueError,
        match="has tensors that are not in this BertForSequenceClassification .*; resume with the model and the flags",
    ):
        other.train(resume_from_checkpoint=str(flat_run / "checkpoint-1"))
    monkeypatch.setattr(METHODS["flat"], "mask_width", 7)
    wide = build_trainer("flat", tmp_path, **STEPS)
    with pytest.raises(ValueError, match="does not hold this run's WordMask .*resume with the flags") as caught:
        wide.train(resume_from_checkpoint=str(flat_run / "checkpoint-1"))
    assert "\n" not in str(caught.value)


def test_random_state_of_another_number_of_ranks_is_said_and_no_fault(
    flat_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(flat_run, tmp_path / "run") / "checkpoint-1"
    (folder / "rng_state.pth").rename(folder / "rng_state_0.pth")
    with caplog.at_level(logging.WARNING):
        build_trainer("flat", tmp_path / "again", **STEPS).train(resume_from_checkpoint=str(folder))
    assert "was saved by another number of processes" in caplog.text


@pytest.mark.parametrize("name", ["model.safetensors", STATE_FILE])
def test_a_best_checkpoint_that_broke_is_named_and_the_way_to_the_last_weights(name: str, tmp_path: Path) -> None:
    class Break(TrainerCallback):
        def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                cut(tmp_path / "checkpoint-1" / name)

    message = rf"checkpoint-1/{name} is cut.*resume from it with --load_best_model_at_end False"
    with pytest.raises(ValueError, match=message):
        best_run("flat", tmp_path, callbacks=[Break()]).train()


def test_a_best_checkpoint_that_is_gone_is_missed_when_the_run_resumes(tmp_path: Path) -> None:
    best_run("normal", tmp_path / "run").train()
    (tmp_path / "run" / "checkpoint-1").rename(tmp_path / "away")
    last = str(tmp_path / "run" / "checkpoint-2")
    with pytest.raises(ValueError, match="names .*checkpoint-1 as the best checkpoint so far, and it is missing"):
        best_run("normal", tmp_path / "run").train(resume_from_checkpoint=last)
    best_run("normal", tmp_path / "run", load_best_model_at_end=False).train(resume_from_checkpoint=last)


# ---- adapters ----


def with_lora(model: Any) -> Any:
    peft = pytest.importorskip("peft")
    return peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"]))


def test_an_adapter_on_a_legacy_model_resumes_and_is_the_best(tmp_path: Path) -> None:
    def legacy() -> Any:
        torch.manual_seed(0)
        return with_lora(build_legacy_model(tmp_path / "legacy"))

    whole = build_trainer("normal", tmp_path / "whole", model=legacy(), **STEPS)
    whole.train()
    again = build_trainer("normal", tmp_path / "again", model=legacy(), **STEPS)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-1"))
    expected = whole.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.model.state_dict().items())
    best = best_run("normal", tmp_path / "best", model=legacy())
    best.train()
    saved = load_file(tmp_path / "best" / "checkpoint-1" / "adapter_model.safetensors")
    found = {name.replace(".default", ""): value for name, value in best.model.state_dict().items()}
    assert all(torch.equal(value, found[name]) for name, value in saved.items() if "lora" in name)


@pytest.mark.parametrize("fault", ["cut", "half", "config"])
def test_a_damaged_adapter_is_named(fault: str, tmp_path: Path) -> None:
    build_trainer("normal", tmp_path, model=with_lora(build_model()), **STEPS).train()
    folder = tmp_path / "checkpoint-1"
    file = folder / ("adapter_config.json" if fault == "config" else "adapter_model.safetensors")
    if fault == "half":
        tensors = load_file(file)
        save_file({name: value for name, value in tensors.items() if "lora_A" not in name}, file)
        message = r"adapter_model.safetensors lacks tensors of the adapter \(.*lora_A"
    else:
        cut(file)
        message = f"{file.name} is cut or damaged"
    again = build_trainer("normal", tmp_path / "again", model=with_lora(build_model()), **STEPS)
    with pytest.raises(ValueError, match=message):
        again.train(resume_from_checkpoint=str(folder))


def test_an_adapter_that_transformers_added_is_refused(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    model = build_model()
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["query"]))
    with pytest.raises(ValueError, match="was added by model.add_adapter.*make it by peft.get_peft_model"):
        build_trainer("normal", tmp_path, model=model, **STEPS)


def test_a_checkpoint_of_another_method_is_refused_by_the_card_beside_it(tmp_path: Path) -> None:
    build_trainer("normal", tmp_path, **STEPS).train()
    on = str(tmp_path / "checkpoint-2")
    build_trainer("pgd", tmp_path / "no-card", **STEPS).train(resume_from_checkpoint=on)
    write_card(tmp_path, {"method": "normal", "final_step": 3})
    build_trainer("normal", tmp_path / "same", **STEPS).train(resume_from_checkpoint=on)
    with pytest.raises(ValueError, match="belongs to a run of --robust_method normal, and this run uses pgd: resume"):
        build_trainer("pgd", tmp_path, **STEPS).train(resume_from_checkpoint=on)


@pytest.mark.parametrize(
    ("length", "said"),
    [({"max_steps": 2}, "step 3 of 2"), ({"max_steps": -1, "num_train_epochs": 1}, "epoch 1.5 of 1")],
)
def test_a_checkpoint_after_which_nothing_is_left_to_train_is_said(
    length: dict[str, int], said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = build_trainer("normal", tmp_path, **STEPS)
    whole.train()
    assert "nothing is trained" not in caplog.text
    on = str(tmp_path / "checkpoint-3")
    build_trainer("normal", tmp_path / "again", **{**STEPS, **length}).train(resume_from_checkpoint=on)
    assert f"checkpoint-3 is at {said}: nothing is trained; raise --{next(iter(reversed(length)))}" in caplog.text


def test_a_checkpoint_of_another_kind_of_model_or_adapter_is_not_called_broken(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")

    def adapted(**settings: Any) -> Any:
        given: dict[str, Any] = {"r": 2, "target_modules": ["query"], "task_type": "SEQ_CLS", **settings}
        return peft.get_peft_model(build_model(), peft.LoraConfig(**given))

    build_trainer("normal", tmp_path / "whole", **STEPS).train()
    build_trainer("normal", tmp_path / "adapter", model=adapted(), **STEPS).train()
    cases = {
        "holds a whole model, and this run trains an adapter": ("whole", adapted()),
        "holds an adapter, and this run trains a whole model": ("adapter", build_model()),
        "holds an adapter with r 2, this run one with 4": ("adapter", adapted(r=4)),
        "holds an adapter with lora_alpha 8, this run one with 64": ("adapter", adapted(lora_alpha=64)),
        r"holds an adapter with target_modules \['query'\], this run one with \['key'\]": (
            "adapter",
            adapted(target_modules=["key"]),
        ),
    }
    for message, (written, model) in cases.items():
        again = build_trainer("normal", tmp_path / "again", model=model, **STEPS)
        with pytest.raises(ValueError, match=message + "; resume with the model and the flags of the run that wrote"):
            again.train(resume_from_checkpoint=str(tmp_path / written / "checkpoint-1"))


def test_going_on_with_other_arguments_of_the_method_is_said(
    flat_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(flat_run, tmp_path / "run"))
    write_card(
        folder, {"method": "flat", "final_step": 3, "config": method_config(build_trainer("flat", folder).args)}
    )
    on = str(folder / "checkpoint-1")
    build_trainer("flat", tmp_path / "same", **STEPS).train(resume_from_checkpoint=on)
    assert "was written with" not in caplog.text
    build_trainer("flat", tmp_path / "other", **STEPS, flat_beta=0.7).train(resume_from_checkpoint=on)
    assert "checkpoint-1 was written with flat_beta 0.1; training goes on with the current values" in caplog.text
