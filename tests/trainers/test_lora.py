"""LoRA under a trainer: resumption, best model and twin are restored, or refused if that is impossible."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from tiny import NO_DATA, build_model, build_tokenizer, build_trainer, review_data
from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, set_seed

from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.models.trained import load_trained
from hf_robust.modules.adapters import find_heads
from hf_robust.modules.auxiliary import PEER_FOLDER
from hf_robust.wiring.checkpoints import load_config, load_model

peft = pytest.importorskip("peft")
BATCH = dict(build_tokenizer()(["a good film", "a bad plot"], padding=True, return_tensors="pt"))
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT without pooler and head."""
    folder = tmp_path_factory.mktemp("base")
    AutoModelForMaskedLM.from_config(build_model().config).save_pretrained(folder)
    return folder


def adapted(base: Path, seed: int = 0, **flags: Any) -> Any:
    args = ModelArguments(model_name_or_path=str(base), lora_rank=2, **flags)
    config = load_config(args)
    set_seed(seed)
    return load_model(args, config, named_labels(("bad", "good")))


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model.eval()(**BATCH).logits


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_whatever_its_head_was_drawn_as(base: Path, tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "optim": "adamw_torch"}
    whole = build_trainer("normal", tmp_path / "whole", model=adapted(base), **options)
    whole.train()
    again = build_trainer("normal", tmp_path / "again", model=adapted(base, seed=9), **options)
    assert not torch.equal(logits(again.model), logits(adapted(base)))
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    first, second = (
        safetensors.torch.load_file(tmp_path / name / "checkpoint-4" / WEIGHTS) for name in ("whole", "again")
    )
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert torch.equal(logits(load_trained(str(tmp_path / "whole" / "checkpoint-4"))), logits(again.model))


def test_the_best_checkpoint_is_what_is_saved(base: Path, tmp_path: Path) -> None:
    steps = {
        "save_strategy": "steps",
        "save_steps": 1,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "learning_rate": 3.0,
    }
    trainer = build_trainer(
        "normal", tmp_path, model=adapted(base), eval_data=review_data(8, 1), load_best_model_at_end=True, **steps
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    best = losses.index(min(losses)) + 1
    assert trainer.state.best_model_checkpoint.endswith(f"checkpoint-{best}")
    trainer.save_model(str(tmp_path / "export"))
    wanted = logits(load_trained(str(tmp_path / f"checkpoint-{best}")))
    assert torch.equal(logits(load_trained(str(tmp_path / "export"))), wanted)
    assert torch.equal(logits(trainer.model), wanted)


@pytest.mark.slow
def test_both_models_of_taichi_come_back(base: Path, tmp_path: Path) -> None:
    trainer = build_trainer("taichi", tmp_path / "run", model=adapted(base))
    trainer.train()
    trainer.save_model(str(tmp_path / "export"))
    for folder, model in ((tmp_path / "export", trainer.model), (tmp_path / "export" / PEER_FOLDER, trainer.twin)):
        assert torch.equal(logits(load_trained(str(folder))), logits(model))


def test_an_adapter_that_leaves_a_new_part_out_is_refused_before_training(base: Path, tmp_path: Path) -> None:
    def with_config(**options: Any) -> Any:
        model = AutoModelForSequenceClassification.from_pretrained(base)
        return peft.get_peft_model(model, peft.LoraConfig(task_type="SEQ_CLS", r=2, **options))

    sentence = r"bert.pooler.dense.bias, bert.pooler.dense.weight are in no checkpoint.*modules_to_save=\[...\]"
    with pytest.raises(ValueError, match=sentence):
        build_trainer("normal", tmp_path, model=with_config())
    trainer = build_trainer("normal", tmp_path, model=with_config(modules_to_save=["pooler"]))
    trainer.train()
    trainer.save_model(str(tmp_path / "export"))
    assert torch.equal(logits(load_trained(str(tmp_path / "export"))), logits(trainer.model))
    # A model that was never saved cannot be loaded again; that is the user's decision.
    build_trainer(
        "normal", tmp_path, model=peft.get_peft_model(build_model(), peft.LoraConfig(task_type="SEQ_CLS", r=2))
    )


def test_a_folder_is_for_adapters_or_for_a_whole_model(base: Path, tmp_path: Path) -> None:
    build_trainer("normal", tmp_path / "run", model=adapted(base)).save_model(str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"holds an adapter \(adapter_config.json\), and this run would add a whole"):
        build_trainer("normal", tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    build_trainer("normal", tmp_path / "run").save_model(str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"holds a whole model \(model.safetensors\), and this run would add an"):
        build_trainer("normal", tmp_path / "out", model=adapted(base))
    build_trainer("normal", tmp_path / "out", model=adapted(base), data=NO_DATA)  # saves nothing over it


@pytest.mark.slow
def test_adapters_of_adpmixup_come_back_with_the_new_pooler(base: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(base, id2label={0: "bad", 1: "good"})
    assert find_heads(model) == ["classifier", "bert.pooler"]
    trainer: Any = build_trainer("adpmixup", tmp_path / "run", model=model)
    trainer.train()
    trainer.save_model(str(tmp_path / "export"))
    trainer.model.eval()
    for name in ("clean", "synonym"):
        again = load_trained(str(tmp_path / "export" / "adapters" / name))
        with trainer.adapters.sharing(trainer.adapters.alone(name, 2)):
            assert torch.allclose(logits(again), logits(trainer.model), atol=1e-6)
        assert again.config.id2label == {0: "bad", 1: "good"}
