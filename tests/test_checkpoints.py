import sys

import pytest
import torch
from headless import adapted, save_headless
from tiny import build_model, build_tokenizer, review_rows

from hf_robust.data.arguments import NEW_MODELS, DataTrainingArguments, ModelArguments
from hf_robust.data.labels import named_labels
from hf_robust.data.load import Corpus
from hf_robust.wiring.checkpoints import load_config, load_model, load_tokenizer, load_words


def arguments(folder, **flags):
    return ModelArguments(model_name_or_path=str(folder), **flags)


def test_names_are_written_and_weights_are_the_checkpoints(model_folder):
    args = arguments(model_folder())
    model = load_model(args, load_config(args), named_labels(("no", "yes")))
    assert model.config.label2id == {"no": 0, "yes": 1}
    expected = build_model().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())


def test_another_number_of_classes_needs_its_flag(model_folder):
    args = arguments(model_folder())
    with pytest.raises(RuntimeError):
        load_model(args, load_config(args), named_labels(("a", "b", "c")))
    args = arguments(model_folder(), ignore_mismatched_sizes=True)
    assert load_model(args, load_config(args), named_labels(("a", "b", "c"))).num_labels == 3


@pytest.mark.parametrize("end", ["[SEP]", None])
def test_a_tokenizer_without_padding_token(end, model_folder, tmp_path, caplog):
    tokenizer = build_tokenizer()
    tokenizer.pad_token, tokenizer.eos_token = None, end
    tokenizer.save_pretrained(tmp_path)
    args = arguments(model_folder(), tokenizer_name=str(tmp_path))
    if end is None:
        with pytest.raises(ValueError, match="has no padding token: add one"):
            load_tokenizer(args)
        return
    tokenizer = load_tokenizer(args)
    assert tokenizer.pad_token == end and "has no padding token, so '[SEP]' is used" in caplog.text
    model = load_model(args, load_config(args), named_labels(("no", "yes")), tokenizer)
    assert model.config.pad_token_id == 3


def test_lora_without_peft_is_one_sentence(model_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    args = arguments(model_folder(), lora_rank=2)
    with pytest.raises(ValueError, match="--lora_rank needs peft: pip install"):
        load_model(args, load_config(args), named_labels(("no", "yes")))


def test_lora_trains_adapters_and_head_only(model_folder):
    pytest.importorskip("peft")
    args = arguments(model_folder(), lora_rank=2, lora_target_modules=["query"])
    model = load_model(args, load_config(args), named_labels(("no", "yes")))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all("lora_" in name or "classifier" in name for name in trained)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ["query", "valeu"],
            "--lora_target_modules valeu names no layer of this model; its layers are .*query.*value",
        ),
        (["classifier"], "--lora_target_modules classifier: it is trained as a whole and needs no adapter"),
        (["query", "pooler"], "--lora_target_modules pooler: it is trained as a whole"),
        (["attention"], "--lora_target_modules attention: a BertAttention cannot have an adapter; its layers are"),
    ],
)
def test_target_modules_that_are_none_are_one_sentence(flags, sentence, tmp_path):
    pytest.importorskip("peft")
    save_headless("bert", tmp_path)
    with pytest.raises(ValueError, match=sentence) as caught:
        adapted(tmp_path, lora_target_modules=flags)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "asked", "found"),
    [
        ("bert", ["query", "output.dense"], {"query", "dense"}),  # of attention and of the layer, not of the pooler
        ("bert", ["all-linear"], {"query", "key", "value", "dense"}),
        ("bert", ["word_embeddings"], {"word_embeddings"}),
        ("gpt2", ["all-linear"], {"c_attn", "c_proj", "c_fc"}),
    ],
)
def test_layers_that_get_adapters(kind, asked, found, tmp_path):
    pytest.importorskip("peft")
    save_headless(kind, tmp_path)
    model = adapted(tmp_path, lora_target_modules=asked)
    layers = [name for name, layer in model.named_modules() if hasattr(layer, "lora_A")]
    assert {name.rsplit(".", 1)[-1] for name in layers} == found
    assert not any("pooler" in name or "classifier" in name for name in layers)


@pytest.mark.parametrize("name", NEW_MODELS)
def test_adapters_of_random_weights_are_refused(name):
    pytest.importorskip("peft")
    args = arguments(name, lora_rank=2)
    corpus = Corpus("reviews", {"train": review_rows(8)})
    words = load_words(args, DataTrainingArguments(train_file="x.json"), None, corpus)
    config = load_config(args)
    tokenizer = load_tokenizer(args, words)
    with pytest.raises(
        ValueError, match=f"--lora_rank saves adapters without .*, and {name} starts from random weights"
    ):
        load_model(args, config, named_labels(("no", "yes")), tokenizer, words)


@pytest.mark.parametrize("kind", ["hf_robust_lstm", "hf_robust_cnn"])
def test_a_saved_lstm_or_cnn_has_no_layer_to_adapt(kind, model_folder):
    pytest.importorskip("peft")
    args = arguments(model_folder(kind), lora_rank=2)
    with pytest.raises(ValueError, match="and .*ForSequenceClassification has none; name other layers"):
        load_model(args, load_config(args), named_labels(("no", "yes")))


def test_training_does_not_start_from_an_adapter(tmp_path):
    pytest.importorskip("peft")
    save_headless("bert", tmp_path / "base")
    adapted(tmp_path / "base").save_pretrained(tmp_path / "adapter")
    with pytest.raises(ValueError, match="is an adapter, and training needs a whole model: load it"):
        load_config(arguments(tmp_path / "adapter"))


def test_frozen_word_embeddings_stay_so_beside_adapters(tmp_path):
    pytest.importorskip("peft")
    save_headless("bert", tmp_path)
    model = adapted(tmp_path, freeze_embeddings=True)
    assert not any(value.requires_grad for value in model.get_input_embeddings().parameters())
    with pytest.raises(ValueError, match="--freeze_embeddings keeps the word embeddings fixed, and --lora_t"):
        adapted(tmp_path, freeze_embeddings=True, lora_target_modules=["word_embeddings"])


def test_frozen_word_embeddings_are_all_that_stands_still(model_folder):
    args = arguments(model_folder(), freeze_embeddings=True)
    model = load_model(args, load_config(args), named_labels(("no", "yes")))
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]
