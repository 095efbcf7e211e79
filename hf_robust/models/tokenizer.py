"""Tokenizers of whole words.

The words that a new model knows: those of the training texts, then those of a file of word vectors.
"""

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


logger = logging.getLogger(__name__)

VOCABULARY_SIZE = 100_000


@dataclass(frozen=True)
class WordSource:
    """What a new model takes its words from.

    Args:
        texts: those it will train on.
        path: where the vectors came from, for messages.
        words: N words with a vector, lower-cased, frequent ones first; none where there are no vectors.
        vectors: [N, E], or None.
        size: most tokens of the vocabulary.
    """

    texts: Sequence[str]
    path: str = ""
    words: Sequence[str] = ()
    vectors: Vectors | None = None
    size: int = VOCABULARY_SIZE

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each token occurs in the texts."""
        return Counter(token for text in self.texts for token in cut(text))

    def vocabulary(self) -> list[str]:
        """Special tokens, the texts' tokens by falling frequency, and the vectors' words in the order of their file.

        The vectors' words are there so that a substitute from outside the training texts is not [UNK]: an attack
        would else replace any word by the same unknown one. A word that the tokenizer would cut is left out.

        Raises:
            ValueError: there are vectors, and no word of the texts has one.
        """
        known = sorted(self.counts, key=lambda token: (-self.counts[token], token))
        if self.words:
            self._report_coverage()
        found = dict.fromkeys([*SPECIAL_TOKENS, *known])
        found |= dict.fromkeys(word for word in self.words if cut(word) == [word])
        tokens = list(found)
        if len(tokens) > self.size:
            logger.warning(
                f"{len(tokens) - self.size:,} words are left out of the vocabulary, the least frequent ones: raise "
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
