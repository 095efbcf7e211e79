"""Fills one mask per text with a masked language model, for many texts at once."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_robust.attacks.engine.batches import Encoded, Padder, to_device
from hf_robust.attacks.engine.tokens import TextTokenizer
from hf_robust.attacks.models.consulted_model import ConsultedModel
from hf_robust.data.length import usable_length
from hf_robust.words import TEXTATTACK_WORDS, WordRule

CACHE_SIZE = 1 << 15
"""Number of cached answers (under 1 KB each): the clean texts' masks come again in every epoch."""
MAX_WORDS = 50
"""Maximum number of words in one answer, as BAE and CLARE use."""
MAX_LENGTH = 512
_INNER, _SPACE, _UNDERLINE = "##", "\u0120", "\u2581"
_PUNCTUATION = frozenset(string.punctuation)


class Filling(NamedTuple):
    """Words for one mask, likeliest first, and their probabilities [n]; empty if truncation removed the mask."""

    words: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def above(self, k: int, minimum: float) -> tuple[str, ...]:
        """Those of the first ``k`` words with a probability of at least ``minimum``."""
        return self.words[: int((self.probabilities[:k] >= np.float32(minimum)).sum())]


class MaskedLM(ConsultedModel):
    """Fills texts with one ``mask`` each.

    The answers are those of TextAttack 0.3.11's masked-LM transformations. Probabilities are a softmax over the whole
    vocabulary at the first mask. Entries that are not one word or only punctuation are dropped; the ``MAX_WORDS``
    likeliest remaining entries are returned. A piece from inside a word counts as a word, and so does a special token
    (``[UNK]``), which the victim's tokenizer may then read as a special token; ``whole_words`` drops both, as BAE's
    authors did. The case is the vocabulary's. Non-ASCII letters of byte-level vocabularies keep the vocabulary's
    spelling.

    A text is one sequence: its columns are joined by a line break and truncated to ``max_length`` tokens. If
    truncation removes the mask, the answer is empty. TextAttack pads to 512 tokens, so probabilities differ by
    batching noise, which can decide which word is the last one returned.

    Differs: model types that TextAttack refuses (DistilBERT, ALBERT) are read by the marks of their vocabulary.

    Args:
        model: an ``AutoModelForMaskedLM``; kept in eval mode.
        tokenizer: its tokenizer.
        name: name of the model in result files.
        whole_words: whether to drop special tokens and pieces from inside words.
        rule: the definition of a word.
        max_length: number of tokens to which texts are truncated; None for 512, or less if the model's limit is less.
        token_budget: padded tokens in one batch; None for the device's default.

    Attributes:
        forwards: number of batches sent through the model.

    Raises:
        ValueError: the tokenizer has no mask token.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        name: str,
        *,
        whole_words: bool = False,
        rule: WordRule = TEXTATTACK_WORDS,
        max_length: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        if tokenizer.mask_token is None:
            raise ValueError(
                f"a masked language model needs a tokenizer with a mask token, and {name} has none; give --masked_lm "
                "the folder or Hub id of a masked language model."
            )
        super().__init__(model, tokenizer, name, token_budget, CACHE_SIZE)
        self.whole_words, self.rule = whole_words, rule
        self.mask = str(tokenizer.mask_token)
        usable = usable_length(tokenizer, getattr(model, "config", None)) or MAX_LENGTH
        self.max_length = min(MAX_LENGTH, usable) if max_length is None else max_length
        self.forwards = 0
        self._tokens, self._pad = TextTokenizer(tokenizer, self.max_length), Padder(tokenizer)
        self._words = _readable(tokenizer.get_vocab(), set(tokenizer.all_special_ids), whole_words, rule)
        self._closed: Tensor | None = None

    def fingerprint(self) -> str:
        """The hash of the weights and the settings that change an answer."""
        rule = [] if self.rule is TEXTATTACK_WORDS else [*self.rule.describe().values()]
        return " ".join([super().fingerprint(), str(self.max_length), str(self.whole_words), *rule])

    def fill(self, texts: Sequence[str]) -> list[Filling]:
        """The answer to each text; recent answers are cached, and texts with equal tokens are computed once."""
        return self._recall(texts, self._answer)

    def _answer(self, texts: Sequence[str]) -> list[Filling]:
        """Answers in the order of ``texts``, computed in batches of falling length."""
        mask_id = self.tokenizer.mask_token_id
        encoded = self._tokens.encode([(text,) for text in texts])
        keys = [tokens.key() for tokens in encoded]
        open_blanks = {key: tokens for key, tokens in zip(keys, encoded, strict=True) if mask_id in tokens.ids}
        masked = list(open_blanks.values())
        order: list[int] = []
        ids, probabilities = [], []

        def work(places: list[int]) -> tuple[Tensor, Tensor]:
            return self._likeliest([masked[place] for place in places], mask_id)

        with torch.inference_mode():
            for places, (likely, numbers) in self._budget.run(
                [len(tokens.ids) for tokens in masked], self.device, work
            ):
                order += places
                probabilities.append(likely)
                ids.append(numbers)
        answers = dict.fromkeys(keys, Filling((), np.empty(0, dtype=np.float32)))
        if masked:
            by_place, rows = list(open_blanks), zip(torch.cat(ids).tolist(), torch.cat(probabilities), strict=True)
            for place, (numbers, likely) in zip(order, rows, strict=True):
                count = int((likely >= 0).sum())
                words = tuple(self._words[number] for number in numbers[:count])
                answers[by_place[place]] = Filling(words, likely[:count].numpy().copy())
        return [answers[key] for key in keys]

    def _likeliest(self, sequences: Sequence[Encoded], mask_id: int) -> tuple[Tensor, Tensor]:
        """Probabilities and ids of the likeliest words at each sequence's first mask, each [n, at most MAX_WORDS].

        Entries that do not count as words have probability -1.
        """
        inputs = to_device(self._pad(sequences), self.device)
        longest = inputs["input_ids"].shape[1]
        masks = [
            self._pad.span(len(tokens.ids), longest).start + tokens.ids.tolist().index(mask_id) for tokens in sequences
        ]
        logits = self._logits_at(inputs, torch.tensor(masks, device=inputs["input_ids"].device))
        if self._closed is None or self._closed.device != logits.device:
            closed = [number not in self._words for number in range(logits.shape[-1])]
            self._closed = torch.tensor(closed, device=logits.device)
        probabilities = logits.float().softmax(-1).masked_fill(self._closed, -1.0)
        values, ids = probabilities.topk(min(MAX_WORDS, probabilities.shape[-1]))
        return values.cpu(), ids.cpu()

    def _logits_at(self, inputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """Logits [n, vocabulary] at one position of each row.

        The output layer receives these positions only; at all positions it would cost more than the rest of the model.
        """
        self.forwards += 1
        rows, shape = torch.arange(len(masks), device=masks.device), inputs["input_ids"].shape

        def narrow(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            hidden, *others = args
            return (hidden[rows, masks].unsqueeze(1), *others) if hidden.shape[:2] == shape else None

        head = self.model.get_output_embeddings()  # type: ignore[operator]
        hook = None if head is None else head.register_forward_pre_hook(narrow)
        try:
            logits: Tensor = self.model(**inputs)["logits"]
        finally:
            if hook is not None:
                hook.remove()
        return logits[:, 0] if logits.shape[1] == 1 else logits[rows, masks]


def load_masked_lm(spec: str, *, whole_words: bool = False, rule: WordRule = TEXTATTACK_WORDS) -> MaskedLM:
    """Load a model from a local folder or the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, it cannot be loaded, or it has no masked-language-model head.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give the folder or Hub id of a masked language model, such as bert-base-uncased"
    with loading(f"--masked_lm {spec}", spec, remedy):
        model, report = AutoModelForMaskedLM.from_pretrained(spec, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(spec)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:2])
        raise ValueError(f"--masked_lm {spec} lacks weights of a masked language model ({missing}, ...); {remedy}.")
    return MaskedLM(model, tokenizer, spec, whole_words=whole_words, rule=rule)


