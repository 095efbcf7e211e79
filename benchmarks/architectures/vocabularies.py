"""Tokenizers of four families trained on a few texts: uncased and cased WordPiece, byte-level BPE, SentencePiece."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def _word_piece(texts: Sequence[str], size: int, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL))
    return tokenizer


def _byte_level(texts: Sequence[str], size: int) -> Tokenizer:
    """As RoBERTa's and DeBERTa's: words inside a text begin with the byte of a space, written Ġ."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return tokenizer


def _sentence_piece(texts: Sequence[str], size: int) -> Tokenizer:
    """As DeBERTa-v3's: words begin with ▁, pieces are chosen by their probabilities."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(
        texts,
        trainers.UnigramTrainer(vocab_size=size, special_tokens=SPECIAL, unk_token="[UNK]"),  # noqa: S106
    )
    return tokenizer


VOCABULARIES: dict[str, Callable[[Sequence[str], int], Tokenizer]] = {
    "uncased WordPiece": lambda texts, size: _word_piece(texts, size, lowercase=True),
    "cased WordPiece": lambda texts, size: _word_piece(texts, size, lowercase=False),
    "byte-level BPE": _byte_level,
    "SentencePiece": _sentence_piece,
}


def train_tokenizer(
    kind: str, texts: Sequence[str], size: int = 400, single: str = "[CLS] $A [SEP]", **options: Any
) -> PreTrainedTokenizerFast:
    """A fast tokenizer of a family, with BERT's special tokens.

    Args:
        kind: one of :data:`VOCABULARIES`.
        texts: the texts it is trained on.
        size: maximum number of tokens.
        single: template of a text; a second text of a pair follows without a [CLS].
        options: arguments of ``PreTrainedTokenizerFast``; without any, the special tokens are called as in BERT.
    """
    tokenizer = VOCABULARIES[kind](texts, size)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    second = single.removeprefix("[CLS] ").replace("$A", "$B")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=f"{single} {second}", special_tokens=ids
    )
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",  # noqa: S106
        model_max_length=64,
        model_input_names=["input_ids", "attention_mask"],
        **(options or names),
    )
