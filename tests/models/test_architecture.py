"""Architecture and size of published models, and counted forward passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny import build_model, build_trainer

from hf_robust.models.architecture import architecture, auxiliary_module
from hf_robust.models.passes import ForwardCounter


def saved(folder: Path, name: str = "model.safetensors") -> int:
    return sum(value.numel() for value in load_file(folder / name).values())


@pytest.mark.parametrize("method", ["normal", "taichi", "flat", "adpmixup", "adaptive_pgd", "infobert", "smart"])
def test_parameters_are_those_of_the_saved_file(tmp_path: Path, method: str) -> None:
    trainer = build_trainer(method, tmp_path)
    everything = sum(weights.numel() for weights in trainer.model.parameters())
    trainer._save(str(tmp_path / "out"))
    found = architecture(trainer.model)
    assert found == {"type": "bert", "parameters": saved(tmp_path / "out")}
    assert (everything > found["parameters"]) is (auxiliary_module(trainer.model) is not None and method != "smart")


def test_of_an_adapter_both_sizes_are_said(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    plain = architecture(build_model())["parameters"]
    lora = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query"])
    model = peft.get_peft_model(build_model(), lora)
    model.save_pretrained(tmp_path)
    own = saved(tmp_path, "adapter_model.safetensors")
    assert architecture(model) == {"type": "bert", "parameters": plain, "adapter_parameters": own}
    trainer = build_trainer("taichi", tmp_path / "taichi", model=peft.get_peft_model(build_model(), lora))
    assert auxiliary_module(trainer.model) is not None
    assert architecture(trainer.model) == {"type": "bert", "parameters": plain, "adapter_parameters": own}


def test_texts_are_counted_by_rows_and_only_where_they_are_to_be() -> None:
    model, other = build_model(), build_model()
    counter = ForwardCounter()
    counter.watch("model", model)
    counter.watch("other", other)

    def passed(module: Any, rows: int) -> None:
        module(input_ids=torch.ones(rows, 3, dtype=torch.long), attention_mask=torch.ones(rows, 3))

    passed(model, 5)
    assert counter.texts == {"model": 0, "other": 0}
    counter.counting = True
    passed(model, 5)
    passed(model.eval(), 2)
    passed(other, 3)
    assert counter.texts == {"model": 7, "other": 3}
    counter.stop()
    passed(model, 5)
    assert counter.texts == {"model": 7, "other": 3} and not model._forward_pre_hooks
