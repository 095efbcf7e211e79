"""The challenge set of a model: every text with one token masked, those that were wrong before included (GradMask)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tqdm import tqdm

from hf_robust.attacks import Example
from hf_robust.views.masked import CHUNK, MaskedViews, maskable, replaced
from hf_robust.words import Text

if TYPE_CHECKING:
    from hf_robust.attacks import Victim
    from hf_robust.attacks.engine.batches import Encoded
    from hf_robust.attacks.engine.requests import Columns
    from hf_robust.attacks.engine.tokens import Aligned, TextTokenizer

MASKS = ("gradient", "random")
"""How the token is chosen."""
_SPACES = (("", ""), (" ", ""), ("", " "), (" ", " "))
"""Put around a mask token, in this order of preference."""


class Challenged(NamedTuple):
    """One text of a challenge set.

    Attributes:
        example: the text as it is, with its label.
        around: what stands before and behind the mask token in the last column; None where there is none to mask.
        place: which token was masked, a place among all tokens that the model reads; None where none was.
        token: what stood there, as the text writes it.
        ids: the tokens of the text with the mask token at this place, as the paper has them.
        alike: whether the tokenizer reads ``texts`` as these tokens. No text is read as a mask token and then the
            second piece of a word: behind a mask token "ing" is a word of its own.
    """

    example: Example
    around: tuple[str, str] | None
    place: int | None
    token: str
    ids: Encoded
    alike: bool

    def texts(self, mask: str) -> Columns:
        """The columns with ``mask`` in the place of the token; as they are where none was masked."""
        return self.example.texts if self.around is None else (*self.example.texts[:-1], mask.join(self.around))


def challenge_set(
    victim: Victim, examples: Sequence[Example], mask: str = "gradient", seed: int = 0
) -> list[Challenged]:
    r"""GradMask, Section 4: in each text the token with the largest gradient becomes the mask token.

    .. math:: l^* = \arg\max_l \sum_{d=1}^{E} |\partial\,\mathrm{CE}(f(x), y) / \partial e_{l,d}|

    l runs over the tokens of the last text column, pieces of words apart, punctuation included. y is the true label,
    also of a text that the model gets wrong; the set keeps it, though without such a token a text may have another. A
    model that never saw its mask token in pre-training (ELECTRA's discriminator) is out of its distribution on all of
    them, which is a part of its fall. One forward and one backward for each text.

    Args:
        mask: ``gradient``, or ``random``: any of these tokens, drawn by ``seed`` and the row, as a control that tells
            what masking does whatever is masked.

    Raises:
        ValueError: the tokenizer has no mask token, or is not a fast one.
    """
    from hf_robust.attacks.engine.tokens import TextTokenizer, check_mask_token

    check_mask_token(victim.tokenizer)
    victim.check_saliency("masking by token")
    tokens = TextTokenizer(victim.tokenizer, victim.max_length)
    found: list[Challenged] = []
    with victim.measuring(), tqdm(total=len(examples), desc="masking", leave=False) as bar:
        for start in range(0, len(examples), CHUNK):
            part = examples[start : start + CHUNK]
            texts = [Text(one.texts) for one in part]
            if mask == "gradient":
                aligned, places = _steepest(victim, part, texts)
            else:
                aligned = [tokens.align(text) for text in texts]
                places = [_drawn(*one, victim, seed) for one in zip(part, texts, aligned, strict=True)]
            found += _masked(victim, tokens, part, aligned, places)
            bar.update(len(part))
    return found


def _steepest(
    victim: Victim, examples: Sequence[Example], texts: Sequence[Text]
) -> tuple[list[Aligned], list[int | None]]:
    saliences = victim.gradient_norms(texts, [one.label for one in examples], loss="odds")
    chosen = MaskedViews()
    places = [chosen.positions(*pair, victim.tokenizer) for pair in zip(saliences, texts, strict=True)]
    return [one.aligned for one in saliences], [own[0] if own else None for own in places]


def _drawn(example: Example, text: Text, aligned: Aligned, victim: Victim, seed: int) -> int | None:
    real = sorted(maskable(aligned, text, victim.tokenizer))
    return random.Random(f"challenge:{seed}:{example.idx}").choice(real) if real else None


def _masked(
    victim: Victim,
    tokens: TextTokenizer,
    examples: Sequence[Example],
    aligned: Sequence[Aligned],
    places: Sequence[int | None],
) -> list[Challenged]:
    mask, mask_id = victim.tokenizer.mask_token, victim.tokenizer.mask_token_id
    found, spans = [], {}
    for row, (example, own, place) in enumerate(zip(examples, aligned, places, strict=True)):
        if place is None:
            found.append(Challenged(example, None, None, "", own.encoded, True))
            continue
        start, end = spans[row] = own.offsets[place]
        column, ids = example.texts[-1], replaced(own.encoded, [place], mask_id)
        found.append(Challenged(example, (column[:start], column[end:]), place, column[start:end], ids, False))
    for before, after in _SPACES:
        wrong = [row for row, one in enumerate(found) if not one.alike]
        tried = []
        for row in wrong:
            (start, end), column = spans[row], examples[row].texts[-1]
            tried.append(found[row]._replace(around=(column[:start] + before, after + column[end:])))
        for row, one, read in zip(wrong, tried, tokens.encode([one.texts(mask) for one in tried]), strict=True):
            if read.key() == one.ids.key():
                found[row] = one._replace(alike=True)
    return found
