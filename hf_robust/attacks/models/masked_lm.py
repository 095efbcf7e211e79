"""A masked language model that says what may stand in a blank, for many texts at once."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hf_robust.attacks.engine.batches import Encoded, Padder, moved
from hf_robust.attacks.engine.tokens import Tokens
from hf_robust.attacks.models.auxiliary_model import AuxiliaryModel
from hf_robust.data.length import usable_length
from hf_robust.words import TEXTATTACK_WORDS

REMEMBERED = 1 << 15
"""Answers that are kept (under 1 KB each): the clean texts' blanks come again in every epoch."""
MOST = 50
"""Words of one answer: what BAE and CLARE ask for."""
MAX_LENGTH = 512
_INNER, _SPACE, _UNDERLINE = "##", "\u0120", "\u2581"
_PUNCTUATION = frozenset(string.punctuation)


class Filling(NamedTuple):
    """What may stand in one blank: words, likeliest first, and their probabilities [n]; none for a blank cut off."""

    words: tuple[str, ...]
    probabilities: NDArray[np.float32]

    def above(self, k: int, minimum: float) -> tuple[str, ...]:
        """Those of the first ``k`` words whose probability is ``minimum`` or more."""
        return self.words[: int((self.probabilities[:k] >= np.float32(minimum)).sum())]


