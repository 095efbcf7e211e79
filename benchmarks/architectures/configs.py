"""A tiny configuration of every architecture that `AutoModelForSequenceClassification` knows, by names of sizes."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES

import hf_robust.models  # noqa: F401, the Auto classes then know its architectures
from hf_robust.models.architecture import parts_of
from hf_robust.models.dropout import set_dropout

KINDS = sorted(MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES)

NOT_MADE = {
    "layoutlmv2": "its visual part needs the detectron2 package",
}
"""Architectures that no tiny classifier is made of, and why."""

VOCABULARY, PAD, CLS, EOS = 64, 0, 2, 3
_LENGTH = 64
_SIZES = {
    16: "hidden_size d_model n_embd dim emb_dim embed_dim embedding_size word_embed_proj_dim n_embed out_hidden_size "
    "input_embedding_size output_embedding_size intra_bottleneck_size true_hidden_size moe_intermediate_size "
    "pronunciation_vocab_size shape_vocab_size image_size",
    32: "intermediate_size hidden_dim d_ff d_inner ffn_dim encoder_ffn_dim decoder_ffn_dim n_inner ffn_hidden_size "
    "dff shared_expert_intermediate_size num_hash_buckets",
    2: "num_hidden_layers num_layers n_layer n_layers encoder_layers decoder_layers num_decoder_layers "
    "num_attention_heads num_heads n_head n_heads encoder_attention_heads decoder_attention_heads num_key_value_heads "
    "num_experts_per_tok linear_num_value_heads linear_num_key_heads shape_size local_transformer_stride",
    8: "head_dim d_kv d_head kv_channels q_lora_rank kv_lora_rank qk_nope_head_dim qk_rope_head_dim v_head_dim "
    "linear_key_head_dim linear_value_head_dim entity_vocab_size entity_emb_size xpath_unit_hidden_size patch_size "
    "pronunciation_embed_dim shape_embed_dim",
    4: "n_routed_experts num_experts num_local_experts mamba_d_state coordinate_size max_depth mm_tokens_per_image",
    1: "n_group topk_group first_k_dense_replace depth",
    _LENGTH: "max_position_embeddings n_positions max_seq_len n_ctx max_2d_position_embeddings",
}
_TOKENS = {"vocab_size": VOCABULARY, "pad_token_id": PAD, "bos_token_id": CLS, "eos_token_id": EOS}
_ONE_OF_EACH = {"layer_types": ["linear_attention", "full_attention"]}
_ROTARY = {"rope_type": "default", "rope_theta": 10000.0}

# What is not a size, or must fit another one; None leaves a default.
_OTHERS: dict[str, dict[str, Any]] = {
    "bart": {"decoder_start_token_id": EOS},
    "cohere_compass_text": {"rope_parameters": {"full_attention": _ROTARY}},
    "deberta-v2": {"pos_att_type": ["c2p", "p2c"], "relative_attention": True, "max_relative_positions": 16},
    "falcon": {"head_dim": None},
    "funnel": {"block_sizes": [1, 1], "num_decoder_layers": 1, "num_hidden_layers": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
    "gptj": {"rotary_dim": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "layoutlmv3": {"coordinate_size": 2, "shape_size": 4},
    "lilt": {"hidden_size": 24},
    "longformer": {"attention_window": 4},
    "markuplm": {
        "tag_pad_id": 6, "subs_pad_id": 7, "max_xpath_tag_unit_embeddings": 8, "max_xpath_subs_unit_embeddings": 8,
    },
    "modernbert": {"cls_token_id": CLS, "sep_token_id": EOS, "num_hidden_layers": 3},
    "mistral4": {
        "rope_parameters": {**_ROTARY, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": _LENGTH}
    },
    "perceiver": {
        "num_latents": 4, "d_latents": 16, "num_blocks": 1, "num_self_attends_per_block": 2,
        "num_self_attention_heads": 2, "num_cross_attention_heads": 2,
    },
    "qwen3_5_text": _ONE_OF_EACH,
    "qwen3_next": _ONE_OF_EACH,
    "reformer": {
        "num_hidden_layers": None, "attn_layers": ["local", "lsh"], "axial_pos_embds_dim": [8, 8],
        "axial_pos_shape": [4, 4], "attention_head_size": 8, "feed_forward_size": 32, "num_buckets": 2, "hash_seed": 1,
        "lsh_attn_chunk_length": 4, "local_attn_chunk_length": 4,
    },
    "t5": {"decoder_start_token_id": PAD},
    "xlnet": {"max_position_embeddings": None},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"], "num_hidden_layers": 3,
        "attention_head_dim": 16, "mamba_dt_rank": 4,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"], "num_hidden_layers": 3, "n_mamba_heads": 2,
        "mamba_headdim": 16, "num_mem_blocks": 1,
    },
}  # fmt: skip


def tiny_config(kind: str, **changes: Any) -> Any:
    """A configuration of about two layers of width 16 and 64 tokens, without dropout or other noise.

    ``changes`` replace fields, those about tokens also in its parts.
    """
    sizes = _sizes(AutoConfig.for_model(kind), {name: changes.get(name, value) for name, value in _TOKENS.items()})
    config = AutoConfig.for_model(kind, **sizes | changes)
    set_dropout(config, 0.0)
    for part in (config, *parts_of(config).values()):
        for name, value in vars(part).items():
            if isinstance(value, float) and "jitter" in name:
                setattr(part, name, 0.0)
    return config


def _sizes(config: Any, tokens: dict[str, Any]) -> dict[str, Any]:
    sizes = {name: size for size, names in _SIZES.items() for name in names.split()} | tokens
    others = _OTHERS.get(config.model_type, {})
    parts = parts_of(config)
    known = config.to_dict() if parts else dir(config)  # what has parts hands sizes on that it does not have
    found = {name: size for name, size in sizes.items() if name in known and name not in others}
    found |= {name: value for name, value in others.items() if value is not None}
    return found | {name: _sizes(part, tokens) | {"model_type": part.model_type} for name, part in parts.items()}


def full_batch() -> dict[str, torch.Tensor]:
    """Three texts of 16 tokens, a length that no architecture has to pad."""
    ids = torch.randint(5, VOCABULARY, (3, 16), generator=torch.Generator().manual_seed(1))
    ids[:, 0], ids[:, -1] = CLS, EOS
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
