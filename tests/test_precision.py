"""Data type, attention and quantization reach every load, or are refused before the weights are loaded."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from headless import adapted, logits, save_headless, train
from tiny import build_model, build_tokenizer, build_trainer, review_data
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, set_seed

from benchmarks.architectures.configs import tiny_config
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.models.adapter_files import write_config
from hf_robust.models.architecture import architecture, float32_products_are_rounded, precision
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
            ["--quantization", "4bit", "--model_name_or_path", "demo", "--lora_rank", "2"],
            "is for a checkpoint, and demo",
        ),
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


def test_quantization_without_a_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_robust.models.quantization.find_spec", lambda name: 1)
    monkeypatch.setattr("torch.accelerator.is_available", lambda: True)
    flags = ["--model_name_or_path", "some/model", *DATA, "--quantization", "8bit", "--lora_rank", "2"]
    assert parse_arguments(flags).model.quantization == "8bit"
    for without in ("--use_cpu", None):
        monkeypatch.setattr("torch.accelerator.is_available", lambda gpu=without: gpu is not None)
        with pytest.raises(ValueError, match="--quantization 8bit needs a GPU: bitsandbytes packs weights anew"):
            parse_arguments([*flags, *filter(None, [without])])


# ---- quantization ----


@pytest.fixture
def wide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A base model without pooler and head that bitsandbytes trains on a CPU."""
    pytest.importorskip("peft")
    modules = pytest.importorskip("bitsandbytes.nn.modules")
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: False)  # no packing at the first evaluation
    set_seed(0)
    config = tiny_config("bert", hidden_size=64, intermediate_size=128)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_an_adapter_trains_on_a_quantized_base_and_reloads_on_one(kind: str, wide: Path, tmp_path: Path) -> None:
    model = adapted(wide, quantization=kind)
    layers = {type(layer.base_layer).__name__ for layer in model.modules() if hasattr(layer, "lora_B")}
    assert layers == {"Linear4bit" if kind == "4bit" else "Linear8bitLt"}
    new = [name for name, weight in model.named_parameters() if weight.requires_grad and "lora_" not in name]
    assert {name.split(".modules_to_save")[0].rsplit(".", 1)[-1] for name in new} == {"pooler", "classifier"}
    before = logits(model)
    train(model)
    trained = logits(model)
    assert (trained - before).abs().max() > 1e-3
    model.save_pretrained(tmp_path / "out")
    write_config(model, tmp_path / "out")
    again = load_trained(str(tmp_path / "out"))
    assert torch.equal(logits(again), trained)
    assert precision(again) == precision(model) == {"dtype": "float32", "attention": "sdpa", "quantization": kind}
    assert architecture(model)["parameters"] == architecture(adapted(wide))["parameters"]
    # PEFT alone puts the adapter on the base as it is stored, without quantization.
    config = AutoConfig.from_pretrained(tmp_path / "out", subfolder="classifier")
    assert not hasattr(config, "quantization_config")
    plain = AutoModelForSequenceClassification.from_pretrained(wide, config=config)
    import peft

    assert not torch.equal(logits(peft.PeftModel.from_pretrained(plain, tmp_path / "out")), trained)
    with pytest.raises(ValueError, match="is an adapter of a quantized model, whose weights cannot take it up"):
        load_trained(str(tmp_path / "out"), merged=True)


def test_another_base_is_noticed_under_quantization(wide: Path, tmp_path: Path) -> None:
    model = adapted(wide, quantization="4bit")
    model.save_pretrained(tmp_path / "out")
    write_config(model, tmp_path / "out")
    set_seed(5)
    config = tiny_config("bert", hidden_size=64, intermediate_size=128)
    AutoModelForMaskedLM.from_config(config).save_pretrained(wide)
    with pytest.raises(ValueError, match="has changed since the adapter"):
        load_trained(str(tmp_path / "out"))


def test_two_steps_of_a_method_on_a_quantized_base(wide: Path, tmp_path: Path) -> None:
    model = adapted(wide, quantization="4bit")
    frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
    rows = [{"sentence": f"a {word} film", "label": label} for label, word in enumerate(("bad", "fine", "good"))] * 2
    trainer = build_trainer(
        "freelb", tmp_path / "run", model=model, data=review_data(rows=rows), max_steps=2, gradient_checkpointing=True
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses and all(map(math.isfinite, losses))
    assert all(torch.equal(model.get_parameter(name), value) for name, value in frozen.items())


@pytest.mark.parametrize("rounding", ["tf32", "ieee"])
@pytest.mark.parametrize("has_new_setting", [True, False])
def test_the_rounding_of_float32_products_is_known(
    monkeypatch: pytest.MonkeyPatch, rounding: str, has_new_setting: bool
) -> None:
    """As torch 2.9 and newer set it, and as older ones do; reading the other setting may raise."""
    rounded = rounding == "tf32"
    new, old = SimpleNamespace(fp32_precision=rounding), SimpleNamespace(allow_tf32=rounded)
    monkeypatch.setattr(torch.backends.cuda, "matmul", new if has_new_setting else old)
    assert float32_products_are_rounded() is rounded
