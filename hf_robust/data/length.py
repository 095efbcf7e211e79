"""The maximum number of tokens that a model reads."""

from __future__ import annotations

from typing import Any

_NO_LIMIT = 1_000_000
"""Tokenizers without a limit have a number like 1e30."""
# Models whose positions are numbered from the padding id + 1.
_BEHIND_PADDING = (
    "camembert", "data2vec-text", "esm", "ibert", "lilt", "longformer", "luke", "markuplm", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip


def usable_length(tokenizer: Any, config: Any) -> int | None:
    """Return the maximum number of tokens that tokenizer and model read; None if neither has a limit."""
    limits = [int(min(tokenizer.model_max_length, _NO_LIMIT))]
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions > 0:
        behind = getattr(config, "model_type", "") in _BEHIND_PADDING
        limits.append(int(positions) - behind * ((getattr(config, "pad_token_id", 0) or 0) + 1))
    least = min(limits)
    return least if least < _NO_LIMIT else None
