"""Substitutes of BERT-Attack: a masked language model reads the text as it is and proposes pieces for a word."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from hf_robust.attacks.engine.draft import Draft
from hf_robust.attacks.engine.requests import Consult, Steps
from hf_robust.attacks.parts.candidates import Candidates, RandomStates, Swap
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks.models.unmasked_lm import Expected, UnmaskedLM

PAPER_K = 48
"""K of the paper, for all data."""
_BYTE_MARK = "\u0120"


@dataclass(frozen=True)
class InPlace(Candidates):
    r"""Replaces each piece of a word by what a masked language model expects there (BERT-Attack, section 3.2).

    The model reads the whole text without a mask, so the word itself is seen. For a word of one piece, the ``k``
    likeliest pieces are proposed that are one word. For a word of t pieces, a combination takes one of the k likeliest
    pieces at each place, and the paper proposes the k combinations of least perplexity

    .. math:: \mathrm{ppl}(c) = \exp\Big(-\frac{1}{t} \sum_{i=1}^{t} \log p_i(c_i)\Big).

    As in TextAttack 0.3.11, the first k combinations in the order of enumeration are proposed instead, since the
    sorted list is not used there: the first pieces hardly change. It enumerates all :math:`k^t`; here only the first k
    are made. A word has as many pieces as if it stood alone, which byte-level vocabularies split otherwise than in a
    text. Special tokens count as words.

    ``mended`` is the paper's reading: k is 48, combinations of least perplexity, whole words only (a piece that begins
    a word, then pieces that continue it; no special tokens), no ``stop_words``, and the word's pieces in the text.
    The perplexity of a combination is that of its own places, so the k best are found exactly without enumeration.

    Differs from TextAttack: model types that it refuses are read by the marks of their vocabulary, and pieces beyond
    the last token of the text are left out.
    """

    planned = False
    model: UnmaskedLM
    k: int = 8
    stop_words: frozenset[str] = field(default=frozenset(), repr=False)
    mended: bool = False

    def propose(self, draft: Draft, open_words: Iterable[int], rng: RandomStates) -> Steps[list[Swap]]:
        text, indices = draft.text, list(open_words)
        if not indices:
            return []
        expected: list[Expected] = yield Consult(self.model.expect, [text.joined])
        return [
            (index, new)
            for index in indices
            for new in self._words(text, index, expected[0])
            if new != text.tokens[index]
        ]

    def _words(self, text: Text, index: int, expected: Expected) -> Iterable[str]:
        model, masked = self.model, text.replace({index: self.model.mask}).joined
        start = model.place_of_mask(masked)
        if start is None:
            return ()
        if self.mended:
            count = model.count(text.joined, special=True) - model.count(masked, special=True) + 1
            # The last token that the model reads ends the text, so a word that reaches it is cut.
            places = range(start, start + count) if start + count < model.max_length else range(0)
            best = self._of_least_perplexity(expected, places, index == 0)
            return [word for word in best if text.rule.is_one_word(word) and word.lower() not in self.stop_words]
        stop = min(start + model.count(text.tokens[index]), len(expected.ids))
        made = self._as_enumerated(expected, range(start, stop), index == 0)
        first = islice((word for word in made if len(text.rule.split(word)) == 1), self.k)
        return [word.strip(_BYTE_MARK) for word in first]

    def _as_enumerated(self, expected: Expected, places: range, is_first: bool) -> Iterator[str]:
        model = self.model
        rows = [expected.ids[place, : self.k].tolist() for place in places]
        if len(rows) == 1:
            anywhere = is_first and model.mark == _BYTE_MARK
            return (model.pieces.get(number, "") for number in rows[0] if anywhere or number not in model.inner)
        combinations = product(*([model.pieces.get(number, "") for number in row] for row in rows))
        # A byte-level mark stays inside a word, as in TextAttack.
        drop = "" if model.mark == _BYTE_MARK else model.mark
        return ("".join(pieces).replace(drop, "") for pieces in combinations)

    def _of_least_perplexity(self, expected: Expected, places: range, is_first: bool) -> list[str]:
        """The best combinations by the sum of their losses, place by place: of each prefix the best k suffice."""
        model = self.model
        begins = model.whole | model.inner if is_first and model.mark == _BYTE_MARK else model.whole
        best = [(0.0, "")] if places else []
        for place in places:
            fits = begins if place == places.start else model.inner
            row = [
                (float(loss), model.pieces[number].removeprefix(model.mark))
                for number, loss in zip(expected.ids[place].tolist(), expected.losses[place], strict=True)
                if number in fits
            ]
            sums = ((total + loss, made + piece) for total, made in best for loss, piece in row)
            best = heapq.nsmallest(PAPER_K, sums)
        return [made for _, made in best]

    def to(self, device: Any) -> None:
        """Move the masked language model."""
        self.model.to(device)

    def describe(self) -> dict[str, Any]:
        return {
            "name": "masked_lm_in_place",
            "masked_lm": self.model.name,
            "k": PAPER_K if self.mended else self.k,
            "stop_words": len(self.stop_words) if self.mended else 0,
            "mended": self.mended,
        }

    def fingerprint(self) -> str:
        settings = {key: value for key, value in self.describe().items() if key != "masked_lm"}
        return f"{self.model.fingerprint()} {settings} {sorted(self.stop_words) if self.mended else []}"
