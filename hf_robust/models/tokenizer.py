"""Word-level tokenizers, and the vocabulary of a new model from its training texts and word vectors."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from hf_robust.words.contractions import APOSTROPHES
from hf_robust.words.vector_files import Vectors, read_vectors
from hf_robust.words.word_rules import unicode_pattern

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

VOCABULARY_SIZE = 100_000
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# The words of hf_robust.words.UnicodeWords, entities (&quot;), and each other mark alone. The normalizer has removed
# invisible characters.
_WORD = unicode_pattern(r"[\p{L}\p{N}&&[^\u02bc]]", r"\p{L}\p{N}_", r"\p{M}", "")
_TOKEN = rf"{_WORD}|&[a-z]+;|&?#[0-9]+;|(?:quot|amp|lt|gt|nbsp);|\S"
_INNER_APOSTROPHE = rf"(?<=[\p{{L}}\p{{N}}])[{APOSTROPHES}](?=[\p{{L}}\p{{N}}])"


@cache
def _normalizer_and_splitter() -> tuple[Any, Any]:
    """The normalizer (lower case, NFC, straight apostrophes) and the pre-tokenizer.

    The normalizer keeps accents, because files of word vectors have them.
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    lower = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    straight = normalizers.Replace(Regex(_INNER_APOSTROPHE), "'")
    # A single space may separate "they" from "'re". The lower-casing turns a tab or line break into one space, so that
    # two spaces replace it first.
    spaces = normalizers.Replace(Regex(r"[^\S ]"), "  ")
    normalizer = normalizers.Sequence([normalizers.NFC(), straight, spaces, lower])
    return normalizer, pre_tokenizers.Split(Regex(_TOKEN), "removed", invert=True)


def word_tokens(text: str) -> list[str]:
    """Tokens of a text: its words, split as :class:`hf_robust.words.Text` does, in lower case, and its other marks.

    >>> word_tokens("It's a well-made film, isn’t it, and they 're here...")[:7]
    ["it's", 'a', 'well-made', 'film', ',', "isn't", 'it']
    >>> word_tokens("They 're here...")
    ['they', "'re", 'here', '.', '.', '.']
    """
    normalizer, splitter = _normalizer_and_splitter()
    return [token for token, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]


def word_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """The tokenizer of a new LSTM or CNN: lower-casing, ``[CLS] text [SEP]`` or ``[CLS] first [SEP] second [SEP]``.

    Plain ``from_pretrained`` loads it. It has no maximum length.

    Args:
        vocabulary: distinct tokens in id order, :data:`SPECIAL_TOKENS` among them; other words are [UNK].
    """
    pair, inputs = "[CLS] $A [SEP] $B [SEP]", ["input_ids", "attention_mask"]
    return word_level_tokenizer(vocabulary, *_normalizer_and_splitter(), pair, inputs)


def word_level_tokenizer(
    vocabulary: Sequence[str], normalize: Any, split: Any, pair: str, inputs: list[str], **options: Any
) -> PreTrainedTokenizerFast:
    """A word-level tokenizer.

    Args:
        vocabulary: distinct tokens in id order.
        normalize, split: the normalizer and the pre-tokenizer.
        pair: template of a pair of texts.
        inputs: names of the model's inputs.
    """
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


@dataclass(frozen=True)
class WordSource:
    """The texts and word vectors from which a new model takes its words.

    Args:
        texts: the training texts.
        path: the file of the vectors, for messages.
        words: N words with a vector, lower-cased, frequent ones first; empty without vectors.
        vectors: [N, E], or None.
        size: maximum number of tokens in the vocabulary.
    """

    texts: Sequence[str]
    path: str = ""
    words: Sequence[str] = ()
    vectors: Vectors | None = None
    size: int = VOCABULARY_SIZE

    @cached_property
    def counts(self) -> Counter[str]:
        """Number of occurrences of each token in the texts."""
        return Counter(token for text in self.texts for token in word_tokens(text))

    def vocabulary(self) -> list[str]:
        """Special tokens, the tokens of the texts by falling frequency, then the words of the vectors in file order.

        The words of the vectors are included so that a substitute that no training text contains is not [UNK];
        otherwise an attack would replace many words by the same unknown token. A word that the tokenizer would split
        is left out.

        Raises:
            ValueError: there are vectors, but none for a word of the texts.
        """
        by_frequency = sorted(self.counts, key=lambda token: (-self.counts[token], token))
        if self.words:
            self._report_coverage()
        distinct = dict.fromkeys([*SPECIAL_TOKENS, *by_frequency])
        distinct |= dict.fromkeys(word for word in self.words if word_tokens(word) == [word])
        tokens = list(distinct)
        if len(tokens) > self.size:
            logger.warning(
                f"The vocabulary leaves out the {len(tokens) - self.size:,} least frequent words: raise "
                f"--vocabulary_size ({self.size:,}) to keep them."
            )
        return tokens[: self.size]

    def _report_coverage(self) -> None:
        has_vector = set(self.words)
        covered = [token for token in self.counts if token in has_vector]
        if not covered:
            raise ValueError(
                f"none of the {len(self.counts):,} words of the training texts is in {self.path}; give vectors of the "
                "texts' language, or leave --word_vectors out."
            )
        running, total = sum(self.counts[token] for token in covered), self.counts.total()
        logger.info(
            f"Word vectors: {len(covered):,} of {len(self.counts):,} distinct tokens of the training texts "
            f"({len(covered) / len(self.counts):.1%}) and {running / total:.1%} of all tokens are in {self.path}."
        )


def read_source(texts: Sequence[str], path: str | None, size: int = VOCABULARY_SIZE) -> WordSource:
    """The words of ``texts`` and of the vectors in ``path``, if any.

    Raises:
        ValueError: the vectors cannot be read, or the vocabulary is too small for its special tokens.
    """
    if size <= len(SPECIAL_TOKENS):
        raise ValueError(
            f"--vocabulary_size must be above {len(SPECIAL_TOKENS)}, the number of special tokens, got {size}."
        )
    if path is None:
        return WordSource(texts, size=size)
    words, vectors = read_vectors(path)
    return WordSource(texts, str(path), words, vectors, size)