class MaskedLM(AuxiliaryModel):
    """Answers fill-mask questions: texts with one ``mask`` each.

    The answers are those of TextAttack 0.3.11's masked-LM transformations: the probability is a softmax over the whole
    vocabulary at the first mask; entries that are not one word, or all punctuation, do not count; the ``MOST``
    likeliest of the others do. A piece from inside a word counts as a word of its own, and so does a special token
    (``[UNK]``), which the victim's tokenizer may then read as one; ``whole_words`` leaves both out, as BAE's authors
    did. Case is the vocabulary's. Non-ASCII letters of byte-level vocabularies stay in the vocabulary's spelling.

    A text is one sequence, its columns joined by a line break, cut at ``max_length`` tokens; a blank cut off has no
    answer. TextAttack pads to 512 tokens: probabilities differ from its by the noise of batching, which can decide
    which word is the last of those that count.

    Differs: kinds of models that TextAttack refuses (DistilBERT, ALBERT) are read by the marks of their vocabulary.

    Args:
        model: an ``AutoModelForMaskedLM``; kept in eval mode.
        tokenizer: its tokenizer.
        name: for result files.
        whole_words: leave special tokens and pieces from inside words out.
        max_length: tokens to which texts are cut; None for 512, or less where the model takes less.
        token_budget: padded tokens in one batch; None for what suits the device.

    Attributes:
        forwards: batches sent through the model so far.

    Raises:
        ValueError: the tokenizer has no mask.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        name: str,
        *,
        whole_words: bool = False,
        max_length: int | None = None,
        token_budget: int | None = None,
    ) -> None:
        if tokenizer.mask_token is None:
            raise ValueError(
                f"filling blanks needs a tokenizer with a mask token, got none in {name}; pass --masked_lm the folder "
                "or Hub id of a masked language model."
            )
        super().__init__(model, tokenizer, name, token_budget, REMEMBERED)
        self.whole_words = whole_words
        self.mask = str(tokenizer.mask_token)
        usable = usable_length(tokenizer, getattr(model, "config", None)) or MAX_LENGTH
        self.max_length = min(MAX_LENGTH, usable) if max_length is None else max_length
        self.forwards = 0
        self._tokens, self._pad = Tokens(tokenizer, self.max_length), Padder(tokenizer)
        self._words = _readable(tokenizer.get_vocab(), set(tokenizer.all_special_ids), whole_words)
        self._closed: Tensor | None = None

    def fingerprint(self) -> str:
        """The hash of the weights, and the settings that change an answer."""
        return f"{super().fingerprint()} {self.max_length} {self.whole_words}"

    def fill(self, texts: Sequence[str]) -> list[Filling]:
        """The answer to each text; texts asked lately are remembered, and equal tokens are asked once."""
        return self._recall(texts, self._answer)

    def _answer(self, texts: Sequence[str]) -> list[Filling]:
        """Answers in the order of ``texts``, made in batches of falling length."""
        mask_id = self.tokenizer.mask_token_id
        encoded = self._tokens.encode([(text,) for text in texts])
        keys = [one.key() for one in encoded]
        open_blanks = {key: one for key, one in zip(keys, encoded, strict=True) if mask_id in one.ids}
        asked = list(open_blanks.values())
        order: list[int] = []
        ids, probabilities = [], []

        def work(places: list[int]) -> tuple[Tensor, Tensor]:
            return self._likeliest([asked[place] for place in places], mask_id)

        with torch.inference_mode():
            for places, (likely, numbers) in self._budget.run([len(one.ids) for one in asked], self.device, work):
                order += places
                probabilities.append(likely)
                ids.append(numbers)
        answers = dict.fromkeys(keys, Filling((), np.empty(0, dtype=np.float32)))
        if asked:
            by_place, rows = list(open_blanks), zip(torch.cat(ids).tolist(), torch.cat(probabilities), strict=True)
            for place, (numbers, likely) in zip(order, rows, strict=True):
                count = int((likely >= 0).sum())
                words = tuple(self._words[number] for number in numbers[:count])
                answers[by_place[place]] = Filling(words, likely[:count].numpy().copy())
        return [answers[key] for key in keys]

    def _likeliest(self, sequences: Sequence[Encoded], mask_id: int) -> tuple[Tensor, Tensor]:
        """Probabilities and ids of the likeliest words at each sequence's first mask, each [n, at most MOST].

        What does not count as a word has a probability of -1.
        """
        inputs = moved(self._pad(sequences), self.device)
        longest = inputs["input_ids"].shape[1]
        masks = [self._pad.span(len(one.ids), longest).start + one.ids.tolist().index(mask_id) for one in sequences]
        logits = self._logits_at(inputs, torch.tensor(masks, device=inputs["input_ids"].device))
        if self._closed is None or self._closed.device != logits.device:
            closed = [number not in self._words for number in range(logits.shape[-1])]
            self._closed = torch.tensor(closed, device=logits.device)
        probabilities = logits.float().softmax(-1).masked_fill(self._closed, -1.0)
        values, ids = probabilities.topk(min(MOST, probabilities.shape[-1]))
        return values.cpu(), ids.cpu()

    def _logits_at(self, inputs: dict[str, Tensor], masks: Tensor) -> Tensor:
        """Logits [n, vocabulary] at one place of each row.

        The output layer is given these places only: at all of them it would cost more than the rest of the model.
        """
        self.forwards += 1
        rows, shape = torch.arange(len(masks), device=masks.device), inputs["input_ids"].shape

        def narrow(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            hidden, *others = given
            return (hidden[rows, masks].unsqueeze(1), *others) if hidden.shape[:2] == shape else None

        head = self.model.get_output_embeddings()  # type: ignore[operator]
        hook = None if head is None else head.register_forward_pre_hook(narrow)
        try:
            logits: Tensor = self.model(**inputs)["logits"]
        finally:
            if hook is not None:
                hook.remove()
        return logits[:, 0] if logits.shape[1] == 1 else logits[rows, masks]


def load_masked_lm(spec: str, *, whole_words: bool = False) -> MaskedLM:
    """The model in a local folder or on the Hub, on the CPU (the scheduler moves it to the victim's device).

    Raises:
        ValueError: there is no such model, it cannot be loaded, or it has no masked-language-model head.
    """
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    from hf_robust.models.files import loading

    remedy = "give a folder or Hub id of a masked language model, such as bert-base-uncased"
    with loading(f"--masked_lm {spec}", spec, remedy):
        model, report = AutoModelForMaskedLM.from_pretrained(spec, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(spec)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:2])
        raise ValueError(f"--masked_lm {spec} lacks weights of a masked language model ({missing}, ...); {remedy}.")
    return MaskedLM(model, tokenizer, spec, whole_words=whole_words)


def _readable(vocabulary: dict[str, int], special: set[int], whole_words: bool) -> dict[int, str]:
    """Of each entry that counts as a word, its number and how it is written in a text."""
    style = _style(vocabulary)
    found = {}
    for token, number in vocabulary.items():
        if whole_words and (number in special or _is_inner(token, style)):
            continue
        # TextAttack takes the byte-level mark for a letter here: "\u0120," counts as a word, if one without a letter.
        shown = token.replace(style, "") if style in (_INNER, _UNDERLINE) else token
        if len(TEXTATTACK_WORDS.split(shown)) == 1 and not _PUNCTUATION.issuperset(shown):
            found[number] = shown.strip(_SPACE)
    return found


def _style(vocabulary: Iterable[str]) -> str:
    """The mark that most marked entries begin with: WordPiece's, byte-level BPE's, SentencePiece's; "" for none."""
    counts = dict.fromkeys((_INNER, _SPACE, _UNDERLINE), 0)
    for token in vocabulary:
        for mark in counts:
            counts[mark] += token.startswith(mark)
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] else ""


def _is_inner(token: str, style: str) -> bool:
    """Whether an entry continues a word."""
    if style == _INNER:
        return token.startswith(_INNER)
    return bool(style) and not token.startswith(style)
