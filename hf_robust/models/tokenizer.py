"""Tokenizers of whole words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from hf_robust.words.contractions import APOSTROPHES
from hf_robust.words.word_rules import unicode_pattern

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# The words of hf_robust.words.UnicodeWords, entities (&quot;), and every other mark for itself. The normalizer has
# taken invisible characters out.
_WORD = unicode_pattern(r"[\p{L}\p{N}&&[^\u02bc]]", r"\p{L}\p{N}_", r"\p{M}", "")
_TOKEN = rf"{_WORD}|&[a-z]+;|&?#[0-9]+;|(?:quot|amp|lt|gt|nbsp);|\S"
_INNER_APOSTROPHE = rf"(?<=[\p{{L}}\p{{N}}])[{APOSTROPHES}](?=[\p{{L}}\p{{N}}])"


@cache
def _parts() -> tuple[Any, Any]:
    """What makes a text lower case, composed and its apostrophes straight, and what cuts it.

    Accents stay, since files of word vectors keep them.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    lower = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    straight = normalizers.Replace(Regex(_INNER_APOSTROPHE), "'")
    # One blank may part "they" from "'re"; lower-casing makes one of a tab or a line's end, and two part as those do.
    parted = normalizers.Replace(Regex(r"[^\S ]"), "  ")
    normalizer = normalizers.Sequence([normalizers.NFC(), straight, parted, lower])
    return normalizer, pre_tokenizers.Split(Regex(_TOKEN), "removed", invert=True)


def cut(text: str) -> list[str]:
    """Tokens of a text: its words as :class:`hf_robust.words.Text` has them, in lower case, and other marks.

    >>> cut("It's a well-made film, isn’t it, and they 're here...")[:7]
    ["it's", 'a', 'well-made', 'film', ',', "isn't", 'it']
    >>> cut("They 're here...")
    ['they', "'re", 'here', '.', '.', '.']
    """
    lower, split = _parts()
    return [token for token, _ in split.pre_tokenize_str(lower.normalize_str(text))]


def word_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a new LSTM or CNN: lower-casing, ``[CLS] text [SEP]`` or ``[CLS] first [SEP] second [SEP]``.

    It is saved and loaded by plain ``from_pretrained``, and has no longest input.

    Args:
        vocabulary: distinct tokens in id order, :data:`SPECIAL_TOKENS` among them; other words are [UNK].
    """
    pair, inputs = "[CLS] $A [SEP] $B [SEP]", ["input_ids", "attention_mask"]
    return word_level_tokenizer(vocabulary, *_parts(), pair, inputs)


def word_level_tokenizer(
    vocabulary: Sequence[str], normalize: Any, split: Any, pair: str, inputs: list[str], **options: Any
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer of these parts; ``inputs`` are what the model takes, ``pair`` is how two texts stand."""
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    ids = {token: index for index, token in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalize, split
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair=pair, special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    )
    names = {f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_input_names=inputs, **names, **options)
