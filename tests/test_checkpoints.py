import sys

import pytest
import torch
from tiny import build_model, build_tokenizer
from transformers import AutoConfig

from hf_robust.checkpoints import load_config, load_model, load_tokenizer
from hf_robust.data.arguments import ModelArguments
from hf_robust.data.labels import named_labels


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
    config = AutoConfig.from_pretrained(model_folder())
    if end is None:
        with pytest.raises(ValueError, match="has no padding token: add one"):
            load_tokenizer(args, config)
        return
    assert load_tokenizer(args, config).pad_token == end
    assert config.pad_token_id == 3 and "has no padding token, '[SEP]' is used" in caplog.text


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


def test_frozen_word_embeddings_are_all_that_stands_still(model_folder):
    args = arguments(model_folder(), freeze_embeddings=True)
    model = load_model(args, load_config(args), named_labels(("no", "yes")))
    frozen = [name for name, parameter in model.named_parameters() if not parameter.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]
