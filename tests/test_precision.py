"""Data type, attention and quantization reach every load, or are refused before the weights are loaded."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from headless import adapted, logits, save_headless, train
from tiny import build_model, build_tokenizer, build_trainer
from transformers import AutoModelForSequenceClassification

from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.models.architecture import precision
from hf_robust.models.trained import load_trained
from hf_robust.trainers import METHODS
from hf_robust.wiring.checkpoints import load_config, load_model
from hf_robust.wiring.parsing import parse_arguments
from hf_robust.wiring.precision import check_precision

HALF = [torch.bfloat16, torch.float16]


def saved(folder: Path, dtype: torch.dtype = torch.float32, kind: str = "bert") -> Path:
    build_model(kind).to(dtype).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def loaded(folder: Path, mixed: torch.dtype | None = None, **flags: Any) -> Any:
    args = ModelArguments(model_name_or_path=str(folder), **flags)
    return load_model(args, load_config(args), named_labels(("no", "yes")), mixed=mixed)


def checked(folder: Path, method: str = "normal", train: bool = True, **flags: Any) -> None:
    mixed = {name: flags.pop(name) for name in ("fp16", "bf16") if name in flags}
    args = ModelArguments(model_name_or_path=str(folder), **flags)
    config = METHODS[method].config
    training = config(output_dir=str(folder), do_train=train, use_cpu=True, report_to="none", **mixed)
    check_precision(args, load_config(args), training, METHODS[method])


# ---- the data type ----


def test_the_default_is_what_from_pretrained_does(tmp_path: Path) -> None:
    for dtype in (torch.float32, *HALF):
        folder = saved(tmp_path / str(dtype), dtype)
        stock = AutoModelForSequenceClassification.from_pretrained(folder)
        assert loaded(folder).dtype == stock.dtype == dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_data_type_is_that_of_the_weights_and_of_what_is_saved(dtype: str, tmp_path: Path) -> None:
    for start in (torch.float32, torch.bfloat16):
        model = loaded(saved(tmp_path / f"{start}", start), dtype=dtype)
        assert {str(weight.dtype) for weight in model.parameters()} == {f"torch.{dtype}"}
    model.save_pretrained(tmp_path / "out")
    assert load_trained(str(tmp_path / "out")).dtype == getattr(torch, dtype)
    assert precision(model)["dtype"] == dtype


@pytest.mark.parametrize("name", ["demo", "lstm", "cnn"])
def test_a_new_model_has_the_data_type_too(name: str, tmp_path: Path) -> None:
    from tiny import review_rows

    from hf_robust.data.arguments import DataTrainingArguments
    from hf_robust.data.load import Corpus
    from hf_robust.wiring.checkpoints import load_tokenizer, load_words

    args = ModelArguments(model_name_or_path=name, dtype="bfloat16")
    words = load_words(args, DataTrainingArguments(train_file="x.json"), None, Corpus("r", {"train": review_rows(8)}))
    tokenizer = load_tokenizer(args, words)
    model = load_model(args, load_config(args), named_labels(("no", "yes")), tokenizer, words)
    assert model.dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_adapter_reloads_on_a_base_of_its_data_type(dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    save_headless("bert", tmp_path / "base")
    model = adapted(tmp_path / "base", dtype=dtype)
    train(model)
    from hf_robust.models.adapter_files import write_config

    model.save_pretrained(tmp_path / "adapter")
    write_config(model, tmp_path / "adapter")
    again = load_trained(str(tmp_path / "adapter"))
    assert again.get_input_embeddings().weight.dtype == getattr(torch, dtype)
    assert torch.equal(logits(again), logits(model))


def test_beside_adapters_only_float32_trains_under_mixed_precision(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    folder = saved(tmp_path)
    model = loaded(folder, torch.bfloat16, dtype="bfloat16", lora_rank=2)
    assert {weight.dtype for weight in model.parameters() if weight.requires_grad} == {torch.float32}
    assert {weight.dtype for weight in model.parameters() if not weight.requires_grad} == {torch.bfloat16}
    trainer = build_trainer("normal", tmp_path / "run", model=model, bf16=True)
    trainer.train()
    trainer.save_model(str(tmp_path / "run"))
    batch = dict(build_tokenizer()(["a good film", "a bad plot"], padding=True, return_tensors="pt"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        trained = trainer.model.eval()(**batch).logits
        assert torch.equal(load_trained(str(tmp_path / "run")).eval()(**batch).logits, trained)


@pytest.mark.parametrize(
    ("stored", "flags", "sentence"),
    [
        (torch.float32, {"dtype": "float16"}, "--dtype float16, and training needs .* use --dtype float32 --fp16"),
        (torch.float16, {}, "the weights of .* are float16, and training needs .* use --dtype float32 --fp16"),
        (torch.float16, {"lora_rank": 2}, "are float16, and training needs .*: use --fp16, or bfloat16"),
        (torch.float32, {"dtype": "float16", "method": "adpmixup"}, "use --dtype float32 --fp16"),
    ],
)
def test_training_in_float16_is_one_sentence(
    stored: torch.dtype, flags: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        checked(saved(tmp_path, stored), **flags)
    assert "\n" not in str(caught.value)
    checked(tmp_path, train=False, **flags)
    checked(tmp_path, dtype="float32", fp16=False)


def test_steps_that_bfloat16_rounds_away_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = saved(tmp_path, torch.bfloat16)
    with caplog.at_level(logging.WARNING):
        checked(folder)
        checked(folder, lora_rank=2)
        checked(folder, dtype="bfloat16")
    first, second, third = [record.getMessage() for record in caplog.records]
    assert "are bfloat16, and they train in it" in first and "--dtype float32 --bf16 trains in float32" in first
    assert "the head beside the adapters trains in it" in second and " --bf16 trains in float32" in second
    assert third.startswith("--dtype bfloat16, and they train in it")
    caplog.clear()
    for flags in ({"dtype": "float32"}, {"lora_rank": 2, "bf16": True}, {"train": False}):
        checked(folder, **flags)
    assert not caplog.records


# ---- attention ----


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_is_the_one_asked_for(attention: str, tmp_path: Path) -> None:
    model = loaded(saved(tmp_path), attn_implementation=attention)
    assert model.config._attn_implementation == attention == precision(model)["attention"]
    with_head = loaded(tmp_path, attn_implementation=attention, classifier_head="mean")
    assert with_head.base_model.config._attn_implementation == attention


def test_attention_that_an_architecture_lacks_is_one_sentence(tmp_path: Path) -> None:
    save_headless("deberta-v2", tmp_path)
    with pytest.raises(ValueError, match="--attn_implementation sdpa: DebertaV2.* does not have it; use eager, or"):
        checked(tmp_path, attn_implementation="sdpa")
    checked(tmp_path, attn_implementation="eager")


def test_second_derivatives_need_eager_attention(tmp_path: Path) -> None:
    options = {"adaptive_objective": "direct"}
    folder = saved(tmp_path / "base")
    with pytest.raises(ValueError, match="which sdpa attention does not have; use --attn_implementation eager"):
        build_trainer("adaptive_pgd", tmp_path, model=loaded(folder, attn_implementation="sdpa"), **options)
    model = loaded(folder, attn_implementation="eager")
    build_trainer("adaptive_pgd", tmp_path / "run", model=model, max_steps=1, **options).train()


# ---- flags ----

DATA = ["--train_file", "x.json", "--validation_file", "x.json", "--output_dir", "out"]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--dtype", "int8"], "--dtype"),
        (["--attn_implementation", "flash_attention_2"], "flash_attention_2 needs a GPU .* or use sdpa"),
        (["--quantization", "4bit"], "--quantization 4bit holds weights that cannot be trained: add adapters"),
        (["--quantization", "2bit", "--lora_rank", "2"], "2bit"),
        (["--quantization", "4bit", "--lora_rank", "2"], "--quantization 4bit needs bitsandbytes: pip install"),
        (
            ["--quantization", "4bit", "--robust_method", "adpmixup", "--view_attacks", "synonym"],
            "--quantization is not for --robust_method adpmixup, which makes adapters of its own",
        ),
    ],
)
def test_what_cannot_be_is_one_sentence(flags: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.models.quantization.find_spec", lambda name: None if name == "bitsandbytes" else 1)
    monkeypatch.setattr("hf_robust.wiring.precision.is_flash_attn_2_available", lambda: False)
    with pytest.raises(ValueError, match=sentence) as caught:
        parse_arguments(["--model_name_or_path", "some/model", *DATA, *flags])
    assert "\n" not in str(caught.value)
