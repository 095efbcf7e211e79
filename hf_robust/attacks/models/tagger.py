"""A part-of-speech tagger of any language: a token classifier with the tags of Universal Dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.words import UPOS

_BATCH = 256
"""Texts in one call; an attack tags eight words of each."""


class ModelTagger(ConsultedModel):
    """Tags words by a token classifier: the tag of a word is the likeliest tag of its first token.

    Its name, which is part of an attack's description, holds the hash of the weights.

    Raises:
        ValueError: the tokenizer does not align words with tokens, or labels are no universal tags.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, name: str) -> None:
        super().__init__(model, tokenizer, name, None)
        self.name = f"{name} ({self.fingerprint()[:8]})"
        labels: dict[int, str] = model.config.id2label  # type: ignore[assignment, union-attr]
        self._tags = {number: label.rpartition("-")[2].upper() for number, label in labels.items()}
        if not UPOS & set(self._tags.values()):
            raise ValueError(
                f"--pos_tagger {name} has the labels {', '.join(list(labels.values())[:3])}, and parts of speech are "
                "needed (NOUN, VERB, ...): give a token classifier trained on Universal Dependencies (UPOS)."
            )
        if not getattr(tokenizer, "is_fast", False):
            raise ValueError(
                f"--pos_tagger {name} has no fast tokenizer, which aligns words with tokens: give another tagger."
            )

    def __call__(self, words: Sequence[str]) -> list[str]:
        return self.many([words])[0]

    def many(self, texts: Sequence[Sequence[str]]) -> list[list[str]]:
        """The tags of the words of each text; a word without tokens, or behind the tokenizer's limit, gets ``X``."""
        return [list(tags) for tags in self._recall([tuple(words) for words in texts], self._tag)]

    def _tag(self, texts: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        tagged: list[tuple[str, ...]] = []
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            encoding = self.tokenizer(
                [list(words) for words in part],
                is_split_into_words=True,
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            with torch.inference_mode():
                best = self.model(**encoding.to(self.device)).logits.argmax(-1).tolist()
            for row, words in enumerate(part):
                tags = ["X"] * len(words)
                for place, word in reversed(list(enumerate(encoding.word_ids(row)))):
                    if word is not None:
                        tags[word] = self._tags[best[row][place]]
                tagged.append(tuple(tags))
        return tagged


def load_tagger(spec: str) -> ModelTagger:
    """Load a token classifier from a local folder or the Hub, on the CPU (the scheduler moves it).

    Raises:
        ValueError: there is no such model, it cannot be loaded, or it is no tagger of parts of speech.
    """
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give nltk (English), none, or the folder or Hub id of a token classifier with universal tags"
    with loading(f"--pos_tagger {spec}", spec, remedy):
        model, report = AutoModelForTokenClassification.from_pretrained(spec, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(spec)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:2])
        raise ValueError(f"--pos_tagger {spec} lacks weights of a token classifier ({missing}, ...); {remedy}.")
    return ModelTagger(model, tokenizer, spec)
