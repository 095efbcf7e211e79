"""The demo's model: a small BERT with random weights over the words of the demo corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_robust.data.demo import DEGREES, OPENINGS, PEOPLE, PUNCTUATION, REMARKS, REPLIES, SUBJECTS
from hf_robust.lexicons import synonym_groups
from hf_robust.models import word_level_tokenizer
from hf_robust.models.tokenizer import SPECIAL_TOKENS
from hf_robust.words import Text

if TYPE_CHECKING:
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast


def demo_vocabulary() -> list[str]:
    """Return every token of the corpus and of the built-in lexicon, in alphabetical order after the special tokens."""
    frames = [*REMARKS, *REPLIES, *PEOPLE, *DEGREES]
    frames += [word for group in (*SUBJECTS.values(), *OPENINGS.values(), *synonym_groups()) for word in group]
    words = {word.lower() for word in Text(tuple(frames)).tokens} - {"0", "1"}
    return [*SPECIAL_TOKENS, *PUNCTUATION, *sorted(words)]


def demo_tokenizer() -> PreTrainedTokenizerFast:
    """Make a lower-casing word-level tokenizer: a token for each word or punctuation mark, [UNK] for unknown words."""
    from tokenizers import normalizers, pre_tokenizers

    return word_level_tokenizer(
        demo_vocabulary(),
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        ["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=64,
    )


def demo_model(
    num_labels: int = 2, *, hidden_size: int = 64, num_layers: int = 2, seed: int | None = None
) -> tuple[BertForSequenceClassification, PreTrainedTokenizerFast]:
    """Make a small BERT with random weights, and its tokenizer; plain ``from_pretrained`` loads both after saving.

    Args:
        seed: seed of the weights; None draws them from the global random state.

    There is no dropout, and the initial weights are larger than BERT's (0.05 instead of 0.02): with 2,400 rows a model
    this narrow otherwise learns late or never to compare words.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = demo_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        intermediate_size=2 * hidden_size,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.05,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=num_labels,
    )
    if seed is None:
        return BertForSequenceClassification(config), tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertForSequenceClassification(config), tokenizer
