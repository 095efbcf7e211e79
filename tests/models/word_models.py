"""Small LSTMs and CNNs, their batches, and a file of word vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForSequenceClassification, set_seed

from hf_robust.models import WORD_MODELS

KINDS = sorted(WORD_MODELS)
SIZES: dict[str, dict[str, Any]] = {
    "lstm": {"hidden_size": 7, "embedding_dropout": 0.0},
    "cnn": {"filter_widths": [1, 2, 3, 4], "num_filters": 3},
}
VOCABULARY, WIDTH = 30, 5


def build(kind: str, **extra: Any) -> Any:
    """A random model of three classes in eval mode."""
    options = {"vocab_size": VOCABULARY, "embedding_size": WIDTH, "num_labels": 3, "initializer_range": 1.0}
    config = WORD_MODELS[kind](**{**options, **SIZES[kind], **extra})
    set_seed(0)
    return AutoModelForSequenceClassification.from_config(config).eval()


def batch(texts: list[list[int]], left: list[int] | None = None, right: int = 0) -> dict[str, torch.Tensor]:
    """Token ids with ``right`` extra tokens of padding, ``left`` of them before each text."""
    left = left or [0] * len(texts)
    longest = max(len(text) + before for text, before in zip(texts, left, strict=True)) + right
    ids, mask = torch.zeros(len(texts), longest, dtype=torch.long), torch.zeros(len(texts), longest, dtype=torch.long)
    for row, (text, before) in enumerate(zip(texts, left, strict=True)):
        ids[row, before : before + len(text)] = torch.tensor(text, dtype=torch.long)
        mask[row, before : before + len(text)] = 1
    return {"input_ids": ids, "attention_mask": mask}


def write_vectors(path: Path, words: list[str], width: int = WIDTH, seed: int = 0) -> np.ndarray:
    """Write a GloVe text file to ``path``; returns its numbers as they are read."""
    numbers = np.random.default_rng(seed).normal(size=(len(words), width)).round(4)
    lines = (" ".join([word, *map(str, row)]) for word, row in zip(words, numbers, strict=True))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return numbers.astype(np.float32)
