"""The fields of a configuration that set dropout: with them at 0 two passes predict the same, above 0 they do not."""

from __future__ import annotations

import pytest
import torch
from architectures import ARCHITECTURES, build_architecture, padded_batch
from transformers import BertConfig, EsmConfig, Gemma3Config

from hf_robust.models.dropout import dropout_fields, has_dropout_layers, set_dropout


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_they_are_all_that_makes_two_passes_differ(kind: str, share: float) -> None:
    model, batch = build_architecture(kind, dropout=share), padded_batch()
    torch.manual_seed(0)
    first, second = (model(**batch).logits for _ in range(2))
    assert torch.equal(first, second) == (share == 0)
    # Attention of these drops its weights itself.
    assert has_dropout_layers(model) == (share > 0 and kind not in ("llama", "qwen2"))


def test_parts_have_fields_of_their_own_and_flags_are_none() -> None:
    config = Gemma3Config()
    set_dropout(config, 0.25)
    assert config.text_config.attention_dropout == config.vision_config.attention_dropout == 0.25
    assert "token_dropout" not in [name for _, name in dropout_fields(EsmConfig(token_dropout=True))]
    assert BertConfig().classifier_dropout is None  # then that of the hidden states
