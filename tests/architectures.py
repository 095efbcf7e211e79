"""Fifteen architectures and our own two as tiny random classifiers, and a padded batch for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, set_seed

import hf_robust.models  # noqa: F401, the Auto classes then know its architectures
from hf_robust.models.dropout import set_dropout

VOCABULARY, PAD, CLS, EOS = 64, 0, 2, 3


@dataclass(frozen=True)
class Architecture:
    """How to build a tiny classifier of one architecture."""

    config: dict[str, Any]
    width: int = 16
    sides: tuple[str, ...] = ("right", "left")
    pads_are_cut_off: bool = True
    """Whether the loss has exactly no gradient at padding."""


_ENCODER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_DECODER = {**_ENCODER, "num_key_value_heads": 2, "max_position_embeddings": 64}
_RELATIVE = {"pos_att_type": ["c2p", "p2c"], "relative_attention": True, "max_relative_positions": 16}

ARCHITECTURES: dict[str, Architecture] = {
    "bert": Architecture({**_ENCODER, "max_position_embeddings": 64}),
    "roberta": Architecture({**_ENCODER, "max_position_embeddings": 64, "type_vocab_size": 1}),
    "distilbert": Architecture(
        {"dim": 16, "hidden_dim": 32, "n_layers": 2, "n_heads": 2, "max_position_embeddings": 64}
    ),
    "albert": Architecture({**_ENCODER, "embedding_size": 8, "num_hidden_groups": 1}, width=8),
    "electra": Architecture({**_ENCODER, "embedding_size": 8}, width=8),
    "deberta-v2": Architecture({**_ENCODER, **_RELATIVE, "max_position_embeddings": 64}),
    "modernbert": Architecture({**_ENCODER, "cls_token_id": CLS, "sep_token_id": EOS, "num_hidden_layers": 3}),
    "mpnet": Architecture({**_ENCODER, "max_position_embeddings": 64}),
    "xlnet": Architecture({"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, sides=("left",)),
    "funnel": Architecture(
        {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1], "num_decoder_layers": 1},
        sides=("right",),
    ),
    "t5": Architecture(
        {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": PAD},
        sides=("right",),
    ),
    "bart": Architecture(
        {
            "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
            "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "decoder_start_token_id": EOS,
        },
        sides=("right",),
    ),
    "gpt2": Architecture({"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}),
    "llama": Architecture(_DECODER),
    "qwen2": Architecture(_DECODER),
    "hf_robust_lstm": Architecture({"embedding_size": 16, "hidden_size": 32}),
    "hf_robust_cnn": Architecture({"embedding_size": 16, "num_filters": 16}),
}  # fmt: skip


def build_architecture(kind: str, seed: int = 0, dropout: float = 0.0) -> Any:
    """A classifier in training mode, by default without dropout."""
    config = AutoConfig.for_model(
        kind, vocab_size=VOCABULARY, pad_token_id=PAD, bos_token_id=CLS, eos_token_id=EOS, num_labels=3,
        **ARCHITECTURES[kind].config,
    )  # fmt: skip
    set_dropout(config, dropout)
    for name in ("initializer_range", "init_std"):
        if hasattr(config, name):
            setattr(config, name, 0.3)
    set_seed(seed)
    return AutoModelForSequenceClassification.from_config(config).train()


def padded_batch(side: str = "right") -> dict[str, torch.Tensor]:
    """Three texts of 6, 4 and 9 tokens, each from [CLS] to [SEP]."""
    generator = torch.Generator().manual_seed(1)
    lengths, longest = (6, 4, 9), 9
    ids, mask = torch.full((3, longest), PAD), torch.zeros(3, longest, dtype=torch.long)
    for row, length in enumerate(lengths):
        words = torch.randint(5, VOCABULARY, (length - 2,), generator=generator)
        place = slice(0, length) if side == "right" else slice(longest - length, longest)
        ids[row, place] = torch.cat([torch.tensor([CLS]), words, torch.tensor([EOS])])
        mask[row, place] = 1
    return {"input_ids": ids, "attention_mask": mask}