def _readable(
    vocabulary: dict[str, int], special: set[int], whole_words: bool, rule: WordRule = TEXTATTACK_WORDS
) -> dict[int, str]:
    """Token id -> written form in a text, for each entry that counts as a word."""
    style = mark_of(vocabulary)
    words = {}
    for token, number in vocabulary.items():
        if whole_words and (number in special or is_inner(token, style)):
            continue
        # TextAttack treats the byte-level mark as a letter here, so "\u0120," counts as a word.
        shown = token.replace(style, "") if style in (_INNER, _UNDERLINE) else token
        if len(rule.split(shown)) == 1 and not _PUNCTUATION.issuperset(shown):
            words[number] = shown.strip(_SPACE)
    return words


def mark_of(vocabulary: Iterable[str]) -> str:
    """The vocabulary's most frequent prefix mark (WordPiece's, byte-level BPE's or SentencePiece's); "" for none."""
    counts = dict.fromkeys((_INNER, _SPACE, _UNDERLINE), 0)
    for token in vocabulary:
        for mark in counts:
            counts[mark] += token.startswith(mark)
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def is_inner(token: str, style: str) -> bool:
    """Whether an entry continues a word."""
    if style == _INNER:
        return token.startswith(_INNER)
    return bool(style) and not token.startswith(style)
